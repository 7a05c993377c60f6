//! Time, and what goes out.

use netproto::limits::LODGE_CONTENTS_LEN_MAX;
use netproto::msg::lodge::{Batch, BatchFlags, Horizon, Item, Seal, Status};
use netproto::{Instant, Kind, RequestId, Slot};

use crate::lodge::owner::op::{Op, OpId, OpKind};
use crate::lodge::owner::state::OP_BITS;
use crate::lodge::owner::{Link, Owner};
use crate::lodge::{bit, Body, Items, Transmit};
use crate::retry::{Retry, Step};

/// When something is to be done about a request.
fn due(mut retry: Retry, now: Instant) -> Instant {
    match retry.poll(now) {
        Step::Wait(span) => now.after(span),
        Step::Send | Step::GiveUp => now,
    }
}

impl Owner {
    /// Looks whether a batch is over, and what comes next then.
    pub(super) fn check_over(&mut self, now: Instant, id: OpId) {
        let Some(op) = self.op_mut(id).filter(|op| op.open() == 0) else {
            return;
        };
        match op.kind {
            OpKind::Evict | OpKind::Fetch => op.is_over = true,
            OpKind::MendRead => self.store_mended(now, id),
            OpKind::MendStore => self.end_mend(id),
            OpKind::Release => {
                self.take_op(id);
            }
        }
    }

    fn drive(&mut self, now: Instant, id: OpId) {
        let Some(op) = self.op_mut(id).filter(|op| !op.is_over) else {
            return;
        };
        match op.retry.poll(now) {
            Step::Wait(_) => (),
            Step::Send => {
                let sendings = op.retry.sendings();
                let source = (op.is_reading() && sendings > 1)
                    .then(|| (0..32_u8).find(|at| op.open() & bit(*at) != 0))
                    .flatten()
                    .and_then(|at| op.source(at));
                // No answer: the other copy's turn.
                if source.is_some() {
                    self.choose_sources(id, source);
                }
                if let Some(op) = self.op_mut(id) {
                    op.send_open();
                }
                let again = u64::from(sendings > 1);
                self.stats.sent_again = self.stats.sent_again.saturating_add(again);
            }
            Step::GiveUp => {
                let open = op.open();
                crate::lodge::positions(open).for_each(|at| op.fail(at));
            }
        }
        self.check_over(now, id);
    }

    /// Does what is due. To be called after commands and messages as well as by time.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.reserve(now);
        self.release(now);
        self.mend(now);
        for id in self.op_ids() {
            self.drive(now, id);
        }
        for lender in self.lenders.iter_mut().filter(|lender| lender.link == Link::Up) {
            if let Some((_, retry)) = &mut lender.asked {
                lender.ask_unsent |= retry.poll(now) == Step::Send;
            }
        }
    }

    /// Whether there is something that [`Self::handle_timeout`] would begin now: copies to be let
    /// go or made.
    #[must_use]
    pub fn has_chores(&self) -> bool {
        !self.leaving.is_empty()
            || !self.mending.is_empty()
            || self.ops.iter().flatten().any(|op| op.kind == OpKind::MendStore)
    }

    /// When [`Self::handle_timeout`] is to be called next.
    #[must_use]
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let wait = |retry: &Retry| due(*retry, now);
        let ops = self.ops.iter().flatten().filter(|op| !op.is_over).map(|op| wait(&op.retry));
        let up = self.lenders.iter().filter(|lender| lender.link == Link::Up);
        let asked = up.filter_map(|lender| lender.asked.as_ref()).map(|(_, retry)| wait(retry));
        let mend = (!self.mending.is_empty()).then_some(self.mend_after.max(now));
        let release = (!self.leaving.is_empty()).then(|| now.after(self.config.fetch.first));
        ops.chain(asked).chain(mend).chain(release).min()
    }

    /// When [`Self::poll_transmit_of`] is to be called next for a batch that is not over.
    #[must_use]
    pub fn poll_timeout_of(&self, now: Instant, id: OpId) -> Option<Instant> {
        self.op(id).filter(|op| !op.is_over).map(|op| due(op.retry, now))
    }

    /// An evicted or fetched batch that is over, each once. Until it is committed or ended it may
    /// still be asked about.
    pub fn poll_over(&mut self) -> Option<(OpId, OpKind)> {
        let is_news = |op: &&mut Op| op.is_over && !op.is_told;
        let at = self.ops.iter_mut().position(|op| op.as_mut().as_ref().is_some_and(is_news))?;
        let id = OpId(u16::try_from(at).ok()?);
        let op = self.op_mut(id)?;
        op.is_told = true;
        Some((id, op.kind))
    }

    fn horizon(&self, slot: Slot) -> Horizon {
        let next = RequestId(self.sequence.saturating_add(1) << OP_BITS);
        let storing = self.ops.iter().flatten().filter(|op| {
            op.is_storing()
                && op.lanes.iter().any(|lane| lane.holder == Some(slot) && lane.open != 0)
        });
        Horizon(storing.map(|op| op.request).min().unwrap_or(next).0)
    }

    fn transmit_of(&mut self, id: OpId) -> Option<Transmit> {
        let op = self.op(id)?;
        let at = op.lanes.iter().position(|lane| lane.unsent != 0)?;
        let lane = *op.lanes.get(at)?;
        let first = u8::try_from(lane.unsent.trailing_zeros()).ok()?;
        let slot = lane.holder.or_else(|| op.source(first));
        let mut items = Items::new();
        let (mut taken, mut room) = (0, LODGE_CONTENTS_LEN_MAX);
        for position in crate::lodge::positions(lane.unsent) {
            let is_there = lane.holder.is_some() || op.source(position) == slot;
            let entry_id = op.entry(position);
            let entry = entry_id.and_then(|id| self.entry(id));
            let (Some(entry_id), Some(entry)) = (entry_id, entry.filter(|_| is_there)) else {
                continue;
            };
            let seal = if op.is_storing() { entry.seal } else { Seal::NONE };
            let Some(left) = room.checked_sub(seal.len.into()) else {
                break;
            };
            (taken, room) = (taken | bit(position), left);
            let (status, entry_id) = (Status::Ask, entry_id.0);
            let generation = entry.generation;
            items.push(Item { position, status, entry: entry_id, seal, generation });
        }
        let kind = match op.kind {
            OpKind::Evict | OpKind::MendStore => Kind::LODGE_STORE,
            OpKind::Fetch | OpKind::MendRead => Kind::LODGE_FETCH,
            OpKind::Release => Kind::LODGE_RELEASE,
        };
        let request = op.request;
        // The task has its page, or this holder does not: what is left is nobody's fault.
        let is_first = items.iter().next().is_some_and(|item| item.position == 0);
        let mut flags = if is_first { op.flags } else { BatchFlags::empty() };
        flags.set(BatchFlags::AGAIN, op.is_reading() && op.retry.sendings() > 1);
        let lane = self.op_mut(id)?.lanes.get_mut(at)?;
        // What has no holder any more is not sent to anybody.
        lane.unsent &= if taken == 0 { 0 } else { !taken };
        let slot = slot.filter(|_| taken != 0)?;
        let to = self.lenders.get(slot)?.peer;
        let head = Batch { request, horizon: self.horizon(slot), count: items.len(), flags };
        Some(Transmit { to, body: Body::Batch { kind, op: id, head, items } })
    }

    /// As [`Self::handle_timeout`] and [`Self::poll_transmit`] for one batch alone: for whoever has
    /// just begun it and can't wait for the others. To be called until there is nothing more.
    pub fn poll_transmit_of(&mut self, now: Instant, id: OpId) -> Option<Transmit> {
        self.drive(now, id);
        while self.op(id).is_some_and(|op| op.lanes.iter().any(|lane| lane.unsent != 0)) {
            if let Some(transmit) = self.transmit_of(id) {
                return Some(transmit);
            }
        }
        None
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        if let Some(lender) = self.lenders.iter_mut().find(|lender| lender.ask_unsent) {
            lender.ask_unsent = false;
            if let Some((ask, _)) = lender.asked {
                return Some(Transmit { to: lender.peer, body: Body::Reserve(ask) });
            }
        }
        for id in self.op_ids() {
            while self.op(id).is_some_and(|op| op.lanes.iter().any(|lane| lane.unsent != 0)) {
                if let Some(transmit) = self.transmit_of(id) {
                    return Some(transmit);
                }
            }
        }
        None
    }
}
