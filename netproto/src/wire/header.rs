//! The header that every datagram starts with, and the checks that come before all others.
//!
//! ```text
//!  0 magic "HOLN"   4 version   5 kind   6 source slot   7 destination slot
//!  8 source session (4)   12 destination session (4)   16 packet number (8)
//! 24 body length (2)   26 flags (2)   28 checksum (4)
//! then in a session and in pieces:  32 tag (8)
//! and outside of one: 32 source incarnation (16)   48 destination (16, zero: not known yet)
//! ```
//! Little endian. The checksum covers all but itself. The tag has 32 random bits of each
//! incarnation: those and the session numbers tell a datagram of another life from one of this.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::error::DatagramError;
use crate::id::{Incarnation, Slot};
use crate::limits::{DATAGRAM_LEN_MAX, FRONT_LEN, HEADER_LEN, LINK_HEADER_LEN};
use crate::link::OUTSIDE_MAX;
use crate::wire::checksum;
use crate::wire::writer::Full;

/// The first four bytes of every datagram.
pub const MAGIC: [u8; 4] = *b"HOLN";

/// The protocol's version. Datagrams of another one are refused.
pub const VERSION: u8 = 5;

/// Where in the header the checksum is.
const CHECKSUM_OFFSET: usize = FRONT_LEN - 4;

/// Somebody waits for it: for the driver to mark the packet, and for queues on the way.
const URGENT: u16 = 1;

/// What a datagram is. Numbers are only ever added; 5 was a page's content in version 1.
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
    /// Asks for a lodged page; outside of any session.
    LodgeGet,
    /// A part of a page, in answer to either; outside of any session.
    Piece,
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
            Self::LodgeGet => 6,
            Self::Piece => 7,
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
            6 => Some(Self::LodgeGet),
            7 => Some(Self::Piece),
            _ => None,
        }
    }

    /// Length of the header of such a datagram.
    #[must_use]
    pub const fn header_len(self) -> usize {
        match self {
            Self::Link | Self::Piece => LINK_HEADER_LEN,
            Self::Hello | Self::Bye | Self::PageGet | Self::LodgeGet => HEADER_LEN,
        }
    }

    /// Whether its lives are a tag.
    const fn is_tagged(self) -> bool {
        matches!(self, Self::Link | Self::Piece)
    }

    /// Whether it goes from asker to answerer and back without a link.
    #[must_use]
    pub const fn is_outside(self) -> bool {
        matches!(self, Self::PageGet | Self::LodgeGet | Self::Piece)
    }
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct RawFront {
    magic: [u8; 4],
    version: u8,
    kind: u8,
    source: u8,
    destination: u8,
    source_session: U32,
    destination_session: U32,
    packet: U64,
    body_len: U16,
    flags: U16,
    checksum: U32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct RawNames {
    source: [u8; 16],
    destination: [u8; 16],
}

const _: () = assert!(size_of::<RawFront>() == FRONT_LEN);
const _: () = assert!(size_of::<RawNames>() + FRONT_LEN == HEADER_LEN);

/// Whose lives a datagram is between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lives {
    /// Both in full.
    Named {
        /// The sender's incarnation, never none.
        source: Incarnation,
        /// The receiver's incarnation as the sender knows it; none in a first hello.
        destination: Incarnation,
    },
    /// What [`tag`] makes of both.
    Tag(u64),
}

/// What stands for a pair of lives in the datagrams of their session: a part of each.
#[must_use]
pub fn tag(source: Incarnation, destination: Incarnation) -> u64 {
    u64::from(part(source)) | u64::from(part(destination)) << 32
}

/// Whether a tag can be of a datagram to this life.
#[must_use]
pub fn is_to(tag: u64, destination: Incarnation) -> bool {
    tag >> 32 == u64::from(part(destination))
}

fn part(incarnation: Incarnation) -> u32 {
    let [b0, b1, b2, b3, ..] = incarnation.0;
    u32::from_le_bytes([b0, b1, b2, b3])
}

/// A checked header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the body is.
    pub kind: DatagramKind,
    /// The sender.
    pub source: Slot,
    /// The receiver.
    pub destination: Slot,
    /// Of which lives; a tag in [`DatagramKind::Link`] and [`DatagramKind::Piece`], else names.
    pub lives: Lives,
    /// The sender's session number; zero in page datagrams.
    pub source_session: u32,
    /// The receiver's session number as the sender knows it; zero if it does not.
    pub destination_session: u32,
    /// Grows with each datagram of a session that is to be acknowledged, and is zero in others of a
    /// session; the request id in page datagrams.
    pub packet: u64,
    /// Whether somebody waits for it.
    pub is_urgent: bool,
}

/// Whether somebody waits for a datagram that is about to be sent: the driver marks it so that no
/// queue on the way lets it wait behind others.
#[must_use]
pub fn is_urgent(datagram: &[u8]) -> bool {
    RawFront::ref_from_prefix(datagram).is_ok_and(|(front, _)| front.flags.get() & URGENT != 0)
}

impl Header {
    /// Checks a datagram's header and checksum and gives the header and the body.
    ///
    /// # Errors
    /// The first check that fails, in the order of [`DatagramError`].
    pub fn decode(datagram: &[u8]) -> Result<(Self, &[u8]), DatagramError> {
        if datagram.len() > DATAGRAM_LEN_MAX {
            return Err(DatagramError::TooLong);
        }
        if datagram.len() < LINK_HEADER_LEN {
            return Err(DatagramError::TooShort);
        }
        let (raw, rest) =
            RawFront::ref_from_prefix(datagram).map_err(|_| DatagramError::TooShort)?;
        if raw.magic != MAGIC {
            return Err(DatagramError::BadMagic);
        }
        if raw.version != VERSION {
            return Err(DatagramError::BadVersion);
        }
        let kind = DatagramKind::from_number(raw.kind);
        // An unknown kind is told after the checksum: damage comes first.
        let header_len = kind.map_or(LINK_HEADER_LEN, DatagramKind::header_len);
        let body_len = datagram.len().checked_sub(header_len).ok_or(DatagramError::TooShort)?;
        if usize::from(raw.body_len.get()) != body_len {
            return Err(DatagramError::BadLength);
        }
        if checksum_of(datagram, &[]) != Some(raw.checksum.get()) {
            return Err(DatagramError::BadChecksum);
        }
        let kind = kind.ok_or(DatagramError::BadKind)?;
        let source = Slot::new(raw.source).ok_or(DatagramError::BadField)?;
        let destination = Slot::new(raw.destination).ok_or(DatagramError::BadField)?;
        let (lives, body) = decode_lives(kind, rest)?;
        if source == destination || raw.flags.get() & !URGENT != 0 {
            return Err(DatagramError::BadField);
        }
        let header = Self {
            kind,
            source,
            destination,
            lives,
            source_session: raw.source_session.get(),
            destination_session: raw.destination_session.get(),
            packet: raw.packet.get(),
            is_urgent: raw.flags.get() & URGENT != 0,
        };
        Ok((header, body))
    }

    /// Writes the header before a body that is already in its place.
    ///
    /// # Errors
    /// [`Full`] when the datagram is shorter than the header and the body, or the body too long.
    pub fn encode(&self, datagram: &mut [u8]) -> Result<(), Full> {
        self.encode_gathered(datagram, &[])
    }

    /// As [`Header::encode`], when some of the body lies elsewhere: each with its place in what
    /// lies here.
    pub(crate) fn encode_gathered(
        &self,
        datagram: &mut [u8],
        outside: &[(usize, &[u8])],
    ) -> Result<(), Full> {
        let elsewhere = outside.iter().map(|(_, part)| part.len());
        let len = elsewhere.fold(datagram.len(), usize::saturating_add);
        let body_len = len.checked_sub(self.kind.header_len()).ok_or(Full)?;
        let raw = RawFront {
            magic: MAGIC,
            version: VERSION,
            kind: self.kind.number(),
            source: self.source.get(),
            destination: self.destination.get(),
            source_session: U32::new(self.source_session),
            destination_session: U32::new(self.destination_session),
            packet: U64::new(self.packet),
            body_len: U16::new(u16::try_from(body_len).map_err(|_| Full)?),
            flags: U16::new(if self.is_urgent { URGENT } else { 0 }),
            checksum: U32::ZERO,
        };
        raw.write_to_prefix(datagram).map_err(|_| Full)?;
        let place = datagram.get_mut(FRONT_LEN..).ok_or(Full)?;
        match (self.lives, self.kind) {
            (Lives::Tag(tag), kind) if kind.is_tagged() => {
                U64::new(tag).write_to_prefix(place).map_err(|_| Full)?;
            }
            (Lives::Named { source, destination }, kind) if !kind.is_tagged() => {
                let names = RawNames { source: source.0, destination: destination.0 };
                names.write_to_prefix(place).map_err(|_| Full)?;
            }
            _ => return Err(Full),
        }
        let sum = checksum_of(datagram, outside).ok_or(Full)?;
        let place = datagram.get_mut(CHECKSUM_OFFSET..FRONT_LEN).ok_or(Full)?;
        place.copy_from_slice(&sum.to_le_bytes());
        Ok(())
    }
}

fn decode_lives(kind: DatagramKind, rest: &[u8]) -> Result<(Lives, &[u8]), DatagramError> {
    if kind.is_tagged() {
        let (tag, body) = U64::ref_from_prefix(rest).map_err(|_| DatagramError::TooShort)?;
        return Ok((Lives::Tag(tag.get()), body));
    }
    let (names, body) = RawNames::ref_from_prefix(rest).map_err(|_| DatagramError::TooShort)?;
    let source = Incarnation(names.source);
    if source.is_none() {
        return Err(DatagramError::BadField);
    }
    Ok((Lives::Named { source, destination: Incarnation(names.destination) }, body))
}

/// The checksum that a datagram should have, parts of which may lie elsewhere; `None` when it is
/// too short to have one.
fn checksum_of(datagram: &[u8], outside: &[(usize, &[u8])]) -> Option<u32> {
    let mut parts: [&[u8]; 2 + 2 * OUTSIDE_MAX] = [&[]; 2 + 2 * OUTSIDE_MAX];
    let (front, more) = parts.split_first_mut()?;
    *front = datagram.get(..CHECKSUM_OFFSET)?;
    let mut start = FRONT_LEN;
    let mut count = 2_usize;
    for ((at, part), pair) in outside.iter().zip(more.chunks_exact_mut(2)) {
        if let [here, there] = pair {
            (*here, *there) = (datagram.get(start..*at)?, part);
        }
        start = *at;
        count = count.checked_add(2)?;
    }
    *parts.get_mut(count.checked_sub(1)?)? = datagram.get(start..)?;
    Some(checksum(parts.get(..count)?))
}
