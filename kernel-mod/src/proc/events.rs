//! What the daemon is told of processes.

use holon_uapi::proc as uapi;
use netproto::{GlobalPid, Slot};
use sched_migrate::{effect::Report, Failure};
use zerocopy::IntoBytes;

use super::incoming::Incoming;
use crate::{control::events::emit, port::net};

/// What happened to a process.
#[derive(Clone, Copy)]
pub(super) enum What {
    /// Its body here ended; detail: the wait status.
    Exited,
    /// Its body's node was lost.
    NodeLost,
    /// Its origin was lost.
    OriginLost,
    /// It was placed on a node.
    Placed,
    /// It is run again, there.
    PlacedAgain,
}

fn own() -> u32 {
    net::own_slot().map_or(u32::MAX, |slot| u32::from(slot.get()))
}

fn signed(pid: u32) -> i32 {
    i32::try_from(pid).unwrap_or(0)
}

/// Tells of a process.
pub(super) fn process(process: GlobalPid, what: What, slot: Slot, detail: u64) {
    let what = match what {
        What::Exited => uapi::PEV_EXITED,
        What::NodeLost => uapi::PEV_NODE_LOST,
        What::OriginLost => uapi::PEV_ORIGIN_LOST,
        What::Placed => uapi::PEV_PLACED,
        What::PlacedAgain => uapi::PEV_PLACED_AGAIN,
    };
    let event = uapi::EvProcess {
        job: process.job.0,
        pid: signed(process.pid.0),
        what,
        slot: u32::from(slot.get()),
        detail,
    };
    emit(uapi::EV_PROCESS as u16, own(), event.as_bytes());
}

/// Asks for a helper.
pub(super) fn restore(incoming: &Incoming, home: Option<Slot>) {
    let event = uapi::EvRestore {
        image: incoming.attempt.0,
        job: incoming.process.job.0,
        pid: signed(incoming.process.pid.0),
        kind: if incoming.is_exec() { uapi::IMAGE_KIND_EXEC } else { uapi::IMAGE_KIND_PROCESS },
        home: home.map_or(u32::MAX, |slot| u32::from(slot.get())),
        source: u32::from(incoming.source.get()),
        origin: u32::from(incoming.origin.get()),
        uid: incoming.manifest.creds.user.real,
        reserved: 0,
    };
    emit(uapi::EV_RESTORE as u16, own(), event.as_bytes());
}

/// Tells how a request ended.
pub(super) fn report(report: &Report) {
    let (outcome, detail, epoch) = match report.result {
        Ok(epoch) => (uapi::MIG_DONE, 0, epoch.0),
        Err(failure) => (outcome_of(failure), u32::from(failure.number()), 0),
    };
    let event = uapi::EvMigrated {
        attempt: report.request.0,
        job: report.process.job.0,
        pid: signed(report.process.pid.0),
        from: own(),
        to: u32::from(report.target.get()),
        outcome,
        detail,
        epoch,
        freeze_us: report.frozen.as_ns() / 1000,
        total_us: report.total.as_ns() / 1000,
    };
    emit(uapi::EV_MIGRATED as u16, own(), event.as_bytes());
}

fn outcome_of(failure: Failure) -> u32 {
    match failure {
        Failure::Ineligible => uapi::MIG_NOT_ELIGIBLE,
        Failure::Timeout | Failure::Fetching => uapi::MIG_TIMEOUT,
        Failure::TargetDown => uapi::MIG_PEER_DOWN,
        Failure::Killed => uapi::MIG_EXITED,
        Failure::OriginDown | Failure::Stale => uapi::MIG_LOST,
        Failure::Capture { .. } | Failure::NoMemory | Failure::Aborted => uapi::MIG_LOCAL,
        Failure::Full
        | Failure::Cordoned
        | Failure::Version
        | Failure::Kernel
        | Failure::Busy
        | Failure::Helper { .. }
        | Failure::BadImage
        | Failure::Unknown
        | Failure::OriginUnreachable
        | Failure::Processor => uapi::MIG_REFUSED,
    }
}
