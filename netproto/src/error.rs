//! Errors, one narrow enum per operation. All are `Copy` and say whose fault it was.

use thiserror::Error;

/// Why a [`crate::Config`] is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The node's incarnation is all zero.
    #[error("incarnation is zero")]
    Incarnation,
    /// `mtu_payload` is out of its range.
    #[error("mtu_payload out of range")]
    MtuPayload,
    /// `timescale` is zero or too large.
    #[error("timescale out of range")]
    Timescale,
    /// `heartbeat` is too short, or `silence` is less than four heartbeats.
    #[error("heartbeat and silence do not fit together")]
    Heartbeat,
    /// The retransmission times are not ordered, or `ack_delay` is longer than the shortest.
    #[error("retransmission times are not in order")]
    Retransmission,
    /// More message buffers than make sense.
    #[error("too many buffers")]
    Buffers,
    /// No memory.
    #[error("no memory")]
    NoMemory,
}

/// Why a peer can't be added or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PeerError {
    /// The slot is this node's own.
    #[error("the slot is this node's own")]
    OwnSlot,
    /// There is a peer in that slot.
    #[error("the slot has a peer already")]
    Exists,
    /// There is no peer in that slot.
    #[error("no peer in that slot")]
    Unknown,
    /// The datagram length is out of its range.
    #[error("mtu_payload out of range")]
    MtuPayload,
    /// No memory.
    #[error("no memory")]
    NoMemory,
}

/// Why a message was not taken for sending. Nothing of it was queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SendError {
    /// There is no such peer.
    #[error("no peer in that slot")]
    UnknownPeer,
    /// There is no session with the peer.
    #[error("peer is down")]
    Down,
    /// The class's queue is full; an [`crate::Event::Writable`] follows when there is room.
    #[error("send queue is full")]
    Busy,
    /// Longer than [`crate::limits::MESSAGE_LEN_MAX`].
    #[error("message too long")]
    TooLong,
    /// No memory.
    #[error("no memory")]
    NoMemory,
}

/// Why bytes are not the message that they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Ends before its fields do.
    #[error("truncated")]
    Truncated,
    /// Goes on after its fields.
    #[error("trailing bytes")]
    Trailing,
    /// A field has a value that it may not have.
    #[error("bad value in {field}")]
    BadValue {
        /// The field's name.
        field: &'static str,
    },
}

impl DecodeError {
    /// A field with a forbidden value.
    #[must_use]
    pub const fn value(field: &'static str) -> Self {
        Self::BadValue { field }
    }
}

/// Why a datagram was refused. The variants are in the order in which they are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DatagramError {
    /// Shorter than a header.
    #[error("too short")]
    TooShort,
    /// Longer than any datagram.
    #[error("too long")]
    TooLong,
    /// Not ours.
    #[error("bad magic")]
    BadMagic,
    /// A version of the protocol that this node does not speak.
    #[error("bad version")]
    BadVersion,
    /// The header's length is not the datagram's.
    #[error("bad length")]
    BadLength,
    /// Damaged.
    #[error("bad checksum")]
    BadChecksum,
    /// An unknown kind of datagram.
    #[error("bad datagram kind")]
    BadKind,
    /// A slot out of range, source and destination the same, or a reserved field not zero.
    #[error("bad header field")]
    BadField,
    /// Addressed to another slot.
    #[error("not for this node")]
    NotForUs,
    /// From a slot that has no peer.
    #[error("unknown peer")]
    UnknownPeer,
    /// A page request, which the transport does not handle.
    #[error("page datagram on the link path")]
    WrongPath,
    /// From or to an incarnation that is not (or no longer) in session.
    #[error("stale incarnation")]
    StaleIncarnation,
    /// From or to a session that has ended.
    #[error("stale session")]
    StaleSession,
    /// The header is fine, its content is not well-formed.
    #[error("malformed content")]
    Malformed,
    /// Acknowledges what was never sent.
    #[error("bad acknowledgement")]
    BadAck,
    /// A fragment that contradicts those before it; the session was ended.
    #[error("protocol violation")]
    Violation,
    /// This node's own fault: its caller does not take the events.
    #[error("events not taken")]
    Overrun,
}

impl DatagramError {
    /// Number of variants.
    pub const COUNT: usize = 17;

    /// All variants, in the order of [`DatagramError::index`].
    pub const ALL: [Self; Self::COUNT] = [
        Self::TooShort,
        Self::TooLong,
        Self::BadMagic,
        Self::BadVersion,
        Self::BadLength,
        Self::BadChecksum,
        Self::BadKind,
        Self::BadField,
        Self::NotForUs,
        Self::UnknownPeer,
        Self::WrongPath,
        Self::StaleIncarnation,
        Self::StaleSession,
        Self::Malformed,
        Self::BadAck,
        Self::Violation,
        Self::Overrun,
    ];

    /// The variant's place in a table of counters.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::TooShort => 0,
            Self::TooLong => 1,
            Self::BadMagic => 2,
            Self::BadVersion => 3,
            Self::BadLength => 4,
            Self::BadChecksum => 5,
            Self::BadKind => 6,
            Self::BadField => 7,
            Self::NotForUs => 8,
            Self::UnknownPeer => 9,
            Self::WrongPath => 10,
            Self::StaleIncarnation => 11,
            Self::StaleSession => 12,
            Self::Malformed => 13,
            Self::BadAck => 14,
            Self::Violation => 15,
            Self::Overrun => 16,
        }
    }
}
