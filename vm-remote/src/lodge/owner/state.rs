//! What an owner is made of.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use netproto::{Duration, Instant, RequestId, Slot};

use crate::lodge::marks::Marks;
use crate::lodge::owner::entries::{Block, Entries};
use crate::lodge::owner::entry::{CopyStage, Entry, EntryId, Loss, PageCopy, Stage};
use crate::lodge::owner::op::{Op, OpId, OpKind};
use crate::lodge::owner::peers::{Lender, Lenders};
use crate::retry::Policy;

/// Sizes and times.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Pages that may lodge elsewhere at the same time. Half a byte is kept for each, and 56 bytes
    /// for as many as [`Owner::grow`] has made room for.
    pub entries: u32,
    /// Batches under way at most, below 1024.
    pub ops: u16,
    /// Of these, to mend.
    pub mends: u16,
    /// When to repeat and give up a fetch.
    pub fetch: Policy,
    /// The least wait before a fetch that a task waits for is repeated; else it goes by the round
    /// trip, up to the policy's first wait.
    pub fetch_least: Duration,
    /// When to repeat and give up a store. The page stays here then.
    pub evict: Policy,
    /// For how long a holder that hands back gets nothing new.
    pub shed_pause: Duration,
    /// Between two rounds of mending.
    pub mend_pause: Duration,
}

/// What has happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "named after what is counted, in pages unless said otherwise")]
pub struct Stats {
    pub evicted: u64,
    pub evict_failed: u64,
    pub fetched: u64,
    pub fetch_failed: u64,
    pub lost: u64,
    pub released: u64,
    pub mended: u64,
    pub misread: u64,
    /// On the way, so that another way was taken.
    pub damaged: u64,
    pub other_copy: u64,
    pub sent_home: u64,
    /// Messages, and answers about pages, that nobody waited for.
    pub stray: u64,
    /// Batches, after the first time.
    pub sent_again: u64,
}

/// Low bits of a request number: which batch it is.
pub(super) const OP_BITS: u32 = 10;

/// All pages of this node that lodge elsewhere.
#[derive(Debug)]
pub struct Owner {
    pub(super) config: Config,
    pub(super) entries: Entries,
    pub(super) ops: Vec<Option<Op>>,
    pub(super) lenders: Lenders,
    pub(super) leaving: Marks,
    pub(super) mending: Marks,
    pub(super) homing: Marks,
    pub(super) sequence: u64,
    pub(super) goal: u32,
    pub(super) mend_after: Instant,
    pub(super) shed_cursor: u32,
    pub(super) stats: Stats,
}

impl Owner {
    /// With nothing lodged anywhere.
    ///
    /// # Errors
    /// No memory.
    pub fn new(config: Config) -> Result<Self, TryReserveError> {
        let op_count = usize::from(config.ops.min((1 << OP_BITS) - 1));
        let mut ops = Vec::new();
        ops.try_reserve_exact(op_count)?;
        ops.resize(op_count, None);
        Ok(Self {
            config,
            entries: Entries::new(config.entries)?,
            ops,
            lenders: Lenders::new()?,
            leaving: Marks::new(config.entries)?,
            mending: Marks::new(config.entries)?,
            homing: Marks::new(config.entries)?,
            sequence: 0,
            goal: 0,
            mend_after: Instant::ZERO,
            shed_cursor: 0,
            stats: Stats::default(),
        })
    }

    pub(super) fn entry(&self, id: EntryId) -> Option<&Entry> {
        self.entries.get(id)
    }

    pub(super) fn entry_mut(&mut self, id: EntryId) -> Option<&mut Entry> {
        self.entries.get_mut(id)
    }

    pub(super) fn op(&self, id: OpId) -> Option<&Op> {
        self.ops.get(usize::from(id.0))?.as_ref()
    }

    pub(super) fn op_mut(&mut self, id: OpId) -> Option<&mut Op> {
        self.ops.get_mut(usize::from(id.0))?.as_mut()
    }

    pub(super) fn free_op(&self) -> Option<OpId> {
        let at = self.ops.iter().position(Option::is_none)?;
        u16::try_from(at).ok().map(OpId)
    }

    pub(super) fn put_op(&mut self, id: OpId, op: Op) {
        if let Some(place) = self.ops.get_mut(usize::from(id.0)) {
            *place = Some(op);
        }
    }

    pub(super) fn take_op(&mut self, id: OpId) -> Option<Op> {
        self.ops.get_mut(usize::from(id.0))?.take()
    }

    pub(super) fn op_ids(&self) -> impl Iterator<Item = OpId> + use<> {
        (0..u16::try_from(self.ops.len()).unwrap_or(0)).map(OpId)
    }

    pub(super) fn next_request(&mut self, id: OpId) -> RequestId {
        self.sequence = self.sequence.saturating_add(1);
        RequestId(self.sequence << OP_BITS | u64::from(id.0))
    }

    /// The batch that an answer names.
    pub(super) fn op_of(&self, request: RequestId) -> Option<OpId> {
        let [low, high, ..] = request.0.to_le_bytes();
        let id = OpId(u16::from_le_bytes([low, high]) & ((1 << OP_BITS) - 1));
        self.op(id).filter(|op| op.request == request).map(|_| id)
    }

    /// Puts an entry into the sets that it belongs in, after its copies changed. `loss` says why it
    /// is lost, if no copy can be read any more.
    pub(super) fn settle(&mut self, id: EntryId, loss: Loss) {
        let Some(entry) = self.entry_mut(id) else {
            return;
        };
        if entry.stage == Stage::Lodged {
            // What is over the wanted number goes, even if no holder wants what stays: else the
            // copies that are to replace these might find no place.
            let readable = entry.copies.iter().filter(|copy| copy.is_readable()).count();
            let over = readable.saturating_sub(usize::from(entry.wanted));
            let is_unwanted = |copy: &&mut PageCopy| copy.stage == CopyStage::Unwanted;
            for copy in entry.copies.iter_mut().filter(is_unwanted).take(over) {
                copy.stage = CopyStage::Leaving;
            }
        }
        let is_lost = entry.stage == Stage::Lodged && !entry.is_readable();
        if is_lost {
            entry.stage = Stage::Lost(loss);
        }
        let (leaves, needs_mending) = (entry.has_leaving(), entry.needs_mending());
        let is_free = entry.stage == Stage::Ending && !entry.copies.iter().any(PageCopy::counts);
        if is_free {
            self.entries.give(id);
        }
        self.stats.lost = self.stats.lost.saturating_add(u64::from(is_lost));
        if leaves {
            self.leaving.insert(id.0);
        } else {
            self.leaving.remove(id.0);
        }
        if needs_mending {
            self.mending.insert(id.0);
        } else {
            self.mending.remove(id.0);
            self.homing.remove(id.0);
        }
    }

    /// How far an entry is.
    #[must_use]
    pub fn stage(&self, id: EntryId) -> Stage {
        self.entry(id).map_or(Stage::Free, |entry| entry.stage)
    }

    /// The driver's word of an entry.
    #[must_use]
    pub fn tag(&self, id: EntryId) -> Option<u64> {
        self.entry(id).map(|entry| entry.tag)
    }

    /// The copies of an entry that there are.
    pub fn copies(&self, id: EntryId) -> impl Iterator<Item = &PageCopy> {
        self.entry(id).into_iter().flat_map(|entry| &entry.copies).filter(|copy| copy.counts())
    }

    /// What would be lost with a holder: the driver's word of each page that is nowhere else.
    pub fn only_at(&self, slot: Slot) -> impl Iterator<Item = u64> + '_ {
        self.tags_of((0, self.room()), Some(slot))
    }

    /// As [`Self::only_at`], of `count` entries from number `first` on; without a slot, the word of
    /// each page that lodges anywhere.
    pub fn tags_of(
        &self,
        (first, count): (u32, u32),
        only_at: Option<Slot>,
    ) -> impl Iterator<Item = u64> + '_ {
        let end = first.saturating_add(count).min(self.entries.made());
        (first..end)
            .filter_map(|number| self.entry(EntryId(number)))
            .filter(move |entry| match only_at {
                Some(slot) => entry.is_only_at(slot),
                None => entry.stage == Stage::Lodged,
            })
            .map(|entry| entry.tag)
    }

    /// Entries that there are by now: their numbers are below this.
    #[must_use]
    pub const fn room(&self) -> u32 {
        self.entries.made()
    }

    /// Entries that are missing until `ahead` of them are free, as far as there may be any.
    #[must_use]
    pub const fn missing(&self, ahead: u32) -> u32 {
        let left = self.entries.most().saturating_sub(self.entries.made());
        let missing = ahead.saturating_sub(self.entries.free());
        if missing < left {
            missing
        } else {
            left
        }
    }

    /// Adds a block of entries. Allocates nothing. Gives it back if there may be no more.
    pub fn grow(&mut self, block: Block) -> Option<Block> {
        self.entries.grow(block)
    }

    /// The driver's word of where a page was that lodges.
    #[must_use]
    pub fn frame(&self, id: EntryId) -> Option<u64> {
        self.entry(id).map(|entry| entry.frame)
    }

    /// Sets that word.
    pub fn set_frame(&mut self, id: EntryId, frame: u64) {
        if let Some(entry) = self.entry_mut(id) {
            entry.frame = frame;
        }
    }

    /// What is known of a holder.
    #[must_use]
    pub fn lender(&self, slot: Slot) -> Option<&Lender> {
        self.lenders.get(slot)
    }

    /// Entries that are not free.
    #[must_use]
    pub fn in_use(&self) -> usize {
        let in_use = self.entries.made().saturating_sub(self.entries.free());
        usize::try_from(in_use).unwrap_or(usize::MAX)
    }

    /// The batch that fetches an entry, if one does.
    #[must_use]
    pub fn under_way(&self, id: EntryId) -> Option<OpId> {
        self.entry(id)?.fetch
    }

    /// Whether one more batch may begin.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.free_op().is_some()
    }

    /// What a batch is for, while it is under way.
    #[must_use]
    pub fn kind(&self, id: OpId) -> Option<OpKind> {
        self.op(id).map(|op| op.kind)
    }

    /// The number that a batch's answers have at present.
    #[must_use]
    pub fn request(&self, id: OpId) -> Option<RequestId> {
        self.op(id).map(|op| op.request)
    }

    /// Batches under way.
    #[must_use]
    pub fn batches(&self) -> usize {
        self.ops.iter().flatten().count()
    }

    /// Pages that have fewer copies than wanted, or one where it is not wanted.
    #[must_use]
    pub const fn to_mend(&self) -> u32 {
        self.mending.len()
    }

    /// What has happened so far.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }
}
