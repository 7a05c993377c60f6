//! The request for one page that a task waits for.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{transmute, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::BatchFlags;
use crate::error::DecodeError;
use crate::id::RequestId;
use crate::limits::PAGE_HEAD_LEN;
use crate::msg::{check_zero, exact};

/// Asks the holder for one page, by a datagram of its own; see [`crate::piece`] for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LodgeGet {
    /// Names the batch that the page belongs to; the same again when it is repeated.
    pub request: RequestId,
    /// The owner's number of the page.
    pub entry: u32,
    /// The content's generation; never zero.
    pub generation: u64,
    /// More about it.
    pub flags: BatchFlags,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Wire {
    request: U64,
    generation: U64,
    entry: U32,
    flags: U16,
    zero: [u8; 10],
}

impl LodgeGet {
    /// Length on the wire.
    pub const LEN: usize = PAGE_HEAD_LEN;

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        transmute!(Wire {
            request: U64::new(self.request.0),
            generation: U64::new(self.generation),
            entry: U32::new(self.entry),
            flags: U16::new(self.flags.bits()),
            zero: [0; 10],
        })
    }

    /// Reads and checks a request.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: &Wire = exact(bytes)?;
        check_zero(&wire.zero)?;
        if wire.generation.get() == 0 {
            return Err(DecodeError::value("generation"));
        }
        Ok(Self {
            request: RequestId(wire.request.get()),
            entry: wire.entry.get(),
            generation: wire.generation.get(),
            flags: BatchFlags::from_bits(wire.flags.get()).ok_or(DecodeError::value("flags"))?,
        })
    }
}
