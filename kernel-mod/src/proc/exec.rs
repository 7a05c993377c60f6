//! Placing execs: the hook at the head of the kernel's binary formats.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::time::Duration;

use ckpt::{limits::ARGS_LEN_MAX, limits::FDS_MAX, object::exec::Exec, Bytes};
use kapi::{
    binfmt::{Bprm, Strings},
    fileref::FileRef,
    own::Own,
    task::{Facts, Fd, Task},
    Errno, Result,
};
use netproto::{GlobalPid, RequestId, Slot};
use sched_migrate::{source::Work, Failure, Request};

use super::{
    driver, files,
    jobs::Job,
    leaving::{Leaving, Verdict},
    record::{Record, Role},
    state::{self, Done, Input, Proc},
    surrogate,
};
use crate::port::net;

/// What is kept of an exec, to place it again if its node dies.
pub(crate) struct Kept {
    pub(crate) facts: Box<Facts>,
    pub(crate) groups: Vec<u32>,
    pub(crate) fds: Vec<Fd>,
    pub(crate) cwd: Vec<u8>,
    pub(crate) path: Vec<u8>,
    pub(crate) strings: Strings,
    pub(crate) blocked: u64,
    pub(crate) ignored: u64,
}

impl Kept {
    /// References to a file that are kept here.
    pub(crate) fn refs_of(&self, file: &FileRef) -> u64 {
        self.fds.iter().filter(|fd| fd.file.identity() == file.identity()).count() as u64
    }

    /// The command line: each argument ends with a zero.
    fn arguments(&self) -> &[u8] {
        let ends = self.strings.bytes.iter().enumerate().filter(|(_, byte)| **byte == 0);
        let end = ends.take(self.strings.argc).last().map_or(0, |(at, _)| at + 1);
        &self.strings.bytes[..end]
    }

    /// For the image.
    pub(crate) fn exec(&self) -> Result<Exec> {
        let mut strings = self.strings.bytes.split(|byte| *byte == 0);
        let argv = take(&mut strings, self.strings.argc)?;
        let envp = take(&mut strings, self.strings.envc)?;
        Ok(Exec {
            path: Bytes::copy_of(&self.path)?,
            argv,
            envp,
            blocked: self.blocked,
            ignored: self.ignored,
        })
    }
}

fn take<'a>(strings: &mut impl Iterator<Item = &'a [u8]>, count: usize) -> Result<Vec<Bytes>> {
    let mut list = Vec::new();
    list.try_reserve_exact(count)?;
    for _ in 0..count {
        list.push(Bytes::copy_of(strings.next().ok_or(Errno::EINVAL)?)?);
    }
    Ok(list)
}

/// How long an exec waits for its target if the daemon did not say.
const WAIT_MS_DEFAULT: u32 = 2000;
/// `S_ISUID`, `S_ISGID`.
const SET_IDS: u32 = 0o6000;
const SIG_IGN: u64 = 1;

struct Chosen {
    process: GlobalPid,
    init: Task,
    target: Slot,
    wait: Duration,
}

/// An exec of an ELF binary. `ENOEXEC`: it runs here.
pub(crate) fn exec(own: &Own, bprm: &Bprm<'_>) -> Result {
    let proc = state::get().map_err(|_| Errno::ENOEXEC)?;
    let file = bprm.file()?;
    let path = file.path().map_err(|_| Errno::ENOEXEC)?;
    let chosen = choose(proc, &path).ok_or(Errno::ENOEXEC)?;
    if file.info().mode & SET_IDS != 0 {
        return Err(Errno::ENOEXEC);
    }
    let result =
        keep(own, bprm, &chosen, path).and_then(|kept| offer(proc, &chosen, Arc::new(kept)));
    let Ok(leaving) = result else {
        proc.tables.lock().placement.end(chosen.target);
        return Err(Errno::ENOEXEC);
    };
    match leaving.wait_go(chosen.wait) {
        Verdict::Go => go(own, bprm, proc, &leaving),
        Verdict::Stay => {
            if let Some(mover) = proc.mover.lock().as_mut() {
                mover.abort(net::now(), leaving.process);
            }
            proc.push(Input::Look);
            Err(Errno::ENOEXEC)
        }
    }
}

fn choose(proc: &Proc, path: &[u8]) -> Option<Chosen> {
    let own = net::own_slot()?;
    let mut tables = proc.tables.lock();
    if !tables.placement.wants(path) {
        return None;
    }
    let (job, process) = tables.jobs.current()?;
    if !may_place(job, process, &tables) {
        return None;
    }
    let init = job.init.clone();
    let target = tables.placement.choose(own, None)?;
    if target == own {
        note_stayed(&mut tables, process, own);
        return None;
    }
    tables.placement.begin(target);
    let wait_ms = match tables.placement.timeout_ms {
        0 => WAIT_MS_DEFAULT,
        given => given,
    };
    let wait = Duration::from_millis(u64::from(wait_ms) * u64::from(net::timescale()));
    Some(Chosen { process, init, target, wait })
}

/// It runs here by choice: it counts until it ends.
fn note_stayed(tables: &mut state::Tables, process: GlobalPid, own: Slot) {
    let known = tables.stayed.contains(&process) || tables.stayed.try_reserve(1).is_err();
    let Ok(task) = Task::current() else { return };
    if !known && tables.watch(process, &task).is_ok() {
        tables.stayed.push(process);
        tables.placement.begin(own);
    }
}

/// A process that already has a part elsewhere executes where its body is.
fn may_place(job: &Job, process: GlobalPid, tables: &state::Tables) -> bool {
    job.place
        && tables.records.get(process).is_none()
        && tables.leaving.get(process).is_none()
        && tables.incoming_of(process).is_empty()
}

#[inline(never)]
fn keep(own: &Own, bprm: &Bprm<'_>, chosen: &Chosen, path: Vec<u8>) -> Result<Kept> {
    let task = Task::current()?;
    let facts = task.facts(&chosen.init)?;
    let tied = facts.threads > 1
        || facts.children > 0
        || facts.traced != 0
        || facts.seccomp != 0
        || facts.itimers != 0
        || facts.fs_shared != 0
        || facts.other_namespaces != 0
        || facts.user_ns_other != 0
        || facts.compat != 0;
    let fds = task.fds(FDS_MAX)?;
    let movable = |fd: &Fd| fd.cloexec || files::can_describe(&fd.file, &fd.file.info());
    let locks = fds.iter().any(|fd| task.holds_lock(&fd.file));
    if tied || locks || !fds.iter().all(movable) || task.root()? != chosen.init.root()? {
        return Err(Errno::ENOEXEC);
    }
    let (mut ignored, mut bit) = (0u64, 1u64);
    own.each_action(|action| {
        ignored |= if action.handler == SIG_IGN { bit } else { 0 };
        bit = bit.wrapping_shl(1);
    })?;
    Ok(Kept {
        groups: task.groups(facts.groups_count)?,
        cwd: task.cwd()?,
        // A descriptor that exec closes must not be kept open by us.
        fds: fds.into_iter().filter(|fd| !fd.cloexec).collect(),
        path,
        strings: bprm.strings(ARGS_LEN_MAX)?,
        blocked: own.thread_state().blocked,
        ignored,
        facts,
    })
}

#[inline(never)]
fn offer(proc: &'static Proc, chosen: &Chosen, kept: Arc<Kept>) -> Result<Arc<Leaving>> {
    let task = Task::current()?;
    let id = proc.next_request();
    let leaving = Leaving::new(chosen.process, task.clone(), chosen.init.clone(), id, Some(kept))?;
    {
        let mut tables = proc.tables.lock();
        tables.watch(chosen.process, &task)?;
        tables.leaving.insert(chosen.process, leaving.clone())?;
    }
    let request = Request {
        request: RequestId(id),
        process: chosen.process,
        work: Work::Exec,
        target: chosen.target,
        fetching: false,
    };
    let started = match proc.mover.lock().as_mut() {
        Some(mover) => mover.start(net::now(), request).map_err(|_| Errno::EBUSY).map(drop),
        None => Err(Errno::ENOTCONN),
    };
    if let Err(errno) = started {
        driver::forget_leaving(proc, chosen.process);
        return Err(errno);
    }
    proc.push(Input::Look);
    Ok(leaving)
}

/// The target is ready: the task becomes the surrogate. From the first step on, an error ends it.
fn go(own: &Own, bprm: &Bprm<'_>, proc: &'static Proc, leaving: &Arc<Leaving>) -> Result {
    let attempt = leaving.out.lock().as_ref().map(|out| out.attempt);
    let Some(attempt) = attempt else {
        // Given up in this moment: nothing was given away yet.
        leaving.over();
        return Err(Errno::ENOEXEC);
    };
    let result = become_surrogate(own, bprm, proc, leaving);
    let done = match result {
        Ok(()) => Ok(Done::Frozen),
        Err(errno) => {
            let errno = u16::try_from(-errno.code()).unwrap_or(0);
            Err(Failure::Capture { errno })
        }
    };
    proc.push(Input::Source(attempt, done));
    proc.push(Input::Passed(leaving.process));
    result
}

#[inline(never)]
fn become_surrogate(
    own: &Own,
    bprm: &Bprm<'_>,
    proc: &'static Proc,
    leaving: &Arc<Leaving>,
) -> Result {
    let slot = net::own_slot().ok_or(Errno::ENOTCONN)?;
    let personality = leaving.kept.as_ref().map_or(0, |kept| kept.facts.personality);
    bprm.begin(personality)?;
    let epoch = leaving.out.lock().as_ref().map(|out| out.manifest.subject.epoch);
    let epoch = epoch.ok_or(Errno::EIO)?;
    // Its name is the program's from here on, and it waits until the body's place is known.
    let record = Record::new(leaving.process, leaving.task.clone(), Role::Surrogate, slot, epoch)?;
    record.change(|state| state.kept = leaving.kept.clone());
    proc.tables.lock().records.insert(leaving.process, record.clone())?;
    let args = leaving.kept.as_ref().map_or(&[][..], |kept| kept.arguments());
    let fd = surrogate::prepare(own, &record, args)?;
    let stub = record.state.lock().stub.ok_or(Errno::EIO)?;
    bprm.start(stub.code, u64::from(fd), stub.data, 0)
}
