//! What `read` on `/dev/holon` gives the daemon: whole records, one after the other, each a
//! [`Head`] and its payload, without padding between them.

use zerocopy::{native_endian::U16, native_endian::U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A peer came up: [`PeerUp`].
pub const PEER_UP: u16 = 1;
/// A peer's session ended: [`PeerDown`].
pub const PEER_DOWN: u16 = 2;
/// A message from the daemon of the node in `slot`: its bytes.
pub const MESSAGE: u16 = 3;

/// In [`Head::flags`]: events before this one were dropped, the queue was full.
pub const FLAG_LOST: u16 = 1;

/// Begins each record.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Head {
    /// Length of the payload that follows.
    pub len: U32,
    /// What happened.
    pub kind: U16,
    /// `FLAG_*`.
    pub flags: U16,
    /// The node that it is about.
    pub slot: U32,
}

/// Payload of [`PEER_UP`].
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PeerUp {
    /// The peer's incarnation.
    pub incarnation: [u8; 16],
}

/// Nothing was heard of it for too long.
pub const DOWN_SILENCE: u32 = 1;
/// It had given the session up and began a new one.
pub const DOWN_RESET: u32 = 2;
/// It said that it leaves.
pub const DOWN_LEFT: u32 = 3;
/// It broke the protocol.
pub const DOWN_VIOLATION: u32 = 4;
/// It has begun a new life: a [`PEER_UP`] with the new incarnation follows.
pub const DOWN_RESTARTED: u32 = 5;

/// Payload of [`PEER_DOWN`].
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PeerDown {
    /// `DOWN_*`.
    pub reason: U32,
    /// The incarnation that the session was with.
    pub incarnation: [u8; 16],
}
