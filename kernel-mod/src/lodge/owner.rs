//! The owner: this node's pages in other nodes' memory. All functions but [`load`], [`unload`] and
//! [`entries`] are called in process context and must not block; those about peers are called one
//! after the other.

use alloc::vec::Vec;

use kapi::{module::Unloading, sysctl::Entry, Result};
use netproto::{Class, Message, Slot};
use vm_remote::{
    latency::Histogram,
    lodge::{owner::Owner, Peer},
};

use super::stats;

pub(super) fn load() -> Result {
    Ok(())
}

pub(super) fn unload(_token: &Unloading) {}

/// Pages of ours that are elsewhere.
pub(super) fn held() -> u64 {
    0
}

/// GRANT, STORED, PAGES, RELEASED, HAND_BACK or OFFER, on the net's thread.
pub(super) fn message(_from: Peer, _message: &Message) {
    stats::REFUSED_MESSAGES.add(1);
}

/// Looks at the machine and the latencies of faults, if there is a machine. `look` is short and
/// does not sleep.
pub(super) fn peek<R>(_look: impl FnOnce(&Owner, &Histogram) -> R) -> Option<R> {
    None
}

/// Pages that faults waited for, and that came ahead of one.
pub(super) fn fetched() -> (u64, u64) {
    (0, 0)
}

/// A holder is reached.
pub(super) fn peer_up(_peer: Peer) {}

/// A holder is not heard of.
pub(super) fn peer_silent(_peer: Peer) {}

/// A holder is no more.
pub(super) fn peer_dead(_peer: Peer) {}

/// After a send was refused as busy there is room again.
pub(super) fn writable(_slot: Slot, _class: Class) {}

/// Counters and knobs.
pub(super) fn entries(_entries: &mut Vec<Entry>) -> Result {
    Ok(())
}
