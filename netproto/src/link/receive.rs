//! What a datagram does to a link.

use super::copa::Arrival;
use super::flight::{Carried, Fate, Outcome, Sent};
use super::frame::{Ack, Fragment, Frame};
use super::inbox::{Inbox, Taken};
use super::outbox::Outbox;
use super::payload::Holdable;
use super::state::{Context, Link};
use crate::error::DatagramError;
use crate::event::{Class, DownReason, Event};
use crate::limits::CLASS_COUNT;
use crate::pool::Pool;
use crate::time::{Duration, Instant};
use crate::wire::header::{is_to, Lives};
use crate::wire::{DatagramKind, Header, Reader};

impl<C: Holdable> Link<C> {
    /// Takes a datagram from the peer's slot for ours.
    pub(crate) fn on_datagram(
        &mut self,
        now: Instant,
        header: &Header,
        body: &[u8],
        cx: &mut Context<'_>,
    ) -> Result<(), DatagramError> {
        match (header.kind, header.lives) {
            // One that names our former life still tells that the peer wants to connect.
            (DatagramKind::Hello, _) => self.on_hello(now, header, body, cx),
            (DatagramKind::Bye, Lives::Named { destination, .. }) => {
                if destination == cx.config.incarnation {
                    self.on_bye(now, header, body, cx)
                } else {
                    Err(DatagramError::StaleIncarnation)
                }
            }
            (DatagramKind::Link, Lives::Tag(tag)) => {
                if is_to(tag, cx.config.incarnation) {
                    self.on_frames(now, header, body, cx)
                } else {
                    Err(DatagramError::StaleIncarnation)
                }
            }
            _ => Err(DatagramError::WrongPath),
        }
    }

    fn on_frames(
        &mut self,
        now: Instant,
        header: &Header,
        body: &[u8],
        cx: &mut Context<'_>,
    ) -> Result<(), DatagramError> {
        // All frames are checked before the first one has an effect.
        let mut r = Reader::new(body);
        while !r.is_empty() {
            Frame::decode(&mut r).map_err(|_| DatagramError::Malformed)?;
        }
        self.on_confirmation(now, header, cx);
        self.check_session(header)?;
        if let Some(session) = &mut self.session {
            session.last_heard = now;
        }
        let mut is_refused = false;
        let mut r = Reader::new(body);
        while !r.is_empty() {
            let frame = Frame::decode(&mut r).map_err(|_| DatagramError::Malformed)?;
            is_refused |= self.on_frame(now, &frame, cx)? == Taken::Refused;
        }
        // What was not taken must come again.
        if let Some(session) = self.session.as_mut().filter(|_| header.packet > 0 && !is_refused) {
            session.seen.on_packet(now, cx.config.ack_delay, header.packet);
        }
        Ok(())
    }

    fn on_frame(
        &mut self,
        now: Instant,
        frame: &Frame<'_>,
        cx: &mut Context<'_>,
    ) -> Result<Taken, DatagramError> {
        match frame {
            Frame::Fragment(fragment) => return self.on_fragment(now, fragment, cx),
            Frame::Ack(ack) => self.on_ack(now, ack, cx)?,
            Frame::Credit(credit) => credit.class.of_mut(&mut self.send).on_credit(credit),
            Frame::Ping { stamp } => self.owe_pong(*stamp),
            Frame::Pong { stamp } => self.on_pong(now, *stamp),
        }
        Ok(Taken::New)
    }

    fn on_fragment(
        &mut self,
        now: Instant,
        fragment: &Fragment<'_>,
        cx: &mut Context<'_>,
    ) -> Result<Taken, DatagramError> {
        let queue = fragment.class.of_mut(&mut self.recv);
        let before = queue.ready_len();
        let taken = queue.on_fragment(fragment, cx.pool);
        let whole = queue.ready_len().saturating_sub(before);
        let whole = u64::try_from(whole).unwrap_or(u64::MAX);
        let counters = &mut *cx.counters;
        counters.rx_messages = counters.rx_messages.saturating_add(whole);
        match taken {
            Ok(Taken::New) => (),
            Ok(Taken::Again) => {
                counters.rx_fragments_again = counters.rx_fragments_again.saturating_add(1);
            }
            Ok(Taken::Refused) => {
                counters.rx_fragments_refused = counters.rx_fragments_refused.saturating_add(1);
            }
            Err(_) => self.end(now, DownReason::Violation, cx),
        }
        taken.map_err(|_| DatagramError::Violation)
    }

    fn on_ack(
        &mut self,
        now: Instant,
        ack: &Ack,
        cx: &mut Context<'_>,
    ) -> Result<(), DatagramError> {
        let Self { flight, session, send, recv, .. } = self;
        let Some(session) = session.as_mut() else {
            return Ok(());
        };
        let used = flight.bytes_down_to(Class::Bulk);
        let used_by_faults = flight.bytes_down_to(Class::Fault);
        let mut writable = [false; CLASS_COUNT];
        let tell = |carried, fate| settle(carried, fate, send, recv, cx.pool, &mut writable);
        let outcome =
            flight.on_ack(now, ack, &mut session.rtt, tell).map_err(|_| DatagramError::BadAck)?;
        // Short packets are faster, and urgent ones may pass by the queue that the others stand in.
        let long = self.mtu_payload / 4 * 3;
        let only_urgent = used == used_by_faults;
        let tells = |sent: &Sent| sent.bytes >= long && (sent.class != Class::Fault || only_urgent);
        let sample = outcome.sample.filter(|(_, sent)| tells(sent));
        session.copa.on_ack(
            now,
            &Arrival {
                acked_bytes: outcome.acked_bytes,
                lost_bytes: outcome.lost_bytes,
                sample: sample.map(|(sample, _)| sample),
                smoothed: session.rtt.smoothed(),
                is_round: outcome.is_round,
                used_bytes: used,
            },
        );
        self.count(&outcome, cx);
        for class in Class::ALL {
            if *class.of(&writable) {
                cx.events.push_back(Event::Writable { slot: self.slot, class });
            }
        }
        Ok(())
    }

    /// Lets time pass for what is in flight.
    pub(super) fn on_flight_time(&mut self, now: Instant, cx: &mut Context<'_>) {
        let Self { flight, session, send, recv, .. } = self;
        let Some(session) = session.as_mut() else {
            return;
        };
        let mut writable = [false; CLASS_COUNT];
        let tell = |carried, fate| settle(carried, fate, send, recv, cx.pool, &mut writable);
        let outcome = flight.on_time(now, &session.rtt, tell);
        session.copa.on_lost(outcome.lost_bytes);
        if outcome.is_timeout {
            session.copa.on_timeout();
            if flight.has_long_losses(self.mtu_payload) {
                self.fall_back(cx);
            }
        }
        self.count(&outcome, cx);
    }

    fn count(&self, outcome: &Outcome, cx: &mut Context<'_>) {
        let counters = &mut *cx.counters;
        counters.tx_packets_lost = counters.tx_packets_lost.saturating_add(outcome.lost_packets);
        counters.tx_timeouts = counters.tx_timeouts.saturating_add(outcome.is_timeout.into());
        counters.tx_probes = counters.tx_probes.saturating_add(outcome.is_probe.into());
    }

    /// Remembers a ping to answer. When too many are owed the oldest is forgotten.
    fn owe_pong(&mut self, stamp: u64) {
        if let Some(session) = &mut self.session {
            session.pongs.rotate_right(1);
            if let Some(newest) = session.pongs.first_mut() {
                *newest = Some(stamp);
            }
        }
    }

    fn on_pong(&mut self, now: Instant, stamp: u64) {
        if let Some(session) = &mut self.session {
            if session.ping_stamp == Some(stamp) {
                session.ping_stamp = None;
                let round_trip = now.since(Instant::from_ns(stamp));
                session.rtt.on_sample(now, round_trip, Duration::ZERO);
            }
        }
    }
}

/// Tells a queue what became of what it had sent.
fn settle<C: Holdable>(
    carried: Carried,
    fate: Fate,
    send: &mut [Outbox<C>; CLASS_COUNT],
    recv: &mut [Inbox; CLASS_COUNT],
    pool: &mut Pool,
    writable: &mut [bool; CLASS_COUNT],
) {
    match (carried, fate) {
        (Carried::Fragment { class, number, index, cutting }, Fate::Arrived) => {
            let is_writable = class.of_mut(send).on_arrived(number, index, cutting, pool);
            *class.of_mut(writable) |= is_writable;
        }
        (Carried::Fragment { class, number, index, cutting }, Fate::Lost) => {
            class.of_mut(send).on_lost(number, index, cutting);
        }
        (Carried::Credit(class), Fate::Lost) => class.of_mut(recv).on_credit_lost(),
        (Carried::Credit(_), Fate::Arrived) => (),
    }
}
