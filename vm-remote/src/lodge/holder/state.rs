//! What a holder is made of.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use netproto::limits::SLOT_COUNT;
use netproto::msg::lodge::{HandBackReason, Horizon};
use netproto::{Duration, Incarnation, Instant, Slot};

use crate::lodge::holder::table::{Frame, State, Table};
use crate::lodge::Peer;

/// Sizes and times.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Frames that may be lent at most: the table is made for them.
    pub frames: u32,
    /// Released pages that are remembered at most, until their owners can't have STOREs of them
    /// under way any more. None of the owners gets them all.
    pub tombs: u32,
    /// Between two HAND_BACKs to one owner.
    pub hand_back_pause: Duration,
}

/// What has happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "named after what is counted, in pages unless said otherwise")]
pub struct Stats {
    pub stored: u64,
    pub read: u64,
    pub released: u64,
    /// Of owners that died.
    pub dropped: u64,
    pub refused_no_room: u64,
    pub refused_stale: u64,
    pub damaged: u64,
    pub not_held: u64,
    /// Releases that have to be repeated, for want of a place to remember them.
    pub busy: u64,
    /// Messages.
    pub hand_backs: u64,
    /// Messages of those who are no members.
    pub stray: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Tenant {
    pub(super) peer: Peer,
    pub(super) is_up: bool,
    pub(super) limit: u32,
    pub(super) held: u32,
    pub(super) tombs: u32,
    /// The horizon of the last look for tombs that are of no use, and pages named since.
    pub(super) buried: Horizon,
    pub(super) named: u32,
    pub(super) quota: u32,
    pub(super) sequence: u64,
    pub(super) horizon: Horizon,
    pub(super) hand_back_at: Instant,
}

/// All that lodges here.
#[derive(Debug)]
pub struct Holder {
    pub(super) config: Config,
    pub(super) table: Table,
    pub(super) tombs: u32,
    pub(super) free: Vec<Frame>,
    /// Frames that the driver has given.
    pub(super) frames: u32,
    pub(super) tenants: Vec<Tenant>,
    /// Frames that are to be left, if fewer than there are.
    pub(super) target: Option<(u32, HandBackReason)>,
    pub(super) stats: Stats,
}

impl Holder {
    /// Without frames.
    ///
    /// # Errors
    /// No memory.
    pub fn new(config: Config) -> Result<Self, TryReserveError> {
        let mut free = Vec::new();
        free.try_reserve_exact(usize::try_from(config.frames).unwrap_or(usize::MAX))?;
        let mut tenants = Vec::new();
        tenants.try_reserve_exact(usize::from(SLOT_COUNT))?;
        tenants.extend(Slot::all().map(|slot| Tenant {
            peer: Peer { slot, incarnation: Incarnation::NONE },
            is_up: false,
            limit: 0,
            held: 0,
            tombs: 0,
            buried: Horizon(0),
            named: 0,
            quota: u32::MAX,
            sequence: 0,
            horizon: Horizon(0),
            hand_back_at: Instant::ZERO,
        }));
        let table = Table::new(config.frames.saturating_add(config.tombs))?;
        let stats = Stats::default();
        Ok(Self { config, table, tombs: 0, free, frames: 0, tenants, target: None, stats })
    }

    pub(super) fn tenant(&self, slot: Slot) -> Option<&Tenant> {
        self.tenants.get(slot.index())
    }

    /// The owner, if it is this one.
    pub(super) fn known(&mut self, peer: Peer) -> Option<&mut Tenant> {
        let tenant = self.tenants.get_mut(peer.slot.index()).filter(|it| it.peer == peer);
        self.stats.stray = self.stats.stray.saturating_add(u64::from(tenant.is_none()));
        tenant
    }

    /// An owner is reached. If it has a new incarnation, all of the former one is freed.
    pub fn peer_up(&mut self, peer: Peer) {
        let Some(before) = self.tenant(peer.slot).map(|tenant| tenant.peer) else {
            return;
        };
        if before != peer {
            self.peer_dead(before);
        }
        if let Some(tenant) = self.tenants.get_mut(peer.slot.index()) {
            tenant.peer = peer;
            tenant.is_up = true;
        }
    }

    /// An owner is not heard of: what it has stays, for it may only be cut off.
    pub fn peer_silent(&mut self, peer: Peer) {
        if let Some(tenant) = self.known(peer) {
            tenant.is_up = false;
        }
    }

    /// It is certain that an owner is no more, or will never be listened to again: all that it has
    /// here is freed.
    pub fn peer_dead(&mut self, peer: Peer) {
        if self.known(peer).is_none() {
            return;
        }
        let (free, tombs, dropped) = (&mut self.free, &mut self.tombs, &mut self.stats.dropped);
        self.table.remove_all(|record| {
            let is_its = record.key.owner == peer.slot;
            match record.state {
                State::Filling(frame) | State::Held(frame) if is_its => {
                    free.push(frame);
                    *dropped = dropped.saturating_add(1);
                }
                State::Tomb if is_its => *tombs = tombs.saturating_sub(1),
                State::Filling(_) | State::Held(_) | State::Tomb => (),
            }
            is_its
        });
        if let Some(tenant) = self.tenants.get_mut(peer.slot.index()) {
            (tenant.limit, tenant.held, tenant.tombs, tenant.sequence) = (0, 0, 0, 0);
            (tenant.horizon, tenant.is_up) = (Horizon(0), false);
            (tenant.buried, tenant.named) = (Horizon(0), 0);
            tenant.peer.incarnation = Incarnation::NONE;
        }
    }

    /// Pages that are kept.
    #[must_use]
    pub fn held(&self) -> u32 {
        self.tenants.iter().fold(0, |sum, tenant| sum.saturating_add(tenant.held))
    }

    /// Pages that were promised room.
    #[must_use]
    pub fn promised(&self) -> u32 {
        self.tenants.iter().fold(0, |sum, tenant| sum.saturating_add(tenant.limit))
    }

    /// Frames that the driver has given.
    #[must_use]
    pub const fn frames(&self) -> u32 {
        self.frames
    }

    /// Released pages that are still remembered.
    #[must_use]
    pub const fn tombs(&self) -> u32 {
        self.tombs
    }

    /// What an owner has here, and may have.
    #[must_use]
    pub fn of(&self, slot: Slot) -> (u32, u32) {
        self.tenant(slot).map_or((0, 0), |tenant| (tenant.held, tenant.limit))
    }

    /// The frames that have an owner's pages.
    pub fn frames_of(&self, slot: Slot) -> impl Iterator<Item = Frame> + '_ {
        self.table.iter().filter_map(move |record| match record.state {
            State::Held(frame) if record.key.owner == slot => Some(frame),
            State::Held(_) | State::Filling(_) | State::Tomb => None,
        })
    }

    /// What has happened so far.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }
}
