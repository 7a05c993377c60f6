//! The mesh: one link per peer, driven by datagrams and time.
//!
//! ```text
//! handle_datagram ─┐                      ┌─> poll_event     (first)
//! handle_timeout ──┼─> links, one a peer ─┼─> poll_message
//! send ────────────┘                      ├─> poll_transmit  (until None)
//!                                         └─> poll_timeout   (last: when to call handle_timeout)
//! ```
//! After every input drain all four in that order. `now` must never go back. What a session had
//! received but the caller had not taken is dropped when the session ends: once `poll_event` gave
//! Down or Restarted, `poll_message` gives nothing of that session any more, and nothing of the next
//! one before its Up was queued.

use crate::config::Config;
use crate::error::{ConfigError, DatagramError, PeerError, SendError};
use crate::id::Slot;
use crate::msg::Kind;
use crate::stats::Counters;
use crate::time::Instant;

pub use crate::event::{Class, DownReason, Event, Message, PeerInfo, PeerState};

/// A node's end of all its links.
#[derive(Debug)]
pub struct Transport {
    config: Config,
    counters: Counters,
}

impl Transport {
    /// A node without peers.
    ///
    /// # Errors
    /// Names the setting that is out of its range.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        Ok(Self {
            config: config.scaled()?,
            counters: Counters::default(),
        })
    }

    /// Adds the peer in a slot and begins to connect to it.
    ///
    /// # Errors
    /// The slot is taken or this node's own, or there is no memory.
    pub fn add_peer(&mut self, now: Instant, slot: Slot) -> Result<(), PeerError> {
        let _ = (now, slot);
        Err(PeerError::Unknown)
    }

    /// Forgets the peer in a slot, without an event: all in flight is gone. It is told.
    ///
    /// # Errors
    /// There is no such peer.
    pub fn remove_peer(&mut self, now: Instant, slot: Slot) -> Result<(), PeerError> {
        let _ = (now, slot);
        Err(PeerError::Unknown)
    }

    /// Says goodbye to all peers: drain `poll_transmit` after it. No session is opened after that.
    pub fn shutdown(&mut self, now: Instant) {
        let _ = now;
    }

    /// Takes a datagram from the network. The caller has checked that its source address is the
    /// one of the slot that [`crate::wire::header::source_slot`] reads, if it cares.
    ///
    /// # Errors
    /// Why the datagram was refused; it is counted by kind too. Nothing is left to do for the caller.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Result<(), DatagramError> {
        let _ = (now, datagram);
        Err(DatagramError::UnknownPeer)
    }

    /// Lets time pass: call at or after [`Transport::poll_timeout`]'s time; calling early is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// Queues a message to a peer: the pieces one after the other.
    ///
    /// # Errors
    /// Nothing was queued; see [`SendError`].
    pub fn send(
        &mut self,
        now: Instant,
        slot: Slot,
        class: Class,
        kind: Kind,
        pieces: &[&[u8]],
    ) -> Result<(), SendError> {
        let _ = (now, slot, class, kind, pieces);
        Err(SendError::UnknownPeer)
    }

    /// Writes the next datagram to be sent into `buffer` (at least [`Config::mtu_payload`] bytes)
    /// and gives its peer and length.
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<(Slot, usize)> {
        let _ = (now, buffer);
        None
    }

    /// The next message, highest class first.
    pub fn poll_message(&mut self) -> Option<Message> {
        None
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// When to call [`Transport::handle_timeout`] next; may be in the past.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// What is known about the peer in a slot.
    #[must_use]
    pub fn peer(&self, slot: Slot) -> Option<PeerInfo> {
        let _ = slot;
        None
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The settings, with all times scaled.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }
}
