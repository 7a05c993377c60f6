//! A process on its way in: its image, the helper that becomes it, and how it goes on.

use alloc::{boxed::Box, sync::Arc, vec::Vec};

use ckpt::{Final, Manifest};
use kapi::{
    lock_class,
    module::Hold,
    own::{Own, Restorer},
    park,
    task::Task,
    Errno, Mutex, Result, SpinLock, WaitQueue,
};
use netproto::{AttemptId, Epoch, GlobalPid, Slot};
use sched_migrate::{effect::Arrival, Failure, Step};

mod parking;

pub(super) use parking::Verdict;

use self::parking::Command;
use super::{
    files::Exported,
    record::Record,
    restorer::Reconvert,
    state::{self, Done, Input},
    surrogate,
};
use crate::memory::space;

/// A failure of the helper's, as the other side hears it.
pub(crate) fn failure(step: Step, errno: Errno) -> Failure {
    Failure::Helper { step, errno: u16::try_from(-errno.code()).unwrap_or(u16::MAX) }
}

/// How far the helper is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nobody has come yet.
    Awaited,
    /// Somebody is at work in user mode.
    AtWork,
    /// It has parked, or waits for the word to execute.
    Parked,
    /// It loads its vector state in user mode, and parks again.
    Loading,
    /// It runs, or ended.
    Over,
}

struct State {
    stage: Stage,
    command: Option<Command>,
    discarded: bool,
    /// The helper waits in the kernel, and leaves only when nobody is `settling`.
    waits: bool,
    /// The driver writes what the helper can't write itself.
    settling: bool,
    regs: Option<[u64; kapi::own::REGS]>,
    /// The restorer and its descriptor.
    restorer: Option<(Restorer, u32)>,
}

/// A process on its way in.
pub(crate) struct Incoming {
    pub(crate) attempt: AttemptId,
    pub(crate) process: GlobalPid,
    pub(crate) source: Slot,
    pub(crate) origin: Slot,
    pub(crate) epoch: Epoch,
    pub(crate) into: Arrival,
    pub(crate) manifest: Box<Manifest>,
    pub(crate) manifest_bytes: Vec<u8>,
    pub(crate) helper: Mutex<Option<Task>>,
    pub(crate) final_part: Mutex<Option<Box<Final>>>,
    pub(crate) space: Mutex<Option<space::Target>>,
    /// The surrogate whose task it is made in.
    pub(crate) record: Option<Arc<Record>>,
    /// Files that stay available until the helper has them.
    files: Mutex<Vec<Exported>>,
    state: SpinLock<State>,
    wake: WaitQueue,
    _hold: Hold,
}

/// What an incoming process is made of.
pub(crate) struct Parts {
    pub(crate) attempt: AttemptId,
    pub(crate) source: Slot,
    pub(crate) into: Arrival,
    pub(crate) manifest: Box<Manifest>,
    pub(crate) manifest_bytes: Vec<u8>,
    pub(crate) record: Option<Arc<Record>>,
}

impl Incoming {
    #[inline(never)]
    pub(crate) fn new(parts: Parts) -> Result<Arc<Self>> {
        let state = State {
            stage: Stage::Awaited,
            command: None,
            discarded: false,
            waits: false,
            settling: false,
            regs: None,
            restorer: None,
        };
        Ok(Arc::new(Self {
            attempt: parts.attempt,
            process: parts.manifest.subject.process,
            source: parts.source,
            origin: parts.manifest.subject.origin,
            epoch: parts.manifest.subject.epoch,
            into: parts.into,
            manifest: parts.manifest,
            manifest_bytes: parts.manifest_bytes,
            helper: Mutex::new(lock_class!(c"holon-helper"), None)?,
            final_part: Mutex::new(lock_class!(c"holon-final"), None)?,
            space: Mutex::new(lock_class!(c"holon-space"), None)?,
            record: parts.record,
            files: Mutex::new(lock_class!(c"holon-incoming-files"), Vec::new())?,
            state: SpinLock::new(lock_class!(c"holon-incoming"), state)?,
            wake: WaitQueue::new()?,
            _hold: Hold::new().ok_or(Errno::ESHUTDOWN)?,
        }))
    }

    /// Whether a program is to be executed.
    pub(crate) fn is_exec(&self) -> bool {
        self.manifest.exec().is_some()
    }

    pub(crate) fn stage(&self) -> Stage {
        self.state.lock().stage
    }

    fn set_stage(&self, stage: Stage) {
        self.state.lock().stage = stage;
    }

    /// The calling process says that it is the helper.
    pub(crate) fn attach(&self, task: Task) -> Result {
        let mut helper = self.helper.lock();
        let mut state = self.state.lock();
        if state.discarded || state.stage != Stage::Awaited {
            return Err(Errno::ESTALE);
        }
        state.stage = Stage::AtWork;
        drop(state);
        *helper = Some(task);
        Ok(())
    }

    /// Keeps files available until the helper has them.
    pub(crate) fn keep_files(&self, files: Vec<Exported>) {
        *self.files.lock() = files;
    }

    /// Remembers the restorer and its descriptor.
    pub(crate) fn note_restorer(&self, restorer: Restorer, fd: u32) {
        self.state.lock().restorer = Some((restorer, fd));
    }

    /// Takes them, to remove them.
    pub(crate) fn take_restorer(&self) -> Option<(Restorer, u32)> {
        self.state.lock().restorer.take()
    }

    /// Driver: the helper's process has ended. `false` if there was none.
    pub(crate) fn forget_helper(&self) -> bool {
        let was = self.helper.lock().take().is_some();
        if was {
            self.set_stage(Stage::Over);
        }
        was
    }

    /// Whether the calling thread is the helper's only one.
    pub(crate) fn is_mine(&self) -> bool {
        self.helper.lock().as_ref().is_some_and(Task::is_this_thread)
    }

    fn tell(&self, outcome: core::result::Result<Done, Failure>) {
        if let Ok(proc) = state::get() {
            proc.push(Input::Target(self.attempt, outcome));
        }
    }

    /// Driver: has all of it go away. [`Input::Discarded`] follows, from whoever does it.
    pub(crate) fn discard(self: &Arc<Self>) -> Result {
        let stage = {
            let mut state = self.state.lock();
            state.discarded = true;
            state.stage
        };
        let helper = self.helper.lock().clone();
        match (stage, helper) {
            (Stage::Parked, _) => self.command(Command::Discard),
            (Stage::AtWork | Stage::Loading, Some(task)) if self.into == Arrival::Home => {
                park::request(&task, Arc::new(Reconvert(self.clone())))?;
            }
            (Stage::AtWork | Stage::Loading, Some(task)) => task.kill(),
            (Stage::Awaited, _) => match self.surrogate_at_work() {
                // It has not said so yet, and its helper would end when nobody knows the image.
                Some(task) => park::request(&task, Arc::new(Reconvert(self.clone())))?,
                None => self.discarded(),
            },
            _ => self.discarded(),
        }
        Ok(())
    }

    /// The surrogate's task, if it has begun to become the process.
    fn surrogate_at_work(&self) -> Option<Task> {
        let record = self.record.as_ref()?;
        let helping = record.state.lock().helping?;
        (helping.attempt == self.attempt).then(|| record.task.clone())
    }

    /// Whether the calling task is on its way to become the process, and is not to.
    pub(super) fn is_to_leave(&self) -> bool {
        let state = self.state.lock();
        match state.stage {
            Stage::AtWork | Stage::Loading => true,
            Stage::Awaited => state.discarded,
            Stage::Parked | Stage::Over => false,
        }
    }

    /// Says that all is gone.
    pub(crate) fn discarded(&self) {
        self.set_stage(Stage::Over);
        drop(self.space.lock().take());
        if let Ok(proc) = state::get() {
            proc.push(Input::Discarded(self.attempt));
        }
    }

    /// Whether it was discarded.
    pub(crate) fn is_discarded(&self) -> bool {
        self.state.lock().discarded
    }

    /// Own context: what becomes of a helper that is not to become the process.
    #[inline(never)]
    pub(super) fn leave(&self, own: &Own) {
        match &self.record {
            Some(record) => {
                if let Err(errno) = surrogate::become_one(own, record) {
                    log::error!("{}: no surrogate any more: {errno}", self.process);
                    own.exit(9, 0, 0);
                }
                self.discarded();
            }
            // Its end is reported, and that is the end of the attempt.
            None => own.exit(0, 0, 0),
        }
    }

    /// Own context, in user mode's helper: gives up.
    pub(crate) fn give_up(self: &Arc<Self>, step: Step, errno: Errno) -> Result {
        self.tell(Err(failure(step, errno)));
        Ok(())
    }

    /// Own context, in user mode's helper that gave up: a surrogate is one again on its way out of
    /// the call. Waiting for the driver's word would let it end first, and the body with it.
    pub(crate) fn turn_back(self: &Arc<Self>) -> Result {
        if self.into == Arrival::Home && !crate::proc::again::is_local(self.attempt) {
            park::request(&Task::current()?, Arc::new(Reconvert(self.clone())))?;
        }
        Ok(())
    }

    /// Own context: the image could not be laid out, and the task is the surrogate again.
    pub(crate) fn turned_back(&self, errno: Errno) {
        log::warn!("{}: image: {errno}", self.process);
        self.tell(Err(failure(Step::Layout, errno)));
        self.discarded();
    }

    /// Own context of an exec's helper: waits for the word.
    pub(crate) fn wait_exec(&self, own: &Own) -> Result {
        if self.stage() != Stage::AtWork {
            return Err(Errno::ESTALE);
        }
        match self.park(own) {
            Verdict::Run => {
                self.run_here();
                Ok(())
            }
            Verdict::Discard => {
                self.leave(own);
                Err(Errno::ERESTARTNOINTR)
            }
            Verdict::Load | Verdict::Killed => Err(Errno::ERESTARTNOINTR),
        }
    }
}

impl Incoming {
    /// An image that never left this node: the surrogate is none any more.
    fn run_here(&self) {
        self.files.lock().clear();
        let Ok(proc) = state::get() else { return };
        if crate::proc::again::is_local(self.attempt) {
            let mut tables = proc.tables.lock();
            tables.incoming.remove(self.attempt);
            tables.records.remove(self.process);
            if tables.at_home.try_reserve(1).is_ok() {
                tables.at_home.push(self.process);
            }
        }
    }
}
