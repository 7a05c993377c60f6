//! Doing what the hand-off machines ask for. On the driver's thread; what may take long goes to
//! workers, what only the task itself can do is told to it.

use alloc::{sync::Arc, vec::Vec};

use kapi::{Errno, Result};
use netproto::{msg::migrate::ImageKind, AttemptId, Epoch, GlobalPid, Slot};
use sched_migrate::{effect::Report, Effect, Failure};

use super::{
    again, arrive,
    driver::{self, forget_leaving, with_mover},
    events::{self, What},
    leaving::{Command, Leaving},
    record::{Ended, Record, Role},
    signals,
    source::{self, Compared, Plan},
    state::{Done, Input, Proc},
};
use crate::memory::space;

/// Performs all effects that wait.
pub(super) fn perform_all(proc: &'static Proc) {
    while let Some(effect) = with_mover(proc, |mover, _| mover.poll_effect()).flatten() {
        perform(proc, effect);
    }
}

#[inline(never)]
fn perform(proc: &'static Proc, effect: Effect) {
    log::debug!("{effect:?}");
    match effect {
        Effect::Send { to, message } => {
            let encoded = message.encode();
            driver::send(to, encoded.kind, encoded.payload());
        }
        Effect::Prepare { attempt, process, target, origin, epoch, .. } => {
            prepare(proc, process, Plan { attempt, target, origin, epoch });
        }
        Effect::Freeze { attempt, process } => freeze(proc, attempt, process),
        Effect::SendFinal { attempt, process, target } => {
            send_final(proc, attempt, process, target)
        }
        Effect::DropImage { attempt } => drop_image(proc, attempt),
        Effect::Thaw { process, epoch } => thaw(proc, process, epoch),
        Effect::BecomeSurrogate { process, slot, epoch } => {
            become_surrogate(proc, process, slot, epoch);
        }
        Effect::End { process, slot, epoch } => end(proc, process, slot, epoch),
        Effect::PlaceAgain { process, epoch, not_at } => again::place(proc, process, epoch, not_at),
        Effect::Kill { process, failure } => kill(proc, process, failure),
        Effect::Restore { attempt, arrival, .. } => arrive::restore(proc, attempt, arrival),
        Effect::Apply { attempt, .. } => {
            if let Some(incoming) = arrive::incoming(proc, attempt) {
                incoming.begin_apply();
            }
        }
        Effect::Release { attempt, origin, epoch, .. } => {
            arrive::release(proc, attempt, origin, epoch)
        }
        Effect::Discard { attempt, .. } => arrive::discard(proc, attempt),
        Effect::Moved { process, slot, epoch } => {
            if let Some(record) = record(proc, process) {
                record.change(|state| (state.slot, state.epoch) = (slot, epoch));
            }
        }
        Effect::BodyLost { process, slot, epoch } => body_lost(proc, process, slot, epoch),
        Effect::OriginLost { process } => origin_lost(proc, process),
        Effect::KillBody { process, slot, epoch } => signals::kill_body(process, slot, epoch),
        Effect::Report(outcome) => report(proc, &outcome),
    }
}

fn leaving(proc: &Proc, process: GlobalPid) -> Option<Arc<Leaving>> {
    proc.tables.lock().leaving.get(process).cloned()
}

pub(super) fn record(proc: &Proc, process: GlobalPid) -> Option<Arc<Record>> {
    proc.tables.lock().records.get(process).cloned()
}

fn prepare(proc: &'static Proc, process: GlobalPid, plan: Plan) {
    let attempt = plan.attempt;
    let fail = |failure| proc.push(Input::Source(attempt, Err(failure)));
    let Some(leaving) = leaving(proc, process) else {
        return fail(Failure::Aborted);
    };
    let work = move || {
        if let Err(failure) = source::prepare(&leaving, &plan) {
            proc.push(Input::Source(attempt, Err(failure)));
        }
    };
    if proc.spawn(work).is_err() {
        fail(Failure::NoMemory);
    }
}

fn freeze(proc: &'static Proc, attempt: AttemptId, process: GlobalPid) {
    let Some(leaving) = leaving(proc, process) else {
        return;
    };
    if leaving.kind == ImageKind::Exec {
        // One that is placed again is a surrogate already.
        if record(proc, process).is_some() {
            proc.push(Input::Source(attempt, Ok(Done::Frozen)));
        } else if !leaving.go() {
            proc.push(Input::Source(attempt, Err(Failure::Aborted)));
        }
        return;
    }
    match leaving.stop() {
        Ok(false) => {}
        Ok(true) => compare(proc, &leaving, attempt),
        Err(errno) => {
            let errno = u16::try_from(-errno.code()).unwrap_or(0);
            proc.push(Input::Source(attempt, Err(Failure::Capture { errno })));
        }
    }
}

/// The task of a leaving process has parked.
pub(super) fn parked(proc: &'static Proc, process: GlobalPid) {
    let Some(leaving) = leaving(proc, process) else {
        return;
    };
    let attempt = leaving.out.lock().as_ref().map(|out| out.attempt);
    if let Some(attempt) = attempt {
        compare(proc, &leaving, attempt);
    }
}

fn compare(proc: &'static Proc, leaving: &Arc<Leaving>, attempt: AttemptId) {
    let leaving = leaving.clone();
    let work = move || {
        let outcome = source::compare(&leaving).map(|compared| match compared {
            Compared::Fits => Done::Frozen,
            Compared::Differs => Done::Incompatible,
        });
        proc.push(Input::Source(attempt, outcome));
    };
    if proc.spawn(work).is_err() {
        proc.push(Input::Source(attempt, Err(Failure::NoMemory)));
    }
}

fn send_final(proc: &'static Proc, attempt: AttemptId, process: GlobalPid, target: Slot) {
    let Some(leaving) = leaving(proc, process) else {
        return;
    };
    // What is not sent is not answered: the source then asks the origin.
    let work = move || {
        if let Err(failure) = source::send_final(&leaving, attempt, target) {
            log::warn!("{process}: final part: {failure}");
        }
    };
    if let Err(errno) = proc.finals.push(work) {
        log::warn!("{process}: final part: {errno}");
    }
}

fn drop_image(proc: &Proc, attempt: AttemptId) {
    let all: Vec<_> =
        proc.tables.lock().leaving.iter().map(|(_, leaving)| leaving.clone()).collect();
    for leaving in all {
        let mut out = leaving.out.lock();
        let dropped = out.take_if(|out| out.attempt == attempt);
        drop(out);
        drop(dropped);
    }
}

fn thaw(proc: &Proc, process: GlobalPid, epoch: Epoch) {
    if let Some(record) = record(proc, process) {
        record.change(|state| state.epoch = epoch);
    }
    if let Some(leaving) = leaving(proc, process) {
        leaving.command(Command::Thaw);
    }
}

/// The memory stays for the target from here on: it is not the attempt's any more.
fn keep_memory(leaving: &Leaving) -> bool {
    let space = leaving.out.lock().as_mut().and_then(|out| out.space.take());
    space.inspect(|space| space::settle_source(*space)).is_some()
}

fn become_surrogate(proc: &Proc, process: GlobalPid, slot: Slot, epoch: Epoch) {
    let Some(leaving) = leaving(proc, process) else {
        return;
    };
    let keeps = keep_memory(&leaving);
    if leaving.kind == ImageKind::Exec {
        if let Some(record) = record(proc, process) {
            record.change(|state| (state.slot, state.epoch) = (slot, epoch));
            events::process(process, What::Placed, slot, 0);
        }
        return;
    }
    match new_surrogate(proc, &leaving, slot, epoch, keeps) {
        Ok(record) => leaving.command(Command::Surrogate(record)),
        Err(errno) => {
            log::error!("{process}: no surrogate: {errno}");
            signals::kill_body(process, slot, epoch);
            leaving.command(Command::Kill);
        }
    }
}

#[inline(never)]
fn new_surrogate(
    proc: &Proc,
    leaving: &Leaving,
    slot: Slot,
    epoch: Epoch,
    keeps: bool,
) -> Result<Arc<Record>> {
    let process = leaving.process;
    let record = Record::new(process, leaving.task.clone(), Role::Surrogate, slot, epoch)?;
    record.change(|state| {
        state.keeps_memory = keeps;
        state.left_with = leaving.request;
    });
    let mut tables = proc.tables.lock();
    // Killed while it was handed over: its end was reported, or will be, and takes no surrogate
    // away that is made after it.
    if leaving.task.dead() || tables.watches.get(process).is_none() {
        return Err(Errno::ESRCH);
    }
    tables.at_home.retain(|one| *one != process);
    tables.records.insert(process, record.clone())?;
    Ok(record)
}

fn end(proc: &Proc, process: GlobalPid, slot: Slot, epoch: Epoch) {
    let Some(leaving) = leaving(proc, process) else {
        return;
    };
    keep_memory(&leaving);
    {
        // Its end is nobody's business.
        let mut tables = proc.tables.lock();
        tables.records.remove(process);
        tables.watches.remove(process);
        tables.spaces.remove(process);
    }
    leaving.command(Command::End(slot, epoch));
}

fn kill(proc: &Proc, process: GlobalPid, failure: Failure) {
    log::warn!("{process}: ended: {failure}");
    if let Some(leaving) = leaving(proc, process) {
        leaving.command(Command::Kill);
        leaving.task.kill();
    }
}

/// Exit status, as `wait` has it, of a surrogate whose body's node is lost.
const STATUS_NODE_LOST: i32 = (holon_uapi::proc::EXIT_NODE_LOST << 8) as i32;

fn body_lost(proc: &'static Proc, process: GlobalPid, slot: Slot, epoch: Epoch) {
    let Some(record) = record(proc, process) else {
        return;
    };
    let placed = {
        let mut state = record.state.lock();
        state.epoch = epoch;
        state.kept.is_some()
    };
    if placed {
        again::place(proc, process, epoch, slot);
        return;
    }
    events::process(process, What::NodeLost, slot, 0);
    let ended = Ended { status: STATUS_NODE_LOST, utime_ns: 0, stime_ns: 0 };
    record.change(|state| state.ended = Some(ended));
}

fn origin_lost(proc: &Proc, process: GlobalPid) {
    let record = proc.tables.lock().records.remove(process);
    if let Some(record) = record.filter(|record| record.role() == Role::Body) {
        events::process(process, What::OriginLost, record.peer().0, 0);
        record.task.kill();
    }
}

fn report(proc: &Proc, report: &Report) {
    let known = leaving(proc, report.process);
    if known.is_some_and(|leaving| leaving.request == report.request.0) {
        let leaving = forget_leaving(proc, report.process);
        if leaving.is_some_and(|leaving| leaving.kind == ImageKind::Exec) {
            again::placed(proc, report);
            return;
        }
    }
    events::report(report);
}

/// A surrogate has ended.
pub(super) fn surrogate_ended(proc: &Proc, record: &Record) {
    let state = record.state.lock();
    let placed = state.kept.is_some();
    let slot = state.slot;
    drop(state);
    if placed {
        proc.tables.lock().placement.end(slot);
    }
}
