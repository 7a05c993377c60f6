//! The node itself, its peers, messages between daemons. Numbers 0x00 to 0x1f.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::number::{io, ior, iow, iowr};

/// Version of this interface. A daemon of another one must not go on.
pub const ABI: u32 = 3;
/// Bytes in a node's name, the rest zero.
pub const NAME_LEN: usize = 64;
/// The payload of one message between daemons, at most.
pub const MESSAGE_LEN_MAX: usize = 64 * 1024;
/// Areas that [`Quiesce`] has room for.
pub const HELD_COUNT_MAX: usize = 8;

/// Fills a [`Version`].
pub const VERSION: u32 = ior::<Version>(0x00);
/// Takes a [`Config`], once in the module's life: from then on the node talks.
pub const CONFIG: u32 = iow::<Config>(0x01);
/// Takes a [`PeerAdd`].
pub const PEER_ADD: u32 = iow::<PeerAdd>(0x02);
/// Takes and fills a [`List`] of [`Peer`].
pub const PEER_LIST: u32 = iowr::<List>(0x03);
/// Takes a [`Send`]: a message for the daemon of another node.
pub const SEND: u32 = iow::<Send>(0x04);
/// Fills a [`Quiesce`]; `EBUSY` while anything is held.
pub const QUIESCE: u32 = ior::<Quiesce>(0x05);
/// Takes and fills a [`List`] of [`Counter`].
pub const STATS: u32 = iowr::<List>(0x06);
/// Makes this opener the daemon: events are for it alone, its close is the daemon's death.
pub const ATTACH_DAEMON: u32 = io(0x07);

/// A measurement of the transport; only in modules built with the self-tests.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NetTest {
    /// `NET_*`.
    pub op: u64,
    /// Arguments in, results out; what they are depends on `op`.
    pub arg: [u64; 6],
}

/// [`NetTest`].
pub const NET_TEST: u32 = iowr::<NetTest>(0x1f);

/// Sends `arg[1]` messages of `arg[2]` bytes to slot `arg[0]`, and waits until all were taken; ns
/// in `arg[3]`.
pub const NET_FLOW: u64 = 1;
/// Asks slot `arg[0]` `arg[1]` times, with `arg[2]` bytes for `arg[3]`; median and 99th percentile
/// in `arg[4..6]`, in ns.
pub const NET_ASK: u64 = 2;

/// Who the module is.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Version {
    /// [`ABI`].
    pub abi: u32,
    /// The module's own version, which peers compare.
    pub module_version: u32,
    /// Feature bits.
    pub features: u64,
    /// Random, new at each load.
    pub incarnation: [u8; 16],
}

/// What a node must know before it talks.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Config {
    /// Own slot, 0 to 63.
    pub slot: u32,
    /// Multiplies all timeouts; 1 on real hardware.
    pub timescale: u32,
    /// UDP port; the next one is used too, to send from.
    pub port: u16,
    /// Longest datagram; 0 for the default.
    pub mtu_payload: u16,
    /// Zero.
    pub flags: u32,
    /// Address to bind, in network order; zero for all.
    pub ipv4: [u8; 4],
    /// Number of the one interface to take from and send by; 0 for any.
    pub ifindex: u32,
    /// Own name.
    pub name: [u8; NAME_LEN],
}

/// A node to talk to.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PeerAdd {
    /// Its slot.
    pub slot: u32,
    /// Its address, in network order.
    pub ipv4: [u8; 4],
    /// Its port; 0 for the same as ours.
    pub port: u16,
    /// Zero.
    pub reserved: u16,
    /// Zero.
    pub flags: u32,
    /// Its name.
    pub name: [u8; NAME_LEN],
}

/// An array in the program's memory.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct List {
    /// Where it is.
    pub ptr: u64,
    /// Entries that it has room for; after the call, entries that there are (as many as fit were
    /// written).
    pub count: u32,
    /// Zero.
    pub flags: u32,
}

/// Never up since it was added.
pub const PEER_CONNECTING: u32 = 0;
/// In session.
pub const PEER_UP: u32 = 1;
/// Was up; being tried again.
pub const PEER_DOWN: u32 = 2;

/// What is known of a peer.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Peer {
    /// Its slot.
    pub slot: u32,
    /// `PEER_*`.
    pub state: u32,
    /// Its address, in network order.
    pub ipv4: [u8; 4],
    /// Its port.
    pub port: u16,
    /// Zero.
    pub reserved: u16,
    /// Its incarnation in the present or last session, else zero.
    pub incarnation: [u8; 16],
    /// Its module's version, from the same session.
    pub module_version: u32,
    /// Zero.
    pub reserved2: u32,
    /// Its feature bits, from the same session.
    pub features: u64,
    /// Smoothed round trip; 0 if unknown.
    pub rtt_us: u64,
    /// Since it was last heard; all ones if never.
    pub silence_ms: u64,
    /// Bytes queued or in flight to it: fault, control, bulk.
    pub queued_bytes: [u64; 3],
    /// Its name.
    pub name: [u8; NAME_LEN],
}

/// A message for another node's daemon.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Send {
    /// To whom.
    pub slot: u32,
    /// Its length, at most [`MESSAGE_LEN_MAX`].
    pub len: u32,
    /// Where it is.
    pub ptr: u64,
    /// Zero.
    pub flags: u32,
    /// Zero.
    pub reserved: u32,
}

/// What an area of the module holds.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Held {
    /// The area's name, the rest zero.
    pub name: [u8; 24],
    /// How many of them.
    pub count: u64,
}

/// What keeps the module from being unloaded.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Quiesce {
    /// All of them.
    pub total: u64,
    /// Entries of `held` that are used.
    pub count: u32,
    /// Zero.
    pub reserved: u32,
    /// By area.
    pub held: [Held; HELD_COUNT_MAX],
}

/// A counter of the module.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Counter {
    /// Its name, the rest zero.
    pub name: [u8; 32],
    /// Its value.
    pub value: u64,
}

const _: () = {
    assert!(size_of::<Version>() == 32);
    assert!(size_of::<Config>() == 88);
    assert!(size_of::<PeerAdd>() == 80);
    assert!(size_of::<List>() == 16);
    assert!(size_of::<Peer>() == 152);
    assert!(size_of::<Send>() == 24);
    assert!(size_of::<Quiesce>() == 272);
    assert!(size_of::<Counter>() == 40);
};
