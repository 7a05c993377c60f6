//! Where processes run: the directory of a node, for the processes whose origin it is.
//!
//! Invariants:
//! - An entry's epoch only grows, and each (process, epoch) has one slot for ever.
//! - An entry changes by compare-and-swap only, made by the node that it is to name, or by
//!   [`Directory::take_back`] once the node that it names is down.
//! - The epoch of a new entry is above that of every entry that ever was, so that nothing said of a
//!   process that had the same PID before can pass for it.
//!
//! A process that never left its origin has no entry.

use alloc::collections::TryReserveError;

use netproto::id::{Epoch, GlobalPid, Slot};

use crate::table::Table;

/// Where a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The node.
    pub slot: Slot,
    /// The body's number.
    pub epoch: Epoch,
}

/// The answer to a compare-and-swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// The entry is as asked, by this request or by the same one before.
    Won(Entry),
    /// The entry was another one.
    Lost(Entry),
    /// There is no entry.
    Unknown,
}

/// The entries of one node.
#[derive(Debug, Default)]
pub struct Directory {
    entries: Table<GlobalPid, Entry>,
    epoch_floor: u64,
}

impl Directory {
    /// An empty directory.
    pub const fn new() -> Self {
        Self { entries: Table::new(), epoch_floor: 0 }
    }

    /// The entry of a process.
    pub fn get(&self, process: GlobalPid) -> Option<Entry> {
        self.entries.get(process).copied()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All entries.
    pub fn iter(&self) -> impl Iterator<Item = (GlobalPid, Entry)> + '_ {
        self.entries.iter().map(|(process, entry)| (process, *entry))
    }

    /// The entry of a process that runs on `own`, made if there is none.
    pub fn enter(&mut self, process: GlobalPid, own: Slot) -> Result<Entry, TryReserveError> {
        if let Some(entry) = self.get(process) {
            return Ok(entry);
        }
        let entry = Entry { slot: own, epoch: Epoch(self.epoch_floor.saturating_add(1)) };
        self.entries.insert(process, entry)?;
        self.epoch_floor = entry.epoch.0;
        Ok(entry)
    }

    /// Puts the process on `slot` if its epoch is `expect`.
    pub fn swap(&mut self, process: GlobalPid, expect: Epoch, slot: Slot) -> Swap {
        let Some(entry) = self.entries.get_mut(process) else {
            return Swap::Unknown;
        };
        let wanted = expect.next().map(|epoch| Entry { slot, epoch });
        if Some(*entry) == wanted {
            return Swap::Won(*entry);
        }
        match wanted {
            Some(wanted) if entry.epoch == expect => {
                *entry = wanted;
                self.epoch_floor = self.epoch_floor.max(wanted.epoch.0);
                Swap::Won(wanted)
            }
            _ => Swap::Lost(*entry),
        }
    }

    /// Puts a process that is at `lost`, which is down, back to `own` at a new epoch. Returns the
    /// new entry, or `None` if it is not there.
    pub fn take_back(&mut self, process: GlobalPid, lost: Slot, own: Slot) -> Option<Entry> {
        let entry = self.get(process).filter(|entry| entry.slot == lost)?;
        match self.swap(process, entry.epoch, own) {
            Swap::Won(entry) => Some(entry),
            Swap::Lost(_) | Swap::Unknown => None,
        }
    }

    /// Forgets a process that has ended.
    pub fn remove(&mut self, process: GlobalPid) -> Option<Entry> {
        self.entries.remove(process)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(number: u8) -> Slot {
        Slot::new(number).expect("a slot")
    }

    #[test]
    fn one_swap_wins() {
        let process = GlobalPid::new(1, 7);
        let mut directory = Directory::new();
        assert_eq!(directory.swap(process, Epoch(1), slot(2)), Swap::Unknown);
        let first = directory.enter(process, slot(0)).expect("memory");
        assert_eq!(directory.enter(process, slot(0)), Ok(first));
        let moved = Entry { slot: slot(2), epoch: Epoch(first.epoch.0 + 1) };
        assert_eq!(directory.swap(process, first.epoch, slot(2)), Swap::Won(moved));
        assert_eq!(directory.swap(process, first.epoch, slot(0)), Swap::Lost(moved));
        // The same request again has the same answer.
        assert_eq!(directory.swap(process, first.epoch, slot(2)), Swap::Won(moved));
        assert_eq!(directory.swap(process, Epoch(9), slot(1)), Swap::Lost(moved));
    }

    #[test]
    fn epochs_never_come_again() {
        let process = GlobalPid::new(1, 7);
        let mut directory = Directory::new();
        let first = directory.enter(process, slot(0)).expect("memory");
        directory.swap(process, first.epoch, slot(1));
        assert_eq!(directory.take_back(process, slot(2), slot(0)), None);
        let back = directory.take_back(process, slot(1), slot(0)).expect("was there");
        assert!(back.epoch > first.epoch);
        directory.remove(process);
        let next = directory.enter(process, slot(0)).expect("memory");
        assert!(next.epoch > back.epoch);
    }

    #[test]
    fn the_last_epoch_is_the_last() {
        let process = GlobalPid::new(1, 7);
        let mut directory = Directory { epoch_floor: u64::MAX - 1, ..Directory::new() };
        let last = directory.enter(process, slot(0)).expect("memory");
        assert_eq!(last.epoch, Epoch(u64::MAX));
        assert_eq!(directory.swap(process, last.epoch, slot(1)), Swap::Lost(last));
    }
}
