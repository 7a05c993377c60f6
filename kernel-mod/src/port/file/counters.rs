//! What is counted: `/proc/sys/holon/files`.

use alloc::vec::Vec;
use core::fmt::Write;

use kapi::{
    sysctl::{Entry, Table, TextFn, Value},
    Result,
};

use super::FILES;
use crate::control::stats::Counter;

/// Requests of other nodes by what they ask for.
pub(super) static SERVED_READ: Counter = Counter::new(c"served_read");
pub(super) static SERVED_WRITE: Counter = Counter::new(c"served_write");
pub(super) static SERVED_POLL: Counter = Counter::new(c"served_poll");
pub(super) static SERVED_IOCTL: Counter = Counter::new(c"served_ioctl");
pub(super) static SERVED_OTHER: Counter = Counter::new(c"served_other");
/// Bytes read and written for other nodes.
pub(super) static SERVED_READ_BYTES: Counter = Counter::new(c"served_read_bytes");
pub(super) static SERVED_WRITE_BYTES: Counter = Counter::new(c"served_write_bytes");
/// Requests that had to wait.
pub(super) static PARKED: Counter = Counter::new(c"parked");
/// Requests that ended by a cancel.
pub(super) static CANCELLED: Counter = Counter::new(c"cancelled");
/// Requests refused: unknown file, too many, unknown operation.
pub(super) static REFUSED: Counter = Counter::new(c"refused");
/// Requests that ended with their node.
pub(super) static ORPHANED: Counter = Counter::new(c"orphaned");
/// Results that could not be sent any more.
pub(super) static REPLY_LOST: Counter = Counter::new(c"reply_lost");
/// Messages that are not what they should be.
pub(super) static MALFORMED: Counter = Counter::new(c"malformed");
/// Tellings that a polled file became ready.
pub(super) static EVENT_SENT: Counter = Counter::new(c"event_sent");
pub(super) static EVENT_GOT: Counter = Counter::new(c"event_got");
/// Requests of this node's programs.
pub(super) static CALLS: Counter = Counter::new(c"calls");
/// Those of them that a signal interrupted.
pub(super) static CALLS_CANCELLED: Counter = Counter::new(c"calls_cancelled");
/// Those of them that ended with the other node.
pub(super) static CALLS_LOST: Counter = Counter::new(c"calls_lost");
/// Answers to no request of ours.
pub(super) static REPLY_UNKNOWN: Counter = Counter::new(c"reply_unknown");

static ALL: &[&Counter] = &[
    &SERVED_READ,
    &SERVED_WRITE,
    &SERVED_POLL,
    &SERVED_IOCTL,
    &SERVED_OTHER,
    &SERVED_READ_BYTES,
    &SERVED_WRITE_BYTES,
    &PARKED,
    &CANCELLED,
    &REFUSED,
    &ORPHANED,
    &REPLY_LOST,
    &MALFORMED,
    &EVENT_SENT,
    &EVENT_GOT,
    &CALLS,
    &CALLS_CANCELLED,
    &CALLS_LOST,
    &REPLY_UNKNOWN,
];

static SERVED: TextFn = |out: &mut dyn Write| {
    let _ = write!(out, "{}", FILES.get().map_or(0, |files| files.table.len()));
};

static REMOTE: TextFn = |out: &mut dyn Write| {
    let _ = write!(out, "{}", FILES.get().map_or(0, |files| files.clients.len()));
};

/// Registers the table. `served`: files here that others hold; `remote`: files elsewhere.
pub(super) fn table() -> Result<Table> {
    let mut entries: Vec<Entry> = Vec::new();
    entries.try_reserve(ALL.len() + 2)?;
    entries.extend(ALL.iter().map(|counter| counter.entry()));
    entries.push(Entry { name: c"served", value: Value::Text(&SERVED) });
    entries.push(Entry { name: c"remote", value: Value::Text(&REMOTE) });
    Table::new(c"holon/files", &entries)
}
