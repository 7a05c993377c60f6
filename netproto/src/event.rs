//! What a transport tells its caller.

use alloc::vec::Vec;

use crate::id::{Incarnation, Slot};
use crate::limits::CLASS_COUNT;
use crate::msg::Kind;
use crate::time::{Duration, Instant};

/// Class of a reliable message. A higher class overtakes a lower one and never waits for it; in
/// which order messages of one class arrive is told by their [`crate::Lane`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Somebody's page fault waits. Not paced.
    Fault,
    /// Hand-off, signals, remote files.
    Control,
    /// Images and everything else that is long.
    Bulk,
}

impl Class {
    /// All classes, highest first.
    pub const ALL: [Self; CLASS_COUNT] = [Self::Fault, Self::Control, Self::Bulk];

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Fault => 0,
            Self::Control => 1,
            Self::Bulk => 2,
        }
    }

    /// The class with this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Fault),
            1 => Some(Self::Control),
            2 => Some(Self::Bulk),
            _ => None,
        }
    }

    /// The entry of this class.
    pub(crate) fn of<T>(self, table: &[T; CLASS_COUNT]) -> &T {
        let [fault, control, bulk] = table;
        match self {
            Self::Fault => fault,
            Self::Control => control,
            Self::Bulk => bulk,
        }
    }

    /// The entry of this class, to change it.
    pub(crate) fn of_mut<T>(self, table: &mut [T; CLASS_COUNT]) -> &mut T {
        let [fault, control, bulk] = table;
        match self {
            Self::Fault => fault,
            Self::Control => control,
            Self::Bulk => bulk,
        }
    }
}

/// A whole message from a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The sender.
    pub from: Slot,
    /// The class it came in.
    pub class: Class,
    /// What it is.
    pub kind: Kind,
    /// Its content, not checked yet.
    pub payload: Vec<u8>,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownReason {
    /// Nothing was heard for [`crate::Config::silence`].
    Silence,
    /// The peer had given the session up and began a new one.
    PeerReset,
    /// The peer said that it leaves.
    Left,
    /// The peer broke the protocol.
    Violation,
}

/// Something that happened to a peer. For each peer: Up, then Down or Restarted, then Up, ...
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A session with the peer began.
    Up {
        /// The peer.
        slot: Slot,
        /// Its present incarnation.
        incarnation: Incarnation,
    },
    /// The session with the peer ended. All that was in flight either way is gone.
    Down {
        /// The peer.
        slot: Slot,
        /// The incarnation that the session was with.
        incarnation: Incarnation,
        /// Why.
        reason: DownReason,
    },
    /// The session ended since the peer has begun a new life: whatever it held is gone, and so is
    /// all that was in flight. An [`Event::Up`] with the new incarnation follows.
    Restarted {
        /// The peer.
        slot: Slot,
        /// The incarnation that is no more.
        old: Incarnation,
        /// The new one.
        new: Incarnation,
    },
    /// A send was [`crate::SendError::Busy`] before; now at least half of the queue is free.
    Writable {
        /// The peer.
        slot: Slot,
        /// The class.
        class: Class,
    },
}

impl Event {
    /// The peer that it is about.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        match self {
            Self::Up { slot, .. }
            | Self::Down { slot, .. }
            | Self::Restarted { slot, .. }
            | Self::Writable { slot, .. } => *slot,
        }
    }
}

/// Whether there is a session with a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerState {
    /// Never up since it was added.
    Connecting,
    /// In session.
    Up,
    /// Was up; being tried again.
    Down,
}

/// What is known about a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerInfo {
    /// Whether there is a session.
    pub state: PeerState,
    /// The incarnation of the present or else the last session.
    pub incarnation: Option<Incarnation>,
    /// The peer's module version, from the same session.
    pub module_version: u32,
    /// The peer's feature bits, from the same session.
    pub features: u64,
    /// Smoothed round trip of the present session.
    pub rtt: Option<Duration>,
    /// When the present or last session last heard of the peer.
    pub last_heard: Option<Instant>,
    /// Bytes queued or in flight to the peer, by class.
    pub queued_bytes: [u64; CLASS_COUNT],
    /// Longest datagram that is sent to the peer.
    pub mtu_payload: u16,
    /// Bytes that may be in flight.
    pub window_bytes: u64,
    /// Bytes in flight.
    pub flight_bytes: u64,
    /// Whether another flow that fills queues seems to share the path.
    pub is_competing: bool,
}
