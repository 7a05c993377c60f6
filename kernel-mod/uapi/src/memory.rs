//! Memory that lives on other nodes: what the daemon hears of it.

use zerocopy::native_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Pages of a process can't be had any more: [`MemoryLost`]. The head's slot is where they were.
pub const MEMORY_LOST: u16 = 32;

/// The node that had them is down.
pub const LOST_PEER_DOWN: u32 = 1;
/// That node says that it does not have them.
pub const LOST_REFUSED: u32 = 2;

/// Payload of [`MEMORY_LOST`].
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct MemoryLost {
    /// The space, as named by the node that had it.
    pub space: U64,
    /// Pages that were still there.
    pub pages: U64,
    /// `LOST_*`.
    pub reason: U32,
    /// Zero.
    pub reserved: U32,
}

/// Takes a [`PeerDead`]; `ESRCH` if that life of the node is not the present or last one.
pub const MEM_PEER_DEAD: u32 = crate::number::iow::<PeerDead>(0x21);

/// The cluster has decided that a life of a node is over: pages that lodge there are lost, those of
/// it that lodge here are freed. It can't be taken back: that node is listened to again, as far as
/// lodging goes, when it has restarted.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PeerDead {
    /// The node.
    pub slot: u32,
    /// Zero.
    pub reserved: u32,
    /// Which life.
    pub incarnation: [u8; 16],
}

const _: () = assert!(size_of::<PeerDead>() == 24);

/// A step of the self-test; only in modules built with it.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SelfTest {
    /// `TEST_*`.
    pub op: u64,
    /// Arguments in, results out; what they are depends on `op`.
    pub arg: [u64; 5],
}

/// [`SelfTest`].
pub const SELF_TEST: u32 = crate::number::iowr::<SelfTest>(0x20);

/// The caller's memory becomes a source for slot `arg[0]`, opened if `arg[1]`; its id in `arg[0]`.
pub const TEST_SOURCE: u64 = 1;
/// Makes a target of the space `arg[0]` of slot `arg[1]`; its number in `arg[0]`.
pub const TEST_TARGET: u64 = 2;
/// Target `arg[0]`: `arg[2]` pages at address `arg[1]`; over private pages if `arg[3]`. Gives those
/// that went in in `arg[3]` and ns in `arg[4]`.
pub const TEST_INSERT: u64 = 3;
/// Starts target `arg[0]`.
pub const TEST_START: u64 = 4;
/// Target `arg[0]`: inserted, outstanding, lost into `arg[1..4]`, used pages of the pool in
/// `arg[4]`.
pub const TEST_STAT: u64 = 5;
/// Waits `arg[1]` ms until target `arg[0]` is complete.
pub const TEST_WAIT: u64 = 6;
/// Drops target `arg[0]`.
pub const TEST_DROP: u64 = 7;
/// Opens source `arg[0]`.
pub const TEST_OPEN: u64 = 8;
/// Drops source `arg[0]`.
pub const TEST_DROP_SOURCE: u64 = 9;
/// Slot `arg[0]` goes down, as far as memory is concerned.
pub const TEST_PEER_DOWN: u64 = 10;
/// Where the caller has pages: anonymous, written, runs of both, into `arg[0..3]`, ns in `arg[4]`,
/// ns of looking again, when these are known, in `arg[3]`.
pub const TEST_PLACES: u64 = 11;
/// How many targets, sources, and releases so far, into `arg[0..3]`.
pub const TEST_COUNT: u64 = 12;
/// Of the looped answers, one in `arg[0]` is lost; 0: none.
pub const TEST_LOSS: u64 = 13;
