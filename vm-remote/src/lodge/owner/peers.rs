//! What an owner knows of its holders, and how much it may lodge there.
//!
//! The owner names an absolute limit; the holder grants it or less. `used` counts every copy that
//! may be at the holder: from before its STORE is sent until its RELEASE is answered. So the holder
//! never has more than `used`, `used` is never above `limit`, and a STORE is never without room.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use netproto::limits::SLOT_COUNT;
use netproto::msg::lodge::Limit;
use netproto::{Duration, Incarnation, Instant, Slot};

use crate::lodge::Peer;
use crate::retry::{Policy, Retry, RoundTrip};

/// How a holder is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// It never was, or is no more.
    Dead,
    /// It answers.
    Up,
    /// It is not heard of; nobody has said that it is dead.
    Silent,
}

/// One holder.
#[derive(Debug, Clone, Copy)]
pub struct Lender {
    pub(super) peer: Peer,
    pub(super) link: Link,
    pub(super) limit: u32,
    pub(super) used: u32,
    /// As far as is known, what it could lend besides.
    pub(super) spare: u32,
    pub(super) sequence: u64,
    pub(super) asked: Option<(Limit, Retry)>,
    pub(super) ask_unsent: bool,
    pub(super) shed_until: Instant,
    pub(super) is_drained: bool,
    pub(super) trip: RoundTrip,
}

impl Lender {
    /// How it is reached.
    #[must_use]
    pub const fn link(&self) -> Link {
        self.link
    }

    /// How many pages may lodge there.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// How many copies are, or may be, there.
    #[must_use]
    pub const fn used(&self) -> u32 {
        self.used
    }

    /// What it could lend besides, as far as is known.
    #[must_use]
    pub const fn spare(&self) -> u32 {
        self.spare
    }

    /// How many more may be sent there.
    #[must_use]
    pub const fn unused(&self) -> u32 {
        self.limit.saturating_sub(self.used)
    }

    /// What may be sent there once what is being asked for is granted.
    pub(super) fn expected(&self) -> u32 {
        let limit = self.asked.map_or(self.limit, |(ask, _)| ask.limit.max(self.limit));
        limit.saturating_sub(self.used)
    }

    /// Whether it lends, or could.
    pub(super) fn has_any(&self) -> bool {
        self.spare > 0 || self.limit > 0
    }

    /// Whether it may get new pages now.
    pub(super) fn is_target(&self, now: Instant) -> bool {
        self.link == Link::Up && !self.is_drained && now >= self.shed_until
    }

    /// Asks for a limit. One question at a time.
    pub(super) fn ask(&mut self, now: Instant, limit: u32, policy: Policy) {
        if self.asked.is_some() || self.link != Link::Up {
            return;
        }
        self.sequence = self.sequence.saturating_add(1);
        let forever = Policy { give_up: Duration::from_ns(u64::MAX), ..policy };
        let question = Limit { sequence: self.sequence, limit, spare: 0 };
        // What is given back may not be used from now on, whenever the holder hears of it.
        self.limit = self.limit.min(limit);
        self.asked = Some((question, Retry::new(forever, now)));
    }

    pub(super) fn granted(&mut self, grant: &Limit) -> bool {
        let Some((question, _)) = self.asked else {
            return false;
        };
        if grant.sequence != question.sequence || grant.limit > question.limit {
            return false;
        }
        self.asked = None;
        self.ask_unsent = false;
        self.limit = grant.limit;
        self.spare = grant.spare;
        true
    }
}

/// All of them, by slot.
#[derive(Debug)]
pub(super) struct Lenders(Vec<Lender>);

impl Lenders {
    pub(super) fn new() -> Result<Self, TryReserveError> {
        let mut list = Vec::new();
        list.try_reserve_exact(usize::from(SLOT_COUNT))?;
        list.extend(Slot::all().map(|slot| Lender {
            peer: Peer { slot, incarnation: Incarnation::NONE },
            link: Link::Dead,
            limit: 0,
            used: 0,
            spare: 0,
            sequence: 0,
            asked: None,
            ask_unsent: false,
            shed_until: Instant::ZERO,
            is_drained: false,
            trip: RoundTrip::new(),
        }));
        Ok(Self(list))
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Lender> {
        self.0.get(slot.index())
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Lender> {
        self.0.get_mut(slot.index())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Lender> {
        self.0.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Lender> {
        self.0.iter_mut()
    }

    /// The peer if it is this one and not dead.
    pub(super) fn known(&mut self, peer: Peer) -> Option<&mut Lender> {
        let lender = self.get_mut(peer.slot)?;
        (lender.peer == peer && lender.link != Link::Dead).then_some(lender)
    }

    pub(super) fn is_up(&self, slot: Slot) -> bool {
        self.get(slot).is_some_and(|lender| lender.link == Link::Up)
    }

    /// Who may take `count` more pages and is none of `not`: the one with the most room.
    pub(super) fn best(
        &self,
        now: Instant,
        count: u32,
        not: impl Fn(Slot) -> bool,
    ) -> Option<Slot> {
        let fits = |lender: &&Lender| {
            lender.is_target(now) && lender.unused() >= count && !not(lender.peer.slot)
        };
        self.iter().filter(fits).max_by_key(|lender| lender.unused()).map(|lender| lender.peer.slot)
    }

    pub(super) fn take(&mut self, slot: Slot, count: u32) {
        if let Some(lender) = self.get_mut(slot) {
            lender.used = lender.used.saturating_add(count);
        }
    }

    pub(super) fn give(&mut self, slot: Slot, count: u32) {
        if let Some(lender) = self.get_mut(slot) {
            lender.used = lender.used.saturating_sub(count);
        }
    }
}
