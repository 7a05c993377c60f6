//! `/proc/sys/holon/memory`: counters, and what root may set.

use alloc::vec::Vec;
use core::{
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering},
};

use kapi::{
    page::{pool_stat, PoolStat},
    sysctl::{Entry, Table, TextFn, Value},
    Result,
};
use netproto::Duration;
use vm_remote::retry::Policy;

use super::{get, stats};
use crate::port::net;

/// A chunk of the pool: its page descriptors are 2 MiB.
const CHUNK_MB: u64 = 128;
/// Pages of the pool that are kept free for those that go out, where nothing may be allocated: half
/// a chunk, so that there is time to make another although memory is gone.
pub(crate) const POOL_AHEAD: u64 = CHUNK_MB << 20 >> 13;

/// Most far memory of all processes of this node. Its descriptors take a 64th of that.
static POOL_MAX_MB: AtomicU64 = AtomicU64::new(16 * 1024);
static RETRY_FIRST_MS: AtomicU64 = AtomicU64::new(20);
static RETRY_LONGEST_MS: AtomicU64 = AtomicU64::new(250);
static GIVE_UP_MS: AtomicU64 = AtomicU64::new(30_000);
/// Whether the background brings pages home; without it only faults do.
static STREAM: AtomicU64 = AtomicU64::new(1);

static LATENCY: TextFn = stats::latency_text;
static POOL: TextFn = |out| {
    let PoolStat { chunks, pages, used } = pool_stat();
    let _ = write!(out, "chunks {chunks} pages {pages} used {used}");
};
static SPACES: TextFn = |out: &mut dyn Write| {
    if let Ok(memory) = get() {
        let (targets, sources) = (memory.targets.count(), memory.sources.count());
        let far = memory.targets.outstanding_total();
        let _ = write!(out, "targets {targets} sources {sources} pages_outstanding {far}");
    }
};

/// Registers the table.
pub(super) fn table() -> Result<Table> {
    let mut entries = Vec::new();
    entries.try_reserve(stats::ALL.len() + 8)?;
    entries.extend(stats::ALL.iter().map(|counter| counter.entry()));
    let texts = [(c"fault_latency", &LATENCY), (c"pool", &POOL), (c"spaces", &SPACES)];
    entries.extend(texts.map(|(name, text)| Entry { name, value: Value::Text(text) }));
    let knobs = [
        (c"pool_max_mb", &POOL_MAX_MB, 0, 1 << 24),
        (c"retry_first_ms", &RETRY_FIRST_MS, 1, 10_000),
        (c"retry_longest_ms", &RETRY_LONGEST_MS, 1, 60_000),
        (c"give_up_ms", &GIVE_UP_MS, 100, 3_600_000),
        (c"stream", &STREAM, 0, 1),
    ];
    entries.extend(
        knobs.map(|(name, knob, min, max)| Entry { name, value: Value::Knob(knob, min, max) }),
    );
    Table::new(c"holon/memory", &entries)
}

/// How requests are repeated at present.
pub(super) fn policy() -> Policy {
    let ms = |knob: &AtomicU64| Duration::from_ms(knob.load(Ordering::Relaxed));
    Policy { first: ms(&RETRY_FIRST_MS), longest: ms(&RETRY_LONGEST_MS), give_up: ms(&GIVE_UP_MS) }
        .scaled(u64::from(net::timescale()))
}

/// Whether the background runs.
pub(super) fn streams() -> bool {
    STREAM.load(Ordering::Relaxed) != 0
}

/// Bytes of the next chunk, or `None` at the pool's limit.
pub(super) fn next_chunk(stat: PoolStat) -> Option<u64> {
    let max = POOL_MAX_MB.load(Ordering::Relaxed);
    let have = stat.pages >> 8;
    (have + CHUNK_MB <= max).then_some(CHUNK_MB << 20)
}
