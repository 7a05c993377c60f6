//! Holders that come and go, and how much may lodge at each.

use netproto::msg::lodge::{HandBack, HandBackReason, Limit};
use netproto::{Instant, Slot};

use crate::lodge::owner::entry::{CopyStage, EntryId, Loss, Stage};
use crate::lodge::owner::op::{OpKind, LANES};
use crate::lodge::owner::{Lender, Link, Owner};
use crate::lodge::{bit, Peer};

/// Entries looked at for one HAND_BACK; the holder repeats it.
const SHED_VISITS_MAX: u32 = 16 * 1024;

impl Owner {
    /// A holder is reached. One that was said to be dead stays so until it has a new incarnation.
    pub fn peer_up(&mut self, now: Instant, peer: Peer) {
        let Some(lender) = self.lenders.get(peer.slot).copied() else {
            return;
        };
        if lender.peer == peer {
            if let Some(lender) = self.lenders.known(peer) {
                lender.link = Link::Up;
            }
            return;
        }
        self.peer_dead(now, lender.peer);
        if let Some(lender) = self.lenders.get_mut(peer.slot) {
            lender.peer = peer;
            lender.link = Link::Up;
            (lender.is_drained, lender.shed_until) = (false, Instant::ZERO);
        }
    }

    /// A holder is not heard of. Pages on their way to it stay; pages that it has are read
    /// elsewhere, or waited for.
    pub fn peer_silent(&mut self, now: Instant, peer: Peer) {
        let Some(lender) = self.lenders.known(peer) else {
            return;
        };
        lender.link = Link::Silent;
        self.stop_storing(now, peer.slot);
        self.read_without(now, peer.slot);
    }

    /// It is certain that a holder is no more, or will never be listened to again: what it had is
    /// lost.
    pub fn peer_dead(&mut self, now: Instant, peer: Peer) {
        let Some(lender) = self.lenders.known(peer) else {
            return;
        };
        lender.link = Link::Dead;
        (lender.limit, lender.used, lender.spare) = (0, 0, 0);
        lender.asked = None;
        lender.ask_unsent = false;
        for number in 0..self.room() {
            let id = EntryId(number);
            let copy = self.entry_mut(id).and_then(|entry| entry.copy_at(peer.slot));
            if let Some(copy) = copy {
                copy.stage = CopyStage::None;
                self.settle(id, Loss::HolderDied(peer.slot));
            }
        }
        self.stop_storing(now, peer.slot);
        for id in self.op_ids() {
            let is_to_it = self.op(id).is_some_and(|op| {
                matches!(op.kind, OpKind::Release | OpKind::MendRead)
                    && op.lanes.iter().any(|lane| lane.holder == Some(peer.slot))
            });
            if let Some(op) = is_to_it.then(|| self.take_op(id)).flatten() {
                self.forget_mend(id, &op);
            }
        }
        self.read_without(now, peer.slot);
    }

    fn stop_storing(&mut self, now: Instant, slot: Slot) {
        for id in self.op_ids() {
            let Some(op) = self.op_mut(id).filter(|op| op.is_storing()) else {
                continue;
            };
            let to_it = op.lanes.iter().filter(|lane| lane.holder == Some(slot));
            let open = to_it.fold(0, |open, lane| open | lane.open);
            crate::lodge::positions(open).for_each(|position| op.fail(position));
            self.check_over(now, id);
        }
    }

    fn read_without(&mut self, now: Instant, slot: Slot) {
        for id in self.op_ids() {
            let Some(op) = self.op(id).filter(|op| op.is_reading()) else {
                continue;
            };
            let from_it = (0..32_u8)
                .filter(|at| op.open() & bit(*at) != 0 && op.source(*at) == Some(slot))
                .fold(0, |mask, at| mask | bit(at));
            if from_it == 0 {
                continue;
            }
            self.choose_sources(id, Some(slot));
            if let Some(op) = self.op_mut(id) {
                crate::lodge::positions(from_it).for_each(|at| op.send_again(at));
            }
            self.check_over(now, id);
        }
    }

    /// What a holder could lend besides, as it is known otherwise.
    pub fn set_spare(&mut self, slot: Slot, pages: u32) {
        if let Some(lender) = self.lenders.get_mut(slot) {
            lender.spare = pages;
            lender.is_drained &= pages == 0;
        }
    }

    /// How much room is to be kept reserved, in copies of pages. Reserve it before it is needed: a
    /// batch for which no room is reserved is refused. True if more has to be asked for.
    pub fn set_goal(&mut self, pages: u32) -> bool {
        let has_grown = pages > self.goal;
        self.goal = pages;
        has_grown || self.unused() < pages
    }

    /// Room that is reserved and not used.
    #[must_use]
    pub fn unused(&self) -> u32 {
        self.lenders.iter().fold(0, |sum, lender| sum.saturating_add(lender.unused()))
    }

    /// Asks for more room where there is most, or gives back what is far too much.
    pub(super) fn reserve(&mut self, now: Instant) {
        let policy = self.config.fetch;
        let goal = self.goal;
        let is_target = |lender: &&mut Lender| lender.is_target(now);
        let targets = self.lenders.iter_mut().filter(is_target).filter(|it| it.has_any()).count();
        // Two copies need two holders: what one has counts for half at most, if there are more.
        let cap = if targets > 1 { goal.div_ceil(2) } else { goal };
        loop {
            let have = self.lenders.iter().filter(|it| it.is_target(now));
            let have = have.map(|lender| lender.expected().min(cap));
            let missing = goal.saturating_sub(have.fold(0, u32::saturating_add));
            let free = self.lenders.iter_mut().filter(is_target);
            let free = free.filter(|it| it.asked.is_none() && it.spare > 0 && it.expected() < cap);
            let Some(lender) = free.max_by_key(|lender| lender.spare).filter(|_| missing > 0)
            else {
                break;
            };
            let more = cap.saturating_sub(lender.expected()).min(missing).min(lender.spare);
            lender.ask(now, lender.limit.max(lender.used).saturating_add(more), policy);
        }
        self.reserve_anywhere(now);
        let unused = self.unused();
        if unused > goal.saturating_mul(2).saturating_add(64) {
            let over = unused.saturating_sub(goal);
            let free = self.lenders.iter_mut().filter(|lender| lender.asked.is_none());
            if let Some(lender) = free.max_by_key(|lender| lender.unused()) {
                let less = over.min(lender.unused());
                lender.ask(now, lender.limit.saturating_sub(less), policy);
            }
        }
    }

    /// What is missing even so, wherever it can be had.
    fn reserve_anywhere(&mut self, now: Instant) {
        let (policy, goal) = (self.config.fetch, self.goal);
        loop {
            let have = self.lenders.iter().filter(|it| it.is_target(now));
            let have = have.map(Lender::expected).fold(0, u32::saturating_add);
            let missing = goal.saturating_sub(have);
            let free = self.lenders.iter_mut().filter(|lender| lender.is_target(now));
            let free = free.filter(|lender| lender.asked.is_none() && lender.spare > 0);
            let Some(lender) = free.max_by_key(|lender| lender.spare).filter(|_| missing > 0)
            else {
                return;
            };
            let more = missing.min(lender.spare);
            lender.ask(now, lender.limit.max(lender.used).saturating_add(more), policy);
        }
    }

    /// A holder answered RESERVE.
    pub fn handle_grant(&mut self, from: Peer, grant: &Limit) {
        let is_known = self.lenders.known(from).is_some_and(|lender| lender.granted(grant));
        self.stats.stray = self.stats.stray.saturating_add(u64::from(!is_known));
    }

    /// A holder wants pages to leave: first what is reserved and not used goes back, then pages
    /// become unwanted there. They leave when they are elsewhere, or home.
    pub fn handle_hand_back(&mut self, now: Instant, from: Peer, message: &HandBack) {
        let (policy, pause) = (self.config.fetch, self.config.shed_pause);
        let Some(lender) = self.lenders.known(from).filter(|lender| lender.link == Link::Up) else {
            return;
        };
        lender.shed_until = now.after(pause);
        lender.is_drained |= message.reason == HandBackReason::Drain;
        lender.spare = 0;
        let back = lender.unused().min(message.pages);
        // A limit that only the holder knows of is corrected by the same.
        if back > 0 || message.limit != lender.limit {
            lender.ask(now, lender.limit.saturating_sub(back), policy);
        }
        let mut left = message.pages.saturating_sub(back);
        let stages = [CopyStage::Unwanted, CopyStage::Leaving, CopyStage::Told, CopyStage::Sending];
        let used = lender.used;
        let visits = SHED_VISITS_MAX.min(self.room());
        if left == 0 || used == 0 {
            return;
        }
        // What is on its way out already counts.
        let mut found = 0;
        for number in 0..self.room() {
            let copy = self.entry_mut(EntryId(number)).and_then(|entry| entry.copy_at(from.slot));
            found += u32::from(copy.is_some_and(|copy| stages.contains(&copy.stage)));
        }
        left = left.saturating_sub(found);
        for _ in 0..visits {
            if left == 0 {
                break;
            }
            let id = EntryId(self.shed_cursor);
            let next = self.shed_cursor.saturating_add(1);
            self.shed_cursor = if next < self.room() { next } else { 0 };
            let entry = self.entry_mut(id).filter(|entry| entry.stage == Stage::Lodged);
            let copy = entry.and_then(|entry| entry.copy_at(from.slot));
            if let Some(copy) = copy.filter(|copy| copy.stage == CopyStage::Held) {
                copy.stage = CopyStage::Unwanted;
                left = left.saturating_sub(1);
                self.settle(id, Loss::HolderDied(from.slot));
            }
        }
    }

    /// Whether nothing of ours is, or may be, at a holder, nor reserved there.
    #[must_use]
    pub fn is_clear_of(&self, slot: Slot) -> bool {
        self.lenders.get(slot).is_none_or(|lender| lender.used == 0 && lender.limit == 0)
    }

    /// Holders that a batch of this many lanes could go to.
    #[must_use]
    pub fn targets_up(&self, now: Instant) -> usize {
        self.lenders.iter().filter(|lender| lender.is_target(now)).count().min(LANES)
    }
}
