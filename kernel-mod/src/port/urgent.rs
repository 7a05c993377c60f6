//! What a task waits for: requests and answers as datagrams of their own, outside of the links, and
//! taken where they are received. So between the faulting task and whoever reads the page for it no
//! other thread has to be woken.

use kapi::{
    module::Unloading,
    udp::{self, Packet, Scratch},
    Errno, Global, Result,
};
use netproto::{
    limits::PAGE_LEN,
    msg::{
        lodge::{LodgeGet, Seal},
        page::PageGet,
    },
    page::{self, Addresses, Get, Path, GET_DATAGRAM_LEN},
    piece::{self, Part, Piece, Subject, FRONT_LEN},
    wire::Header,
    DatagramError, Incarnation, RequestId, Slot,
};

use super::net::{self, urgent_of, Line, Net};
use crate::control::stats;

/// A part of a page, where it was received.
pub(crate) struct Content<'a>(&'a Packet<'a>);

impl Content<'_> {
    /// Copies it: `out` is as long as the part. False if that failed.
    pub(crate) fn copy(&self, out: &mut [u8]) -> bool {
        self.0.copy(FRONT_LEN, out)
    }
}

/// Who takes good requests and answers. In softirq context: must not sleep.
pub(crate) struct Takers {
    /// Pages of a space are wanted.
    pub(crate) page_get: fn(Slot, PageGet),
    /// A part of a page of a space came, or word of it.
    pub(crate) space_piece: fn(Slot, &Piece, &Content<'_>),
    /// A lodged page is wanted, by this life of its owner.
    pub(crate) lodge_get: fn((Slot, Incarnation), LodgeGet),
    /// A part of a lodged page came from this life of its holder, or word of it.
    pub(crate) lodge_piece: fn((Slot, Incarnation), &Piece, &Content<'_>),
}

static TAKERS: Global<&'static Takers> = Global::new();

/// Names them; once, at load.
pub(crate) fn set_takers(takers: &'static Takers) -> Result {
    TAKERS.set(takers)?;
    udp::set_inlet(take)
}

pub(super) fn clear(token: &Unloading) {
    udp::clear_inlet(token);
    TAKERS.clear(token);
}

/// What somebody waits for, to be sent.
pub(crate) struct Answer<'a> {
    /// The request.
    pub(crate) request: RequestId,
    /// The page, and what is said of it.
    pub(crate) subject: Subject,
    /// Of the content; none if there is none.
    pub(crate) seal: Seal,
    /// The request was repeated: short datagrams are more likely to get through.
    pub(crate) again: bool,
    /// What the seal is of, or nothing.
    pub(crate) content: &'a [u8],
}

fn up(slot: Slot) -> Result<(&'static Net, Line, Addresses)> {
    let net = net::get().ok_or(Errno::ENOTCONN)?;
    let line = net.line(slot).ok_or(Errno::ENOENT)?;
    let addresses = line.up.ok_or(Errno::EHOSTDOWN)?;
    Ok((net, line, addresses))
}

/// Asks a peer for pages. Takes no lock that can be held long, allocates nothing of ours, never
/// waits. The request may be lost: repeat it, under the same number.
pub(crate) fn send_get(slot: Slot, get: &Get) -> Result {
    let (net, line, addresses) = up(slot)?;
    let datagram = page::encode_get(&addresses, get);
    stats::TX_PAGE.add(1);
    net.send_datagram(true, line.address, &[&datagram]);
    Ok(())
}

/// Answers. Takes no lock that can be held long, allocates nothing of ours, never waits. The answer
/// may be lost: then it is asked for again.
pub(crate) fn send_answer(slot: Slot, answer: &Answer<'_>, scratch: &mut Scratch) -> Result {
    let (net, line, addresses) = up(slot)?;
    let front = |part| {
        let &Answer { request, subject, seal, .. } = answer;
        piece::encode(&addresses, &Piece { request, subject, seal, part })
    };
    stats::TX_PAGE.add(1);
    let len = answer.content.len();
    if len == 0 || len > PAGE_LEN {
        net.send_datagram(true, line.address, &[&front(Part::NONE)]);
        return Ok(());
    }
    let payload = if answer.again { 0 } else { usize::from(line.payload) };
    let mut fronts = [[0; FRONT_LEN]; PARTS_MAX];
    let mut parts: [&[u8]; 2 * PARTS_MAX] = [&[]; 2 * PARTS_MAX];
    let mut count = 0;
    for (place, part) in fronts.iter_mut().zip(Part::all(len, payload)) {
        *place = front(part);
        count += 1;
    }
    let all = Part::all(len, payload);
    for ((pair, front), part) in parts.chunks_exact_mut(2).zip(&fronts).zip(all) {
        pair[0] = front;
        pair[1] = answer.content.get(part.range(len)).unwrap_or_default();
    }
    send_parts(net, &line, &parts[..2 * count], scratch);
    Ok(())
}

const PARTS_MAX: usize = netproto::limits::PARTS_MAX;

const _: () = assert!(2 * PARTS_MAX <= udp::PARTS_MAX);

/// In one piece if the way takes that: the kernel's network code is gone through once.
fn send_parts(net: &Net, line: &Line, parts: &[&[u8]], scratch: &mut Scratch) {
    let segment_len: usize = parts.iter().take(2).map(|part| part.len()).sum();
    if let Ok(segment_len) = u16::try_from(segment_len) {
        let (socket, to) = net.way(true, line.address);
        if parts.len() > 2
            && socket.send_burst(scratch, to, parts.iter().copied(), segment_len).is_ok()
        {
            return stats::TX_BURSTS.add(1);
        }
    }
    for datagram in parts.chunks(2) {
        net.send_datagram(true, line.address, datagram);
    }
}

/// The inlet: true for what is ours here, good or not.
fn take(packet: &Packet<'_>) -> bool {
    let (Some(net), Some(takers)) = (net::get(), TAKERS.get()) else { return false };
    let mut bytes = [0; GET_DATAGRAM_LEN];
    let bytes = &mut bytes[..packet.len().min(GET_DATAGRAM_LEN)];
    if !packet.copy(0, bytes) {
        return false;
    }
    let taken = match page::classify(bytes) {
        Path::Get => take_get(net, takers, packet, bytes),
        Path::Piece => take_piece(net, takers, packet, bytes),
        Path::Link | Path::Bad => return false,
    };
    match taken {
        Ok(()) => stats::RX_PAGE.add(1),
        Err(error) => {
            stats::RX_PAGE_BAD.add(1);
            log::debug!("datagram about a page refused: {error}");
        }
    }
    true
}

type Taken = core::result::Result<(), DatagramError>;

fn take_get(net: &Net, takers: &Takers, packet: &Packet<'_>, bytes: &[u8]) -> Taken {
    if packet.len() != bytes.len() {
        return Err(DatagramError::TooLong);
    }
    let (header, get) = page::decode_get(bytes)?;
    let from = sender(net, packet, &header)?;
    match get {
        Get::Page(get) => (takers.page_get)(from.0, get),
        Get::Lodge(get) => (takers.lodge_get)(from, get),
    }
    Ok(())
}

fn take_piece(net: &Net, takers: &Takers, packet: &Packet<'_>, bytes: &[u8]) -> Taken {
    let front = bytes.first_chunk().ok_or(DatagramError::TooShort)?;
    let content_len = packet.len().saturating_sub(FRONT_LEN);
    let (header, piece) = piece::decode(front, content_len)?;
    let from = sender(net, packet, &header)?;
    match piece.subject {
        Subject::Space { .. } => (takers.space_piece)(from.0, &piece, &Content(packet)),
        Subject::Lodged { .. } => (takers.lodge_piece)(from, &piece, &Content(packet)),
    }
    Ok(())
}

/// Who sent it, in a session that lasts.
fn sender(
    net: &Net,
    packet: &Packet<'_>,
    header: &Header,
) -> core::result::Result<(Slot, Incarnation), DatagramError> {
    let line = net.line(header.source).ok_or(DatagramError::UnknownPeer)?;
    if packet.from() != urgent_of(line.address) && packet.from() != line.address {
        stats::RX_WRONG_ADDRESS.add(1);
        return Err(DatagramError::UnknownPeer);
    }
    let ours = line.up.ok_or(DatagramError::StaleIncarnation)?;
    page::check_addresses(header, &ours)?;
    Ok((header.source, ours.destination_incarnation))
}
