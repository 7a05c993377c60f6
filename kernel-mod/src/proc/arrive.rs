//! Doing what the hand-off machines ask for about what comes here: on the driver's thread.

use alloc::sync::Arc;

use kapi::{Errno, Result};
use netproto::{AttemptId, Epoch, Slot};
use sched_migrate::{effect::Arrival, Step};

use super::{
    driver::with_mover,
    events,
    incoming::{failure, Incoming},
    record::{Record, Role},
    state::{Input, Proc},
};
use crate::memory::space;

pub(super) fn incoming(proc: &Proc, attempt: AttemptId) -> Option<Arc<Incoming>> {
    proc.tables.lock().incoming.get(attempt).cloned()
}

pub(super) fn restore(proc: &'static Proc, attempt: AttemptId, into: Arrival) {
    let Some(incoming) = incoming(proc, attempt) else {
        return;
    };
    if let Err(errno) = begin_restore(proc, &incoming, into) {
        proc.push(Input::Target(attempt, Err(failure(Step::Fork, errno))));
    }
}

#[inline(never)]
fn begin_restore(proc: &Proc, incoming: &Incoming, into: Arrival) -> Result {
    if !incoming.is_exec() {
        let target = space::create_target(incoming.source, incoming.manifest.subject.space)?;
        *incoming.space.lock() = Some(target);
    }
    match (into, &incoming.record) {
        (Arrival::Guest, _) => {
            let job = incoming.process.job;
            let home = proc.tables.lock().jobs.get(job).ok().map(|job| job.home);
            events::restore(incoming, home);
            Ok(())
        }
        (Arrival::Home, Some(record)) => {
            record.change(|state| state.become_helper = Some(incoming.attempt));
            Ok(())
        }
        (Arrival::Home, None) => Err(Errno::ESRCH),
    }
}

/// FINAL was put in by the task itself: the rest is written by another task, this one.
#[inline(never)]
pub(super) fn applied(proc: &'static Proc, attempt: AttemptId, bytes: u64) {
    let Some(incoming) = incoming(proc, attempt) else {
        return;
    };
    let outcome = incoming.settle();
    with_mover(proc, |mover, now| match outcome {
        Ok(()) => mover.applied(now, attempt, bytes),
        Err(errno) => mover.restore_failed(now, attempt, failure(Step::Apply, errno)),
    });
}

pub(super) fn release(proc: &'static Proc, attempt: AttemptId, origin: Slot, epoch: Epoch) {
    let Some(incoming) = incoming(proc, attempt) else {
        return;
    };
    if let Err(errno) = settle_in(proc, &incoming, origin, epoch) {
        log::error!("{}: cannot be kept track of: {errno}", incoming.process);
        if let Some(task) = incoming.helper.lock().as_ref() {
            task.kill();
        }
        if incoming.into == Arrival::Guest {
            // After the word to the source that it has left there.
            proc.push(Input::Stillborn(incoming.process, origin, epoch));
        }
    }
    incoming.release();
    proc.tables.lock().incoming.remove(attempt);
}

#[inline(never)]
fn settle_in(proc: &Proc, incoming: &Incoming, origin: Slot, epoch: Epoch) -> Result {
    let process = incoming.process;
    let space = incoming.space.lock().take();
    if let Some(space) = &space {
        // Lost already: the process meets that at its first missing page.
        let _ = space.start();
    }
    let task = incoming.helper.lock().clone().ok_or(Errno::ESRCH)?;
    let mut tables = proc.tables.lock();
    if let Some(space) = space {
        tables.spaces.insert(process, Arc::new(space))?;
    }
    match incoming.into {
        Arrival::Home => {
            tables.records.remove(process);
            tables.at_home.try_reserve(1)?;
            tables.at_home.push(process);
        }
        Arrival::Guest => {
            let record = Record::new(process, task, Role::Body, origin, epoch)?;
            tables.records.insert(process, record)?;
        }
    }
    Ok(())
}

pub(super) fn discard(proc: &'static Proc, attempt: AttemptId) {
    let Some(incoming) = incoming(proc, attempt) else {
        proc.push(Input::Discarded(attempt));
        return;
    };
    if let Some(record) = &incoming.record {
        // It may not have begun.
        record.state.lock().become_helper.take_if(|wanted| *wanted == attempt);
    }
    if let Err(errno) = incoming.discard() {
        log::warn!("{}: discard: {errno}", incoming.process);
        incoming.discarded();
    }
}
