//! Memory that lives on other nodes: what the daemon hears of it.

use zerocopy::native_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Pages of a process can't be had any more: [`MemoryLost`]. The head's slot is where they were.
pub const MEMORY_LOST: u16 = 32;

/// The node that had them is down.
pub const LOST_PEER_DOWN: u32 = 1;
/// That node says that it does not have them.
pub const LOST_REFUSED: u32 = 2;

/// It came back with another content than it had.
pub const LOST_DAMAGED: u32 = 3;
/// It did not come in time.
pub const LOST_TOO_LONG: u32 = 4;

/// A process can't have a page that lodged elsewhere: [`PageLost`]. The head's slot is where it
/// was, `u32::MAX` if it may still be there.
pub const PAGE_LOST: u16 = 33;

/// Payload of [`PAGE_LOST`].
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PageLost {
    /// The process, in the first pid namespace: who touched the page.
    pub pid: U32,
    /// `LOST_*`.
    pub reason: U32,
}

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

/// Fills a [`MemStatus`].
pub const MEM_STATUS: u32 = crate::number::ior::<MemStatus>(0x22);
/// Takes and fills a [`crate::base::List`] of [`MemPeer`]: nodes with which memory is shared.
pub const MEM_PEERS: u32 = crate::number::iowr::<crate::base::List>(0x23);
/// Takes and fills a [`MemBlast`].
pub const MEM_BLAST: u32 = crate::number::iowr::<MemBlast>(0x24);

/// Takes a [`MemStall`]; to be told again within [`STALL_FRESH_MS`], or it counts as none.
pub const MEM_STALL: u32 = crate::number::iow::<MemStall>(0x25);

/// How long a [`MemStall`] counts.
pub const STALL_FRESH_MS: u64 = 3000;

/// How long programs of this node waited for memory.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MemStall {
    /// Of the last interval, in hundredths of a per cent (PSI "some" of memory).
    pub share: u32,
    /// Zero.
    pub reserved: u32,
}

/// The node is short of memory and wants back what it lends.
pub const MEM_SHORT: u32 = 1;
/// What lodges on the node is to leave.
pub const MEM_LEAVING: u32 = 2;

/// Doublings of latencies that [`MemStatus`] tells of: the n-th counts what took less than 2^n ns.
pub const MEM_LATENCIES: usize = 36;

/// Remote memory of this node, in pages.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MemStatus {
    /// `MEM_*`.
    pub flags: u32,
    /// Zero.
    pub reserved: u32,
    /// What it may lend; what is set aside for it; what was promised; what is here of others.
    pub lend_max: u64,
    /// See `lend_max`.
    pub frames: u64,
    /// See `lend_max`.
    pub promised: u64,
    /// See `lend_max`.
    pub held: u64,
    /// Of this node's processes: pages that lodge elsewhere.
    pub lodged: u64,
    /// Of these, those with fewer copies than wanted, or with one where it is not.
    pub to_mend: u64,
    /// Since the module was loaded: pages that went.
    pub evicted: u64,
    /// Pages that came back.
    pub fetched: u64,
    /// Pages that no holder has any more.
    pub lost: u64,
    /// Copies that were made again.
    pub mended: u64,
    /// Answers whose content was wrong.
    pub misread: u64,
    /// Faults that waited for a page.
    pub faults: u64,
    /// Pages that came back before anybody touched them.
    pub ahead: u64,
    /// Latencies of faults, in ns: median, 99 %, 99.9 %, the longest.
    pub median_ns: u64,
    /// See `median_ns`.
    pub p99_ns: u64,
    /// See `median_ns`.
    pub p999_ns: u64,
    /// See `median_ns`.
    pub max_ns: u64,
    /// How many there were of each.
    pub latencies: [u64; MEM_LATENCIES],
}

/// Never heard of, or no more.
pub const MEM_DEAD: u32 = 0;
/// Answers.
pub const MEM_UP: u32 = 1;
/// Is not heard of; what it has stays counted.
pub const MEM_SILENT: u32 = 2;

/// Memory that this node shares with another, in pages.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MemPeer {
    /// The other.
    pub slot: u32,
    /// `MEM_*` of it as a holder of ours.
    pub link: u32,
    /// What it may have here, and has.
    pub lent_limit: u32,
    /// See `lent_limit`.
    pub lent_held: u32,
    /// What may be there of ours, what is or may be, and what it could lend besides.
    pub limit: u32,
    /// See `limit`.
    pub used: u32,
    /// See `limit`.
    pub spare: u32,
    /// Zero.
    pub reserved: u32,
    /// Its last life that is known, if that was given up: it is not listened to even if it is
    /// heard. Else zero.
    pub given_up: [u8; 16],
}

/// For [`MemBlast::slot`]: pages that lodge anywhere.
pub const MEM_ANYWHERE: u32 = u32::MAX;

/// This node's processes with pages that are nowhere but on one node.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MemBlast {
    /// Where the [`MemProcess`]es go.
    pub ptr: u64,
    /// Entries that there is room for; after the call, entries that there are.
    pub count: u32,
    /// The node, or [`MEM_ANYWHERE`].
    pub slot: u32,
}

/// A process with pages elsewhere.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MemProcess {
    /// Its number in the first pid namespace, when its pages went.
    pub pid: u32,
    /// Zero.
    pub reserved: u32,
    /// How many pages.
    pub pages: u64,
}

const _: () = {
    assert!(size_of::<MemStatus>() == 144 + 8 * MEM_LATENCIES);
    assert!(size_of::<MemPeer>() == 48);
    assert!(size_of::<MemBlast>() == 16);
    assert!(size_of::<MemProcess>() == 16);
};

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
/// With `arg[0]`, there seem to be no huge pages to be had.
pub const TEST_NO_HUGE: u64 = 14;
