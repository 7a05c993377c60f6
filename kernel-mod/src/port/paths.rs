//! How long a datagram to each peer may be: what the route takes, looked at again now and then.

use alloc::vec::Vec;
use core::{net::Ipv4Addr, time::Duration};

use netproto::{
    limits::{MTU_PAYLOAD_MAX, MTU_PAYLOAD_MIN},
    Slot,
};

use super::net::{Inner, Net};

/// How often the routes are looked at: the kernel learns of narrower ones from the routers' answers
/// at any time.
pub(super) const LOOK: Duration = Duration::from_secs(2);

/// What IP (version 4) and UDP put before a datagram.
const HEADERS_LEN: usize = 28;

/// By slot: the longest datagram by the route as it was last seen; 0: never looked.
pub(super) type Paths = Vec<u16>;

impl Net {
    /// Looks at the routes to all peers.
    pub(super) fn look_at_paths(&self, inner: &mut Inner) {
        for slot in Slot::all() {
            if let Some(line) = self.line(slot) {
                self.look_at_path(inner, slot, *line.address.ip());
            }
        }
    }

    /// Looks at the route to a peer. What the transport found out by itself is left alone for as
    /// long as the route stays what it was.
    pub(super) fn look_at_path(&self, inner: &mut Inner, slot: Slot, to: Ipv4Addr) {
        let Ok(route_mtu) = self.socket.route_mtu(to) else { return };
        let payload = u16::try_from(route_mtu.saturating_sub(HEADERS_LEN)).unwrap_or(u16::MAX);
        let payload_max = self.wire.payload_max.unwrap_or(u16::MAX);
        // On a path that is narrower than any may be, IP cuts what we send.
        let payload = payload.min(payload_max).clamp(MTU_PAYLOAD_MIN, MTU_PAYLOAD_MAX);
        let known = &mut inner.paths[slot.index()];
        if *known != payload && inner.transport.set_mtu(slot, payload).is_ok() {
            *known = payload;
            self.set_payload(slot, payload);
        }
    }
}
