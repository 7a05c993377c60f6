//! The pieces of an image on its way from source to target.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{transmute, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{check_piece, check_zero, split, Kind, ProcessWire};
use crate::error::DecodeError;
use crate::id::{AttemptId, Epoch, GlobalPid, Slot};

/// What the image of an attempt describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageKind {
    /// A running process.
    Live,
    /// A process that is about to execute a file.
    Exec,
}

impl ImageKind {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Live => 1,
            Self::Exec => 2,
        }
    }

    /// The kind with this number.
    ///
    /// # Errors
    /// An unknown number.
    pub const fn from_number(number: u8) -> Result<Self, DecodeError> {
        match number {
            1 => Ok(Self::Live),
            2 => Ok(Self::Exec),
            _ => Err(DecodeError::value("image kind")),
        }
    }
}

/// A piece of the image, source to target. Pieces come in order; the piece follows the head. An
/// image of no bytes is one empty piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prepare {
    /// The attempt.
    pub attempt: AttemptId,
    /// The process.
    pub process: GlobalPid,
    /// Where the process's directory entry is.
    pub origin: Slot,
    /// What the image describes.
    pub kind: ImageKind,
    /// The epoch at which the process runs on the source.
    pub epoch: Epoch,
    /// The image's length in bytes.
    pub total_len: u32,
    /// Where the piece begins in it.
    pub offset: u32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct PrepareWire {
    attempt: U64,
    process: ProcessWire,
    epoch: U64,
    total_len: U32,
    offset: U32,
    origin: u8,
    kind: u8,
    zero: [u8; 6],
}

impl Prepare {
    /// The message's number.
    pub const KIND: Kind = Kind::MIGRATE_PREPARE;
    /// Length of the head on the wire.
    pub const LEN: usize = 40;

    /// The head's bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        transmute!(PrepareWire {
            attempt: U64::new(self.attempt.0),
            process: self.process.into(),
            epoch: U64::new(self.epoch.0),
            total_len: U32::new(self.total_len),
            offset: U32::new(self.offset),
            origin: self.origin.get(),
            kind: self.kind.number(),
            zero: [0; 6],
        })
    }

    /// Reads and checks the head, and gives the piece.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        let (wire, piece): (&PrepareWire, _) = split(bytes)?;
        check_zero(&wire.zero)?;
        check_piece(wire.total_len.get(), wire.offset.get(), piece)?;
        let head = Self {
            attempt: AttemptId(wire.attempt.get()),
            process: wire.process.into(),
            origin: Slot::new(wire.origin).ok_or(DecodeError::value("origin"))?,
            kind: ImageKind::from_number(wire.kind)?,
            epoch: Epoch(wire.epoch.get()),
            total_len: wire.total_len.get(),
            offset: wire.offset.get(),
        };
        Ok((head, piece))
    }
}

/// A piece of what was captured at the freeze, source to target; the piece follows the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Final {
    /// The attempt.
    pub attempt: AttemptId,
    /// The length of the whole in bytes.
    pub total_len: u32,
    /// Where the piece begins in it.
    pub offset: u32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct FinalWire {
    attempt: U64,
    total_len: U32,
    offset: U32,
}

impl Final {
    /// The message's number.
    pub const KIND: Kind = Kind::MIGRATE_FINAL;
    /// Length of the head on the wire.
    pub const LEN: usize = 16;

    /// The head's bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        transmute!(FinalWire {
            attempt: U64::new(self.attempt.0),
            total_len: U32::new(self.total_len),
            offset: U32::new(self.offset),
        })
    }

    /// Reads and checks the head, and gives the piece.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        let (wire, piece): (&FinalWire, _) = split(bytes)?;
        check_piece(wire.total_len.get(), wire.offset.get(), piece)?;
        let head = Self {
            attempt: AttemptId(wire.attempt.get()),
            total_len: wire.total_len.get(),
            offset: wire.offset.get(),
        };
        Ok((head, piece))
    }
}
