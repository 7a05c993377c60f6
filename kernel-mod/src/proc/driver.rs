//! The area's one thread: takes inputs one by one, gives them to the hand-off machines and has done
//! what they ask for.

use alloc::{boxed::Box, sync::Arc};
use core::{sync::atomic::Ordering, time::Duration};

use kapi::{clock, exits, thread, wait::Mode, Result};
use netproto::{GlobalPid, Instant, Kind, Message, Slot};
use sched_migrate::{mover, Failure, Mover, Timing};

use super::{
    arrive,
    assembly::Assemblies,
    counters, effects,
    incoming::Stage,
    leaving::Leaving,
    record::{Ended, Role},
    signals,
    state::{self, Done, Input, Proc, Tables},
};
use crate::{control::node, port::net};

/// Hand-offs at one time, each way.
const MOVES_MAX: usize = 256;
/// Wait status of a process that was killed.
const SIGKILL: i32 = 9;
/// When messages are tried again for which there was neither room nor memory.
const RETRY_NS: u64 = 200_000_000;
/// Inputs between two looks at effects and time.
const BATCH_MAX: usize = 64;

/// The thread.
pub(super) fn run(proc: &'static Proc) {
    let mut assemblies = Assemblies::default();
    while !thread::should_stop() {
        wait(proc);
        proc.waiting.store(false, Ordering::Release);
        let mut more = true;
        while more {
            more = step(proc, &mut assemblies);
        }
    }
}

fn wait(proc: &Proc) {
    let deadline = proc.mover.lock().as_ref().and_then(|mover| mover.poll_timeout());
    let patience_ns = soonest_patience(proc);
    let retry_ns = if proc.outbox.retry() { clock::now_ns() + RETRY_NS } else { u64::MAX };
    let wanted_ns = deadline.map_or(u64::MAX, Instant::as_ns).min(patience_ns).min(retry_ns);
    let left = (wanted_ns != u64::MAX)
        .then(|| Duration::from_nanos(wanted_ns.saturating_sub(clock::now_ns())));
    if left == Some(Duration::ZERO) {
        return;
    }
    let ready = || proc.waiting.load(Ordering::Acquire) || exits::any() || thread::should_stop();
    // Whatever ended the wait, the loop looks.
    let _ = proc.wake.wait(Mode::Idle, left, ready);
}

/// Some inputs and all that follows from them; whether there was any.
fn step(proc: &'static Proc, assemblies: &mut Assemblies) -> bool {
    let mut any = false;
    for _ in 0..BATCH_MAX {
        let Some(input) = proc.pop() else { break };
        any = true;
        handle(proc, assemblies, input);
        effects::perform_all(proc);
    }
    while let Some(report) = exits::next() {
        any = true;
        let ended =
            Ended { status: report.status, utime_ns: report.utime_ns, stime_ns: report.stime_ns };
        process_ended(proc, state::watched(report.id), &ended);
        effects::perform_all(proc);
    }
    with_mover(proc, |mover, now| mover.handle_timeout(now));
    give_up_late(proc);
    effects::perform_all(proc);
    with_mover(proc, |mover, _| counters::publish(mover.stats()));
    any
}

/// When the first of the users who wait loses patience.
fn soonest_patience(proc: &Proc) -> u64 {
    let tables = proc.tables.lock();
    let all = tables.leaving.iter().map(|(_, leaving)| leaving.patience_ns());
    all.min().unwrap_or(u64::MAX)
}

/// Gives up what nobody waits for any more. What was promised to the target already goes on.
fn give_up_late(proc: &Proc) {
    let now_ns = clock::now_ns();
    if soonest_patience(proc) > now_ns {
        return;
    }
    let late = {
        let tables = proc.tables.lock();
        let mut all = tables.leaving.iter();
        all.find(|(_, leaving)| leaving.patience_ns() <= now_ns)
            .map(|(process, leaving)| (process, leaving.clone()))
    };
    if let Some((process, leaving)) = late {
        leaving.set_patience(u64::MAX);
        with_mover(proc, |mover, now| mover.abort(now, process));
        proc.push(Input::Look);
    }
}

/// Calls the machines, if the node is configured.
pub(super) fn with_mover<T>(proc: &Proc, call: impl FnOnce(&mut Mover, Instant) -> T) -> Option<T> {
    let mut mover = proc.mover.lock();
    if mover.is_none() {
        let own = net::own_slot()?;
        *mover = Some(new_mover(own));
    }
    mover.as_mut().map(|mover| call(mover, net::now()))
}

#[inline(never)]
fn new_mover(own: Slot) -> Box<Mover> {
    Box::new(Mover::new(mover::Config {
        own,
        sources_max: MOVES_MAX,
        targets_max: MOVES_MAX,
        timing: Timing::standard().scaled(net::timescale()),
    }))
}

fn handle(proc: &'static Proc, assemblies: &mut Assemblies, input: Input) {
    match input {
        Input::Message(message) => take_message(proc, assemblies, message),
        Input::PeerUp(slot) => {
            peer_up(proc, slot);
        }
        Input::PeerDown(slot) => {
            assemblies.forget(slot);
            with_mover(proc, |mover, now| mover.handle_peer_down(now, slot));
        }
        Input::Source(attempt, outcome) => {
            with_mover(proc, |mover, now| match outcome {
                Ok(Done::Frozen) => mover.frozen(now, attempt),
                Ok(Done::Incompatible) => mover.incompatible(now, attempt),
                Ok(_) => {}
                Err(failure) => mover.capture_failed(now, attempt, failure),
            });
        }
        Input::Parked(process) => effects::parked(proc, process),
        Input::Killed(process) => {
            with_mover(proc, |mover, now| mover.killed(now, process));
        }
        Input::Passed(process) => super::again::passed(proc, process),
        Input::Fetched(process) => {
            with_mover(proc, |mover, now| mover.fetched(now, process));
        }
        Input::Target(attempt, Ok(Done::Applied(bytes))) => {
            arrive::applied(proc, attempt, bytes);
        }
        Input::Target(attempt, outcome) => {
            with_mover(proc, |mover, now| match outcome {
                Ok(_) => mover.restored(now, attempt),
                Err(failure) => mover.restore_failed(now, attempt, failure),
            });
        }
        Input::Stillborn(process, origin, epoch) => {
            let ended = Ended { status: SIGKILL, utime_ns: 0, stime_ns: 0 };
            signals::tell_exit(process, origin, epoch, &ended);
            with_mover(proc, |mover, now| mover.ended(now, process));
        }
        Input::Discarded(attempt) => {
            proc.tables.lock().incoming.remove(attempt);
            with_mover(proc, |mover, now| mover.discarded(now, attempt));
        }
        Input::Look => {}
    }
}

fn peer_up(proc: &Proc, slot: Slot) {
    let version = net::peer(slot).map(|(_, info, _)| info.module_version);
    let same = version == Some(node::MODULE_VERSION);
    with_mover(proc, |mover, _| match same {
        true => mover.handle_peer_up(slot),
        false => mover.handle_foreign_peer_up(slot),
    });
    if !same {
        log::warn!("node {slot} has another module version: nothing moves to it or from it");
    }
}

#[inline(never)]
fn take_message(proc: &'static Proc, assemblies: &mut Assemblies, message: Message) {
    let [class, _] = message.kind.0.to_be_bytes();
    if class == super::area::SURROGATE {
        signals::message(proc, &message);
        return;
    }
    if message.kind == Kind::MIGRATE_ABORT {
        assemblies.abort(message.from, &message.payload);
    }
    match message.kind {
        Kind::MIGRATE_PREPARE => assemblies.prepare(proc, message.from, &message.payload),
        Kind::MIGRATE_FINAL => assemblies.finish(proc, message.from, &message.payload),
        kind => match sched_migrate::Message::decode(kind, &message.payload) {
            Some(Ok(decoded)) => {
                with_mover(proc, |mover, now| mover.handle_message(now, message.from, decoded));
            }
            Some(Err(error)) => {
                log::warn!("message {:#06x} of node {}: {error}", kind.0, message.from);
            }
            None => log::warn!("message {:#06x} of node {}: unknown", kind.0, message.from),
        },
    }
}

/// Sends a short message, from any of the area's contexts; never waits. What can't be sent is lost
/// with the peer's session: its end makes up for it.
#[inline(never)]
pub(crate) fn send(to: Slot, kind: Kind, payload: &[u8]) {
    let Ok(proc) = state::get() else { return };
    if Some(to) == net::own_slot() {
        let payload = payload.to_vec();
        proc.push(Input::Message(Message { from: to, class: kind.class(), kind, payload }));
    } else {
        proc.outbox.send(to, kind, payload);
    }
}

/// A watched process has ended.
#[inline(never)]
fn process_ended(proc: &'static Proc, process: GlobalPid, ended: &Ended) {
    let (record, leaving, incoming) = {
        let mut tables = proc.tables.lock();
        tables.watches.remove(process);
        tables.spaces.remove(process);
        tables.again.remove(process);
        tables.at_home.retain(|one| *one != process);
        let stayed = tables.stayed.len();
        tables.stayed.retain(|one| *one != process);
        if let (true, Some(own)) = (tables.stayed.len() < stayed, net::own_slot()) {
            tables.placement.end(own);
        }
        let record = tables.records.remove(process);
        (record, tables.leaving.get(process).cloned(), tables.incoming_of(process))
    };
    for incoming in &incoming {
        helper_ended(proc, incoming);
    }
    if leaving.is_some() {
        with_mover(proc, |mover, now| mover.killed(now, process));
        effects::perform_all(proc);
    }
    if let Some(record) = record {
        let (slot, epoch) = record.peer();
        match record.role() {
            Role::Body => {
                signals::tell_exit(process, slot, epoch, ended);
                super::events::process(
                    process,
                    super::events::What::Exited,
                    slot,
                    ended.status as u64,
                );
            }
            Role::Surrogate => {
                effects::surrogate_ended(proc, &record);
                let told = record.state.lock().ended.is_some();
                if !told && Some(slot) != net::own_slot() {
                    signals::kill_body(process, slot, epoch);
                }
            }
        }
    }
    with_mover(proc, |mover, now| mover.ended(now, process));
}

fn helper_ended(proc: &Proc, incoming: &Arc<super::incoming::Incoming>) {
    let is_over = incoming.stage() == Stage::Over;
    let was_helper = incoming.forget_helper();
    if super::again::is_local(incoming.attempt) {
        // The machines know nothing of it, and nobody else will run it.
        proc.tables.lock().incoming.remove(incoming.attempt);
        return;
    }
    // A surrogate that was to turn back need not have come as far as that.
    if !was_helper && !(incoming.is_discarded() && incoming.record.is_some()) {
        return;
    }
    if incoming.is_discarded() {
        incoming.discarded();
    } else if !is_over {
        let attempt = incoming.attempt;
        let failure = Failure::Helper { step: sched_migrate::Step::Park, errno: 0 };
        with_mover(proc, |mover, now| mover.restore_failed(now, attempt, failure));
    }
}

/// Forgets a process that is not on its way out any more, and what was made for that.
pub(super) fn forget_leaving(proc: &Proc, process: GlobalPid) -> Option<Arc<Leaving>> {
    let mut tables = proc.tables.lock();
    let leaving = tables.leaving.remove(process);
    if let Some(leaving) = &leaving {
        leaving.over();
    }
    drop_watch(&mut tables, process);
    leaving
}

/// A process of which nothing is known any more needs no watch.
pub(super) fn drop_watch(tables: &mut Tables, process: GlobalPid) {
    let known = tables.records.get(process).is_some()
        || tables.leaving.get(process).is_some()
        || tables.spaces.get(process).is_some()
        || tables.at_home.contains(&process)
        || tables.stayed.contains(&process)
        || !tables.incoming_of(process).is_empty();
    if !known {
        tables.watches.remove(process);
    }
}

/// On a worker: the memory that a process left here is not needed any more, or was called off.
pub(super) fn memory_released(process: GlobalPid, request: u64) {
    let Ok(proc) = state::get() else { return };
    let record = proc.tables.lock().records.get(process).cloned();
    let Some(record) = record.filter(|record| record.role() == Role::Surrogate) else {
        return;
    };
    // Only the memory that this very departure left.
    if record.state.lock().left_with == request {
        record.change(|state| {
            state.keeps_memory = false;
            state.release = true;
        });
    }
}

/// For the callers of [`send`] that have a result to give.
pub(super) fn configured() -> Result<Slot> {
    net::own_slot().ok_or(kapi::Errno::ENOTCONN)
}
