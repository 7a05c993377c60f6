//! `/proc/sys/holon`: what root may set, and what the node says of itself.

use core::sync::atomic::{AtomicU64, Ordering};

use kapi::{
    sysctl::{Entry, Table, TextFn, Value},
    Result,
};

use super::{held, node};
use crate::port::net;

static HELD: TextFn = held::text;
static INCARNATION: TextFn = |out| {
    let _ = write!(out, "{}", node::incarnation());
};
static SLOT: TextFn = |out| {
    let _ = match net::own_slot() {
        Some(slot) => write!(out, "{slot}"),
        None => out.write_str("none"),
    };
};
static WIRE: TextFn = |out| {
    let _ = match net::wire() {
        Some(wire) => write!(out, "{wire}"),
        None => out.write_str("none"),
    };
};
/// What is logged: 0 nothing to 5 everything.
static LOG_LEVEL: AtomicU64 = AtomicU64::new(3);

/// Registers the table.
pub(crate) fn table() -> Result<Table> {
    Table::new(
        c"holon",
        &[
            Entry { name: c"held", value: Value::Text(&HELD) },
            Entry { name: c"incarnation", value: Value::Text(&INCARNATION) },
            Entry { name: c"slot", value: Value::Text(&SLOT) },
            Entry { name: c"wire", value: Value::Text(&WIRE) },
            Entry { name: c"log_level", value: Value::Knob(&LOG_LEVEL, 0, 5) },
        ],
    )
}

/// Carries out what was set since the last call.
pub(crate) fn apply() {
    kapi::logger::set_level(LOG_LEVEL.load(Ordering::Relaxed));
}
