//! Home: pages that are read from their holders. They stay there until the driver says that it has
//! put them in.

use netproto::limits::LODGE_PAGES_MAX;
use netproto::msg::lodge::{BatchFlags, Item, Seal, Status};
use netproto::{Instant, RequestId, Slot};

use crate::lodge::owner::entry::{CopyStage, Entry, EntryId, Loss, PageCopy, Stage};
use crate::lodge::owner::op::{Op, OpId, OpKind};
use crate::lodge::owner::{Link, Owner};
use crate::lodge::{bit, Peer, PAGES_MAX};
use crate::retry::Retry;

/// Misreads after which a copy is given up: one more try, for it may have been the way.
const MISREADS_MAX: u8 = 2;

/// Why a page can't be fetched now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchRefused {
    /// It is nowhere.
    Lost(Loss),
    /// This batch fetches it already.
    UnderWay(OpId),
    /// There is no page with this number elsewhere.
    Unknown,
    /// As many batches are under way as may be.
    NoBatch,
}

/// A page's content came and is right: to be copied now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The batch.
    pub op: OpId,
    /// Which page of it.
    pub position: u8,
    /// Whom it is for: [`OpKind::Fetch`] the driver's page, [`OpKind::MendRead`] the batch's
    /// buffer.
    pub kind: OpKind,
}

impl Owner {
    /// Begins to fetch `first` and, along with it, those of `more` that can be. `flags` say whether
    /// a task waits for `first`.
    ///
    /// # Errors
    /// Why `first` can't be; nothing is fetched then.
    pub fn fetch(
        &mut self,
        now: Instant,
        first: EntryId,
        more: &[EntryId],
        flags: BatchFlags,
    ) -> Result<OpId, FetchRefused> {
        let entry = self.entry(first).ok_or(FetchRefused::Unknown)?;
        match (entry.stage, entry.fetch) {
            (Stage::Lodged, None) => (),
            (Stage::Lodged, Some(op)) => return Err(FetchRefused::UnderWay(op)),
            (Stage::Lost(loss), _) => return Err(FetchRefused::Lost(loss)),
            (Stage::Free | Stage::Evicting | Stage::Ending, _) => {
                return Err(FetchRefused::Unknown)
            }
        }
        let id = self.free_op().ok_or(FetchRefused::NoBatch)?;
        let (mut list, mut count) = ([first; PAGES_MAX], 0_usize);
        for entry_id in core::iter::once(first).chain(more.iter().copied()) {
            let is_fit = |entry: &Entry| entry.stage == Stage::Lodged && entry.fetch.is_none();
            let Some(entry) = self.entry_mut(entry_id).filter(|entry| is_fit(entry)) else {
                continue;
            };
            let Some(place) = list.get_mut(count).filter(|_| count < usize::from(LODGE_PAGES_MAX))
            else {
                break;
            };
            (*place, entry.fetch) = (entry_id, Some(id));
            count = count.saturating_add(1);
        }
        let request = self.next_request(id);
        let list = list.get(..count).unwrap_or_default();
        let mut op = Op::new(OpKind::Fetch, request, list, (self.config.fetch, now));
        op.flags = flags;
        op.open_lane(0, None);
        self.put_op(id, op);
        self.choose_sources(id, None);
        if flags.contains(BatchFlags::FAULT) {
            self.tune(now, id);
        }
        Ok(id)
    }

    /// The first repeat for a task that waits is due as soon as an answer usually has come.
    fn tune(&mut self, now: Instant, id: OpId) {
        let (policy, least) = (self.config.fetch, self.config.fetch_least);
        let lender = self.op(id).and_then(|op| self.lenders.get(op.source(0)?));
        let tuned = lender.map(|lender| lender.trip.tune_above(policy, least));
        if let Some((op, policy)) = self.op_mut(id).zip(tuned) {
            op.retry = Retry::new(policy, now);
        }
    }

    /// Chooses where each open page is read from, rather not where it was read from before if that
    /// is at `not`.
    pub(super) fn choose_sources(&mut self, id: OpId, not: Option<Slot>) {
        for position in 0..32_u8 {
            let Some(op) = self.op(id).filter(|op| op.open() & bit(position) != 0) else {
                continue;
            };
            let (before, entry) = (op.source(position), op.entry(position));
            if not.is_some() && before != not {
                continue;
            }
            let source = entry
                .and_then(|entry| self.entry(entry)?.source(not, |slot| self.lenders.is_up(slot)));
            if let Some(op) = self.op_mut(id) {
                op.set_source(position, source);
                if source.is_none() {
                    op.fail(position);
                }
            }
            if source.is_some() && before.is_some() && source != before {
                self.stats.other_copy = self.stats.other_copy.saturating_add(1);
            }
        }
    }

    /// The content's generation and checksum if a page lodges, and can be read at this holder.
    #[must_use]
    pub fn kept_by(&self, id: EntryId, holder: Slot) -> Option<(u64, u32)> {
        let entry = self.entry(id).filter(|entry| entry.stage == Stage::Lodged)?;
        let is_there = |copy: &PageCopy| copy.slot == holder && copy.is_readable();
        entry.copies.iter().any(is_there).then_some((entry.generation, entry.seal.sum))
    }

    /// A holder answered a FETCH. `seal` is of the content that came along, made here.
    ///
    /// With `Some` the caller copies the content before it does anything else with this machine.
    pub fn handle_page(
        &mut self,
        now: Instant,
        from: Peer,
        request: RequestId,
        item: &Item,
        seal: Option<Seal>,
    ) -> Option<Accepted> {
        let accepted = self.match_page(now, from, request, item, seal);
        if let Some(id) = self.op_of(request) {
            self.check_over(now, id);
        }
        accepted
    }

    /// A content came by a way that does not see damage to it, and does not fit the checksum that
    /// came along. No copy is blamed for that: the page is asked for once more, as one that no task
    /// waits for, which comes by a way that does.
    pub fn came_damaged(&mut self, now: Instant, from: Peer, request: RequestId, item: &Item) {
        let Some((id, ..)) = self.find_page(from, request, item) else {
            self.stats.stray = self.stats.stray.saturating_add(1);
            return;
        };
        self.stats.damaged = self.stats.damaged.saturating_add(1);
        if let Some(op) = self.op_mut(id) {
            op.flags.remove(BatchFlags::FAULT);
            op.send_again(item.position);
            op.retry.progress(now);
        }
    }

    /// The batch that waits for this page from this holder, if there is one: for who has only a
    /// part of the content.
    #[must_use]
    pub fn awaits(&mut self, from: Peer, request: RequestId, item: &Item) -> Option<OpId> {
        self.find_page(from, request, item).map(|(id, ..)| id)
    }

    fn find_page(
        &mut self,
        from: Peer,
        request: RequestId,
        item: &Item,
    ) -> Option<(OpId, usize, EntryId)> {
        self.lenders.known(from)?;
        let id = self.op_of(request)?;
        let op = self.op(id).filter(|op| op.is_reading())?;
        let lane = op.lane_for(from.slot, item.position)?;
        let entry_id = op.entry(item.position)?;
        let entry = self.entry(entry_id)?;
        let is_it = entry_id == EntryId(item.entry) && entry.generation == item.generation;
        is_it.then_some((id, lane, entry_id))
    }

    fn match_page(
        &mut self,
        now: Instant,
        from: Peer,
        request: RequestId,
        item: &Item,
        seal: Option<Seal>,
    ) -> Option<Accepted> {
        let Some((id, lane, entry_id)) = self.find_page(from, request, item) else {
            self.stats.stray = self.stats.stray.saturating_add(1);
            return None;
        };
        let entry = self.entry(entry_id)?;
        let is_right = item.seal == entry.seal && seal == Some(entry.seal);
        match item.status {
            Status::Done if is_right => {
                self.sample(now, id, (from.slot, item.position));
                let op = self.op_mut(id)?;
                op.close(lane, item.position);
                op.done |= bit(item.position);
                op.retry.progress(now);
                Some(Accepted { op: id, position: item.position, kind: op.kind })
            }
            Status::Done => {
                self.misread(now, id, item.position, from.slot);
                None
            }
            Status::Busy => None,
            Status::Gone | Status::Stale | Status::Ask | Status::NoRoom | Status::Damaged => {
                self.drop_copy(entry_id, from.slot, Loss::NotHeld(from.slot));
                self.read_elsewhere(now, id, item.position, from.slot);
                None
            }
        }
    }

    fn misread(&mut self, now: Instant, id: OpId, position: u8, slot: Slot) {
        self.stats.misread = self.stats.misread.saturating_add(1);
        let Some(entry_id) = self.op(id).and_then(|op| op.entry(position)) else {
            return;
        };
        let copy = self.entry_mut(entry_id).and_then(|entry| entry.copy_at(slot));
        let is_bad = copy.is_some_and(|copy| {
            copy.misreads = copy.misreads.saturating_add(1);
            copy.misreads >= MISREADS_MAX
        });
        if is_bad {
            self.drop_copy(entry_id, slot, Loss::Damaged(slot));
        }
        self.read_elsewhere(now, id, position, slot);
    }

    /// A copy is of no use.
    fn drop_copy(&mut self, id: EntryId, slot: Slot, loss: Loss) {
        if let Some(copy) = self.entry_mut(id).and_then(|entry| entry.copy_at(slot)) {
            if copy.is_readable() {
                copy.stage = CopyStage::Leaving;
            }
        }
        self.settle(id, loss);
    }

    fn read_elsewhere(&mut self, now: Instant, id: OpId, position: u8, not: Slot) {
        let entry = self.op(id).and_then(|op| op.entry(position));
        let source = entry.and_then(|entry| {
            self.entry(entry)?.source(Some(not), |slot| self.lenders.is_up(slot))
        });
        if source.is_some_and(|source| source != not) {
            self.stats.other_copy = self.stats.other_copy.saturating_add(1);
        }
        let Some(op) = self.op_mut(id) else {
            return;
        };
        op.set_source(position, source);
        match source {
            Some(_) => {
                op.send_again(position);
                op.retry.progress(now);
            }
            None => op.fail(position),
        }
    }

    /// Which pages of a fetched batch came, and which did not; what is in neither is open. Why one
    /// did not: if it is lost its entry says so, else it took too long.
    #[must_use]
    pub fn fetched(&self, id: OpId) -> (u32, u32) {
        self.op(id).map_or((0, 0), |op| (op.done, op.failed))
    }

    /// The page is here again, with the content that [`Accepted`] told of. Its copies are let go.
    pub fn installed(&mut self, id: OpId, position: u8) {
        let Some(op) = self.op(id).filter(|op| op.kind == OpKind::Fetch) else {
            return;
        };
        if op.done & bit(position) == 0 {
            return;
        }
        if let Some(entry) = op.entry(position) {
            self.stats.fetched = self.stats.fetched.saturating_add(1);
            self.discard(entry);
        }
    }

    /// Ends a fetched batch, over or not. What was not installed stays at its holders.
    pub fn end_fetch(&mut self, id: OpId) {
        if self.op(id).is_none_or(|op| op.kind != OpKind::Fetch) {
            return;
        }
        let Some(op) = self.take_op(id) else {
            return;
        };
        let failed = u64::from(op.failed.count_ones());
        self.stats.fetch_failed = self.stats.fetch_failed.saturating_add(failed);
        for entry in op.entries.iter().flatten() {
            if let Some(entry) = self.entry_mut(*entry).filter(|entry| entry.fetch == Some(id)) {
                entry.fetch = None;
            }
        }
    }

    /// Nobody needs the page any more: it was installed, unmapped, or its process ended. Batches
    /// that read it forget it; what still comes for it is refused.
    pub fn discard(&mut self, id: EntryId) {
        let Some(entry) = self.entry_mut(id) else {
            return;
        };
        match entry.stage {
            Stage::Lodged | Stage::Lost(_) => (),
            Stage::Free | Stage::Evicting | Stage::Ending => return,
        }
        entry.stage = Stage::Ending;
        entry.leave_all();
        let slot = entry.copies.first().map(|copy| copy.slot);
        for op in [entry.fetch.take(), entry.mend.take()].into_iter().flatten() {
            if let Some(op) = self.op_mut(op) {
                if let Some(position) = op.position_of(id) {
                    op.forget(position);
                }
            }
        }
        if let Some(slot) = slot {
            self.settle(id, Loss::HolderDied(slot));
        }
    }

    /// What a task waited for came: tells of the round trip, if it is known which sending was
    /// answered. Other batches queue behind each other, on both sides.
    fn sample(&mut self, now: Instant, id: OpId, (slot, position): (Slot, u8)) {
        let is_urgent = |op: &&Op| op.flags.contains(BatchFlags::FAULT) && position == 0;
        let Some(op) = self.op(id).filter(is_urgent) else {
            return;
        };
        let (took, sendings) = (now.since(op.retry.since()), op.retry.sendings());
        let lender = self.lenders.get_mut(slot).filter(|lender| lender.link == Link::Up);
        match lender {
            Some(lender) if sendings == 1 => lender.trip.sample(took),
            Some(lender) => lender.trip.unclear(),
            None => (),
        }
    }
}
