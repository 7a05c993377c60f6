//! The holder: other nodes' pages in this node's memory.

use alloc::vec::Vec;

use kapi::{module::Unloading, sysctl::Entry, Result};
use netproto::{Class, Message, Slot};
use vm_remote::lodge::Peer;

use super::stats;

pub(super) fn load() -> Result {
    Ok(())
}

pub(super) fn unload(_token: &Unloading) {}

/// Pages of others that are here.
pub(super) fn held() -> u64 {
    0
}

/// RESERVE, STORE, FETCH or RELEASE.
pub(super) fn message(_from: Peer, _message: &Message) {
    stats::REFUSED_MESSAGES.add(1);
}

pub(super) fn peer_up(_peer: Peer) {}

pub(super) fn peer_silent(_peer: Peer) {}

pub(super) fn peer_dead(_peer: Peer) {}

pub(super) fn writable(_slot: Slot, _class: Class) {}

/// Counters and knobs.
pub(super) fn entries(_entries: &mut Vec<Entry>) -> Result {
    Ok(())
}
