//! Telling holders what they need not keep. It is repeated until they answer, for as long as they
//! are not dead: until then what they may have counts as used.

use netproto::msg::lodge::{Item, Status};
use netproto::{Duration, Instant, RequestId, Slot};

use crate::lodge::owner::entry::{CopyStage, EntryId, Loss};
use crate::lodge::owner::op::{Op, OpKind};
use crate::lodge::owner::{Link, Owner};
use crate::lodge::{Peer, PAGES_MAX};
use crate::retry::Policy;

/// Entries looked at for one batch.
const VISITS_MAX: u32 = 512;

/// Batches to one holder under way at most; one, when all of them have a quarter of all batches.
const BATCHES_MAX: usize = 4;

impl Owner {
    /// Whether as many releases are under way to a holder as may be.
    fn is_releasing(&self, slot: Slot) -> bool {
        let releases = || self.ops.iter().flatten().filter(|op| op.kind == OpKind::Release);
        let to_it = |op: &&Op| op.lanes.first().is_some_and(|lane| lane.holder == Some(slot));
        let has_room = releases().count() < self.ops.len() / 4;
        releases().filter(to_it).count() >= if has_room { BATCHES_MAX } else { 1 }
    }

    /// Begins batches for what is to leave.
    pub(super) fn release(&mut self, now: Instant) {
        if self.leaving.is_empty() {
            return;
        }
        let mut busy = 0_u64;
        // A silent holder's turn comes when it is heard of.
        for lender in self.lenders.iter() {
            if lender.link != Link::Up || self.is_releasing(lender.peer.slot) {
                busy |= 1 << lender.peer.slot.get();
            }
        }
        while !self.leaving.is_empty() {
            let Some(id) = self.free_op() else {
                return;
            };
            let (mut holder, mut list, mut count) = (None, [EntryId(0); PAGES_MAX], 0_usize);
            let entries = &self.entries;
            self.leaving.visit(VISITS_MAX, |number| {
                let entry = entries.get(EntryId(number));
                let found = entry.into_iter().flat_map(|entry| &entry.copies).find(|copy| {
                    let is_free = busy & (1 << copy.slot.get()) == 0;
                    copy.stage == CopyStage::Leaving
                        && holder.map_or(is_free, |holder: Slot| holder == copy.slot)
                });
                if let (Some(copy), Some(place)) = (found, list.get_mut(count)) {
                    holder = Some(copy.slot);
                    *place = EntryId(number);
                    count = count.saturating_add(1);
                }
                count < PAGES_MAX
            });
            let Some(holder) = holder else {
                return;
            };
            let list = list.get(..count).unwrap_or_default();
            for entry_id in list {
                if let Some(copy) =
                    self.entry_mut(*entry_id).and_then(|entry| entry.copy_at(holder))
                {
                    copy.stage = CopyStage::Told;
                }
                self.settle(*entry_id, Loss::HolderDied(holder));
            }
            let forever = Policy { give_up: Duration::from_ns(u64::MAX), ..self.config.fetch };
            let request = self.next_request(id);
            let mut op = Op::new(OpKind::Release, request, list, (forever, now));
            op.open_lane(0, Some(holder));
            self.put_op(id, op);
            if self.is_releasing(holder) {
                busy |= 1 << holder.get();
            }
        }
    }

    /// A holder answered a RELEASE.
    pub fn handle_released(&mut self, now: Instant, from: Peer, request: RequestId, item: &Item) {
        let found = self.lenders.known(from).is_some().then(|| self.op_of(request)).flatten();
        let found = found.filter(|id| self.op(*id).is_some_and(|op| op.kind == OpKind::Release));
        let lane = found.and_then(|id| self.op(id)?.lane_for(from.slot, item.position));
        let entry_id = found.and_then(|id| self.op(id)?.entry(item.position));
        let (Some(id), Some(lane), Some(entry_id)) = (found, lane, entry_id) else {
            self.stats.stray = self.stats.stray.saturating_add(1);
            return;
        };
        let is_it = self.entry(entry_id).is_some_and(|entry| {
            entry.generation == item.generation && entry_id == EntryId(item.entry)
        });
        if item.status != Status::Done || !is_it {
            return;
        }
        if let Some(op) = self.op_mut(id) {
            op.close(lane, item.position);
            op.retry.progress(now);
        }
        let copy = self.entry_mut(entry_id).and_then(|entry| entry.copy_at(from.slot));
        if let Some(copy) = copy.filter(|copy| copy.stage == CopyStage::Told) {
            copy.stage = CopyStage::None;
            self.lenders.give(from.slot, 1);
            self.stats.released = self.stats.released.saturating_add(1);
        }
        self.settle(entry_id, Loss::HolderDied(from.slot));
        self.check_over(now, id);
    }
}
