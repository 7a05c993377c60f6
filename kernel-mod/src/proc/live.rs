//! The state that only the stopped thread itself can tell, and putting it back.

use alloc::{boxed::Box, vec::Vec};

use ckpt::{
    freeze::Clocks,
    limits::{PENDING_MAX, SIGINFO_LEN, SIGNALS},
    object::{
        regs::{Regs, Xstate},
        restart::{Deadline, Restart},
        signal::{Action, AltStack, Pending, Signals},
        thread::Thread,
    },
    Bytes,
};
use kapi::{
    own::{self, clock_now, Own, SigInfo, ThreadState},
    Errno, Result,
};

const CLOCK_REALTIME: i32 = 0;
const CLOCK_MONOTONIC: i32 = 1;
const CLOCK_BOOTTIME: i32 = 7;
/// The futex code's flags of a wait.
const FUTEX_CLOCKRT: u32 = 0x20;
const FUTEX_HAS_TIMEOUT: u32 = 0x40;
/// Bytes that a signal's information really has.
const SIGINFO_USED: usize = 48;

/// What was captured.
pub(crate) struct Live {
    pub(crate) regs: Regs,
    pub(crate) xstate: Xstate,
    pub(crate) signals: Signals,
    pub(crate) thread: Thread,
    pub(crate) restart: Restart,
    pub(crate) clocks: Clocks,
    /// The pending signals as the kernel has them, to be dropped when they have travelled.
    pub(crate) pending: Vec<SigInfo>,
}

/// All clocks that a deadline may be of.
pub(crate) fn clocks() -> Clocks {
    Clocks {
        monotonic_ns: clock_now(CLOCK_MONOTONIC),
        boottime_ns: clock_now(CLOCK_BOOTTIME),
        realtime_ns: clock_now(CLOCK_REALTIME),
    }
}

/// Captures the calling thread at the edge to user mode.
#[inline(never)]
pub(crate) fn capture(own: &Own) -> Result<Box<Live>> {
    own.mend_syscall();
    let state = own.thread_state();
    let pending = own.pending(PENDING_MAX as u32)?;
    Ok(Box::new(Live {
        regs: Regs(own.regs()?),
        xstate: Xstate(Bytes::from(own.xstate()?)),
        signals: signals(own, &state, &pending)?,
        thread: Thread {
            rseq_address: state.rseq,
            rseq_len: state.rseq_len as u32,
            rseq_signature: state.rseq_sig as u32,
            robust_list: state.robust_list,
            clear_child_tid: state.clear_child_tid,
            parent_death_signal: 0,
            rseq_ids: [state.rseq_cpu, state.rseq_mm_cid, state.rseq_node],
        },
        restart: restart_out(&own.restart()),
        clocks: clocks(),
        pending,
    }))
}

fn signals(own: &Own, state: &ThreadState, pending: &[SigInfo]) -> Result<Signals> {
    let mut actions = Vec::new();
    actions.try_reserve_exact(SIGNALS)?;
    own.each_action(|from| {
        actions.push(Action {
            handler: from.handler,
            flags: from.flags,
            restorer: from.restorer,
            mask: from.mask,
        });
    })?;
    let mut list = Vec::new();
    list.try_reserve_exact(pending.len())?;
    for signal in pending {
        let mut info = [0; SIGINFO_LEN];
        info[..SIGINFO_USED].copy_from_slice(&signal.bytes);
        list.push(Pending { shared: signal.shared != 0, info });
    }
    Ok(Signals {
        blocked: state.blocked,
        saved: (state.has_saved_mask != 0).then_some(state.saved_mask),
        actions,
        alt_stack: AltStack {
            address: state.altstack_sp,
            len: state.altstack_size,
            flags: state.altstack_flags as u32,
        },
        pending: list,
    })
}

fn restart_out(raw: &own::Restart) -> Restart {
    match raw.kind {
        own::RESTART_NANOSLEEP => Restart::Nanosleep {
            deadline: Deadline { clock: raw.clock, at_ns: raw.expires_ns },
            remaining_address: raw.rmtp,
            remaining_kind: u8::from(raw.rmtp_kind == 1),
        },
        own::RESTART_POLL => Restart::Poll {
            fds_address: raw.ufds,
            fds_len: raw.nfds,
            deadline_ns: (raw.has_timeout != 0).then_some(raw.expires_ns),
        },
        own::RESTART_FUTEX => Restart::Futex {
            address: raw.uaddr,
            value: raw.val,
            flags: raw.flags,
            bitset: raw.bitset,
            deadline: (raw.flags & FUTEX_HAS_TIMEOUT != 0).then_some(Deadline {
                clock: if raw.flags & FUTEX_CLOCKRT != 0 {
                    CLOCK_REALTIME
                } else {
                    CLOCK_MONOTONIC
                },
                at_ns: raw.expires_ns,
            }),
        },
        // Nothing to go on with, or a call that then ends with EINTR.
        _ => Restart::None,
    }
}

/// A deadline of the source's clock in this node's.
fn shifted(deadline: Deadline, then: &Clocks) -> u64 {
    let source_now = match deadline.clock {
        CLOCK_MONOTONIC => then.monotonic_ns,
        CLOCK_BOOTTIME => then.boottime_ns,
        // A time of day is the same everywhere.
        _ => return deadline.at_ns,
    };
    let left = deadline.at_ns as i64 - source_now as i64;
    (clock_now(deadline.clock) as i64).saturating_add(left).max(0) as u64
}

fn restart_in(restart: &Restart, then: &Clocks) -> own::Restart {
    let mut raw = own::Restart::default();
    match *restart {
        Restart::None => raw.kind = own::RESTART_NONE,
        Restart::Nanosleep { deadline, remaining_address, remaining_kind } => {
            raw.kind = own::RESTART_NANOSLEEP;
            raw.clock = deadline.clock;
            raw.rmtp = remaining_address;
            raw.rmtp_kind = u32::from(remaining_kind);
            raw.expires_ns = shifted(deadline, then);
        }
        Restart::Poll { fds_address, fds_len, deadline_ns } => {
            raw.kind = own::RESTART_POLL;
            raw.ufds = fds_address;
            raw.nfds = fds_len;
            raw.has_timeout = u32::from(deadline_ns.is_some());
            let at = |at_ns| shifted(Deadline { clock: CLOCK_MONOTONIC, at_ns }, then);
            raw.expires_ns = deadline_ns.map_or(0, at);
        }
        Restart::Futex { address, value, flags, bitset, deadline } => {
            raw.kind = own::RESTART_FUTEX;
            raw.uaddr = address;
            raw.val = value;
            raw.flags = flags;
            raw.bitset = bitset;
            raw.expires_ns = deadline.map_or(0, |deadline| shifted(deadline, then));
        }
    }
    raw
}

/// The value in `rax` that makes the kernel go on with the restart function.
const RESTART_BLOCK: u64 = -516i64 as u64;
const EINTR: u64 = -4i64 as u64;

/// Puts back what the thread must put back itself. Returns the registers that it is to have.
pub(crate) fn put_back(own: &Own, image: &ckpt::Final) -> Result<[u64; own::REGS]> {
    let mut regs = image.regs.0;
    let restart = restart_in(&image.restart, &image.freeze.clocks);
    let lost = own.set_restart(&restart).is_err() || matches!(image.restart, Restart::None);
    if lost && regs[Regs::RAX] == RESTART_BLOCK && regs[Regs::ORIG_RAX] != u64::MAX {
        regs[Regs::RAX] = EINTR;
    }
    let raw = |from: &Action| own::Action {
        handler: from.handler,
        flags: from.flags,
        restorer: from.restorer,
        mask: from.mask,
    };
    own.set_actions(image.signals.actions.iter().map(raw))?;
    own.set_thread_state(&ThreadState {
        blocked: image.signals.blocked,
        saved_mask: image.signals.saved.unwrap_or(0),
        has_saved_mask: u64::from(image.signals.saved.is_some()),
        altstack_sp: image.signals.alt_stack.address,
        altstack_size: image.signals.alt_stack.len,
        altstack_flags: u64::from(image.signals.alt_stack.flags),
        robust_list: image.thread.robust_list,
        clear_child_tid: image.thread.clear_child_tid,
        rseq: image.thread.rseq_address,
        rseq_len: u64::from(image.thread.rseq_len),
        rseq_sig: u64::from(image.thread.rseq_signature),
        rseq_cpu: image.thread.rseq_ids[0],
        rseq_mm_cid: image.thread.rseq_ids[1],
        rseq_node: image.thread.rseq_ids[2],
        pad: 0,
    });
    Ok(regs)
}

/// The signals that were pending at the freeze.
pub(crate) fn pending_in(image: &ckpt::Final) -> Result<Vec<SigInfo>> {
    let mut list = Vec::new();
    list.try_reserve_exact(image.signals.pending.len())?;
    for pending in &image.signals.pending {
        let mut signal = SigInfo {
            shared: u32::from(pending.shared),
            signo: u32::try_from(pending.signo()).map_err(|_| Errno::EINVAL)?,
            ..SigInfo::default()
        };
        signal.bytes.copy_from_slice(&pending.info[..SIGINFO_USED]);
        list.push(signal);
    }
    Ok(list)
}

/// A place holder while the real ones are lent out.
pub(crate) fn no_signals() -> Signals {
    Signals {
        blocked: 0,
        saved: None,
        actions: Vec::new(),
        alt_stack: AltStack::default(),
        pending: Vec::new(),
    }
}
