//! Node-to-node protocol of Holon, without sockets, clocks, threads or locks.
//!
//! Purpose: the vocabulary of the cluster ([`id`], [`time`], [`limits`]), the wire formats
//! ([`wire`], [`msg`]), one reliable session per peer (`link`), the mesh of those sessions with
//! heartbeats ([`Transport`]), and the requests and replies of the page fault path ([`page`],
//! [`piece`]).
//!
//! Contract: everything is driven from outside. The caller passes in datagrams and the time, and
//! drains what comes out; nothing here reads a clock, waits, or calls back. What a peer sends can
//! at worst be refused with a typed error: no panic, no allocation beyond [`limits`].
//!
//! Neighbours: `vm-remote`, `ckpt` and `sched-migrate` use the ids, cursors and messages; the
//! module's driver owns one [`Transport`] and the UDP socket.
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::as_conversions, clippy::indexing_slicing, clippy::unwrap_used)]

extern crate alloc;

pub mod config;
pub mod error;
pub mod event;
pub mod id;
pub mod lane;
pub mod limits;
mod link;
pub mod msg;
pub mod page;
pub mod piece;
mod pool;
pub mod stats;
pub mod time;
pub mod transport;
pub mod wire;

pub use config::Config;
pub use error::{ConfigError, DatagramError, DecodeError, PeerError, SendError};
pub use id::{
    AttemptId, Epoch, FileId, GlobalPid, Incarnation, JobId, Pid, RequestId, Slot, SpaceId,
};
pub use lane::Lane;
pub use link::{Holdable, Piece};
pub use msg::Kind;
pub use pool::{allocate, AllocateFn};
pub use time::{Duration, Instant};
pub use transport::{Class, DownReason, Event, Message, PeerInfo, PeerState, Transport};
