//! Pages: stored, read, released.

use netproto::msg::lodge::{Horizon, Item, Seal, Status};
use netproto::RequestId;

use crate::lodge::holder::state::Tenant;
use crate::lodge::holder::table::{Frame, Key, Record, State};
use crate::lodge::holder::Holder;
use crate::lodge::Peer;

/// Places of the table that may be looked at for each page that an owner names.
const PLACES_PER_PAGE: u32 = 1024;

/// What to do with a page that came with STORE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// Copy the content into the frame, then say [`Holder::stored`] with the seal of what is there.
    Into(Frame),
    /// Nothing; answer this.
    Answer(Status),
}

impl Holder {
    /// The owner's oldest STORE under way. Tombs of older ones are of no use any more.
    fn advance(&mut self, from: Peer, horizon: Horizon) {
        let Some(tenant) = self.known(from) else {
            return;
        };
        tenant.named = tenant.named.saturating_add(1);
        tenant.horizon = tenant.horizon.max(horizon);
        // Looking at the whole table is only worth it when tombs are many.
        if self.tombs > self.config.tombs / 2 {
            self.bury(from);
        }
    }

    /// Forgets an owner's tombs that are of no use any more: not again before its horizon has moved
    /// and it has named some pages, or it could keep this node busy with nothing else.
    fn bury(&mut self, from: Peer) {
        let pause = self.table.places() / PLACES_PER_PAGE;
        let is_due = |it: &&mut Tenant| it.horizon > it.buried && it.named >= pause;
        let Some(tenant) = self.known(from).filter(is_due) else {
            return;
        };
        (tenant.buried, tenant.named) = (tenant.horizon, 0);
        let (horizon, mut count) = (tenant.horizon, 0_u32);
        self.table.remove_all(|record| match record.state {
            State::Tomb if record.key.owner == from.slot && record.request <= horizon.0 => {
                count = count.saturating_add(1);
                true
            }
            State::Tomb | State::Held(_) | State::Filling(_) => false,
        });
        self.forget_tombs(from, count);
    }

    fn forget_tombs(&mut self, from: Peer, count: u32) {
        self.tombs = self.tombs.saturating_sub(count);
        if let Some(tenant) = self.known(from) {
            tenant.tombs = tenant.tombs.saturating_sub(count);
        }
    }

    /// A page came to be kept.
    pub fn store(
        &mut self,
        from: Peer,
        (request, horizon): (RequestId, Horizon),
        item: &Item,
    ) -> Store {
        self.advance(from, horizon);
        let Some(tenant) = self.known(from).copied() else {
            return Store::Answer(Status::NoRoom);
        };
        let key = Key { owner: from.slot, entry: item.entry };
        let known = self.table.get(key).copied();
        if let Some(record) = known {
            let is_same = record.generation == item.generation && record.seal == item.seal;
            match record.state {
                State::Held(_) if is_same => return Store::Answer(Status::Done),
                State::Filling(frame) if is_same => return Store::Into(frame),
                _ => (),
            }
        }
        // The same content may come to a holder again, if that was decided after its release.
        let is_old = known.is_some_and(|record| match record.state {
            State::Tomb => record.generation > item.generation || record.request >= request.0,
            State::Held(_) | State::Filling(_) => record.generation >= item.generation,
        });
        if is_old || request.0 < tenant.horizon.0 {
            self.stats.refused_stale = self.stats.refused_stale.saturating_add(1);
            return Store::Answer(Status::Stale);
        }
        let (frame, is_new) = match known.map(|record| record.state) {
            // A newer generation: the owner has no use for the old one, or it would not store.
            Some(State::Held(frame) | State::Filling(frame)) => (Some(frame), false),
            Some(State::Tomb) | None => {
                let has_room = tenant.held < tenant.limit;
                (if has_room { self.free.pop() } else { None }, true)
            }
        };
        let Some(frame) = frame else {
            self.stats.refused_no_room = self.stats.refused_no_room.saturating_add(1);
            return Store::Answer(Status::NoRoom);
        };
        let record = Record {
            key,
            generation: item.generation,
            request: request.0,
            seal: item.seal,
            state: State::Filling(frame),
        };
        // The table has room for every frame besides all tombs.
        self.table.put(record);
        if known.is_some_and(|record| record.state == State::Tomb) {
            self.forget_tombs(from, 1);
        }
        if let Some(tenant) = self.known(from).filter(|_| is_new) {
            tenant.held = tenant.held.saturating_add(1);
        }
        Store::Into(frame)
    }

    /// The content is in its frame, where `seal` is what it has now: the answer.
    pub fn stored(&mut self, from: Peer, item: &Item, seal: Seal) -> Status {
        let key = Key { owner: from.slot, entry: item.entry };
        let Some(record) = self.table.get_mut(key) else {
            return Status::Busy;
        };
        let State::Filling(frame) = record.state else {
            return Status::Busy;
        };
        if record.generation != item.generation {
            return Status::Busy;
        }
        if seal == record.seal {
            record.state = State::Held(frame);
            self.stats.stored = self.stats.stored.saturating_add(1);
            return Status::Done;
        }
        // Not kept: the owner sends it again.
        self.table.remove(key);
        self.free.push(frame);
        if let Some(tenant) = self.known(from) {
            tenant.held = tenant.held.saturating_sub(1);
        }
        self.stats.damaged = self.stats.damaged.saturating_add(1);
        Status::Damaged
    }

    /// A page is asked for: the frame to send and the seal that its content came with, or the
    /// answer.
    ///
    /// # Errors
    /// The answer.
    pub fn fetch(&mut self, from: Peer, item: &Item) -> Result<(Frame, Seal), Status> {
        if self.known(from).is_none() {
            return Err(Status::Gone);
        }
        let record = self.table.get(Key { owner: from.slot, entry: item.entry });
        match record.filter(|record| record.generation == item.generation) {
            Some(Record { state: State::Held(frame), seal, .. }) => {
                self.stats.read = self.stats.read.saturating_add(1);
                Ok((*frame, *seal))
            }
            Some(Record { state: State::Filling(_), .. }) => Err(Status::Busy),
            Some(Record { state: State::Tomb, .. }) | None => {
                self.stats.not_held = self.stats.not_held.saturating_add(1);
                Err(Status::Gone)
            }
        }
    }

    /// A page is not needed any more, nor any older content of it: the answer.
    pub fn release(
        &mut self,
        from: Peer,
        (request, horizon): (RequestId, Horizon),
        item: &Item,
    ) -> Status {
        self.advance(from, horizon);
        let Some(tenant) = self.known(from).copied() else {
            return Status::Busy;
        };
        let key = Key { owner: from.slot, entry: item.entry };
        let known = self.table.get(key).copied();
        let is_after = known.is_none_or(|record| {
            record.generation <= item.generation && record.request <= request.0
        });
        match known.map(|record| record.state) {
            // It is used anew, or stored again: this comes late.
            Some(_) if !is_after => Status::Done,
            // Released before, or it is a later use whose STORE has not come: that may come yet.
            Some(State::Tomb) => {
                if let Some(record) = self.table.get_mut(key) {
                    (record.generation, record.request) = (item.generation, request.0);
                }
                Status::Done
            }
            Some(State::Held(frame) | State::Filling(frame)) => {
                // While STOREs from before may be under way, it must be remembered.
                let is_remembered = request.0 > tenant.horizon.0;
                if is_remembered && !self.remember(from, key, item.generation, request) {
                    return Status::Busy;
                }
                if !is_remembered {
                    self.table.remove(key);
                }
                self.free.push(frame);
                if let Some(tenant) = self.known(from) {
                    tenant.held = tenant.held.saturating_sub(1);
                }
                self.stats.released = self.stats.released.saturating_add(1);
                Status::Done
            }
            None => {
                let is_remembered = request.0 > tenant.horizon.0;
                if is_remembered && !self.remember(from, key, item.generation, request) {
                    return Status::Busy;
                }
                Status::Done
            }
        }
    }

    fn remember(&mut self, from: Peer, key: Key, generation: u64, request: RequestId) -> bool {
        if !self.has_tomb_for(from) {
            self.bury(from);
        }
        if !self.has_tomb_for(from) {
            self.stats.busy = self.stats.busy.saturating_add(1);
            return false;
        }
        let (request, seal) = (request.0, Seal::NONE);
        let record = Record { key, generation, request, seal, state: State::Tomb };
        let is_put = self.table.put(record);
        self.tombs = self.tombs.saturating_add(u32::from(is_put));
        if let Some(tenant) = self.known(from).filter(|_| is_put) {
            tenant.tombs = tenant.tombs.saturating_add(1);
        }
        is_put
    }

    /// Nobody has more tombs than are free: an owner whose horizon stands still, for whatever
    /// reason, leaves room for the others, however many come (dynamic thresholds, as of buffers
    /// that the ports of a switch share).
    fn has_tomb_for(&self, owner: Peer) -> bool {
        let free = self.config.tombs.saturating_sub(self.tombs);
        self.tenant(owner.slot).is_some_and(|tenant| tenant.tombs < free)
    }
}
