//! `/proc/sys/holon/lodge`: counters, and what root may set. The holder and the owner add theirs.

use alloc::vec::Vec;

use kapi::{sysctl::Table, Result};

use super::{holder, owner, stall, stats};

/// Registers the table.
pub(super) fn table() -> Result<Table> {
    let mut entries = Vec::new();
    entries.try_reserve(stats::ALL.len() + 1)?;
    entries.extend(stats::ALL.iter().map(|counter| counter.entry()));
    entries.push(stall::entry());
    holder::entries(&mut entries)?;
    owner::entries(&mut entries)?;
    Table::new(c"holon/lodge", &entries)
}
