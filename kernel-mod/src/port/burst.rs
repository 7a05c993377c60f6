//! Datagrams on their way out. Those of one length to one peer leave in one piece, so that the
//! kernel's network code is gone through once for all of them. What messages carry is copied once,
//! into the socket's buffer: until then it stays in the transport, or in the page that a message
//! refers to.

use alloc::vec::Vec;
use core::net::SocketAddrV4;

use kapi::{
    alloc::zeroed_vec,
    udp::{Scratch, UdpSocket, GATHERED_MAX},
    Errno, Result,
};
use netproto::{limits::DATAGRAM_LEN_MAX, transport::Transmit, wire::header::is_urgent, Slot};

use super::net::{now, Net, Transport};
use crate::control::stats;

/// What IP lets one burst have.
const BURST_LEN_MAX: usize = 65_000;
/// Datagrams in a burst; older kernels take no more.
const BURST_COUNT_MAX: usize = 64;
/// Where their heads are written: as a rule short ones, but any may be as long as a datagram.
const HEADS_LEN: usize = 4 * DATAGRAM_LEN_MAX;

const _: () = assert!(Transmit::PARTS_MAX <= GATHERED_MAX);

/// To whom, through which of both sockets, and of which length.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Kind {
    slot: Slot,
    is_urgent: bool,
    segment_len: usize,
}

/// Datagrams that are gathered.
pub(super) struct Burst {
    /// What was written for each, one behind the other.
    heads: Vec<u8>,
    heads_len: usize,
    datagrams: Vec<Transmit>,
    scratch: Scratch,
    kind: Option<Kind>,
    /// Bytes and parts of all.
    len: usize,
    parts: usize,
}

impl Burst {
    /// An empty one with all the memory that it will need but the kernel's own.
    pub(super) fn new() -> Result<Self> {
        let mut datagrams = Vec::new();
        datagrams.try_reserve_exact(BURST_COUNT_MAX)?;
        Ok(Self {
            heads: zeroed_vec(HEADS_LEN)?,
            heads_len: 0,
            datagrams,
            scratch: Scratch::new()?,
            kind: None,
            len: 0,
            parts: 0,
        })
    }

    /// Sends all that the transport wants sent.
    pub(super) fn drain(&mut self, net: &Net, transport: &mut Transport) {
        // Once for all: a clock may be as slow as a device.
        let now = now();
        loop {
            if self.heads.len() - self.heads_len < DATAGRAM_LEN_MAX {
                self.flush(net, transport);
            }
            let room = self.heads.get_mut(self.heads_len..).unwrap_or_default();
            let Some(next) = transport.poll_transmit(now, room) else {
                break;
            };
            let kind =
                Kind { slot: next.slot(), is_urgent: is_urgent(room), segment_len: next.len() };
            if !self.takes(kind, &next) {
                let start = self.heads_len;
                self.flush(net, transport);
                self.heads.copy_within(start..start + next.head_len(), 0);
            }
            self.add(kind, next);
            if self.is_full() {
                self.flush(net, transport);
            }
        }
        self.flush(net, transport);
    }

    fn takes(&self, next: Kind, datagram: &Transmit) -> bool {
        self.kind.is_none_or(|kind| {
            next.segment_len <= kind.segment_len
                && Kind { segment_len: kind.segment_len, ..next } == kind
                && self.len + next.segment_len <= BURST_LEN_MAX
                && self.parts + datagram.parts_count() <= GATHERED_MAX
        })
    }

    /// Adds the datagram that was written behind the others.
    fn add(&mut self, kind: Kind, datagram: Transmit) {
        self.kind.get_or_insert(kind);
        self.len += kind.segment_len;
        self.heads_len += datagram.head_len();
        self.parts += datagram.parts_count();
        self.datagrams.push(datagram);
    }

    fn is_full(&self) -> bool {
        let count = self.datagrams.len();
        // Only the last may be shorter.
        let is_last = self.kind.is_some_and(|kind| self.len < count * kind.segment_len);
        is_last || count == BURST_COUNT_MAX
    }

    fn flush(&mut self, net: &Net, transport: &Transport) {
        if let Some(kind) = self.kind.take() {
            self.send(net, transport, kind);
        }
        self.datagrams.clear();
        (self.heads_len, self.len, self.parts) = (0, 0, 0);
    }

    fn send(&mut self, net: &Net, transport: &Transport, kind: Kind) {
        let Some(line) = net.line(kind.slot) else { return };
        let (socket, to) = net.way(kind.is_urgent, line.address);
        let Self { heads, datagrams, scratch, .. } = self;
        if datagrams.len() > 1 {
            let parts = with_heads(heads, datagrams)
                .flat_map(|(datagram, head)| transport.parts(datagram, head));
            match burst((socket, to), scratch, parts, kind.segment_len) {
                Ok(()) => return stats::TX_BURSTS.add(1),
                // There is no room: alone they would not find any either.
                Err(Errno::EAGAIN) => return stats::TX_FAILED.add(1),
                Err(_) => (),
            }
        }
        for (datagram, head) in with_heads(heads, datagrams) {
            if socket.send_gathered(scratch, to, transport.parts(datagram, head)).is_err() {
                stats::TX_FAILED.add(1);
            }
        }
    }
}

/// Each datagram with what was written for it.
fn with_heads<'a>(
    mut heads: &'a [u8],
    datagrams: &'a [Transmit],
) -> impl Iterator<Item = (&'a Transmit, &'a [u8])> {
    datagrams.iter().map(move |datagram| {
        let (head, rest) = heads.split_at_checked(datagram.head_len()).unwrap_or_default();
        heads = rest;
        (datagram, head)
    })
}

fn burst<'a>(
    (socket, to): (&UdpSocket, SocketAddrV4),
    scratch: &mut Scratch,
    parts: impl Iterator<Item = &'a [u8]>,
    segment_len: usize,
) -> Result {
    let segment_len = u16::try_from(segment_len).map_err(|_| Errno::EMSGSIZE)?;
    socket.send_burst(scratch, to, parts, segment_len)
}
