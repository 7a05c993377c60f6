//! Signals and states between a surrogate and its body.

use kapi::own::SigInfo;
use netproto::{
    msg::surrogate::{Continued, Exited, ExitedAck, Gone, Signal, SignalFlags, Stopped},
    Epoch, GlobalPid, Kind, Message, Slot,
};

use super::{
    driver,
    record::{Ended, Role},
    state::Proc,
};

const SIGKILL: u32 = 9;
const SIGSTOP: u32 = 19;
pub(super) const SIGCONT: u32 = 18;

/// Where the kernel has what in a siginfo.
mod at {
    pub(super) const CODE: usize = 8;
    pub(super) const PID: usize = 16;
    pub(super) const UID: usize = 20;
    pub(super) const VALUE: usize = 24;
}

fn word(bytes: &[u8; 48], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u32::from_ne_bytes(*word))
}

/// Sends a signal on to the body. One that can't be sent is lost with its node.
pub(crate) fn forward(process: GlobalPid, slot: Slot, epoch: Epoch, signal: &SigInfo) {
    let value = signal.bytes.get(at::VALUE..).and_then(|rest| rest.first_chunk());
    let message = Signal {
        process,
        epoch,
        signo: i32::try_from(signal.signo).unwrap_or(0),
        code: word(&signal.bytes, at::CODE) as i32,
        sender_pid: word(&signal.bytes, at::PID),
        sender_uid: word(&signal.bytes, at::UID),
        flags: SignalFlags::VALUE
            | if signal.shared != 0 { SignalFlags::PROCESS } else { SignalFlags::empty() },
        value: value.map_or(0, |value| u64::from_ne_bytes(*value)),
    };
    driver::send(slot, Signal::KIND, &message.encode());
}

/// Has the body killed.
pub(crate) fn kill_body(process: GlobalPid, slot: Slot, epoch: Epoch) {
    let signal = SigInfo { signo: SIGKILL, shared: 1, ..SigInfo::default() };
    forward(process, slot, epoch, &signal);
}

fn to_info(message: &Signal) -> SigInfo {
    let mut info = SigInfo {
        signo: message.signo.unsigned_abs(),
        shared: u32::from(message.flags.contains(SignalFlags::PROCESS)),
        ..SigInfo::default()
    };
    let mut put = |at: usize, bytes: &[u8]| info.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &message.signo.to_ne_bytes());
    put(at::CODE, &message.code.to_ne_bytes());
    put(at::PID, &message.sender_pid.to_ne_bytes());
    put(at::UID, &message.sender_uid.to_ne_bytes());
    put(at::VALUE, &message.value.to_ne_bytes());
    info
}

/// A message of the SURROGATE class, on the driver.
#[inline(never)]
pub(super) fn message(proc: &'static Proc, message: &Message) {
    let bytes = &message.payload[..];
    let known = match message.kind {
        Kind::SURROGATE_SIGNAL => {
            Signal::decode(bytes).map(|signal| deliver(proc, message.from, &signal))
        }
        Kind::SURROGATE_EXITED => {
            Exited::decode(bytes).map(|exited| body_exited(proc, message.from, &exited))
        }
        Kind::SURROGATE_STOPPED => {
            Stopped::decode(bytes).map(|stopped| body_stopped(proc, message.from, &stopped))
        }
        Kind::SURROGATE_CONTINUED => {
            Continued::decode(bytes).map(|continued| body_continued(proc, message.from, &continued))
        }
        Kind::SURROGATE_GONE => {
            Gone::decode(bytes).map(|gone| other_gone(proc, message.from, &gone))
        }
        // The end was noted: nothing is kept here for it.
        Kind::SURROGATE_EXITED_ACK => ExitedAck::decode(bytes).map(drop),
        _ => return,
    };
    if let Err(error) = known {
        log::warn!("message {:#06x} of node {}: {error}", message.kind.0, message.from);
    }
}

fn deliver(proc: &Proc, from: Slot, signal: &Signal) {
    let record = proc.tables.lock().records.get(signal.process).cloned();
    let Some(record) = record.filter(|record| record.role() == Role::Body) else {
        return;
    };
    if record.peer() != (from, signal.epoch) {
        log::debug!("{}: a stale signal of node {from}", signal.process);
        return;
    }
    // Delivery fails for a process that has just ended: its end is on its way.
    let _ = record.task.signal(&to_info(signal));
}

/// Whether a node speaks for the body.
fn is_current(proc: &Proc, process: GlobalPid, from: Slot, epoch: Epoch) -> bool {
    let mover = proc.mover.lock();
    mover.as_ref().is_some_and(|mover| mover.is_current(process, from, epoch))
}

fn body_exited(proc: &Proc, from: Slot, exited: &Exited) {
    let Exited { process, epoch, .. } = *exited;
    driver::send(from, ExitedAck::KIND, &ExitedAck { process, epoch }.encode());
    if !is_current(proc, process, from, epoch) {
        return;
    }
    let record = proc.tables.lock().records.get(process).cloned();
    if let Some(record) = record {
        let ended = Ended {
            status: exited.status as i32,
            utime_ns: exited.utime_ns,
            stime_ns: exited.stime_ns,
        };
        record.change(|state| state.ended = Some(ended));
    }
}

fn body_stopped(proc: &Proc, from: Slot, stopped: &Stopped) {
    if !is_current(proc, stopped.process, from, stopped.epoch) {
        return;
    }
    let record = proc.tables.lock().records.get(stopped.process).cloned();
    if let Some(record) = record {
        record.change(|state| {
            state.stop = !state.stopped;
            state.stopped = true;
        });
    }
}

fn body_continued(proc: &Proc, from: Slot, continued: &Continued) {
    if !is_current(proc, continued.process, from, continued.epoch) {
        return;
    }
    let record = proc.tables.lock().records.get(continued.process).cloned();
    let Some(record) = record else { return };
    let was_stopped = {
        let mut state = record.state.lock();
        let was_stopped = core::mem::replace(&mut state.stopped, false) && !state.stop;
        state.stop = false;
        state.swallow_continue |= was_stopped;
        was_stopped
    };
    if was_stopped {
        let _ = record.task.signal(&SigInfo { signo: SIGCONT, shared: 1, ..SigInfo::default() });
    }
}

fn other_gone(proc: &Proc, from: Slot, gone: &Gone) {
    let record = proc.tables.lock().records.get(gone.process).cloned();
    let Some(record) = record else { return };
    if record.role() == Role::Body && record.peer() == (from, gone.epoch) {
        record.task.kill();
    }
}

/// The job's init saw a child stop or go on: if it is a body, its surrogate is told.
pub(super) fn body_state(proc: &Proc, process: GlobalPid, stopped: Option<u32>) -> bool {
    let record = proc.tables.lock().records.get(process).cloned();
    let Some(record) = record.filter(|record| record.role() == Role::Body) else {
        return false;
    };
    let (slot, epoch) = record.peer();
    match stopped {
        Some(signo) => {
            let signo = u16::try_from(signo).unwrap_or(SIGSTOP as u16);
            driver::send(slot, Stopped::KIND, &Stopped { process, epoch, signo }.encode());
        }
        None => driver::send(slot, Continued::KIND, &Continued { process, epoch }.encode()),
    }
    record.change(|state| state.stopped = stopped.is_some());
    true
}

/// A body ended here: its surrogate is told.
pub(super) fn tell_exit(process: GlobalPid, slot: Slot, epoch: Epoch, ended: &Ended) {
    let message = Exited {
        process,
        epoch,
        status: ended.status.unsigned_abs() & 0xffff,
        utime_ns: ended.utime_ns,
        stime_ns: ended.stime_ns,
        maxrss_kb: 0,
    };
    driver::send(slot, Exited::KIND, &message.encode());
}
