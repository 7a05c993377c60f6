//! Datagrams on their way out. Those of one length to one peer leave in one piece, so that the
//! kernel's network code is gone through once for all of them.

use alloc::vec::Vec;
use core::net::SocketAddrV4;

use kapi::{
    alloc::zeroed_vec,
    udp::{Scratch, UdpSocket},
    Errno, Result,
};
use netproto::{limits::DATAGRAM_LEN_MAX, wire::header::is_urgent, Slot, Transport};

use super::net::{now, Net};
use crate::control::stats;

/// What IP lets one burst have.
const BURST_LEN_MAX: usize = 65_000;
/// Datagrams in a burst; older kernels take no more.
const BURST_COUNT_MAX: usize = 64;

/// To whom, through which of both sockets, and of which length.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Kind {
    slot: Slot,
    is_urgent: bool,
    segment_len: usize,
}

/// Datagrams that are gathered.
pub(super) struct Burst {
    buffer: Vec<u8>,
    scratch: Scratch,
    kind: Option<Kind>,
    len: usize,
}

impl Burst {
    /// An empty one with all the memory that it will need but the kernel's own.
    pub(super) fn new() -> Result<Self> {
        let buffer = zeroed_vec(BURST_LEN_MAX)?;
        Ok(Self { buffer, scratch: Scratch::new()?, kind: None, len: 0 })
    }

    /// Sends all that the transport wants sent.
    pub(super) fn drain(&mut self, net: &Net, transport: &mut Transport) {
        // Once for all: a clock may be as slow as a device.
        let now = now();
        loop {
            if self.buffer.len() - self.len < DATAGRAM_LEN_MAX {
                self.flush(net);
            }
            let room = self.buffer.get_mut(self.len..).unwrap_or_default();
            let Some((slot, len)) = transport.poll_transmit(now, room) else {
                break;
            };
            let kind = Kind { slot, is_urgent: is_urgent(room), segment_len: len };
            if !self.takes(kind) {
                let start = self.len;
                self.flush(net);
                self.buffer.copy_within(start..start + len, 0);
            }
            self.add(net, kind);
        }
        self.flush(net);
    }

    fn takes(&self, next: Kind) -> bool {
        self.kind.is_none_or(|kind| {
            next.segment_len <= kind.segment_len
                && Kind { segment_len: kind.segment_len, ..next } == kind
        })
    }

    /// Notes the datagram that was written behind the others.
    fn add(&mut self, net: &Net, kind: Kind) {
        let first = *self.kind.get_or_insert(kind);
        self.len += kind.segment_len;
        // Only the last may be shorter.
        let is_last =
            kind.segment_len < first.segment_len || self.len >= BURST_COUNT_MAX * first.segment_len;
        if is_last {
            self.flush(net);
        }
    }

    fn flush(&mut self, net: &Net) {
        let len = core::mem::take(&mut self.len);
        let Some(kind) = self.kind.take() else { return };
        let Some(line) = net.line(kind.slot) else { return };
        let data = self.buffer.get(..len).unwrap_or_default();
        if len > kind.segment_len {
            let way = net.way(kind.is_urgent, line.address);
            match burst(way, &mut self.scratch, data, kind.segment_len) {
                Ok(()) => return stats::TX_BURSTS.add(1),
                // There is no room: alone they would not find any either.
                Err(Errno::EAGAIN) => return stats::TX_FAILED.add(1),
                Err(_) => (),
            }
        }
        for datagram in data.chunks(kind.segment_len) {
            net.send_datagram(kind.is_urgent, line.address, &[datagram]);
        }
    }
}

fn burst(
    (socket, to): (&UdpSocket, SocketAddrV4),
    scratch: &mut Scratch,
    data: &[u8],
    segment_len: usize,
) -> Result {
    let segment_len = u16::try_from(segment_len).map_err(|_| Errno::EMSGSIZE)?;
    socket.send_burst(scratch, to, &[data], segment_len)
}
