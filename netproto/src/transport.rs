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
//! Down or Restarted, `poll_message` gives nothing of that session any more, and nothing of the
//! next one before its Up was queued.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::config::Config;
use crate::error::{ConfigError, DatagramError, PeerError, SendError};
use crate::id::Slot;
use crate::lane::Lane;
use crate::limits::{
    EVENTS_MAX, EVENTS_SPARE, MTU_PAYLOAD_MAX, MTU_PAYLOAD_MIN, PAGE_HEAD_LEN, REPLY_PAGES_MAX,
    SLOT_COUNT,
};
use crate::link::{Context, Holdable, Link, Outgoing, Piece};
use crate::msg::page::PageData;
use crate::msg::Kind;
use crate::pool::{Pool, Purpose};
use crate::stats::Counters;
use crate::time::Instant;
use crate::wire::Header;

pub use crate::link::Transmit;

pub use crate::event::{Class, DownReason, Event, Message, PeerInfo, PeerState};

/// A node's end of all its links. `C` is what messages may refer to.
#[derive(Debug)]
pub struct Transport<C = &'static [u8]> {
    config: Config,
    counters: Counters,
    /// By slot.
    links: Vec<Option<Link<C>>>,
    /// A bit for each slot that has a link.
    present: u64,
    events: VecDeque<Event>,
    pool: Pool,
    /// The slot that transmits, or whose message is taken, next among equals.
    transmit_turn: u8,
    message_turn: u8,
    /// Latest time heard of.
    now: Instant,
}

impl<C: Holdable> Transport<C> {
    /// A node without peers.
    ///
    /// # Errors
    /// Names the setting that is out of its range.
    #[inline(never)]
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let config = config.scaled()?;
        let count = usize::from(SLOT_COUNT);
        let mut links = Vec::new();
        links.try_reserve_exact(count).map_err(|_| ConfigError::NoMemory)?;
        links.resize_with(count, || None);
        let mut events = VecDeque::new();
        events.try_reserve_exact(EVENTS_MAX).map_err(|_| ConfigError::NoMemory)?;
        Ok(Self {
            config,
            counters: Counters::default(),
            links,
            present: 0,
            events,
            pool: Pool::new(config.buffers, config.allocate).ok_or(ConfigError::NoMemory)?,
            transmit_turn: 0,
            message_turn: 0,
            now: Instant::ZERO,
        })
    }

    /// Adds the peer in a slot and begins to connect to it.
    ///
    /// # Errors
    /// The slot is taken or this node's own, or there is no memory.
    pub fn add_peer(&mut self, now: Instant, slot: Slot) -> Result<(), PeerError> {
        if slot == self.config.slot {
            return Err(PeerError::OwnSlot);
        }
        let place = self.links.get_mut(slot.index()).ok_or(PeerError::Unknown)?;
        if place.is_some() {
            return Err(PeerError::Exists);
        }
        Link::place(place, now, slot, self.config.mtu_payload).ok_or(PeerError::NoMemory)?;
        self.present |= bit(slot);
        Ok(())
    }

    /// Forgets the peer in a slot, without an event: all in flight is gone. The peer is not told;
    /// [`Transport::disconnect`] and a drain of `poll_transmit` before it do that.
    ///
    /// # Errors
    /// There is no such peer.
    pub fn remove_peer(&mut self, slot: Slot) -> Result<(), PeerError> {
        let place = self.links.get_mut(slot.index()).ok_or(PeerError::Unknown)?;
        place.take().ok_or(PeerError::Unknown)?;
        self.present &= !bit(slot);
        self.events.retain(|event| event.slot() != slot);
        Ok(())
    }

    /// Says goodbye to a peer and connects to it no more, without an event; the next drain of
    /// `poll_transmit` tells it.
    ///
    /// # Errors
    /// There is no such peer.
    pub fn disconnect(&mut self, now: Instant, slot: Slot) -> Result<(), PeerError> {
        self.with_link(slot, |link, cx| link.close(now, cx)).ok_or(PeerError::Unknown)
    }

    /// Gives up the session with a peer that keeps up with nothing; the next one begins by itself.
    ///
    /// # Errors
    /// There is no such peer.
    pub fn give_up(&mut self, now: Instant, slot: Slot) -> Result<(), PeerError> {
        self.with_link(slot, |link, cx| link.give_up(now, cx)).ok_or(PeerError::Unknown)
    }

    /// Says goodbye to all peers; drain `poll_transmit` after it. For unloading.
    pub fn shutdown(&mut self, now: Instant) {
        for slot in self.peers_from(0) {
            self.with_link(slot, |link, cx| link.close(now, cx));
        }
    }

    /// Takes a datagram from the network.
    ///
    /// # Errors
    /// Why the datagram was refused. It is counted; nothing is left to do for the caller.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Result<(), DatagramError> {
        self.observe(now);
        let outcome = self.dispatch(now, datagram);
        match outcome {
            Ok(()) => {
                let len = u64::try_from(datagram.len()).unwrap_or(u64::MAX);
                self.counters.rx_datagrams = self.counters.rx_datagrams.saturating_add(1);
                self.counters.rx_bytes = self.counters.rx_bytes.saturating_add(len);
            }
            Err(error) => self.counters.count_bad(error),
        }
        outcome
    }

    fn dispatch(&mut self, now: Instant, datagram: &[u8]) -> Result<(), DatagramError> {
        let (header, body) = Header::decode(datagram)?;
        if header.destination != self.config.slot {
            return Err(DatagramError::NotForUs);
        }
        if header.kind.is_outside() {
            return Err(DatagramError::WrongPath);
        }
        if self.events.len().saturating_add(EVENTS_SPARE) > EVENTS_MAX {
            return Err(DatagramError::Overrun);
        }
        self.with_link(header.source, |link, cx| link.on_datagram(now, &header, body, cx))
            .unwrap_or(Err(DatagramError::UnknownPeer))
    }

    /// Lets time pass: call at or after [`Transport::poll_timeout`]'s time; early is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.observe(now);
        for slot in self.peers_from(0) {
            self.with_link(slot, |link, cx| link.on_time(now, cx));
        }
    }

    /// Notes the time. A node that itself stood still (stopped guest, starved driver) must not take
    /// its own silence for its peers': every heartbeat should have brought it here.
    fn observe(&mut self, now: Instant) {
        let gap = now.since(self.now);
        if self.now > Instant::ZERO && gap > self.config.heartbeat.times(2) {
            self.counters.stalls = self.counters.stalls.saturating_add(1);
            let stood_still = gap.minus(self.config.heartbeat);
            for link in self.links.iter_mut().flatten() {
                link.forgive(now, stood_still);
            }
        }
        self.now = self.now.max(now);
    }

    /// Queues a message to a peer: the pieces one after the other. It leaves by `poll_transmit`
    /// and is delivered in order with all others of its class ([`Lane::Strict`]).
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
        self.send_in(now, slot, (class, Lane::Strict), kind, pieces)
    }

    /// As [`Transport::send`], in the order that the lane says.
    ///
    /// # Errors
    /// Nothing was queued; see [`SendError`].
    pub fn send_in(
        &mut self,
        _now: Instant,
        slot: Slot,
        (class, lane): (Class, Lane),
        kind: Kind,
        pieces: &[&[u8]],
    ) -> Result<(), SendError> {
        let pieces = pieces.iter().copied().map(Piece::Bytes);
        let out = Outgoing { kind, lane, purpose: Purpose::Other, answers: None, pieces };
        self.queue(slot, class, out)
    }

    /// As [`Transport::send_in`], of pieces that need not all be copied.
    ///
    /// # Errors
    /// Nothing was queued; see [`SendError`].
    pub fn send_pieces(
        &mut self,
        slot: Slot,
        (class, lane): (Class, Lane),
        kind: Kind,
        pieces: &[Piece<'_, C>],
    ) -> Result<(), SendError> {
        let pieces = pieces.iter().copied();
        let out = Outgoing { kind, lane, purpose: Purpose::Other, answers: None, pieces };
        self.queue(slot, class, out)
    }

    /// Queues pages of one request for who asked for them, at most [`REPLY_PAGES_MAX`], in no order
    /// with other messages. While an answer that begins with the same page is under way it is not
    /// queued again: a repeated request needs no second one. Memory is the pool's, and what is
    /// referred to is let go when it has arrived or the session ends, whatever becomes of it.
    ///
    /// # Errors
    /// Nothing was queued; see [`SendError`].
    pub fn send_pages(
        &mut self,
        slot: Slot,
        class: Class,
        pages: &[(PageData, Piece<'_, C>)],
    ) -> Result<(), SendError> {
        let Some((first, _)) = pages.first() else {
            return Ok(());
        };
        if pages.len() > REPLY_PAGES_MAX {
            return Err(SendError::TooLong);
        }
        let mut heads = [[0; PAGE_HEAD_LEN]; REPLY_PAGES_MAX];
        for (head, (data, _)) in heads.iter_mut().zip(pages) {
            *head = data.encode();
        }
        let pieces = heads.iter().zip(pages);
        let pieces = pieces.flat_map(|(head, (_, content))| [Piece::Bytes(head), *content]);
        let out = Outgoing {
            kind: Kind::PAGE_DATA,
            lane: Lane::Free,
            purpose: Purpose::Page,
            answers: Some((first.request.0, first.index)),
            pieces,
        };
        self.queue(slot, class, out)
    }

    fn queue<'a, I>(&mut self, slot: Slot, class: Class, out: Outgoing<I>) -> Result<(), SendError>
    where
        C: 'a,
        I: Iterator<Item = Piece<'a, C>> + Clone,
    {
        let outcome = self
            .with_link(slot, |link, cx| link.send(class, out, cx))
            .unwrap_or(Err(SendError::UnknownPeer));
        let counters = &mut self.counters;
        match outcome {
            Ok(Some(taken)) => {
                counters.tx_messages = counters.tx_messages.saturating_add(1);
                let (held, copied) =
                    (&mut counters.tx_contents_held, &mut counters.tx_contents_copied);
                *held = held.saturating_add(taken.held);
                *copied = copied.saturating_add(taken.copied);
            }
            Ok(None) => counters.tx_answers_spared = counters.tx_answers_spared.saturating_add(1),
            Err(SendError::Busy) => counters.tx_busy = counters.tx_busy.saturating_add(1),
            Err(_) => (),
        }
        outcome.map(drop)
    }

    /// Gives a message's payload back, or any empty buffer that [`Transport::shortage`] asked for,
    /// so that the next message needs no memory.
    pub fn recycle(&mut self, payload: Vec<u8>) {
        self.pool.give(payload);
    }

    /// The capacity of a buffer that is missing, since the caller did not give back all payloads.
    /// Bring one to [`Transport::recycle`], made where allocating does no harm.
    #[must_use]
    pub fn shortage(&self) -> Option<usize> {
        self.pool.shortage()
    }

    /// Sets the longest datagram (UDP payload) to one peer: what the path there takes.
    ///
    /// # Errors
    /// The length is out of range, or there is no such peer.
    pub fn set_mtu(&mut self, slot: Slot, mtu_payload: u16) -> Result<(), PeerError> {
        if !(MTU_PAYLOAD_MIN..=MTU_PAYLOAD_MAX).contains(&mtu_payload) {
            return Err(PeerError::MtuPayload);
        }
        let set = |link: &mut Link<C>, cx: &mut Context<'_>| link.set_mtu(mtu_payload, cx.config);
        self.with_link(slot, set).ok_or(PeerError::Unknown)
    }

    /// Writes what the next datagram to be sent has of its own into `buffer` (at least as long as
    /// the peer's datagrams may be). Long contents stay in their messages: see
    /// [`Transport::parts`]. The most urgent first, peers in turn.
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<Transmit> {
        let urgency_of = |link: &Link<C>| link.urgency(now).map(|urgency| (urgency, link.slot()));
        let in_turn = self.peers_from(self.transmit_turn).filter_map(|slot| self.link(slot));
        let (_, slot) = in_turn.filter_map(urgency_of).min_by_key(|(urgency, _)| *urgency)?;
        self.transmit_turn = slot.get().saturating_add(1);
        let transmit = self.with_link(slot, |link, cx| link.write(now, buffer, cx))??;
        self.counters.tx_datagrams = self.counters.tx_datagrams.saturating_add(1);
        let bytes = u64::try_from(transmit.len()).unwrap_or(u64::MAX);
        self.counters.tx_bytes = self.counters.tx_bytes.saturating_add(bytes);
        Some(transmit)
    }

    /// A datagram's bytes in order, at most [`Transmit::PARTS_MAX`] pieces; `head` is what
    /// [`Transport::poll_transmit`] wrote for it. To be called before the transport is given
    /// anything: other datagrams may be polled before it.
    pub fn parts<'a>(
        &'a self,
        transmit: &'a Transmit,
        head: &'a [u8],
    ) -> impl Iterator<Item = &'a [u8]> {
        let link = self.link(transmit.slot);
        transmit.parts(head, move |content| link.map_or(&[], |link| link.content(content)))
    }

    /// The next message: the highest class first, peers in turn.
    pub fn poll_message(&mut self) -> Option<Message> {
        let first_class = |link: &Link<C>| {
            let class = Class::ALL.into_iter().find(|class| link.is_ready(*class))?;
            Some((class, link.slot()))
        };
        let in_turn = self.peers_from(self.message_turn).filter_map(|slot| self.link(slot));
        let (class, slot) = in_turn.filter_map(first_class).min_by_key(|(class, _)| *class)?;
        self.message_turn = slot.get().saturating_add(1);
        self.with_link(slot, |link, cx| link.pop_message(class, cx))?
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`Transport::handle_timeout`] next; may be in the past.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let links = self.peers_from(0).filter_map(|slot| self.link(slot));
        links.filter_map(|link| link.deadline(&self.config)).min()
    }

    /// What is known about the peer in a slot.
    #[must_use]
    pub fn peer(&self, slot: Slot) -> Option<PeerInfo> {
        self.link(slot).map(Link::info)
    }

    /// What happened so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The settings, with all times scaled.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    fn link(&self, slot: Slot) -> Option<&Link<C>> {
        self.links.get(slot.index())?.as_ref()
    }

    /// The slots that have a link, from one on and around.
    fn peers_from(&self, turn: u8) -> impl Iterator<Item = Slot> {
        let mut left = self.present.rotate_right(u32::from(turn));
        core::iter::from_fn(move || {
            let ahead = u8::try_from(left.trailing_zeros()).ok().filter(|_| left != 0)?;
            left &= left.wrapping_sub(1);
            Slot::new(turn.wrapping_add(ahead) % SLOT_COUNT)
        })
    }

    fn with_link<T>(
        &mut self,
        slot: Slot,
        act: impl FnOnce(&mut Link<C>, &mut Context<'_>) -> T,
    ) -> Option<T> {
        let link = self.links.get_mut(slot.index())?.as_mut()?;
        let mut cx = Context {
            config: &self.config,
            counters: &mut self.counters,
            events: &mut self.events,
            pool: &mut self.pool,
        };
        let result = act(link, &mut cx);
        self.counters.buffer_misses = self.pool.misses();
        Some(result)
    }
}

fn bit(slot: Slot) -> u64 {
    1_u64.checked_shl(u32::from(slot.get())).unwrap_or(0)
}
