//! The daemon: the one opener of the device that is told of events.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use holon_uapi::event::MESSAGE;
use kapi::{thread::current_process, Errno, Result};
use netproto::{Kind, Message};

use super::{events, stats};
use crate::areas::AREAS;

/// No opener's number.
const NOBODY: u64 = 0;

static DAEMON: AtomicU64 = AtomicU64::new(NOBODY);

/// The process that is the daemon.
static PID: AtomicU32 = AtomicU32::new(0);

/// The daemon's process, in the first pid namespace.
pub(crate) fn pid() -> Option<u32> {
    Some(PID.load(Ordering::Relaxed)).filter(|pid| *pid != 0 && attached())
}

/// Whether an opener is the daemon.
pub(crate) fn is(opener: u64) -> bool {
    DAEMON.load(Ordering::Acquire) == opener
}

/// Whether there is a daemon.
pub(crate) fn attached() -> bool {
    !is(NOBODY)
}

/// Makes an opener the daemon; `EBUSY` if there is another.
pub(crate) fn attach(opener: u64) -> Result {
    DAEMON.compare_exchange(NOBODY, opener, Ordering::AcqRel, Ordering::Acquire).map_err(
        |other| {
            if other == opener {
                Errno::EEXIST
            } else {
                Errno::EBUSY
            }
        },
    )?;
    PID.store(current_process(), Ordering::Relaxed);
    events::tell_present_peers();
    Ok(())
}

/// An opener closed the device. If it was the daemon, all areas hear of its death.
pub(crate) fn closed(opener: u64) {
    if !is(opener) {
        return;
    }
    events::drop_all();
    DAEMON.store(NOBODY, Ordering::Release);
    AREAS.iter().for_each(|area| (area.daemon_died)());
}

/// A message of the daemons' class.
pub(super) fn message(message: Message) {
    if message.kind == Kind::DAEMON {
        events::emit(MESSAGE, u32::from(message.from.get()), &message.payload);
    } else {
        stats::RX_UNKNOWN_KIND.add(1);
    }
}
