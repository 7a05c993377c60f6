//! What is known of the other nodes: facts in one order, for the holder and the owner alike.
//!
//! ```text
//!  (nothing) ── up ──> Up <── up ── Silent        dead: of one incarnation, and final for it
//!                       └─ silent ──> ┘
//!        Up, Silent ── dead ──> Dead ── up, of another incarnation ──> Up
//! ```
//! `GivenUp` is a `Dead` that somebody said, and that may be heard of.
//!
//! A peer that was said to be dead and is heard of again was only cut off. Its pages are gone from
//! here and ours from it, as far as we are concerned: it stays dead to both until it restarts.

use alloc::vec::Vec;

use kapi::{lock_class, Mutex, Result};
use netproto::{limits::SLOT_COUNT, Slot};
use vm_remote::lodge::Peer;

use super::{holder, owner};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Up,
    Silent,
    Dead,
    GivenUp,
}

impl Life {
    fn is_over(self) -> bool {
        matches!(self, Self::Dead | Self::GivenUp)
    }
}

/// All of them, by slot.
pub(super) struct Peers(Mutex<Vec<Option<(Peer, Life)>>>);

impl Peers {
    pub(super) fn new() -> Result<Self> {
        let mut list = Vec::new();
        list.try_reserve_exact(usize::from(SLOT_COUNT))?;
        list.resize(usize::from(SLOT_COUNT), None);
        Ok(Self(Mutex::new(lock_class!(c"holon-lodge-peers"), list)?))
    }

    /// A session began.
    pub(super) fn up(&self, peer: Peer) {
        let mut list = self.0.lock();
        let place = &mut list[peer.slot.index()];
        if let Some((known, life)) = *place {
            if known == peer && life.is_over() {
                log::warn!("slot {}: was given up, and is heard of again", peer.slot);
                return;
            }
            if known != peer && !life.is_over() {
                tell_dead(known);
            }
        }
        *place = Some((peer, Life::Up));
        holder::peer_up(peer);
        owner::peer_up(peer);
    }

    /// A session ended, for now.
    pub(super) fn silent(&self, peer: Peer) {
        let mut list = self.0.lock();
        let place = &mut list[peer.slot.index()];
        if *place == Some((peer, Life::Up)) {
            *place = Some((peer, Life::Silent));
            holder::peer_silent(peer);
            owner::peer_silent(peer);
        }
    }

    /// It is certain that a peer is no more.
    pub(super) fn dead(&self, peer: Peer) {
        self.end(peer, Life::Dead);
    }

    /// A peer will never be listened to again. False if it was over before, or is not known.
    pub(super) fn give_up(&self, peer: Peer) -> bool {
        self.end(peer, Life::GivenUp)
    }

    fn end(&self, peer: Peer, how: Life) -> bool {
        let mut list = self.0.lock();
        let place = &mut list[peer.slot.index()];
        let is_known = place.is_some_and(|(known, life)| known == peer && !life.is_over());
        if is_known {
            *place = Some((peer, how));
            tell_dead(peer);
        }
        is_known
    }

    /// Whether this life of a node is over for good.
    pub(super) fn is_dead(&self, peer: Peer) -> bool {
        let life = self.0.lock()[peer.slot.index()];
        life.is_some_and(|(known, life)| known == peer && life.is_over())
    }

    /// The last life of a node, if that was given up.
    pub(super) fn given_up(&self, slot: Slot) -> Option<Peer> {
        self.0.lock()[slot.index()].filter(|(_, life)| *life == Life::GivenUp).map(|(peer, _)| peer)
    }

    /// Whether anybody is reached.
    pub(super) fn any_up(&self) -> bool {
        self.0.lock().iter().flatten().any(|(_, life)| *life == Life::Up)
    }

    /// Shows those that are reached to `begin`, in whose time no fact is told to anybody.
    pub(super) fn each_up<R>(&self, begin: impl FnOnce(&mut dyn Iterator<Item = Peer>) -> R) -> R {
        let list = self.0.lock();
        let mut up = list.iter().flatten().filter(|(_, life)| *life == Life::Up).map(|it| it.0);
        begin(&mut up)
    }

    /// The present or last life of a node.
    pub(super) fn of(&self, slot: Slot) -> Option<Peer> {
        self.0.lock()[slot.index()].map(|(peer, _)| peer)
    }
}

fn tell_dead(peer: Peer) {
    holder::peer_dead(peer);
    owner::peer_dead(peer);
}
