//! `/proc/sys/holon/lodge`: counters, and what root may set. The holder and the owner add theirs.

use alloc::vec::Vec;

#[cfg(feature = "selftest")]
use core::sync::atomic::AtomicU64;

#[cfg(feature = "selftest")]
use kapi::sysctl::{Entry, ToldFn, Value};
use kapi::{sysctl::Table, Result};

use super::{holder, owner, stall, stats};

/// To be written: what is lent is damaged where it lies.
#[cfg(feature = "selftest")]
static ROT: AtomicU64 = AtomicU64::new(0);
#[cfg(feature = "selftest")]
static ROT_NOW: ToldFn = holder::rot;

/// Registers the table.
pub(super) fn table() -> Result<Table> {
    let mut entries = Vec::new();
    entries.try_reserve(stats::ALL.len() + 1)?;
    entries.extend(stats::ALL.iter().map(|counter| counter.entry()));
    entries.push(stall::entry());
    holder::entries(&mut entries)?;
    owner::entries(&mut entries)?;
    #[cfg(feature = "selftest")]
    {
        let value = Value::Knob(&kapi::fail::FAIL_IN, 0, 1 << 32);
        entries.try_reserve(2)?;
        entries.push(Entry { name: c"fail_in", value });
        let value = Value::Told(&ROT, 0, 1, &ROT_NOW);
        entries.push(Entry { name: c"rot", value });
    }
    Table::new(c"holon/lodge", &entries)
}
