//! The receiving queue of one class: fragments in, whole messages out, each as soon as its lane
//! lets it.
//!
//! Invariants:
//! - all messages below `base` were taken by the caller;
//! - `ring[i]` is what is known of message `base + i`; nothing is kept past the window;
//! - `held_bytes` is the announced length of all messages in the ring that were not taken;
//! - nothing grows past what was reserved at the start, but for buffers, which are the pool's and
//!   have its sizes.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::frame::{After, Credit, Fragment, Shape};
use super::pieces::Pieces;
use crate::event::Class;
use crate::limits::{ASSEMBLIES_MAX, WINDOW_BYTES, WINDOW_MESSAGES};
use crate::msg::Kind;
use crate::pool::{Pool, Purpose};

/// A message of which some fragments are still to come.
#[derive(Debug)]
struct Assembly {
    shape: Shape,
    payload: Vec<u8>,
    pieces: Pieces,
}

#[derive(Debug)]
enum Place {
    Empty,
    /// Index of the assembly.
    Partial(usize),
    /// Whole, but not its lane's turn.
    Waiting(Shape, Vec<u8>),
    /// Its turn has come; the caller has or will have it.
    Delivered,
    Taken,
}

/// What became of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Received for the first time.
    New,
    /// Received before.
    Again,
    /// Not taken: outside the window, or no memory. The sender will send it again.
    Refused,
}

/// The peer's fragments contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Violation;

#[derive(Debug)]
pub(crate) struct Inbox {
    class: Class,
    base: u64,
    ring: VecDeque<Place>,
    assemblies: Vec<Option<Assembly>>,
    ready: VecDeque<(u64, Kind, Vec<u8>)>,
    waiting: usize,
    held_bytes: usize,
    taken_bytes: u64,
    told: (u64, u64),
    is_credit_owed: bool,
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

impl Inbox {
    /// An empty queue with all the room that it will ever need; `None` when there is no memory.
    #[inline(never)]
    pub(crate) fn new(class: Class) -> Option<Self> {
        let window = *class.of(&WINDOW_MESSAGES);
        let mut ring = VecDeque::new();
        ring.try_reserve_exact(window).ok()?;
        let mut ready = VecDeque::new();
        ready.try_reserve_exact(window).ok()?;
        let mut assemblies = Vec::new();
        assemblies.try_reserve_exact(*class.of(&ASSEMBLIES_MAX)).ok()?;
        assemblies.resize_with(*class.of(&ASSEMBLIES_MAX), || None);
        let mut inbox = Self {
            class,
            base: 0,
            ring,
            assemblies,
            ready,
            waiting: 0,
            held_bytes: 0,
            taken_bytes: 0,
            told: (0, 0),
            is_credit_owed: false,
        };
        inbox.told = inbox.limit();
        Some(inbox)
    }

    /// Forgets everything, for a new session. Gives the number of whole messages forgotten.
    pub(crate) fn reset(&mut self, pool: &mut Pool) -> usize {
        let forgotten = self.ready.len().saturating_add(self.waiting);
        for (_, _, payload) in self.ready.drain(..) {
            pool.put(payload);
        }
        for assembly in self.assemblies.iter_mut().filter_map(Option::take) {
            pool.put(assembly.payload);
        }
        for place in self.ring.drain(..) {
            if let Place::Waiting(_, payload) = place {
                pool.put(payload);
            }
        }
        (self.base, self.waiting, self.held_bytes, self.taken_bytes) = (0, 0, 0, 0);
        self.told = self.limit();
        self.is_credit_owed = false;
        forgotten
    }

    /// How far the peer may send.
    fn limit(&self) -> (u64, u64) {
        let messages = self.base.saturating_add(wide(*self.class.of(&WINDOW_MESSAGES)));
        (messages, self.taken_bytes.saturating_add(wide(*self.class.of(&WINDOW_BYTES))))
    }

    /// Takes a fragment.
    pub(crate) fn on_fragment(
        &mut self,
        fragment: &Fragment<'_>,
        pool: &mut Pool,
    ) -> Result<Taken, Violation> {
        let Some(ahead) = fragment.number.checked_sub(self.base) else {
            return Ok(Taken::Again);
        };
        let window = *self.class.of(&WINDOW_MESSAGES);
        let Some(index) = usize::try_from(ahead).ok().filter(|index| *index < window) else {
            return Ok(Taken::Refused);
        };
        while self.ring.len() <= index {
            self.ring.push_back(Place::Empty);
        }
        let number = match self.ring.get(index) {
            Some(Place::Empty) => match self.begin(index, fragment, pool) {
                Some(number) => number,
                None => return Ok(Taken::Refused),
            },
            Some(Place::Partial(number)) => *number,
            _ => return Ok(Taken::Again),
        };
        let Some(Some(assembly)) = self.assemblies.get_mut(number) else {
            return Err(Violation);
        };
        if assembly.shape != fragment.shape {
            return Err(Violation);
        }
        match assembly.add(fragment) {
            Taken::New if assembly.is_whole() => {
                self.finish(index, number);
                Ok(Taken::New)
            }
            taken => Ok(taken),
        }
    }

    /// Finds room for a message of which nothing was received yet.
    fn begin(&mut self, index: usize, fragment: &Fragment<'_>, pool: &mut Pool) -> Option<usize> {
        let len = usize::try_from(fragment.shape.message_len).ok()?;
        let held_bytes = self.held_bytes.saturating_add(len);
        let number = self.assemblies.iter().position(Option::is_none)?;
        if held_bytes > *self.class.of(&WINDOW_BYTES) {
            return None;
        }
        let purpose =
            if fragment.shape.kind == Kind::PAGE_DATA { Purpose::Page } else { Purpose::Other };
        let payload = pool.take(len, purpose)?;
        let assembly = Assembly { shape: fragment.shape, payload, pieces: Pieces::new() };
        *self.assemblies.get_mut(number)? = Some(assembly);
        *self.ring.get_mut(index)? = Place::Partial(number);
        self.held_bytes = held_bytes;
        Some(number)
    }

    fn finish(&mut self, index: usize, number: usize) {
        let whole = self.assemblies.get_mut(number).and_then(Option::take);
        if let (Some(place), Some(whole)) = (self.ring.get_mut(index), whole) {
            *place = Place::Waiting(whole.shape, whole.payload);
            self.waiting = self.waiting.saturating_add(1);
        }
        self.deliver(index);
    }

    /// Delivers what may be, from the message that has just become whole on: a message only ever
    /// waits for lower ones.
    fn deliver(&mut self, from: usize) {
        let is_done = |place: &Place| matches!(place, Place::Delivered | Place::Taken);
        let mut all_before = self.ring.iter().take(from).all(is_done);
        for index in from..self.ring.len() {
            if self.waiting == 0 {
                return;
            }
            let shape = match self.ring.get(index) {
                Some(Place::Waiting(shape, _)) => *shape,
                Some(place) => {
                    all_before &= is_done(place);
                    continue;
                }
                None => return,
            };
            let may_be = match shape.after {
                After::Nothing => true,
                After::All => all_before,
                After::Distance(distance) => {
                    let before = index.checked_sub(usize::from(distance));
                    before.is_none_or(|before| self.ring.get(before).is_some_and(is_done))
                }
            };
            if !may_be {
                all_before = false;
                continue;
            }
            if let Some(place) = self.ring.get_mut(index) {
                if let Place::Waiting(shape, payload) = core::mem::replace(place, Place::Delivered)
                {
                    let number = self.base.saturating_add(wide(index));
                    self.ready.push_back((number, shape.kind, payload));
                    self.waiting = self.waiting.saturating_sub(1);
                }
            }
        }
    }

    /// Whether a whole message can be taken.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Messages that can be taken.
    pub(crate) fn ready_len(&self) -> usize {
        self.ready.len()
    }

    /// Takes the next whole message.
    pub(crate) fn pop(&mut self) -> Option<(Kind, Vec<u8>)> {
        let (number, kind, payload) = self.ready.pop_front()?;
        self.held_bytes = self.held_bytes.saturating_sub(payload.len());
        self.taken_bytes = self.taken_bytes.saturating_add(wide(payload.len()));
        let index = number.checked_sub(self.base).and_then(|index| usize::try_from(index).ok());
        if let Some(place) = index.and_then(|index| self.ring.get_mut(index)) {
            *place = Place::Taken;
        }
        while matches!(self.ring.front(), Some(Place::Taken)) {
            self.ring.pop_front();
            self.base = self.base.saturating_add(1);
        }
        let limit = self.limit();
        let window = wide(*self.class.of(&WINDOW_MESSAGES));
        let bytes = wide(*self.class.of(&WINDOW_BYTES));
        self.is_credit_owed |= limit.0.saturating_sub(self.told.0) >= window / 4
            || limit.1.saturating_sub(self.told.1) >= bytes / 4;
        Some((kind, payload))
    }

    /// Whether the peer must be told how far it may send.
    pub(crate) const fn is_credit_owed(&self) -> bool {
        self.is_credit_owed
    }

    /// What to tell it.
    pub(crate) fn credit(&self) -> Credit {
        let (messages, bytes) = self.limit();
        Credit { class: self.class, messages, bytes }
    }

    /// It was told.
    pub(crate) fn on_credit_sent(&mut self) {
        self.told = self.limit();
        self.is_credit_owed = false;
    }

    /// What told it was lost.
    pub(crate) fn on_credit_lost(&mut self) {
        self.is_credit_owed = true;
    }
}

impl Assembly {
    /// Takes what is new. The payload is as long as the farthest fragment reaches.
    fn add(&mut self, fragment: &Fragment<'_>) -> Taken {
        let start = usize::from(fragment.offset);
        let end = start.saturating_add(fragment.data.len());
        if end > self.len() {
            return Taken::Refused;
        }
        if start == end {
            return Taken::New;
        }
        let taken = self.pieces.add(start, end);
        if taken == Taken::New {
            if self.payload.len() < start {
                self.payload.resize(start, 0);
            }
            let known = self.payload.len().min(end).saturating_sub(start);
            let (over, behind) = fragment.data.split_at(known.min(fragment.data.len()));
            if let Some(place) = self.payload.get_mut(start..start.saturating_add(over.len())) {
                place.copy_from_slice(over);
            }
            self.payload.extend_from_slice(behind);
        }
        taken
    }

    fn len(&self) -> usize {
        usize::try_from(self.shape.message_len).unwrap_or(usize::MAX)
    }

    fn is_whole(&self) -> bool {
        self.pieces.covers(self.len())
    }
}

#[cfg(test)]
mod tests;
