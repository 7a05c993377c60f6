//! What root may set of lending, and what is counted of it.

use alloc::vec::Vec;
use core::{
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering},
};

use kapi::{
    alloc::Memory,
    sysctl::{Entry, TextFn, Value},
    Result,
};
use vm_remote::lodge::lending::Limits;

use crate::control::stats::Counter;

/// Pages of a megabyte.
const MB: u64 = 256;
/// Until it is set: of all memory, what is lent at most, and what is kept free.
const LEND_PART: u64 = 4;
const KEEP_PART: u64 = 8;
const KEEP_MAX_MB: u64 = 4096;
/// Set aside before anybody asks: enough for the round trips of asking at full speed.
const AHEAD_PART: u64 = 8;
const AHEAD_MIN: u64 = 4 * MB;
const AHEAD_MAX: u64 = 64 * MB;

static LEND_MAX_MB: AtomicU64 = AtomicU64::new(0);
static LEND_KEEP_MB: AtomicU64 = AtomicU64::new(0);
/// Most that one owner may be granted.
static LEND_OWNER_MAX_MB: AtomicU64 = AtomicU64::new(1 << 24);

/// Frames that could not be taken for want of memory.
pub(super) static FRAMES_FAILED: Counter = Counter::new(c"lend_frames_failed");
/// Frames that the kernel's own search for memory took back.
pub(super) static FRAMES_SHRUNK: Counter = Counter::new(c"lend_frames_shrunk");
/// What the machine counted last; by [`publish`].
static MACHINE: [Counter; 12] = [
    Counter::new(c"lend_stored"),
    Counter::new(c"lend_read"),
    Counter::new(c"lend_released"),
    Counter::new(c"lend_dropped"),
    Counter::new(c"lend_refused_no_room"),
    Counter::new(c"lend_refused_stale"),
    Counter::new(c"lend_damaged"),
    Counter::new(c"lend_not_held"),
    Counter::new(c"lend_busy"),
    Counter::new(c"lend_hand_backs"),
    Counter::new(c"lend_stray"),
    Counter::new(c"lend_offers"),
];

static FRAMES: TextFn = |out: &mut dyn Write| {
    let seen = super::look();
    let _ = write!(
        out,
        "frames {} promised {} held {} tombs {}",
        seen.frames, seen.promised, seen.held, seen.tombs
    );
};

/// Sets what depends on the machine's memory.
pub(super) fn load() {
    let total_mb = Memory::now().total >> 20;
    LEND_MAX_MB.store(total_mb / LEND_PART, Ordering::Relaxed);
    LEND_KEEP_MB.store((total_mb / KEEP_PART).min(KEEP_MAX_MB), Ordering::Relaxed);
}

/// Adds the entries to the area's table.
pub(in crate::lodge) fn entries(entries: &mut Vec<Entry>) -> Result {
    entries.try_reserve(MACHINE.len() + 6)?;
    entries.extend(MACHINE.iter().chain([&FRAMES_FAILED, &FRAMES_SHRUNK]).map(Counter::entry));
    let knobs = [
        (c"lend_max_mb", &LEND_MAX_MB),
        (c"lend_keep_mb", &LEND_KEEP_MB),
        (c"lend_owner_max_mb", &LEND_OWNER_MAX_MB),
    ];
    entries.extend(knobs.map(|(name, knob)| Entry { name, value: Value::Knob(knob, 0, 1 << 24) }));
    entries.push(Entry { name: c"lend_frames", value: Value::Text(&FRAMES) });
    Ok(())
}

fn pages(mb: &AtomicU64) -> u32 {
    u32::try_from(mb.load(Ordering::Relaxed).saturating_mul(MB)).unwrap_or(u32::MAX)
}

/// What is allowed at present; no more than there is a place for.
pub(super) fn limits(room: u32) -> Limits {
    let max = lend_max().min(room);
    let ahead = (u64::from(max) / AHEAD_PART).clamp(AHEAD_MIN, AHEAD_MAX);
    Limits {
        max,
        keep: u64::from(pages(&LEND_KEEP_MB)),
        ahead: u32::try_from(ahead).unwrap_or(max),
    }
}

/// Frames that may be lent at most.
pub(super) fn lend_max() -> u32 {
    pages(&LEND_MAX_MB)
}

/// Frames that one owner may be granted at most.
pub(super) fn owner_max() -> u32 {
    pages(&LEND_OWNER_MAX_MB)
}

/// Shows what the machine counted.
pub(super) fn publish(stats: &vm_remote::lodge::holder::Stats) {
    let values = [
        stats.stored,
        stats.read,
        stats.released,
        stats.dropped,
        stats.refused_no_room,
        stats.refused_stale,
        stats.damaged,
        stats.not_held,
        stats.busy,
        stats.hand_backs,
        stats.stray,
    ];
    for (counter, value) in MACHINE.iter().zip(values) {
        counter.set(value);
    }
}

/// An offer was sent.
pub(super) fn count_offer() {
    MACHINE[11].add(1);
}
