//! Whom a node lets in: ioctls 0x4e and 0x4f of the device.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::number::{ior, iow};

/// Sets a [`Gate`]. It stays for the module's life, whatever becomes of who set it; `ENOTCONN`
/// before `CONFIG`.
pub const GATE_SET: u32 = iow::<Gate>(0x4e);
/// Fills a [`Gate`].
pub const GATE_GET: u32 = ior::<Gate>(0x4f);

/// Bytes of the text that is kept with a gate, its closing zero included.
pub const WHY_LEN: usize = 112;

/// Whom a node lets in. What is under way goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Gate {
    /// `GATE_*`.
    pub flags: u32,
    /// Bodies of other nodes' processes here at most; 0: no bound.
    pub bodies_max: u32,
    /// Zero.
    pub reserved: u64,
    /// Why it is as it is, for people; the rest zero, the last byte always.
    pub why: [u8; WHY_LEN],
}
/// Nobody comes in but those that come home, and no more is lent.
pub const GATE_CORDONED: u32 = 1;
/// What lodges here is to leave; only along with [`GATE_CORDONED`].
pub const GATE_LEAVING: u32 = 2;

const _: () = assert!(size_of::<Gate>() == 128);
