//! The page datagrams of the fault path: one request or one page each, stateless.
//!
//! A fault must not wait for the transport's lock. So nothing here needs a
//! [`crate::Transport`]: the caller keeps the [`Addresses`] of each peer that is up (from
//! [`crate::Event::Up`]) and repeats requests itself, by request id.
//!
//! A datagram's checksum covers the page's head but not its content, which has a checksum of its
//! own in the head: it is made once where the page is read and checked once where it is installed.

use crate::error::DatagramError;
use crate::id::{Incarnation, Slot};
use crate::limits::{HEADER_LEN, PAGE_HEAD_LEN, PAGE_LEN};
use crate::msg::page::{PageData, PageGet, PageStatus};
use crate::wire::checksum::{checksum, ChecksumFn};
use crate::wire::header::{DatagramKind, Header, MAGIC, VERSION};

/// Length of a page datagram without a page's content.
pub const DATAGRAM_HEAD_LEN: usize = HEADER_LEN + PAGE_HEAD_LEN;

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
    /// For [`decode`].
    Page,
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
    if [*m0, *m1, *m2, *m3] != MAGIC || *version != VERSION || datagram.len() < HEADER_LEN {
        return Path::Bad;
    }
    match DatagramKind::from_number(*kind) {
        Some(DatagramKind::PageGet | DatagramKind::PageData) => Path::Page,
        Some(DatagramKind::Hello | DatagramKind::Link | DatagramKind::Bye) => Path::Link,
        None => Path::Bad,
    }
}

fn encode(
    kind: DatagramKind,
    addresses: &Addresses,
    packet: u64,
    head: &[u8; PAGE_HEAD_LEN],
    content_len: usize,
    update: ChecksumFn,
) -> [u8; DATAGRAM_HEAD_LEN] {
    let mut datagram = [0; DATAGRAM_HEAD_LEN];
    if let Some(place) = datagram.last_chunk_mut::<PAGE_HEAD_LEN>() {
        *place = *head;
    }
    let header = Header {
        kind,
        source: addresses.source,
        destination: addresses.destination,
        source_incarnation: addresses.source_incarnation,
        destination_incarnation: addresses.destination_incarnation,
        source_session: 0,
        destination_session: 0,
        packet,
    };
    // Can't fail: the buffer holds header and head, and the lengths are constants.
    let encoded = header.encode(&mut datagram, PAGE_HEAD_LEN.saturating_add(content_len), update);
    debug_assert!(encoded.is_ok());
    datagram
}

/// A whole request datagram.
#[must_use]
pub fn encode_get(
    addresses: &Addresses,
    get: &PageGet,
    update: ChecksumFn,
) -> [u8; DATAGRAM_HEAD_LEN] {
    encode(DatagramKind::PageGet, addresses, get.request.0, &get.encode(), 0, update)
}

/// The front of a reply datagram. With [`PageStatus::Data`] the caller sends the page's
/// [`PAGE_LEN`] bytes right behind it (as a second piece of the same datagram).
#[must_use]
pub fn encode_data(
    addresses: &Addresses,
    data: &PageData,
    update: ChecksumFn,
) -> [u8; DATAGRAM_HEAD_LEN] {
    let content_len = match data.status {
        PageStatus::Data => PAGE_LEN,
        PageStatus::Zero | PageStatus::Gone | PageStatus::Busy => 0,
    };
    encode(DatagramKind::PageData, addresses, data.request.0, &data.encode(), content_len, update)
}

/// The checksum of a page's content, for [`PageData::page_crc`].
#[must_use]
pub fn content_checksum(content: &[u8], update: ChecksumFn) -> u32 {
    checksum(update, &[content])
}

/// A checked page datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageDatagram<'a> {
    /// A request.
    Get(PageGet),
    /// A reply; the content is [`PAGE_LEN`] bytes with [`PageStatus::Data`], else nothing.
    Data(PageData, &'a [u8]),
}

/// Checks a page datagram completely: form, checksums (the content's too) and values.
///
/// Who it is from and for is in the header: the caller compares slots and incarnations with its
/// own and its peers' by [`check_addresses`].
///
/// # Errors
/// The first check that fails; [`DatagramError::WrongPath`] for a link's datagram.
pub fn decode(
    datagram: &[u8],
    update: ChecksumFn,
) -> Result<(Header, PageDatagram<'_>), DatagramError> {
    let (header, body) = Header::decode(datagram, update)?;
    let page = match header.kind {
        DatagramKind::PageGet => {
            PageDatagram::Get(PageGet::decode(body).map_err(|_| DatagramError::Malformed)?)
        }
        DatagramKind::PageData => {
            let (data, content) = PageData::decode(body).map_err(|_| DatagramError::Malformed)?;
            let whole = data.status != PageStatus::Data
                || content_checksum(content, update) == data.page_crc;
            if !whole {
                return Err(DatagramError::BadChecksum);
            }
            PageDatagram::Data(data, content)
        }
        DatagramKind::Hello | DatagramKind::Link | DatagramKind::Bye => {
            return Err(DatagramError::WrongPath);
        }
    };
    if header.destination_incarnation.is_none()
        || header.source_session != 0
        || header.destination_session != 0
    {
        return Err(DatagramError::BadField);
    }
    Ok((header, page))
}

/// Whether a datagram came from the peer that `ours` addresses, and is for this node's present
/// life.
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
    if header.destination_incarnation != ours.source_incarnation
        || header.source_incarnation != ours.destination_incarnation
    {
        return Err(DatagramError::StaleIncarnation);
    }
    Ok(())
}
