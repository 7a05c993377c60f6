//! Pages with too few copies, or with one where it is not wanted, get another: read from a holder
//! that has it, checked here, stored at another. The owner carries it, so no holder has to be
//! believed, and a page costs its way twice.

use netproto::{Instant, Slot};

use crate::lodge::owner::entry::{CopyStage, EntryId, Loss, COPIES_ROOM};
use crate::lodge::owner::op::{Lane, Op, OpId, OpKind};
use crate::lodge::owner::Owner;
use crate::lodge::{bit, PAGES_MAX};

/// Entries looked at for one batch.
const VISITS_MAX: u32 = 512;

impl Owner {
    fn mends(&self) -> usize {
        let is_mend = |op: &&Op| matches!(op.kind, OpKind::MendRead | OpKind::MendStore);
        self.ops.iter().flatten().filter(is_mend).count()
    }

    /// Pages for one batch, and the holder that they go to.
    fn pick(&mut self, now: Instant, list: &mut [EntryId; PAGES_MAX]) -> Option<(Slot, usize)> {
        let (entries, lenders, homing) = (&self.entries, &self.lenders, &mut self.homing);
        let (mut target, mut room, mut count) = (None, 0, 0_usize);
        self.mending.visit(VISITS_MAX, |number| {
            let Some(entry) = entries.get(EntryId(number)) else {
                return true;
            };
            let copies = entry.copies.iter().filter(|copy| copy.counts()).count();
            if entry.mend.is_some() || entry.fetch.is_some() || copies == COPIES_ROOM {
                return true;
            }
            let fits = |slot: Slot| !entry.has_copy_at(slot);
            if target.is_none() {
                target = lenders.best(now, 1, |slot| !fits(slot));
                room = target.and_then(|slot| lenders.get(slot)).map_or(0, |it| it.unused());
            }
            let Some(slot) = target else {
                // Nobody else takes it: it may come home.
                if entry.count(CopyStage::Unwanted) > 0 {
                    homing.insert(number);
                }
                return true;
            };
            if fits(slot) {
                if let Some(place) = list.get_mut(count) {
                    *place = EntryId(number);
                    count = count.saturating_add(1);
                }
            }
            count < PAGES_MAX && u32::try_from(count).is_ok_and(|count| count < room)
        });
        target.filter(|_| count > 0).map(|target| (target, count))
    }

    /// Begins batches for what is to be mended.
    pub(super) fn mend(&mut self, now: Instant) {
        if self.mending.is_empty() || now < self.mend_after {
            return;
        }
        while self.mends() < usize::from(self.config.mends) {
            let Some(id) = self.free_op() else {
                break;
            };
            let mut list = [EntryId(0); PAGES_MAX];
            let Some((target, count)) = self.pick(now, &mut list) else {
                break;
            };
            let list = list.get(..count).unwrap_or_default();
            for entry_id in list {
                if let Some(entry) = self.entry_mut(*entry_id) {
                    entry.mend = Some(id);
                    entry.add_copy(target);
                }
            }
            self.lenders.take(target, u32::try_from(count).unwrap_or(0));
            let request = self.next_request(id);
            let mut op = Op::new(OpKind::MendRead, request, list, (self.config.fetch, now));
            op.open_lane(0, None);
            if let Some(lane) = op.lanes.get_mut(1) {
                *lane = Lane { holder: Some(target), open: 0, unsent: 0 };
            }
            self.put_op(id, op);
            self.choose_sources(id, None);
        }
        self.mend_after = now.after(self.config.mend_pause);
    }

    /// All was read that can be: stores it, from the batch's buffer.
    pub(super) fn store_mended(&mut self, now: Instant, id: OpId) {
        let Some(op) = self.op(id) else {
            return;
        };
        let (done, target) = (op.done, op.lanes.get(1).and_then(|lane| lane.holder));
        for position in (0..32_u8).filter(|position| done & bit(*position) == 0) {
            let entry = self.op(id).and_then(|op| op.entry(position));
            if let (Some(entry), Some(target)) = (entry, target) {
                self.end_mend_of(entry, target);
            }
            if let Some(op) = self.op_mut(id) {
                op.forget(position);
            }
        }
        let is_target_up = target.is_some_and(|slot| self.lenders.is_up(slot));
        let request = self.next_request(id);
        let policy = self.config.evict;
        let Some(op) = self.op_mut(id) else {
            return;
        };
        op.kind = OpKind::MendStore;
        op.request = request;
        op.retry = crate::retry::Retry::new(policy, now);
        let open = if is_target_up { done } else { 0 };
        op.lanes = [Lane { holder: target, open, unsent: 0 }, Lane::default()];
        if open == 0 {
            self.end_mend(id);
        }
    }

    /// A copy that was to be made either is, or leaves.
    fn end_mend_of(&mut self, id: EntryId, target: Slot) {
        let mut mended = 0;
        if let Some(entry) = self.entry_mut(id) {
            entry.mend = None;
            if let Some(copy) = entry.copy_at(target) {
                match copy.stage {
                    CopyStage::Sending => copy.stage = CopyStage::Leaving,
                    CopyStage::Held => mended = 1,
                    _ => (),
                }
            }
        }
        self.stats.mended = self.stats.mended.saturating_add(mended);
        self.settle(id, Loss::HolderDied(target));
    }

    /// A batch that is no more, because its target is no more.
    pub(super) fn forget_mend(&mut self, id: OpId, op: &Op) {
        for entry_id in op.entries.iter().flatten() {
            if let Some(entry) = self.entry_mut(*entry_id).filter(|it| it.mend == Some(id)) {
                entry.mend = None;
            }
        }
    }

    pub(super) fn end_mend(&mut self, id: OpId) {
        let Some(op) = self.take_op(id) else {
            return;
        };
        let Some(target) = op.lanes.first().and_then(|lane| lane.holder) else {
            return;
        };
        for entry in op.entries.iter().flatten() {
            self.end_mend_of(*entry, target);
        }
    }

    /// A page whose holder wants it to leave, and that no other holder takes: the driver fetches it
    /// if it has memory for it. If not, the holder keeps it.
    pub fn poll_homing(&mut self) -> Option<(EntryId, u64)> {
        let mut found = None;
        self.homing.visit(1, |number| {
            found = Some(EntryId(number));
            false
        });
        let id = found?;
        self.homing.remove(id.0);
        self.stats.sent_home = self.stats.sent_home.saturating_add(1);
        self.tag(id).map(|tag| (id, tag))
    }
}
