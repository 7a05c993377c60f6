//! Messages out: only to the very life of a node that they are for.

use netproto::{Class, Kind, SendError};
use vm_remote::lodge::Peer;

use super::stats;
use crate::port::net;

/// Sends, if that incarnation is up now; else `Down`. Nothing is repeated from here: what an owner
/// asks for it asks for again, and what a holder answers is asked for again.
pub(super) fn send(to: Peer, class: Class, kind: Kind, parts: &[&[u8]]) -> Result<(), SendError> {
    let sent = net::send_to(to.slot, to.incarnation, class, kind, parts);
    match sent {
        Ok(()) => {}
        Err(SendError::Busy) => stats::SEND_BUSY.add(1),
        Err(_) => stats::SEND_FAILED.add(1),
    }
    sent
}
