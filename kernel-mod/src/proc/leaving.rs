//! A process on its way out: stopping it, what was made for its image, and how it goes on here.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering};

use ckpt::Manifest;
use kapi::{
    fileref::FileRef, lock_class, module::Hold, own::Own, park, park::Parked, task::Task,
    wait::Mode, Errno, Mutex, Result, SpinLock, WaitQueue,
};
use netproto::{msg::migrate::ImageKind, AttemptId, Epoch, GlobalPid, Slot, SpaceId};

use crate::memory::space;

use super::{
    exec::Kept,
    files::Exported,
    live::{self, Live},
    record::Record,
    signals,
    state::{self, Input},
    surrogate,
};

/// How a stopped process goes on here.
#[derive(Clone)]
pub(crate) enum Command {
    /// As before.
    Thaw,
    /// As the surrogate.
    Surrogate(Arc<Record>),
    /// Not at all, unnoticed; its late signals go to the body.
    End(Slot, Epoch),
    /// Not at all.
    Kill,
}

/// What was made of an image.
pub(crate) struct Out {
    pub(crate) attempt: AttemptId,
    pub(crate) manifest: Box<Manifest>,
    pub(crate) space: Option<SpaceId>,
    /// Remote files by the identity of the file, so that a second look says the same.
    pub(crate) exported: Vec<(usize, Exported)>,
    pub(crate) final_part: Vec<u8>,
}

impl Drop for Out {
    fn drop(&mut self) {
        // Unless it was taken out for a target that has the process now.
        if let Some(space) = self.space.take() {
            space::drop_source(space);
        }
    }
}

#[derive(Default)]
struct Stopping {
    /// Which request to stop counts.
    generation: u64,
    parked: bool,
    command: Option<Command>,
    /// Exec: the target is ready, go on.
    go: bool,
    /// Nothing comes any more.
    over: bool,
}

/// A process on its way out.
pub(crate) struct Leaving {
    pub(crate) process: GlobalPid,
    pub(crate) task: Task,
    /// Has the job's namespaces.
    pub(crate) init: Task,
    pub(crate) kind: ImageKind,
    pub(crate) request: u64,
    pub(crate) kept: Option<Arc<Kept>>,
    pub(crate) out: Mutex<Option<Box<Out>>>,
    pub(crate) live: Mutex<Option<Box<Live>>>,
    /// When its user's patience ends, in ns; never for [`u64::MAX`].
    patience_ns: AtomicU64,
    stopping: SpinLock<Stopping>,
    wake: WaitQueue,
    _hold: Hold,
}

/// What ended an exec's wait for its target.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Go on as the surrogate.
    Go,
    /// Run here.
    Stay,
}

impl Leaving {
    pub(crate) fn new(
        process: GlobalPid,
        task: Task,
        init: Task,
        request: u64,
        kept: Option<Arc<Kept>>,
    ) -> Result<Arc<Self>> {
        let kind = if kept.is_some() { ImageKind::Exec } else { ImageKind::Live };
        Ok(Arc::new(Self {
            process,
            task,
            init,
            kind,
            request,
            kept,
            out: Mutex::new(lock_class!(c"holon-out"), None)?,
            live: Mutex::new(lock_class!(c"holon-live"), None)?,
            patience_ns: AtomicU64::new(u64::MAX),
            stopping: SpinLock::new(lock_class!(c"holon-stopping"), Stopping::default())?,
            wake: WaitQueue::new()?,
            _hold: Hold::new().ok_or(Errno::ESHUTDOWN)?,
        }))
    }

    /// The request is to be given up at this time, if it can be.
    pub(crate) fn set_patience(&self, until_ns: u64) {
        self.patience_ns.store(until_ns, Ordering::Release);
    }

    /// When it is to be given up, in ns.
    pub(crate) fn patience_ns(&self) -> u64 {
        self.patience_ns.load(Ordering::Acquire)
    }

    /// Has the task stop at its next edge to user mode; says whether it is stopped already.
    pub(crate) fn stop(self: &Arc<Self>) -> Result<bool> {
        let generation = {
            let mut stopping = self.stopping.lock();
            if stopping.parked {
                // It was to go on and has not got to it: it stays where it stands.
                stopping.command.take_if(|command| matches!(command, Command::Thaw));
                return Ok(true);
            }
            stopping.generation += 1;
            stopping.command = None;
            stopping.generation
        };
        let request = Arc::new(StopRequest { leaving: self.clone(), generation });
        park::request(&self.task, request)?;
        Ok(false)
    }

    /// Lets a stopped process go on. One that was not stopped yet won't be.
    pub(crate) fn command(&self, command: Command) {
        let mut stopping = self.stopping.lock();
        if stopping.parked {
            stopping.command = Some(command);
        } else {
            stopping.generation += 1;
        }
        drop(stopping);
        self.wake.wake_all();
    }

    /// Exec: the target is ready. `false` if the exec does not wait any more.
    pub(crate) fn go(&self) -> bool {
        let mut stopping = self.stopping.lock();
        if stopping.over {
            return false;
        }
        stopping.go = true;
        drop(stopping);
        self.wake.wake_all();
        true
    }

    /// Nothing comes of it any more.
    pub(crate) fn over(&self) {
        self.stopping.lock().over = true;
        self.wake.wake_all();
    }

    /// Exec, own context: waits for the target.
    pub(crate) fn wait_go(&self, timeout: core::time::Duration) -> Verdict {
        let decided = || {
            let stopping = self.stopping.lock();
            stopping.go || stopping.over
        };
        // Whatever ended the wait: without "go" nothing was given up.
        let _ = self.wake.wait(Mode::Killable, Some(timeout), decided);
        let mut stopping = self.stopping.lock();
        if stopping.go {
            Verdict::Go
        } else {
            stopping.over = true;
            Verdict::Stay
        }
    }

    fn note_parked(&self, generation: u64) -> bool {
        let mut stopping = self.stopping.lock();
        if stopping.generation != generation || stopping.over {
            return false;
        }
        stopping.parked = true;
        true
    }

    fn wait_command(&self) -> Option<Command> {
        let told = || self.stopping.lock().command.is_some();
        loop {
            let waited = self.wake.wait(Mode::Killable, None, told);
            let mut stopping = self.stopping.lock();
            let command = stopping.command.take();
            // What it was told may have been taken back. Killed: the kernel ends the task on its
            // way to user mode.
            if command.is_some() || waited.is_err() {
                stopping.parked = false;
                return waited.ok().and(command);
            }
        }
    }

    #[inline(never)]
    fn forward_late_signals(&self, own: &Own, slot: Slot, epoch: Epoch) {
        // All are taken, none is forgotten: the task ends after this.
        while let Ok(more) = own.some_pending(64) {
            if more.is_empty() {
                return;
            }
            own.drop_pending(&more);
            more.iter().for_each(|signal| signals::forward(self.process, slot, epoch, signal));
        }
    }

    #[inline(never)]
    fn carry_out(&self, own: &Own, command: Command) {
        let travelled = self.live.lock().take();
        let drop_travelled = || {
            if let Some(live) = &travelled {
                own.drop_pending(&live.pending);
            }
        };
        match command {
            Command::Thaw => {}
            Command::Surrogate(record) => {
                drop_travelled();
                if let Err(errno) = surrogate::become_one(own, &record) {
                    log::error!("{}: no surrogate: {errno}", self.process);
                    own.exit(9, 0, 0);
                }
            }
            Command::End(slot, epoch) => {
                drop_travelled();
                self.forward_late_signals(own, slot, epoch);
                own.clear_thread_state();
                own.exit(0, 0, 0);
            }
            Command::Kill => own.exit(9, 0, 0),
        }
    }
}

struct StopRequest {
    leaving: Arc<Leaving>,
    generation: u64,
}

impl Parked for StopRequest {
    fn parked(self: Arc<Self>, own: &Own) {
        let leaving = &self.leaving;
        if own.exiting() || !leaving.note_parked(self.generation) {
            return;
        }
        let Ok(proc) = state::get() else { return };
        *leaving.live.lock() = live::capture(own)
            .inspect_err(|errno| log::warn!("{}: capture: {errno}", leaving.process))
            .ok();
        proc.push(Input::Parked(leaving.process));
        match leaving.wait_command() {
            Some(command) => leaving.carry_out(own, command),
            None => proc.push(Input::Killed(leaving.process)),
        }
    }
}

/// Whether a file of the process was described before, and how.
pub(crate) fn exported_as<'a>(
    exported: &'a [(usize, Exported)],
    file: &FileRef,
) -> Option<&'a Exported> {
    let identity = file.identity();
    exported.iter().find(|(one, _)| *one == identity).map(|(_, exported)| exported)
}
