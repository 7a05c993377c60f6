//! The sending queue of one class: messages in, fragments out, until they are acknowledged.
//!
//! Invariants:
//! - `flights` are the fragments `base..base + flights.len()`; the front one is not acknowledged;
//! - the front message is the one that the front flight belongs to;
//! - `in_flight` and `lost` count the flights in these states;
//! - nothing grows past what was reserved at the start.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::frame::{Ack, Fragment, Place};
use crate::error::SendError;
use crate::event::Class;
use crate::limits::{
    MESSAGE_LEN_MAX, REORDER_FRAGMENTS_MAX, SEND_QUEUE_BYTES_MAX, SEND_QUEUE_MESSAGES_MAX,
    WINDOW_SLOTS,
};
use crate::msg::Kind;
use crate::time::{Duration, Instant};
use crate::wire::Writer;

#[derive(Debug)]
struct OutMessage {
    kind: Kind,
    payload: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    InFlight,
    Lost,
    Acked,
}

/// A fragment that was sent at least once.
#[derive(Debug, Clone, Copy)]
struct Flight {
    message: u64,
    offset: usize,
    len: usize,
    is_last: bool,
    state: State,
    sent_at: Instant,
    /// Which datagram of this class carried it last.
    order: u64,
    /// Sent more than once, so that its acknowledgement measures nothing (Karn).
    again: bool,
}

/// What an acknowledgement did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Acked {
    /// Fragments acknowledged for the first time.
    pub(crate) count: u64,
    /// Round trip of the one sent last, if it was sent once only.
    pub(crate) rtt: Option<Duration>,
    /// Order of the latest fragment now held for lost.
    pub(crate) lost: Option<u64>,
    /// The queue has room again, and somebody was refused before.
    pub(crate) is_writable: bool,
}

/// An acknowledgement of what was never sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadAck;

/// What came of writing a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrote {
    /// A fragment for the first time.
    New,
    /// One that was lost.
    Again,
    /// Nothing: there is nothing to send now, or no room for it.
    Nothing,
}

#[derive(Debug)]
pub(crate) struct SendQueue {
    class: Class,
    messages: VecDeque<OutMessage>,
    /// Number of the front message.
    message_base: u64,
    /// Message and offset that the next new fragment begins at.
    cursor: (u64, usize),
    flights: VecDeque<Flight>,
    base: u64,
    in_flight: u64,
    lost: u64,
    queued_bytes: usize,
    order: u64,
    order_acked: u64,
    doublings: u32,
    timer_from: Option<Instant>,
    was_busy: bool,
}

impl SendQueue {
    /// An empty queue with all the room that it will ever need; `None` when there is no memory.
    pub(crate) fn new(class: Class) -> Option<Self> {
        let mut messages = VecDeque::new();
        messages.try_reserve_exact(SEND_QUEUE_MESSAGES_MAX).ok()?;
        let mut flights = VecDeque::new();
        flights.try_reserve_exact(WINDOW_SLOTS).ok()?;
        Some(Self {
            class,
            messages,
            message_base: 0,
            cursor: (0, 0),
            flights,
            base: 0,
            in_flight: 0,
            lost: 0,
            queued_bytes: 0,
            order: 0,
            order_acked: 0,
            doublings: 0,
            timer_from: None,
            was_busy: false,
        })
    }

    /// Forgets everything, for a new session.
    pub(crate) fn reset(&mut self) {
        self.messages.clear();
        self.flights.clear();
        (self.message_base, self.cursor, self.base) = (0, (0, 0), 0);
        (self.in_flight, self.lost, self.queued_bytes) = (0, 0, 0);
        (self.order, self.order_acked, self.doublings) = (0, 0, 0);
        self.timer_from = None;
        self.was_busy = false;
    }

    pub(crate) const fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// The number of the next datagram with fragments of this class.
    pub(crate) const fn order_next(&self) -> u64 {
        self.order.saturating_add(1)
    }

    /// Takes a message.
    pub(crate) fn push(&mut self, kind: Kind, pieces: &[&[u8]]) -> Result<(), SendError> {
        let len = pieces.iter().fold(0_usize, |len, piece| len.saturating_add(piece.len()));
        if len > MESSAGE_LEN_MAX {
            return Err(SendError::TooLong);
        }
        let queued_bytes = self.queued_bytes.saturating_add(len);
        if self.messages.len() >= SEND_QUEUE_MESSAGES_MAX || queued_bytes > SEND_QUEUE_BYTES_MAX {
            self.was_busy = true;
            return Err(SendError::Busy);
        }
        let mut payload = Vec::new();
        payload.try_reserve_exact(len).map_err(|_| SendError::NoMemory)?;
        for piece in pieces {
            payload.extend_from_slice(piece);
        }
        self.messages.push_back(OutMessage { kind, payload });
        self.queued_bytes = queued_bytes;
        Ok(())
    }

    /// Whether a fragment may be sent when `window` of them may be in flight.
    pub(crate) fn wants(&self, window: u64) -> bool {
        let more = self.lost > 0 || (self.has_new() && self.flights.len() < WINDOW_SLOTS);
        more && self.in_flight < window
    }

    fn has_new(&self) -> bool {
        self.message(self.cursor.0).is_some()
    }

    fn message(&self, number: u64) -> Option<&OutMessage> {
        let index = number.checked_sub(self.message_base)?;
        self.messages.get(usize::try_from(index).ok()?)
    }

    /// A datagram is begun: the fragments written from here on leave together.
    pub(crate) fn begin_datagram(&mut self) {
        self.order = self.order.saturating_add(1);
    }

    /// Writes the lowest lost fragment, or else a new one of at most `data_max` bytes.
    pub(crate) fn write_next(
        &mut self,
        now: Instant,
        window: u64,
        data_max: usize,
        w: &mut Writer<'_>,
    ) -> Wrote {
        if !self.wants(window) {
            return Wrote::Nothing;
        }
        let wrote =
            if self.lost > 0 { self.write_lost(now, w) } else { self.write_new(now, data_max, w) };
        let Some(wrote) = wrote else {
            return Wrote::Nothing;
        };
        self.in_flight = self.in_flight.saturating_add(1);
        self.timer_from.get_or_insert(now);
        wrote
    }

    fn write_lost(&mut self, now: Instant, w: &mut Writer<'_>) -> Option<Wrote> {
        let index = self.flights.iter().position(|flight| flight.state == State::Lost)?;
        let flight = *self.flights.get(index)?;
        let sequence = self.base.checked_add(u64::try_from(index).ok()?)?;
        self.fragment(&flight, sequence)?.encode(w).ok()?;
        let order = self.order;
        let flight = self.flights.get_mut(index)?;
        flight.state = State::InFlight;
        flight.sent_at = now;
        flight.order = order;
        flight.again = true;
        self.lost = self.lost.saturating_sub(1);
        Some(Wrote::Again)
    }

    fn write_new(&mut self, now: Instant, data_max: usize, w: &mut Writer<'_>) -> Option<Wrote> {
        let (number, offset) = self.cursor;
        let whole_len = self.message(number)?.payload.len();
        let len = whole_len.checked_sub(offset)?.min(data_max);
        let end = offset.checked_add(len)?;
        let flight = Flight {
            message: number,
            offset,
            len,
            is_last: end == whole_len,
            state: State::InFlight,
            sent_at: now,
            order: self.order,
            again: false,
        };
        let sequence = self.base.checked_add(u64::try_from(self.flights.len()).ok()?)?;
        self.fragment(&flight, sequence)?.encode(w).ok()?;
        self.flights.push_back(flight);
        self.cursor = if flight.is_last { (number.checked_add(1)?, 0) } else { (number, end) };
        Some(Wrote::New)
    }

    fn fragment(&self, flight: &Flight, sequence: u64) -> Option<Fragment<'_>> {
        let message = self.message(flight.message)?;
        let end = flight.offset.checked_add(flight.len)?;
        Some(Fragment {
            class: self.class,
            sequence,
            place: Place {
                kind: message.kind,
                message_len: u32::try_from(message.payload.len()).ok()?,
                is_first: flight.offset == 0,
                is_last: flight.is_last,
            },
            data: message.payload.get(flight.offset..end)?,
        })
    }

    /// Takes an acknowledgement.
    pub(crate) fn on_ack(&mut self, now: Instant, ack: &Ack) -> Result<Acked, BadAck> {
        let Some(ahead) = ack.next.checked_sub(self.base) else {
            return Ok(Acked::default());
        };
        let ahead = usize::try_from(ahead).map_err(|_| BadAck)?;
        let seen = 128_u32.saturating_sub(ack.bitmap.leading_zeros());
        let seen = usize::try_from(seen).map_err(|_| BadAck)?;
        // The highest bit names the fragment `next + seen`, which must have been sent.
        let reach = if seen == 0 { ahead } else { ahead.saturating_add(seen).saturating_add(1) };
        if reach > self.flights.len() {
            return Err(BadAck);
        }
        let mut acked = Acked::default();
        let mut latest = None;
        for (index, flight) in self.flights.iter_mut().enumerate().take(reach) {
            let received = index < ahead || ack.names(index, ahead);
            if !received || flight.state == State::Acked {
                continue;
            }
            match flight.state {
                State::InFlight => self.in_flight = self.in_flight.saturating_sub(1),
                State::Lost => self.lost = self.lost.saturating_sub(1),
                State::Acked => (),
            }
            flight.state = State::Acked;
            acked.count = acked.count.saturating_add(1);
            self.order_acked = self.order_acked.max(flight.order);
            if latest <= Some(flight.sent_at) {
                latest = Some(flight.sent_at);
                acked.rtt = (!flight.again).then(|| now.since(flight.sent_at));
            }
        }
        if acked.count > 0 {
            self.doublings = 0;
            self.release();
            acked.lost = self.find_lost();
            self.timer_from = (self.in_flight > 0).then_some(now);
            acked.is_writable = self.take_writable();
        }
        Ok(acked)
    }

    /// Drops what is acknowledged from the front on.
    fn release(&mut self) {
        while let Some(flight) = self.flights.front() {
            if flight.state != State::Acked {
                return;
            }
            if flight.is_last {
                if let Some(message) = self.messages.pop_front() {
                    self.queued_bytes = self.queued_bytes.saturating_sub(message.payload.len());
                }
                self.message_base = self.message_base.saturating_add(1);
            }
            self.flights.pop_front();
            self.base = self.base.saturating_add(1);
        }
    }

    /// Holds for lost what left clearly before something that has arrived.
    fn find_lost(&mut self) -> Option<u64> {
        let mut latest = None;
        for flight in &mut self.flights {
            let passed = flight.order.saturating_add(REORDER_FRAGMENTS_MAX) <= self.order_acked;
            if flight.state == State::InFlight && passed {
                flight.state = State::Lost;
                self.lost = self.lost.saturating_add(1);
                self.in_flight = self.in_flight.saturating_sub(1);
                latest = latest.max(Some(flight.order));
            }
        }
        latest
    }

    fn take_writable(&mut self) -> bool {
        let is_free = self.messages.len() <= SEND_QUEUE_MESSAGES_MAX / 2
            && self.queued_bytes <= SEND_QUEUE_BYTES_MAX / 2;
        is_free && core::mem::take(&mut self.was_busy)
    }

    /// How often the timeout ran out since the last progress.
    pub(crate) const fn doublings(&self) -> u32 {
        self.doublings
    }

    /// When something in flight is held for lost, with the given timeout.
    pub(crate) fn deadline(&self, rto: Duration) -> Option<Instant> {
        self.timer_from.map(|from| from.after(rto))
    }

    /// Lets time pass; whether the timeout ran out and something is to be sent again.
    pub(crate) fn on_time(&mut self, now: Instant, rto: Duration) -> bool {
        match self.deadline(rto) {
            Some(deadline) if deadline <= now => (),
            _ => return false,
        }
        let mut oldest: Option<Instant> = None;
        let lost_before = self.lost;
        for flight in self.flights.iter_mut().filter(|flight| flight.state == State::InFlight) {
            if flight.sent_at.after(rto) <= now {
                flight.state = State::Lost;
                self.lost = self.lost.saturating_add(1);
                self.in_flight = self.in_flight.saturating_sub(1);
            } else {
                oldest = Some(oldest.map_or(flight.sent_at, |at| at.min(flight.sent_at)));
            }
        }
        self.timer_from = oldest;
        let ran_out = self.lost > lost_before;
        if ran_out {
            self.doublings = self.doublings.saturating_add(1);
        }
        ran_out
    }
}
