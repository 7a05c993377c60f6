//! The table of entries. It grows block by block: what is kept for a page that lodges elsewhere is
//! memory that programs don't have, so it is as large as what was elsewhere at one time, and not
//! as memory is.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use netproto::Slot;

use crate::lodge::owner::entry::{Entry, EntryId, Stage, NO_ENTRY};

/// Entries of a block, 28 KiB.
const BLOCK_LEN: u32 = 512;

/// Room for more entries, for [`Owner::grow`](super::Owner::grow).
#[derive(Debug)]
pub struct Block(Vec<Entry>);

impl Block {
    /// Takes the memory; it may be had without the machine's lock.
    ///
    /// # Errors
    /// No memory.
    pub fn new() -> Result<Self, TryReserveError> {
        let len = usize::try_from(BLOCK_LEN).unwrap_or(0);
        let mut block = Vec::new();
        block.try_reserve_exact(len)?;
        if let Some(none) = Slot::new(0) {
            block.resize(len, Entry::new(none));
        }
        Ok(Self(block))
    }
}

/// The table.
#[derive(Debug)]
pub(super) struct Entries {
    /// All but the last have [`BLOCK_LEN`] entries.
    blocks: Vec<Vec<Entry>>,
    most: u32,
    made: u32,
    /// The first that is free; each names the next.
    free: EntryId,
    free_count: u32,
}

impl Entries {
    /// With one block, and room for `most` entries.
    pub(super) fn new(most: u32) -> Result<Self, TryReserveError> {
        let mut blocks = Vec::new();
        blocks
            .try_reserve_exact(usize::try_from(most.div_ceil(BLOCK_LEN)).unwrap_or(usize::MAX))?;
        let mut entries = Self { blocks, most, made: 0, free: NO_ENTRY, free_count: 0 };
        entries.grow(Block::new()?);
        Ok(entries)
    }

    /// Adds a block, as far as there is room. Allocates nothing. Gives it back if there is none.
    pub(super) fn grow(&mut self, block: Block) -> Option<Block> {
        let Block(mut block) = block;
        let left = self.most.saturating_sub(self.made);
        if left == 0 || self.blocks.len() == self.blocks.capacity() {
            return Some(Block(block));
        }
        block.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        let first = self.made;
        self.made = first.saturating_add(u32::try_from(block.len()).unwrap_or(0));
        self.blocks.push(block);
        (first..self.made).rev().for_each(|number| self.give(EntryId(number)));
        None
    }

    pub(super) fn get(&self, id: EntryId) -> Option<&Entry> {
        let block = self.blocks.get(usize::try_from(id.0 / BLOCK_LEN).ok()?)?;
        block.get(usize::try_from(id.0 % BLOCK_LEN).ok()?)
    }

    pub(super) fn get_mut(&mut self, id: EntryId) -> Option<&mut Entry> {
        let block = self.blocks.get_mut(usize::try_from(id.0 / BLOCK_LEN).ok()?)?;
        block.get_mut(usize::try_from(id.0 % BLOCK_LEN).ok()?)
    }

    /// Numbers of entries are below this.
    pub(super) const fn made(&self) -> u32 {
        self.made
    }

    /// As many as there can be.
    pub(super) const fn most(&self) -> u32 {
        self.most
    }

    /// Entries that can be taken.
    pub(super) const fn free(&self) -> u32 {
        self.free_count
    }

    /// Takes a free entry.
    pub(super) fn take(&mut self) -> Option<EntryId> {
        let id = self.free;
        self.free = self.get(id)?.next_free;
        self.free_count = self.free_count.saturating_sub(1);
        Some(id)
    }

    /// An entry is free from now on.
    pub(super) fn give(&mut self, id: EntryId) {
        let next_free = self.free;
        if let Some(entry) = self.get_mut(id) {
            (entry.stage, entry.next_free) = (Stage::Free, next_free);
            self.free = id;
            self.free_count = self.free_count.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(entries: &mut Entries) -> Vec<u32> {
        core::iter::from_fn(|| entries.take()).map(|id| id.0).collect()
    }

    #[test]
    fn grows_to_its_end_and_no_further() {
        let most = 2 * BLOCK_LEN + 10;
        let mut entries = Entries::new(most).expect("memory");
        assert_eq!((entries.made(), entries.free()), (BLOCK_LEN, BLOCK_LEN));
        assert!(entries.get(EntryId(BLOCK_LEN)).is_none());
        for made in [2 * BLOCK_LEN, most] {
            assert!(entries.grow(Block::new().expect("memory")).is_none());
            assert_eq!(entries.made(), made);
        }
        assert!(entries.grow(Block::new().expect("memory")).is_some());
        assert!(entries.get(EntryId(most)).is_none());
        let mut all = taken(&mut entries);
        all.sort_unstable();
        assert_eq!(all, (0..most).collect::<Vec<_>>(), "each once");
        assert_eq!(entries.free(), 0);
    }

    #[test]
    fn what_is_given_can_be_taken_again() {
        let mut entries = Entries::new(4).expect("memory");
        assert_eq!(taken(&mut entries), [0, 1, 2, 3]);
        entries.give(EntryId(2));
        entries.give(EntryId(0));
        entries.give(EntryId(4));
        assert_eq!(entries.free(), 2, "there is no fourth");
        assert_eq!(taken(&mut entries), [0, 2]);
    }

    #[test]
    fn an_entry_is_as_large_as_is_said() {
        assert_eq!(size_of::<Entry>(), 56);
    }
}
