//! A placed exec whose node died, or did not start it: it is run elsewhere, or here after all.

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering};

use ckpt::{object::subject::ImageKind as SubjectKind, object::subject::Subject};
use kapi::{Errno, Result};
use netproto::{AttemptId, Epoch, GlobalPid, Pid, RequestId, Slot, SpaceId};
use sched_migrate::{
    effect::{Arrival, Report},
    source::Work,
    Request,
};

use super::{
    driver::{forget_leaving, with_mover},
    effects,
    events::{self, What},
    files::{self, Exported},
    incoming::{Incoming, Parts},
    leaving::Leaving,
    manifest,
    record::{Ended, Record},
    source::kernel_build,
    state::{self, Input, Proc},
};
use crate::port::net;

/// Runs the kept exec of a surrogate again, on another node if there is one.
pub(super) fn place(proc: &'static Proc, process: GlobalPid, epoch: Epoch, not_at: Slot) {
    let Some(own) = net::own_slot() else { return };
    let Some(record) = effects::record(proc, process) else {
        // It is just becoming the surrogate: see [`passed`].
        let noted = proc.tables.lock().again.insert(process, (epoch, not_at));
        if noted.is_err() {
            log::error!("{process}: no memory to place it again");
        }
        return;
    };
    // No signal leaves until it is known where the body is.
    record.change(|state| (state.slot, state.epoch) = (own, epoch));
    let target = {
        let mut tables = proc.tables.lock();
        tables.placement.end(not_at);
        let target = tables.placement.choose(own, Some(not_at)).filter(|target| *target != own);
        if let Some(target) = target {
            tables.placement.begin(target);
        }
        target
    };
    events::process(process, What::PlacedAgain, target.unwrap_or(own), 0);
    if let Some(target) = target {
        if there(proc, &record, target).is_ok() {
            return;
        }
    }
    if let Err(errno) = here(proc, &record, epoch) {
        log::error!("{process}: its exec can't be run again: {errno}");
        let ended = Ended { status: 9, utime_ns: 0, stime_ns: 0 };
        record.change(|state| state.ended = Some(ended));
    }
}

/// The task of an exec has become the surrogate: if it is to be placed again already, it is now.
pub(super) fn passed(proc: &'static Proc, process: GlobalPid) {
    let wanted = proc.tables.lock().again.remove(process);
    if let Some((epoch, not_at)) = wanted {
        place(proc, process, epoch, not_at);
    }
}

#[inline(never)]
fn there(proc: &'static Proc, record: &Record, target: Slot) -> Result {
    let kept = record.state.lock().kept.clone().ok_or(Errno::EINVAL)?;
    let process = record.process;
    forget_leaving(proc, process);
    let id = proc.next_request();
    {
        let mut tables = proc.tables.lock();
        let init = tables.jobs.get(process.job)?.init.clone();
        let leaving = Leaving::new(process, record.task.clone(), init, id, Some(kept))?;
        tables.leaving.insert(process, leaving)?;
    }
    let request = Request {
        request: RequestId(id),
        process,
        work: Work::PlacedAgain,
        target,
        fetching: false,
    };
    let started = with_mover(proc, |mover, now| mover.start(now, request));
    if !matches!(started, Some(Ok(_))) {
        forget_leaving(proc, process);
        return Err(Errno::EBUSY);
    }
    proc.push(Input::Look);
    Ok(())
}

/// Numbers of images that never leave this node, above all that the machines give.
static LOCAL: AtomicU64 = AtomicU64::new(0xff << 56);

/// The surrogate itself executes.
#[inline(never)]
fn here(proc: &'static Proc, record: &Arc<Record>, epoch: Epoch) -> Result {
    let kept = record.state.lock().kept.clone().ok_or(Errno::EINVAL)?;
    let own = net::own_slot().ok_or(Errno::ENOTCONN)?;
    let attempt = AttemptId(LOCAL.fetch_add(1, Ordering::Relaxed));
    let subject = Subject {
        attempt,
        kind: SubjectKind::Exec,
        process: record.process,
        parent_pid: Pid(0),
        group_pid: Pid(u32::try_from(kept.facts.pgid).unwrap_or(0)),
        session_pid: Pid(u32::try_from(kept.facts.sid).unwrap_or(0)),
        origin: own,
        source: own,
        epoch,
        space: SpaceId(0),
        kernel_build: kernel_build(),
        xfeatures: 0,
    };
    let mut exported: Vec<Exported> = Vec::new();
    let context = manifest::Context {
        facts: &kept.facts,
        groups: &kept.groups,
        fds: &kept.fds,
        cwd: &kept.cwd,
    };
    let manifest = manifest::exec(&context, subject, kept.exec()?, &mut |file| {
        let (kind, keep) = files::describe(file, kept.refs_of(file))?;
        exported.try_reserve(1)?;
        exported.push(keep);
        Ok(kind)
    })?;
    let manifest_bytes = manifest.encode().map_err(|_| Errno::EINVAL)?;
    let incoming = Incoming::new(Parts {
        attempt,
        source: own,
        into: Arrival::Home,
        manifest,
        manifest_bytes,
        record: Some(record.clone()),
    })?;
    // The machines know nothing of it: it may run as soon as it is ready.
    incoming.keep_files(exported);
    incoming.release();
    proc.tables.lock().incoming.insert(attempt, incoming)?;
    record.change(|state| state.become_helper = Some(attempt));
    Ok(())
}

/// Whether an image never leaves this node.
pub(super) fn is_local(attempt: AttemptId) -> bool {
    attempt.0 >> 56 == 0xff
}

/// An attempt to place an exec has ended. If it failed before anything was given up, it runs here.
pub(super) fn placed(proc: &Proc, report: &Report) {
    if let Err(failure) = report.result {
        log::debug!("{}: not placed on node {}: {failure}", report.process, report.target);
        let surrogate = effects::record(proc, report.process).is_some();
        if !surrogate {
            proc.tables.lock().placement.end(report.target);
        }
    }
}

/// Status of a program that can't be executed, as `wait` has it.
const STATUS_NOT_RUN: i32 = 126 << 8;

/// The surrogate could not even execute the helper of an image that never left this node.
pub(super) fn not_run(record: &Record, attempt: AttemptId) {
    let Ok(proc) = state::get() else { return };
    let incoming = proc.tables.lock().incoming.remove(attempt);
    drop(incoming);
    log::error!("{}: its exec can't be run again: no helper", record.process);
    let ended = Ended { status: STATUS_NOT_RUN, utime_ns: 0, stime_ns: 0 };
    record.change(|state| state.ended = Some(ended));
}

/// The helper of an image that never left this node gave up: the process can't go on.
pub(super) fn failed_here(incoming: &Incoming) {
    if !is_local(incoming.attempt) {
        return;
    }
    if let Some(record) = &incoming.record {
        record.task.kill();
    }
}
