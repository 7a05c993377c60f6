//! What a link knows, and how a session begins and ends.

use alloc::collections::VecDeque;

use super::copa::Copa;
use super::flight::Flight;
use super::inbox::Inbox;
use super::outbox::{Outbox, Outgoing};
use super::pacer::Pacer;
use super::payload::{Holdable, Piece, Taken};
use super::rtt::Rtt;
use super::seen::Seen;
use crate::config::Config;
use crate::error::SendError;
use crate::event::{Class, DownReason, Event, Message, PeerInfo, PeerState};
use crate::id::{Incarnation, Slot};
use crate::limits::{CLASS_COUNT, FLIGHT_MAX, MTU_PAYLOAD_MIN, PONGS_OWED_MAX};
use crate::msg::member::Hello;
use crate::pool::Pool;
use crate::stats::Counters;
use crate::time::Instant;
use crate::wire::header::tag;

/// What a link may use of the transport that owns it.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) config: &'a Config,
    pub(crate) counters: &'a mut Counters,
    /// Has room for what one datagram or one end of a session causes.
    pub(crate) events: &'a mut VecDeque<Event>,
    pub(crate) pool: &'a mut Pool,
}

/// A peer's life and the number that it gave to a session with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) incarnation: Incarnation,
    pub(super) session: u32,
}

/// A peer that said hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) identity: Identity,
    pub(super) hello: Hello,
}

/// A hello that must leave: our number in it, and whom it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HelloOwed {
    pub(super) own_session: u32,
    pub(super) to: Option<Identity>,
}

/// The present session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) peer: Identity,
    pub(super) own_session: u32,
    /// What stands for both lives in what we send, and in what we receive.
    pub(super) tag_out: u64,
    pub(super) tag_in: u64,
    pub(super) last_heard: Instant,
    pub(super) ping_at: Instant,
    pub(super) is_ping_owed: bool,
    /// The time in the last ping; only its pong measures.
    pub(super) ping_stamp: Option<u64>,
    pub(super) pongs: [Option<u64>; PONGS_OWED_MAX],
    pub(super) rtt: Rtt,
    pub(super) seen: Seen,
    pub(super) copa: Copa,
    pub(super) pacer: Pacer,
}

/// The last session, present or past.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) peer: Candidate,
    pub(super) last_heard: Instant,
}

/// The link to one peer.
#[derive(Debug)]
pub(crate) struct Link<C> {
    pub(super) slot: Slot,
    /// The number of the next session. Only grows, so it is not in any datagram of an old one.
    pub(super) opening: u32,
    pub(super) hello_at: Instant,
    pub(super) hello_owed: Option<HelloOwed>,
    pub(super) hello_packet: u64,
    pub(super) candidate: Option<Candidate>,
    pub(super) session: Option<Session>,
    pub(super) known: Option<Known>,
    /// The session whose peer is to be told that we leave.
    pub(super) bye_owed: Option<(Identity, u32)>,
    pub(super) is_closed: bool,
    /// Longest datagram that the path takes.
    pub(super) mtu_payload: u16,
    pub(super) flight: Flight,
    pub(super) send: [Outbox<C>; CLASS_COUNT],
    pub(super) recv: [Inbox; CLASS_COUNT],
}

impl<C: Holdable> Link<C> {
    /// Puts a link that begins to connect into its place; `None` when there is no memory. It is
    /// not handed from function to function: a kernel's stack is small.
    #[inline(never)]
    pub(crate) fn place(
        place: &mut Option<Self>,
        now: Instant,
        slot: Slot,
        mtu_payload: u16,
    ) -> Option<()> {
        let (flight, send, recv) = (Flight::new()?, outboxes()?, inboxes()?);
        *place = Some(Self {
            slot,
            opening: 1,
            hello_at: now,
            hello_owed: None,
            hello_packet: 0,
            candidate: None,
            session: None,
            known: None,
            bye_owed: None,
            is_closed: false,
            mtu_payload,
            flight,
            send,
            recv,
        });
        Some(())
    }

    /// The peer's slot.
    pub(crate) const fn slot(&self) -> Slot {
        self.slot
    }

    /// Begins a session with a candidate that has named our opening number.
    pub(super) fn establish(&mut self, now: Instant, peer: Candidate, cx: &mut Context<'_>) {
        let incarnation = peer.identity.incarnation;
        if let Some(old) = &self.session {
            let old = old.peer.incarnation;
            if old == incarnation {
                self.end(now, DownReason::PeerReset, cx);
            } else {
                self.end_with(now, cx);
                let slot = self.slot;
                let new = incarnation;
                cx.events.push_back(Event::Restarted { slot, old, new });
            }
        }
        self.session = Some(Session {
            peer: peer.identity,
            own_session: self.opening,
            tag_out: tag(cx.config.incarnation, incarnation),
            tag_in: tag(incarnation, cx.config.incarnation),
            last_heard: now,
            ping_at: now.after(cx.config.heartbeat),
            is_ping_owed: true,
            ping_stamp: None,
            pongs: [None; PONGS_OWED_MAX],
            rtt: Rtt::new(cx.config),
            seen: Seen::new(),
            copa: self.congestion(cx.config),
            pacer: Pacer::new(),
        });
        self.opening = self.opening.saturating_add(1);
        self.candidate = None;
        self.hello_owed = None;
        self.known = Some(Known { peer, last_heard: now });
        cx.counters.peer_up = cx.counters.peer_up.saturating_add(1);
        let slot = self.slot;
        log::debug!("peer {slot}: session with {incarnation} begins");
        cx.events.push_back(Event::Up { slot, incarnation });
    }

    /// Ends the session, if there is one, and says why.
    pub(super) fn end(&mut self, now: Instant, reason: DownReason, cx: &mut Context<'_>) {
        let Some(session) = &self.session else {
            return;
        };
        let incarnation = session.peer.incarnation;
        let slot = self.slot;
        self.end_with(now, cx);
        cx.events.push_back(Event::Down { slot, incarnation, reason });
    }

    /// Ends the session without a word.
    fn end_with(&mut self, now: Instant, cx: &mut Context<'_>) {
        let Some(session) = self.session.take() else {
            return;
        };
        log::debug!("peer {}: session with {} ends", self.slot, session.peer.incarnation);
        if let Some(known) = &mut self.known {
            known.last_heard = session.last_heard;
        }
        self.flight.reset();
        for queue in &mut self.send {
            queue.reset(cx.pool);
        }
        let dropped = self.recv.iter_mut().map(|queue| queue.reset(cx.pool)).sum::<usize>();
        let dropped = u64::try_from(dropped).unwrap_or(u64::MAX);
        cx.counters.rx_messages_dropped = cx.counters.rx_messages_dropped.saturating_add(dropped);
        cx.counters.peer_down = cx.counters.peer_down.saturating_add(1);
        self.hello_owed = None;
        self.hello_at = now;
    }

    /// Leaves: no session from now on, and the peer is told.
    pub(crate) fn close(&mut self, now: Instant, cx: &mut Context<'_>) {
        self.is_closed = true;
        if let Some(session) = &self.session {
            self.bye_owed = Some((session.peer, session.own_session));
        }
        self.end_with(now, cx);
        self.candidate = None;
    }

    /// Ends the session, if there is one, as if the peer had been silent.
    pub(crate) fn give_up(&mut self, now: Instant, cx: &mut Context<'_>) {
        self.end(now, DownReason::Silence, cx);
    }

    /// Queues a message; `None` if it was queued before.
    pub(crate) fn send<'a, I>(
        &mut self,
        class: Class,
        out: Outgoing<I>,
        cx: &mut Context<'_>,
    ) -> Result<Option<Taken>, SendError>
    where
        C: 'a,
        I: Iterator<Item = Piece<'a, C>> + Clone,
    {
        if self.session.is_none() {
            return Err(SendError::Down);
        }
        class.of_mut(&mut self.send).push(out, cx.pool)
    }

    /// The path takes datagrams of so many bytes from now on.
    pub(crate) fn set_mtu(&mut self, mtu_payload: u16, config: &Config) {
        self.mtu_payload = mtu_payload;
        let copa = self.congestion(config);
        if let Some(session) = &mut self.session {
            session.copa = copa;
        }
    }

    /// Whether the path seems to drop long datagrams only: then none but the shortest are sent.
    pub(super) fn fall_back(&mut self, cx: &mut Context<'_>) {
        if self.mtu_payload > MTU_PAYLOAD_MIN {
            log::info!("peer {}: datagrams of {} bytes get lost", self.slot, self.mtu_payload);
            cx.counters.mtu_fallbacks = cx.counters.mtu_fallbacks.saturating_add(1);
            self.set_mtu(MTU_PAYLOAD_MIN, cx.config);
        }
    }

    fn congestion(&self, config: &Config) -> Copa {
        let packet_bytes = u64::from(self.mtu_payload);
        let packets_max = u64::try_from(FLIGHT_MAX / 2).unwrap_or(u64::MAX);
        Copa::new(config, packet_bytes, packet_bytes.saturating_mul(packets_max))
    }

    /// Whether a whole message of the class waits.
    pub(crate) fn is_ready(&self, class: Class) -> bool {
        class.of(&self.recv).is_ready()
    }

    /// Takes the next whole message of the class, which may open the peer's window again.
    pub(crate) fn pop_message(&mut self, class: Class, cx: &mut Context<'_>) -> Option<Message> {
        let (kind, payload) = class.of_mut(&mut self.recv).pop()?;
        cx.pool.forget(&payload);
        Some(Message { from: self.slot, class, kind, payload })
    }

    /// Gives the peer back the time that this node stood still.
    pub(crate) fn forgive(&mut self, now: Instant, stood_still: crate::Duration) {
        if let Some(session) = &mut self.session {
            session.last_heard = session.last_heard.after(stood_still).min(now);
        }
    }

    /// What is known about the peer.
    pub(crate) fn info(&self) -> PeerInfo {
        let state = match (&self.session, &self.known) {
            (Some(_), _) => PeerState::Up,
            (None, Some(_)) => PeerState::Down,
            (None, None) => PeerState::Connecting,
        };
        let session = self.session.as_ref();
        let last_heard = session.map(|session| session.last_heard);
        let queued = |queue: &Outbox<C>| u64::try_from(queue.queued_bytes()).unwrap_or(u64::MAX);
        let [fault, control, bulk] = &self.send;
        PeerInfo {
            state,
            incarnation: self.known.map(|known| known.peer.identity.incarnation),
            module_version: self.known.map_or(0, |known| known.peer.hello.module_version),
            features: self.known.map_or(0, |known| known.peer.hello.features),
            rtt: session.and_then(|session| session.rtt.smoothed()),
            last_heard: last_heard.or(self.known.map(|known| known.last_heard)),
            queued_bytes: [queued(fault), queued(control), queued(bulk)],
            mtu_payload: self.mtu_payload,
            window_bytes: session.map_or(0, |session| session.copa.window()),
            flight_bytes: self.flight.bytes_down_to(Class::Bulk),
            is_competing: session.is_some_and(|session| session.copa.is_competing()),
        }
    }
}

#[inline(never)]
fn outboxes<C: Holdable>() -> Option<[Outbox<C>; CLASS_COUNT]> {
    Some([Outbox::new(Class::Fault)?, Outbox::new(Class::Control)?, Outbox::new(Class::Bulk)?])
}

#[inline(never)]
fn inboxes() -> Option<[Inbox; CLASS_COUNT]> {
    Some([Inbox::new(Class::Fault)?, Inbox::new(Class::Control)?, Inbox::new(Class::Bulk)?])
}
