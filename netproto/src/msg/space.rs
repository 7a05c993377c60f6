//! The end of a space: the memory that a moved process left at its source.

use zerocopy::little_endian::{U16, U64};
use zerocopy::{transmute, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{check_zero, exact, Kind};
use crate::error::DecodeError;
use crate::id::SpaceId;

/// All pages were fetched, or the body has ended: the source may free the space. Owner to source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// The space, as named by the source.
    pub space: SpaceId,
}

impl Done {
    /// The message's number.
    pub const KIND: Kind = Kind::SPACE_DONE;
    /// Length on the wire.
    pub const LEN: usize = 8;

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        self.space.0.to_le_bytes()
    }

    /// Reads and checks the payload.
    ///
    /// # Errors
    /// Wrong length.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let space: &U64 = exact(bytes)?;
        Ok(Self { space: SpaceId(space.get()) })
    }
}

/// Why a space is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LostReason {
    /// The source does not know the space.
    Unknown,
    /// The source could not keep it.
    Failed,
}

/// Pages of the space can't be had any more. Source to owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// The space, as named by the source.
    pub space: SpaceId,
    /// Why.
    pub reason: LostReason,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct LostWire {
    space: U64,
    reason: U16,
    zero: [u8; 6],
}

impl Lost {
    /// The message's number.
    pub const KIND: Kind = Kind::SPACE_LOST;
    /// Length on the wire.
    pub const LEN: usize = 16;

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        transmute!(LostWire {
            space: U64::new(self.space.0),
            reason: U16::new(match self.reason {
                LostReason::Unknown => 1,
                LostReason::Failed => 2,
            }),
            zero: [0; 6],
        })
    }

    /// Reads and checks the payload.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: &LostWire = exact(bytes)?;
        check_zero(&wire.zero)?;
        Ok(Self {
            space: SpaceId(wire.space.get()),
            reason: match wire.reason.get() {
                1 => LostReason::Unknown,
                2 => LostReason::Failed,
                _ => return Err(DecodeError::value("reason")),
            },
        })
    }
}
