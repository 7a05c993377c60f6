//! Out: pages that are stored elsewhere before they go from here.

use netproto::limits::LODGE_PAGES_MAX;
use netproto::msg::lodge::{Item, Seal, Status};
use netproto::{Instant, RequestId, Slot};

use crate::lodge::owner::entry::{CopyStage, EntryId, Loss, Stage};
use crate::lodge::owner::op::{Op, OpId, OpKind, LANES};
use crate::lodge::owner::Owner;
use crate::lodge::{bit, positions, Peer, PAGES_MAX};

/// A page to evict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// What the driver wants to find again: whose page it is.
    pub tag: u64,
    /// Of its content as the holders are to have it.
    pub seal: Seal,
}

/// Why a batch can't be evicted now. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvictRefused {
    /// Too many pages, none, or an impossible number of copies.
    BadCount,
    /// As many pages lodge elsewhere as this node has entries for.
    NoEntries,
    /// As many batches are under way as may be.
    NoBatch,
    /// There are not enough holders with room reserved.
    NoRoom,
}

impl Owner {
    fn targets(&self, now: Instant, count: u32, copies: u8) -> Option<[Option<Slot>; LANES]> {
        let mut targets = [None; LANES];
        for at in 0..usize::from(copies) {
            let taken = targets;
            let best = self.lenders.best(now, count, |slot| taken.contains(&Some(slot)))?;
            *targets.get_mut(at)? = Some(best);
        }
        Some(targets)
    }

    /// Begins to store pages. Their content must not change until the batch is over.
    ///
    /// # Errors
    /// Why not; the pages stay.
    pub fn evict(
        &mut self,
        now: Instant,
        pages: &[Page],
        copies: u8,
    ) -> Result<OpId, EvictRefused> {
        let fits = (1..=usize::from(LODGE_PAGES_MAX)).contains(&pages.len());
        if !fits || !(1..=2).contains(&copies) {
            return Err(EvictRefused::BadCount);
        }
        let count = u32::try_from(pages.len()).map_err(|_| EvictRefused::BadCount)?;
        if self.entries.free() < count {
            return Err(EvictRefused::NoEntries);
        }
        let id = self.free_op().ok_or(EvictRefused::NoBatch)?;
        let targets = self.targets(now, count, copies).ok_or(EvictRefused::NoRoom)?;
        let mut ids = [EntryId(0); PAGES_MAX];
        let ids = ids.get_mut(..pages.len()).ok_or(EvictRefused::BadCount)?;
        for place in ids.iter_mut() {
            *place = self.entries.take().ok_or(EvictRefused::NoEntries)?;
        }
        let ids = &*ids;
        for (id, page) in ids.iter().zip(pages) {
            let Some(entry) = self.entry_mut(*id) else {
                continue;
            };
            entry.generation = entry.generation.saturating_add(1);
            (entry.tag, entry.seal, entry.wanted) = (page.tag, page.seal, copies);
            entry.stage = Stage::Evicting;
            for target in targets.iter().flatten() {
                entry.add_copy(*target);
            }
        }
        let request = self.next_request(id);
        let mut op = Op::new(OpKind::Evict, request, ids, (self.config.evict, now));
        for (lane, target) in targets.iter().enumerate() {
            if let Some(target) = target {
                op.open_lane(lane, Some(*target));
                self.lenders.take(*target, count);
            }
        }
        self.put_op(id, op);
        Ok(id)
    }

    /// A holder answered a STORE.
    pub fn handle_stored(&mut self, now: Instant, from: Peer, request: RequestId, item: &Item) {
        let found = self.lenders.known(from).is_some().then(|| self.op_of(request)).flatten();
        let found = found.filter(|id| self.op(*id).is_some_and(Op::is_storing));
        let lane = found.and_then(|id| self.op(id)?.lane_for(from.slot, item.position));
        let entry_id = found.and_then(|id| self.op(id)?.entry(item.position));
        let (Some(id), Some(lane), Some(entry_id)) = (found, lane, entry_id) else {
            self.stats.stray = self.stats.stray.saturating_add(1);
            return;
        };
        let Some(entry) = self
            .entry_mut(entry_id)
            .filter(|entry| entry.generation == item.generation && entry_id == EntryId(item.entry))
        else {
            self.stats.stray = self.stats.stray.saturating_add(1);
            return;
        };
        match item.status {
            Status::Done => {
                if let Some(copy) = entry.copy_at(from.slot) {
                    copy.stage = CopyStage::Held;
                }
                if let Some(op) = self.op_mut(id) {
                    op.close(lane, item.position);
                    op.retry.progress(now);
                }
            }
            // Damaged on its way or in the holder's memory: once more.
            Status::Damaged | Status::Busy => (),
            Status::NoRoom | Status::Gone | Status::Stale | Status::Ask => {
                // It has forgotten what it lent: it is asked anew.
                if let Some(lender) =
                    self.lenders.get_mut(from.slot).filter(|_| item.status == Status::NoRoom)
                {
                    lender.limit = 0;
                }
                if let Some(op) = self.op_mut(id) {
                    op.fail(item.position);
                }
            }
        }
        self.check_over(now, id);
    }

    /// Which pages of an evicted batch are with all their holders, and may go from here now.
    #[must_use]
    pub fn stored(&self, id: OpId) -> u32 {
        let Some(op) = self.op(id).filter(|op| op.kind == OpKind::Evict && op.is_over) else {
            return 0;
        };
        let is_stored = |position: &u8| {
            op.entry(*position)
                .and_then(|id| self.entry(id))
                .is_some_and(|entry| entry.count(CopyStage::Held) == usize::from(entry.wanted))
        };
        positions(u32::MAX).filter(is_stored).fold(0, |mask, position| mask | bit(position))
    }

    /// The entry of a page in a batch.
    #[must_use]
    pub fn entry_at(&self, id: OpId, position: u8) -> Option<EntryId> {
        self.op(id)?.entry(position)
    }

    /// Ends an evicted batch: the pages in `gone` have left this node, the others are here still.
    /// Before the batch is over this calls it off, with nothing gone. A page that went although it
    /// was not [`Self::stored`] is lost, and known to be.
    pub fn commit(&mut self, id: OpId, gone: u32) {
        if self.op(id).is_none_or(|op| op.kind != OpKind::Evict) {
            return;
        }
        let Some(op) = self.take_op(id) else {
            return;
        };
        for (position, entry_id) in (0_u8..).zip(op.entries) {
            let Some((entry_id, entry)) = entry_id.and_then(|id| Some((id, self.entry_mut(id)?)))
            else {
                continue;
            };
            let is_gone = gone & bit(position) != 0;
            if is_gone {
                entry.stage = Stage::Lodged;
                for copy in &mut entry.copies {
                    if copy.stage == CopyStage::Sending {
                        copy.stage = CopyStage::Leaving;
                    }
                }
            } else {
                entry.stage = Stage::Ending;
                entry.leave_all();
            }
            let slot = entry.copies.first().map(|copy| copy.slot);
            let count =
                if is_gone { &mut self.stats.evicted } else { &mut self.stats.evict_failed };
            *count = count.saturating_add(1);
            if let Some(slot) = slot {
                self.settle(entry_id, Loss::HolderDied(slot));
            }
        }
    }
}
