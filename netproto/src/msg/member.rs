//! What nodes tell each other in the handshake.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{transmute, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::exact;
use crate::error::DecodeError;
use crate::limits::PAGE_LEN;

/// The body of a hello datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// The sender's module version.
    pub module_version: u32,
    /// The sender's feature bits.
    pub features: u64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Wire {
    page_len: U32,
    module_version: U32,
    features: U64,
}

impl Hello {
    /// Length on the wire.
    pub const LEN: usize = 16;

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        transmute!(Wire {
            page_len: U32::new(PAGE_LEN_WIRE),
            module_version: U32::new(self.module_version),
            features: U64::new(self.features),
        })
    }

    /// Reads and checks a hello's body.
    ///
    /// # Errors
    /// Wrong length, or a node with another page size.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: &Wire = exact(bytes)?;
        if wire.page_len.get() != PAGE_LEN_WIRE {
            return Err(DecodeError::value("page_len"));
        }
        Ok(Self { module_version: wire.module_version.get(), features: wire.features.get() })
    }
}

const PAGE_LEN_WIRE: u32 = 4096;
const _: () = assert!(PAGE_LEN == 4096);
