//! The header that every datagram starts with, and the checks that come before all others.
//!
//! ```text
//!  0 magic "HOLN"   4 version   5 kind   6 source slot   7 destination slot
//!  8 source incarnation (16)            24 destination incarnation (16, zero: not known yet)
//! 40 source session (4)                 44 destination session (4)
//! 48 packet number (8)                  56 body length (2)   58 zero (2)   60 CRC-32C (4)
//! ```
//! Little endian. The checksum covers the header before it and then the body; of a page reply only
//! the body's head, for the page itself has a checksum of its own in there.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::error::DatagramError;
use crate::id::{Incarnation, Slot};
use crate::limits::{DATAGRAM_LEN_MAX, HEADER_LEN, PAGE_HEAD_LEN};
use crate::wire::checksum::{checksum, ChecksumFn};
use crate::wire::writer::Full;

/// The first four bytes of every datagram.
pub const MAGIC: [u8; 4] = *b"HOLN";

/// The protocol's version. Datagrams of another one are refused.
pub const VERSION: u8 = 1;

/// Where in the header the checksum is.
const CHECKSUM_OFFSET: usize = HEADER_LEN - 4;

/// What a datagram is. Numbers are only ever added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatagramKind {
    /// Handshake: opens a session.
    Hello,
    /// Frames of an open session.
    Link,
    /// The sender leaves: ends the session at once.
    Bye,
    /// Asks for pages; outside of any session.
    PageGet,
    /// A page, or why there is none; outside of any session.
    PageData,
}

impl DatagramKind {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Hello => 1,
            Self::Link => 2,
            Self::Bye => 3,
            Self::PageGet => 4,
            Self::PageData => 5,
        }
    }

    /// The kind with this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Hello),
            2 => Some(Self::Link),
            3 => Some(Self::Bye),
            4 => Some(Self::PageGet),
            5 => Some(Self::PageData),
            _ => None,
        }
    }
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct RawHeader {
    magic: [u8; 4],
    version: u8,
    kind: u8,
    source: u8,
    destination: u8,
    source_incarnation: [u8; 16],
    destination_incarnation: [u8; 16],
    source_session: U32,
    destination_session: U32,
    packet: U64,
    body_len: U16,
    zero: U16,
    checksum: U32,
}

const _: () = assert!(size_of::<RawHeader>() == HEADER_LEN);

/// A checked header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the body is.
    pub kind: DatagramKind,
    /// The sender.
    pub source: Slot,
    /// The receiver.
    pub destination: Slot,
    /// The sender's incarnation, never none.
    pub source_incarnation: Incarnation,
    /// The receiver's incarnation as the sender knows it; none in a first hello.
    pub destination_incarnation: Incarnation,
    /// The sender's session number; zero in page datagrams.
    pub source_session: u32,
    /// The receiver's session number as the sender knows it; zero if it does not.
    pub destination_session: u32,
    /// Grows with each datagram of a session; the request id in page datagrams.
    pub packet: u64,
}

impl Header {
    /// Checks a datagram's header and checksum and gives the header and the body.
    ///
    /// # Errors
    /// The first check that fails, in the order of [`DatagramError`].
    pub fn decode(datagram: &[u8], update: ChecksumFn) -> Result<(Self, &[u8]), DatagramError> {
        if datagram.len() > DATAGRAM_LEN_MAX {
            return Err(DatagramError::TooLong);
        }
        let (raw, body) =
            RawHeader::ref_from_prefix(datagram).map_err(|_| DatagramError::TooShort)?;
        if raw.magic != MAGIC {
            return Err(DatagramError::BadMagic);
        }
        if raw.version != VERSION {
            return Err(DatagramError::BadVersion);
        }
        if usize::from(raw.body_len.get()) != body.len() {
            return Err(DatagramError::BadLength);
        }
        if checksum_of(datagram, update) != Some(raw.checksum.get()) {
            return Err(DatagramError::BadChecksum);
        }
        let kind = DatagramKind::from_number(raw.kind).ok_or(DatagramError::BadKind)?;
        let source = Slot::new(raw.source).ok_or(DatagramError::BadField)?;
        let destination = Slot::new(raw.destination).ok_or(DatagramError::BadField)?;
        let header = Self {
            kind,
            source,
            destination,
            source_incarnation: Incarnation(raw.source_incarnation),
            destination_incarnation: Incarnation(raw.destination_incarnation),
            source_session: raw.source_session.get(),
            destination_session: raw.destination_session.get(),
            packet: raw.packet.get(),
        };
        if source == destination || raw.zero.get() != 0 || header.source_incarnation.is_none() {
            return Err(DatagramError::BadField);
        }
        Ok((header, body))
    }

    /// Writes the header before a body that is already in its place (or will be sent from
    /// elsewhere: `body_len` may exceed the buffer only by a page's data).
    ///
    /// # Errors
    /// [`Full`] when the buffer is shorter than what the checksum covers.
    pub fn encode(
        &self,
        datagram: &mut [u8],
        body_len: usize,
        update: ChecksumFn,
    ) -> Result<(), Full> {
        let raw = RawHeader {
            magic: MAGIC,
            version: VERSION,
            kind: self.kind.number(),
            source: self.source.get(),
            destination: self.destination.get(),
            source_incarnation: self.source_incarnation.0,
            destination_incarnation: self.destination_incarnation.0,
            source_session: U32::new(self.source_session),
            destination_session: U32::new(self.destination_session),
            packet: U64::new(self.packet),
            body_len: U16::new(u16::try_from(body_len).map_err(|_| Full)?),
            zero: U16::ZERO,
            checksum: U32::ZERO,
        };
        raw.write_to_prefix(datagram).map_err(|_| Full)?;
        let sum = checksum_of(datagram, update).ok_or(Full)?;
        let place = datagram.get_mut(CHECKSUM_OFFSET..HEADER_LEN).ok_or(Full)?;
        place.copy_from_slice(&sum.to_le_bytes());
        Ok(())
    }
}

/// The checksum that a datagram should have; `None` when it is too short to have one.
fn checksum_of(datagram: &[u8], update: ChecksumFn) -> Option<u32> {
    let (front, body) = datagram.split_at_checked(HEADER_LEN)?;
    let (raw, _) = RawHeader::ref_from_prefix(front).ok()?;
    let covered = if raw.kind == DatagramKind::PageData.number() {
        body.get(..PAGE_HEAD_LEN)?
    } else {
        body.get(..usize::from(raw.body_len.get()))?
    };
    Some(checksum(update, &[front.get(..CHECKSUM_OFFSET)?, covered]))
}
