//! The receiving queue of one class: fragments in, whole messages out, in order.
//!
//! Invariants:
//! - all fragments below `next` were received and consumed, in order;
//! - `ring[i]` is fragment `next + i` if it came early (or could not be consumed yet);
//! - nothing grows past what was reserved at the start, but for a message's own bytes, which are
//!   at most [`MESSAGE_LEN_MAX`] and reserved fallibly.
//!
//! When the caller does not take messages or memory is short, consuming stops: `next` stands still,
//! so the sender's window closes, and [`RecvQueue::advance`] goes on later.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::frame::{Ack, Fragment, Place};
use crate::event::Class;
use crate::limits::{
    ACK_EVERY, MESSAGE_LEN_MAX, RECV_QUEUE_BYTES_MAX, RECV_QUEUE_MESSAGES_MAX, WINDOW_SLOTS,
};
use crate::msg::Kind;
use crate::time::{Duration, Instant};

#[derive(Debug)]
struct Held {
    place: Place,
    data: Vec<u8>,
}

/// A message of which some fragments are still to come.
#[derive(Debug)]
struct Assembly {
    kind: Kind,
    message_len: u32,
    whole_len: usize,
    payload: Vec<u8>,
}

/// When the peer is to be told what was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AckDue {
    Never,
    At(Instant),
    AtOnce,
}

/// What became of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Received for the first time.
    New,
    /// Received before.
    Again,
    /// Not taken: past the window, or no memory. The sender will send it again.
    Refused,
}

/// The peer's fragments contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Violation;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Consumed {
    Done,
    /// Not now: the caller is behind, or there is no memory.
    Stalled,
}

#[derive(Debug)]
pub(crate) struct RecvQueue {
    class: Class,
    next: u64,
    ring: VecDeque<Option<Held>>,
    assembly: Option<Assembly>,
    ready: VecDeque<(Kind, Vec<u8>)>,
    ready_bytes: usize,
    ack_due: AckDue,
    unacked: u32,
}

impl RecvQueue {
    /// An empty queue with all the room that it will ever need; `None` when there is no memory.
    pub(crate) fn new(class: Class) -> Option<Self> {
        let mut ring = VecDeque::new();
        ring.try_reserve_exact(WINDOW_SLOTS).ok()?;
        let mut ready = VecDeque::new();
        ready.try_reserve_exact(RECV_QUEUE_MESSAGES_MAX).ok()?;
        Some(Self {
            class,
            next: 0,
            ring,
            assembly: None,
            ready,
            ready_bytes: 0,
            ack_due: AckDue::Never,
            unacked: 0,
        })
    }

    /// Forgets everything, for a new session. Gives the number of whole messages forgotten.
    pub(crate) fn reset(&mut self) -> usize {
        let forgotten = self.ready.len();
        self.ring.clear();
        self.ready.clear();
        self.assembly = None;
        (self.next, self.ready_bytes, self.unacked) = (0, 0, 0);
        self.ack_due = AckDue::Never;
        forgotten
    }

    /// Takes a fragment.
    pub(crate) fn on_fragment(
        &mut self,
        now: Instant,
        ack_delay: Duration,
        fragment: &Fragment<'_>,
    ) -> Result<Taken, Violation> {
        let Some(ahead) = fragment.sequence.checked_sub(self.next) else {
            self.ack_due = AckDue::AtOnce;
            return Ok(Taken::Again);
        };
        let Some(index) = usize::try_from(ahead).ok().filter(|index| *index < WINDOW_SLOTS) else {
            return Ok(Taken::Refused);
        };
        if self.ring.get(index).is_some_and(Option::is_some) {
            self.ack_due = AckDue::AtOnce;
            return Ok(Taken::Again);
        }
        let is_consumed =
            index == 0 && self.consume(fragment.place, fragment.data)? == Consumed::Done;
        if is_consumed {
            self.step();
            self.advance()?;
        } else if !self.hold(index, fragment) {
            return Ok(Taken::Refused);
        }
        self.plan_ack(now, ack_delay);
        Ok(Taken::New)
    }

    /// Consumes what is held and can be consumed now. Whether it was anything.
    pub(crate) fn advance(&mut self) -> Result<bool, Violation> {
        let before = self.next;
        while let Some(Some(held)) = self.ring.front_mut() {
            let place = held.place;
            let data = core::mem::take(&mut held.data);
            let consumed = self.consume(place, &data)?;
            if consumed == Consumed::Stalled {
                if let Some(Some(held)) = self.ring.front_mut() {
                    held.data = data;
                }
                break;
            }
            self.step();
        }
        let has_moved = self.next != before;
        if has_moved {
            self.ack_due = AckDue::AtOnce;
        }
        Ok(has_moved)
    }

    /// The front fragment was consumed.
    fn step(&mut self) {
        self.ring.pop_front();
        self.next = self.next.saturating_add(1);
    }

    fn hold(&mut self, index: usize, fragment: &Fragment<'_>) -> bool {
        let mut data = Vec::new();
        if data.try_reserve_exact(fragment.data.len()).is_err() {
            return false;
        }
        data.extend_from_slice(fragment.data);
        while self.ring.len() <= index {
            self.ring.push_back(None);
        }
        if let Some(slot) = self.ring.get_mut(index) {
            *slot = Some(Held { place: fragment.place, data });
        }
        true
    }

    /// Adds the next fragment in order to its message.
    fn consume(&mut self, place: Place, data: &[u8]) -> Result<Consumed, Violation> {
        if place.is_first != self.assembly.is_none() {
            return Err(Violation);
        }
        if self.assembly.is_none() {
            let is_behind = self.ready.len() >= RECV_QUEUE_MESSAGES_MAX
                || self.ready_bytes >= RECV_QUEUE_BYTES_MAX;
            let whole_len = usize::try_from(place.message_len).map_err(|_| Violation)?;
            if whole_len > MESSAGE_LEN_MAX {
                return Err(Violation);
            }
            let mut payload = Vec::new();
            if is_behind || payload.try_reserve_exact(whole_len).is_err() {
                return Ok(Consumed::Stalled);
            }
            self.assembly = Some(Assembly {
                kind: place.kind,
                message_len: place.message_len,
                whole_len,
                payload,
            });
        }
        let Some(assembly) = self.assembly.as_mut() else {
            return Err(Violation);
        };
        let len = assembly.payload.len().saturating_add(data.len());
        let is_full = len == assembly.whole_len;
        if place.kind != assembly.kind
            || place.message_len != assembly.message_len
            || len > assembly.whole_len
            || is_full != place.is_last
        {
            return Err(Violation);
        }
        assembly.payload.extend_from_slice(data);
        if let Some(done) = self.assembly.take_if(|_| is_full) {
            self.ready_bytes = self.ready_bytes.saturating_add(done.payload.len());
            self.ready.push_back((done.kind, done.payload));
        }
        Ok(Consumed::Done)
    }

    /// Whether a whole message waits.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whole messages that wait.
    pub(crate) fn ready_len(&self) -> usize {
        self.ready.len()
    }

    /// Takes the next whole message.
    pub(crate) fn pop(&mut self) -> Option<(Kind, Vec<u8>)> {
        let (kind, payload) = self.ready.pop_front()?;
        self.ready_bytes = self.ready_bytes.saturating_sub(payload.len());
        Some((kind, payload))
    }

    /// A gap, or somebody's fault, is told at once; the rest may wait for company.
    fn plan_ack(&mut self, now: Instant, ack_delay: Duration) {
        self.unacked = self.unacked.saturating_add(1);
        let is_urgent =
            self.class == Class::Fault || !self.ring.is_empty() || self.unacked >= ACK_EVERY;
        match self.ack_due {
            AckDue::AtOnce => (),
            AckDue::Never | AckDue::At(_) if is_urgent => self.ack_due = AckDue::AtOnce,
            AckDue::Never => self.ack_due = AckDue::At(now.after(ack_delay)),
            AckDue::At(_) => (),
        }
    }

    /// Whether an acknowledgement must leave now.
    pub(crate) fn wants_ack(&self, now: Instant) -> bool {
        match self.ack_due {
            AckDue::Never => false,
            AckDue::At(due) => due <= now,
            AckDue::AtOnce => true,
        }
    }

    /// When an acknowledgement must leave, if later than at once.
    pub(crate) const fn ack_deadline(&self) -> Option<Instant> {
        match self.ack_due {
            AckDue::At(due) => Some(due),
            AckDue::Never | AckDue::AtOnce => None,
        }
    }

    /// The acknowledgement to add to a datagram that leaves: one that is due, even if later. Should
    /// it be lost, the sender's next fragment or retransmission asks for it again: the fragment
    /// `next` is never named in it, so while anything is not consumed its sender's timer runs.
    pub(crate) fn ack(&self) -> Option<Ack> {
        if self.ack_due == AckDue::Never {
            return None;
        }
        let mut bitmap = 0_u128;
        for (bit, held) in self.ring.iter().skip(1).enumerate() {
            let mask = u32::try_from(bit).ok().and_then(|bit| 1_u128.checked_shl(bit));
            if let (Some(mask), true) = (mask, held.is_some()) {
                bitmap |= mask;
            }
        }
        Some(Ack { class: self.class, next: self.next, bitmap })
    }

    /// The acknowledgement has left.
    pub(crate) fn on_ack_sent(&mut self) {
        self.ack_due = AckDue::Never;
        self.unacked = 0;
    }
}

#[cfg(test)]
mod tests;
