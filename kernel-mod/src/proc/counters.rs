//! What the hand-off machines count, under `/proc/sys/holon/moves`.

use alloc::vec::Vec;

use kapi::{sysctl::Table, Result};
use sched_migrate::mover::Stats;

use crate::control::stats::Counter;

/// In the order of [`values`].
static ALL: [Counter; 15] = [
    Counter::new(c"started"),
    Counter::new(c"offered"),
    Counter::new(c"refused"),
    Counter::new(c"refused_cordoned"),
    Counter::new(c"refused_full"),
    Counter::new(c"refused_version"),
    Counter::new(c"came"),
    Counter::new(c"left"),
    Counter::new(c"stayed"),
    Counter::new(c"swaps_won"),
    Counter::new(c"swaps_lost"),
    Counter::new(c"reclaimed"),
    Counter::new(c"reclaim_lost"),
    Counter::new(c"aborted_early"),
    Counter::new(c"stale"),
];

fn values(stats: &Stats) -> [u64; 15] {
    [
        stats.started,
        stats.offered,
        stats.offers_refused,
        stats.refused_cordoned,
        stats.refused_full,
        stats.refused_version,
        stats.released,
        stats.left,
        stats.stayed,
        stats.swaps_won,
        stats.swaps_lost,
        stats.reclaimed,
        stats.reclaim_lost,
        stats.aborted_early,
        stats.stale,
    ]
}

/// Shows what was counted.
pub(super) fn publish(stats: &Stats) {
    for (counter, value) in ALL.iter().zip(values(stats)) {
        counter.set(value);
    }
}

/// Registers the table.
pub(super) fn table() -> Result<Table> {
    let mut entries = Vec::new();
    entries.try_reserve(ALL.len())?;
    entries.extend(ALL.iter().map(Counter::entry));
    Table::new(c"holon/moves", &entries)
}
