//! Pages on the wire: a request is a datagram of its own.
//!
//! A fault must not wait for the transport's lock. So a request needs no [`crate::Transport`]: the
//! caller keeps the [`Addresses`] of each peer that is up (from [`crate::Event::Up`]), sends
//! [`encode_get`]'s datagram itself, and repeats it by request id. What a task waits for is
//! answered the same way ([`crate::piece`]). Other replies are messages of kind
//! [`Kind::PAGE_DATA`] ([`crate::Transport::send_pages`]): fragmented to the path, paced, repeated
//! when lost, and in no order with any other.

use crate::error::{DatagramError, DecodeError};
use crate::id::{Incarnation, RequestId, Slot};
use crate::limits::{HEADER_LEN, LINK_HEADER_LEN, PAGE_HEAD_LEN};
use crate::msg::lodge::LodgeGet;
use crate::msg::page::{PageData, PageGet, PageStatus};
#[cfg(doc)]
use crate::msg::{page::HeldPage, Kind};
use crate::wire::checksum;
use crate::wire::header::{tag, DatagramKind, Header, Lives, MAGIC, VERSION};

/// Length of a request's datagram.
pub const GET_DATAGRAM_LEN: usize = HEADER_LEN + PAGE_HEAD_LEN;

/// From whom to whom, for sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// Own slot.
    pub source: Slot,
    /// Own incarnation.
    pub source_incarnation: Incarnation,
    /// The peer.
    pub destination: Slot,
    /// The peer's incarnation as in [`crate::Event::Up`].
    pub destination_incarnation: Incarnation,
}

/// Which path a datagram belongs on, by its first bytes only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// For [`decode_get`].
    Get,
    /// For [`crate::piece::decode`].
    Piece,
    /// For [`crate::Transport::handle_datagram`].
    Link,
    /// For nobody; the transport counts it when given to it.
    Bad,
}

/// Looks which path a datagram belongs on. Checks nothing but the magic, version and kind.
#[must_use]
pub fn classify(datagram: &[u8]) -> Path {
    let Some(([m0, m1, m2, m3, version, kind], _)) = datagram.split_first_chunk::<6>() else {
        return Path::Bad;
    };
    let is_ours = [*m0, *m1, *m2, *m3] == MAGIC && *version == VERSION;
    if !is_ours || datagram.len() < LINK_HEADER_LEN {
        return Path::Bad;
    }
    match DatagramKind::from_number(*kind) {
        Some(DatagramKind::PageGet | DatagramKind::LodgeGet) => Path::Get,
        Some(DatagramKind::Piece) => Path::Piece,
        Some(DatagramKind::Hello | DatagramKind::Link | DatagramKind::Bye) => Path::Link,
        None => Path::Bad,
    }
}

/// A request for pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Get {
    /// For pages of a space.
    Page(PageGet),
    /// For a lodged page that a task waits for.
    Lodge(LodgeGet),
}

impl Get {
    const fn request(&self) -> RequestId {
        match self {
            Self::Page(get) => get.request,
            Self::Lodge(get) => get.request,
        }
    }
}

/// A whole request datagram.
#[must_use]
pub fn encode_get(addresses: &Addresses, get: &Get) -> [u8; GET_DATAGRAM_LEN] {
    let mut datagram = [0; GET_DATAGRAM_LEN];
    let (kind, head) = match get {
        Get::Page(get) => (DatagramKind::PageGet, get.encode()),
        Get::Lodge(get) => (DatagramKind::LodgeGet, get.encode()),
    };
    if let Some(place) = datagram.last_chunk_mut::<PAGE_HEAD_LEN>() {
        *place = head;
    }
    let header = Header {
        kind,
        source: addresses.source,
        destination: addresses.destination,
        lives: Lives::Named {
            source: addresses.source_incarnation,
            destination: addresses.destination_incarnation,
        },
        source_session: 0,
        destination_session: 0,
        packet: get.request().0,
        is_urgent: true,
    };
    // Can't fail: the buffer holds header and head, and the lengths are constants.
    let encoded = header.encode(&mut datagram);
    debug_assert!(encoded.is_ok());
    datagram
}

/// Checks a request's datagram completely: form, checksum and values.
///
/// Who it is from and for is in the header: the caller compares slots and incarnations with its
/// own and its peers' by [`check_addresses`].
///
/// # Errors
/// The first check that fails; [`DatagramError::WrongPath`] for any other datagram.
pub fn decode_get(datagram: &[u8]) -> Result<(Header, Get), DatagramError> {
    let (header, body) = Header::decode(datagram)?;
    let get = match header.kind {
        DatagramKind::PageGet => PageGet::decode(body).map(Get::Page),
        DatagramKind::LodgeGet => LodgeGet::decode(body).map(Get::Lodge),
        _ => return Err(DatagramError::WrongPath),
    };
    let get = get.map_err(|_| DatagramError::Malformed)?;
    let is_for_nobody =
        matches!(header.lives, Lives::Named { destination, .. } if destination.is_none());
    if is_for_nobody
        || header.source_session != 0
        || header.destination_session != 0
        || header.packet != get.request().0
    {
        return Err(DatagramError::BadField);
    }
    Ok((header, get))
}

/// Whether a request or piece came from the peer that `ours` addresses, and is for the present
/// life of this node.
///
/// # Errors
/// [`DatagramError::NotForUs`], [`DatagramError::UnknownPeer`] or
/// [`DatagramError::StaleIncarnation`].
pub fn check_addresses(header: &Header, ours: &Addresses) -> Result<(), DatagramError> {
    if header.destination != ours.source {
        return Err(DatagramError::NotForUs);
    }
    if header.source != ours.destination {
        return Err(DatagramError::UnknownPeer);
    }
    let (source, destination) = (ours.destination_incarnation, ours.source_incarnation);
    let expected = match header.lives {
        Lives::Named { .. } => Lives::Named { source, destination },
        Lives::Tag(_) => Lives::Tag(tag(source, destination)),
    };
    if header.lives != expected {
        return Err(DatagramError::StaleIncarnation);
    }
    Ok(())
}

/// Checks the first page of a [`Kind::PAGE_DATA`] message's payload: form, values and the content's
/// own checksum. The content is a whole page with [`PageStatus::Data`], a [`HeldPage`] with
/// [`PageStatus::Held`], else nothing. Gives what follows it: nothing after the last page.
///
/// # Errors
/// The first check that fails.
pub fn decode_data(payload: &[u8]) -> Result<Taken<'_>, DecodeError> {
    let (data, content, rest) = PageData::decode_first(payload)?;
    let is_whole = data.status != PageStatus::Data || checksum(&[content]) == data.page_sum;
    if !is_whole {
        return Err(DecodeError::value("page_sum"));
    }
    Ok((data, content, rest))
}

/// A page's head and content, and the pages behind it.
pub type Taken<'a> = (PageData, &'a [u8], &'a [u8]);
