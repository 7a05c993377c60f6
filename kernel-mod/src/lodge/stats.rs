//! What the area counts besides what the machines do.

use crate::control::stats::Counter;

/// Messages that were not what their kind says, or of a kind that nobody takes.
pub(super) static REFUSED_MESSAGES: Counter = Counter::new(c"refused_messages");
/// Messages that found the link's queue full.
pub(super) static SEND_BUSY: Counter = Counter::new(c"send_busy");
/// Messages that could not be sent: the peer was down, or has a new life.
pub(super) static SEND_FAILED: Counter = Counter::new(c"send_failed");

/// Requests for one page that found the queue full.
pub(super) static GETS_DROPPED: Counter = Counter::new(c"gets_dropped");

/// All, for the table.
pub(super) static ALL: [&Counter; 4] = [&REFUSED_MESSAGES, &SEND_BUSY, &SEND_FAILED, &GETS_DROPPED];
