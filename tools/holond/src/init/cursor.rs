//! Keeps the next PID of the job's namespace inside this node's range.
//!
//! The kernel hands PIDs out upwards from a cursor. It is put at the slot's start, and put back
//! there before it leaves the slot; PIDs still in use are skipped by the kernel itself.

use holon_api::id::{pid_cursor_must_reset, pid_cursor_start, PIDS_PER_SLOT, SLOTS_MAX};
use std::fs;
use std::io;

const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";
const PID_MAX: &str = "/proc/sys/kernel/pid_max";

/// Sets the namespace up: room for every slot's PIDs, cursor at our own.
pub(super) fn start(slot: u32) -> io::Result<()> {
    // Restored processes bring PIDs of any slot, so the limit is that of all slots.
    fs::write(PID_MAX, (PIDS_PER_SLOT * SLOTS_MAX).to_string())?;
    fs::write(LAST_PID, pid_cursor_start(slot).to_string())
}

/// Puts the cursor back if it has come too far. True if it had moved much since the last look.
pub(super) fn guard(slot: u32, last_seen: &mut u32) -> io::Result<bool> {
    let text = fs::read_to_string(LAST_PID)?;
    let last = text.trim().parse().map_err(io::Error::other)?;
    let busy = last > last_seen.saturating_add(PIDS_PER_SLOT / 64);
    *last_seen = last;
    if pid_cursor_must_reset(slot, last) {
        fs::write(LAST_PID, pid_cursor_start(slot).to_string())?;
    }
    Ok(busy)
}
