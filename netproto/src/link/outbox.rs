//! The sending queue of one class: messages in, fragments out, until they are acknowledged.
//!
//! Invariants:
//! - `messages` have the numbers `base..base + messages.len()`; the front one is not acknowledged;
//! - a message's bytes, and references, are kept until all of it is acknowledged, not longer;
//! - `lost` counts the fragments to be sent again, all in messages from `lost_from` on;
//! - messages below `cursor` were sent whole, those above it not at all;
//! - nothing grows past what was reserved at the start.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::flight::Carried;
use super::frame::{After, Credit, Fragment, Shape};
use super::gather::{Content, Contents};
use super::payload::{Holdable, Lists, Payload, Piece, Taken};
use crate::error::SendError;
use crate::event::Class;
use crate::lane::Lane;
use crate::limits::{
    HELD_MESSAGES_MAX, LANE_COUNT, MESSAGE_LEN_MAX, SEND_QUEUE_BYTES, SEND_QUEUE_MESSAGES,
    WINDOW_BYTES, WINDOW_MESSAGES,
};
use crate::msg::Kind;
use crate::pool::{Pool, Purpose};
use crate::wire::Writer;

/// What is to be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outgoing<I> {
    pub(crate) kind: Kind,
    pub(crate) lane: Lane,
    pub(crate) purpose: Purpose,
    /// If it answers a request: a number for the pair, so that a second answer is seen.
    pub(crate) answers: Option<(u64, u64)>,
    pub(crate) pieces: I,
}

#[derive(Debug)]
struct OutMessage<C> {
    shape: Shape,
    answers: Option<(u64, u64)>,
    payload: Payload<C>,
    /// Where it ends when all messages are laid end to end.
    end: u64,
    /// Bytes in each fragment but the last; zero before it is first sent.
    cut: u16,
    /// How often it was cut anew.
    cutting: u8,
    /// Fragments sent at least once.
    sent: u8,
    /// Bits of fragments.
    acked: u64,
    lost: u64,
    is_done: bool,
}

impl<C> OutMessage<C> {
    fn len(&self) -> usize {
        usize::try_from(self.shape.message_len).unwrap_or(usize::MAX)
    }

    fn fragments(&self) -> usize {
        self.len().div_ceil(usize::from(self.cut).max(1)).max(1)
    }

    fn cut_anew(&mut self, cut: u16) {
        if self.sent > 0 {
            self.cutting = self.cutting.wrapping_add(1);
        }
        (self.cut, self.sent, self.acked, self.lost) = (cut, 0, 0, 0);
    }
}

fn bit(index: u8) -> u64 {
    1_u64.checked_shl(u32::from(index)).unwrap_or(0)
}

/// Bits below `count`.
fn bits(count: usize) -> u64 {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    1_u64.checked_shl(count).map_or(u64::MAX, |bit| bit.saturating_sub(1))
}

#[derive(Debug)]
pub(crate) struct Outbox<C> {
    class: Class,
    messages: VecDeque<OutMessage<C>>,
    lists: Lists<C>,
    base: u64,
    /// The message that is sent next, or of which some fragments are still to be.
    cursor: u64,
    lost: u64,
    lost_from: u64,
    queued_bytes: usize,
    /// Where the last message ends.
    end: u64,
    credit: (u64, u64),
    /// Number of the last message of each lane, and of the last strict one.
    lanes: Vec<Option<u64>>,
    strict: Option<u64>,
    /// Queued messages that answer a request.
    answers: usize,
    was_busy: bool,
}

impl<C: Holdable> Outbox<C> {
    /// An empty queue with all the room that it will ever need; `None` when there is no memory.
    #[inline(never)]
    pub(crate) fn new(class: Class) -> Option<Self> {
        let mut messages = VecDeque::new();
        messages.try_reserve_exact(*class.of(&SEND_QUEUE_MESSAGES)).ok()?;
        let mut lanes = Vec::new();
        lanes.try_reserve_exact(LANE_COUNT).ok()?;
        lanes.resize(LANE_COUNT, None);
        let mut outbox = Self {
            class,
            messages,
            lists: Lists::new(*class.of(&HELD_MESSAGES_MAX))?,
            base: 0,
            cursor: 0,
            lost: 0,
            lost_from: 0,
            queued_bytes: 0,
            end: 0,
            credit: (0, 0),
            lanes,
            strict: None,
            answers: 0,
            was_busy: false,
        };
        outbox.credit = outbox.credit_initial();
        Some(outbox)
    }

    fn credit_initial(&self) -> (u64, u64) {
        let wide = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        (wide(*self.class.of(&WINDOW_MESSAGES)), wide(*self.class.of(&WINDOW_BYTES)))
    }

    /// Forgets everything, for a new session.
    pub(crate) fn reset(&mut self, pool: &mut Pool) {
        for message in self.messages.drain(..) {
            message.payload.give_back((&mut self.lists, pool));
        }
        (self.base, self.cursor, self.end) = (0, 0, 0);
        (self.lost, self.lost_from) = (0, 0);
        self.queued_bytes = 0;
        self.credit = self.credit_initial();
        self.lanes.fill(None);
        self.strict = None;
        self.answers = 0;
        self.was_busy = false;
    }

    pub(crate) const fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Takes a message, and says what it refers to. An answer that is queued or under way already
    /// is not taken again: it will arrive.
    pub(crate) fn push<'a, I>(
        &mut self,
        out: Outgoing<I>,
        pool: &mut Pool,
    ) -> Result<Option<Taken>, SendError>
    where
        C: 'a,
        I: Iterator<Item = Piece<'a, C>> + Clone,
    {
        let lens = out.pieces.clone().map(|piece| piece.bytes().len());
        let len = lens.fold(0_usize, usize::saturating_add);
        if len > MESSAGE_LEN_MAX {
            return Err(SendError::TooLong);
        }
        if out.answers.is_some_and(|answers| self.is_answered(answers)) {
            return Ok(None);
        }
        let queued_bytes = self.queued_bytes.saturating_add(len);
        let is_full = self.messages.len() >= *self.class.of(&SEND_QUEUE_MESSAGES)
            || queued_bytes > *self.class.of(&SEND_QUEUE_BYTES);
        if is_full {
            self.was_busy = true;
            return Err(SendError::Busy);
        }
        let message_len = u32::try_from(len).map_err(|_| SendError::TooLong)?;
        let made = Payload::new(out.pieces, out.purpose, (&mut self.lists, pool));
        let (payload, taken) = made.ok_or(SendError::NoMemory)?;
        self.end = self.end.saturating_add(u64::from(message_len));
        let after = self.take_place(out.lane);
        self.messages.push_back(OutMessage {
            shape: Shape { kind: out.kind, message_len, after },
            answers: out.answers,
            payload,
            end: self.end,
            cut: 0,
            cutting: 0,
            sent: 0,
            acked: 0,
            lost: 0,
            is_done: false,
        });
        self.answers = self.answers.saturating_add(usize::from(out.answers.is_some()));
        self.queued_bytes = queued_bytes;
        Ok(Some(taken))
    }

    fn is_answered(&self, answers: (u64, u64)) -> bool {
        self.answers > 0
            && self.messages.iter().any(|one| one.answers == Some(answers) && !one.is_done)
    }

    /// The place in its lane of the message that is about to be queued.
    fn take_place(&mut self, lane: Lane) -> After {
        let number = self.next_number();
        let before = match lane {
            Lane::Free => return After::Nothing,
            Lane::Strict => {
                self.strict = Some(number);
                return After::All;
            }
            Lane::Keyed(key) => {
                let place = self.lanes.get_mut(usize::from(key) % LANE_COUNT);
                place.and_then(|place| place.replace(number)).max(self.strict)
            }
        };
        // One that is further back than the receiver's window was taken long ago.
        let distance = before.and_then(|before| number.checked_sub(before));
        match distance.and_then(|distance| u16::try_from(distance).ok()) {
            Some(distance) if usize::from(distance) < *self.class.of(&WINDOW_MESSAGES) => {
                After::Distance(distance)
            }
            _ => After::Nothing,
        }
    }

    fn next_number(&self) -> u64 {
        self.base.saturating_add(u64::try_from(self.messages.len()).unwrap_or(u64::MAX))
    }

    fn index(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.base)?).ok()
    }

    /// The peer lets more be sent.
    pub(crate) fn on_credit(&mut self, credit: &Credit) {
        self.credit.0 = self.credit.0.max(credit.messages);
        self.credit.1 = self.credit.1.max(credit.bytes);
    }

    /// Whether there is a fragment that the peer has room for.
    pub(crate) fn wants(&self) -> bool {
        self.lost > 0 || self.can_begin()
    }

    fn can_begin(&self) -> bool {
        let message = self.index(self.cursor).and_then(|index| self.messages.get(index));
        message.is_some_and(|message| self.cursor < self.credit.0 && message.end <= self.credit.1)
    }

    /// Writes the lowest lost fragment, or else a new one, of at most `data_max` bytes; a long
    /// content is only named. What it carried, and whether it was sent before.
    pub(crate) fn write_next(
        &mut self,
        data_max: u16,
        (w, out): (&mut Writer<'_>, &mut Contents),
    ) -> Option<(Carried, bool)> {
        if self.lost > 0 {
            if let Some(written) = self.write_lost(data_max, (w, out)) {
                return Some((written, true));
            }
            if self.lost > 0 {
                return None;
            }
        }
        self.write_new(data_max, (w, out)).map(|written| (written, false))
    }

    fn write_lost(
        &mut self,
        data_max: u16,
        (w, out): (&mut Writer<'_>, &mut Contents),
    ) -> Option<Carried> {
        let start = self.index(self.lost_from).unwrap_or(0);
        let found = self.messages.iter().skip(start).position(|message| message.lost != 0);
        let Some(index) = found.and_then(|found| found.checked_add(start)) else {
            debug_assert_eq!(self.lost, 0, "lost fragments are counted");
            self.lost = 0;
            return None;
        };
        self.lost_from = self.base.saturating_add(u64::try_from(index).ok()?);
        self.fit(index, data_max);
        let message = self.messages.get(index)?;
        let fragment = u8::try_from(message.lost.trailing_zeros()).ok()?;
        let carried = self.write(index, fragment, (w, out))?;
        let message = self.messages.get_mut(index)?;
        message.lost &= !bit(fragment);
        self.lost = self.lost.saturating_sub(1);
        Some(carried)
    }

    fn write_new(
        &mut self,
        data_max: u16,
        (w, out): (&mut Writer<'_>, &mut Contents),
    ) -> Option<Carried> {
        if !self.can_begin() {
            return None;
        }
        let index = self.index(self.cursor)?;
        let message = self.messages.get_mut(index)?;
        if message.sent == 0 {
            message.cut_anew(data_max);
        } else if message.cut > data_max {
            self.fit(index, data_max);
            return self.write_lost(data_max, (w, out));
        }
        let fragment = self.messages.get(index)?.sent;
        let carried = self.write(index, fragment, (w, out))?;
        let message = self.messages.get_mut(index)?;
        message.sent = message.sent.saturating_add(1);
        if usize::from(message.sent) >= message.fragments() {
            self.cursor = self.cursor.saturating_add(1);
        }
        Some(carried)
    }

    /// Cuts a message that was begun anew if its fragments do not fit the path any more.
    fn fit(&mut self, index: usize, data_max: u16) {
        let number = self.base.saturating_add(u64::try_from(index).unwrap_or(u64::MAX));
        let Some(message) = self.messages.get_mut(index).filter(|one| one.cut > data_max) else {
            return;
        };
        self.lost = self.lost.saturating_sub(u64::from(message.lost.count_ones()));
        message.cut_anew(data_max);
        let fragments = message.fragments();
        message.sent = u8::try_from(fragments).unwrap_or(u8::MAX);
        message.lost = bits(fragments);
        self.lost = self.lost.saturating_add(u64::from(message.lost.count_ones()));
        self.lost_from = self.lost_from.min(number);
        if number == self.cursor {
            self.cursor = self.cursor.saturating_add(1);
        }
    }

    fn write(
        &self,
        index: usize,
        fragment: u8,
        (w, out): (&mut Writer<'_>, &mut Contents),
    ) -> Option<Carried> {
        let message = self.messages.get(index)?;
        let number = self.base.checked_add(u64::try_from(index).ok()?)?;
        let offset = usize::from(fragment).checked_mul(usize::from(message.cut))?;
        let end = offset.saturating_add(usize::from(message.cut)).min(message.payload.len());
        let (class, len) = (self.class, end.checked_sub(offset)?);
        let mut from = offset;
        let offset = u16::try_from(offset).ok()?;
        let frame = Fragment { class, number, shape: message.shape, offset, data: &[] };
        frame.encode_front(len, w).ok()?;
        for data in message.payload.stretches(from..end) {
            let offset = u16::try_from(from).ok()?;
            let len = u16::try_from(data.len()).ok()?;
            if out.takes(data.len()) {
                w.give_up(data.len()).ok()?;
                out.add(Content { class, at: u16::try_from(w.len()).ok()?, number, offset, len });
            } else {
                w.bytes(data).ok()?;
            }
            from = from.saturating_add(data.len());
        }
        let cutting = message.cutting;
        Some(Carried::Fragment { class: self.class, number, index: fragment, cutting })
    }

    /// What a datagram carries of a queued message.
    pub(crate) fn content(&self, content: &Content) -> &[u8] {
        let message = self.index(content.number).and_then(|index| self.messages.get(index));
        let start = usize::from(content.offset);
        let range = start..start.saturating_add(content.len.into());
        message.and_then(|message| message.payload.stretches(range).next()).unwrap_or_default()
    }

    /// A fragment has arrived. Whether the queue has room again that somebody was refused.
    pub(crate) fn on_arrived(
        &mut self,
        number: u64,
        fragment: u8,
        cutting: u8,
        pool: &mut Pool,
    ) -> bool {
        let Some(message) = self.index(number).and_then(|index| self.messages.get_mut(index))
        else {
            return false;
        };
        if message.is_done || message.cutting != cutting || message.acked & bit(fragment) != 0 {
            return false;
        }
        message.acked |= bit(fragment);
        if message.lost & bit(fragment) != 0 {
            message.lost &= !bit(fragment);
            self.lost = self.lost.saturating_sub(1);
        }
        if message.acked != bits(message.fragments()) {
            return false;
        }
        message.is_done = true;
        self.queued_bytes = self.queued_bytes.saturating_sub(message.payload.len());
        self.answers = self.answers.saturating_sub(usize::from(message.answers.is_some()));
        let payload = core::mem::replace(&mut message.payload, Payload::empty());
        payload.give_back((&mut self.lists, pool));
        while self.messages.front().is_some_and(|front| front.is_done) {
            self.messages.pop_front();
            self.base = self.base.saturating_add(1);
        }
        self.take_writable()
    }

    /// A fragment is to be sent again.
    pub(crate) fn on_lost(&mut self, number: u64, fragment: u8, cutting: u8) {
        let Some(message) = self.index(number).and_then(|index| self.messages.get_mut(index))
        else {
            return;
        };
        let is_settled = (message.acked | message.lost) & bit(fragment) != 0;
        if message.is_done || message.cutting != cutting || is_settled {
            return;
        }
        message.lost |= bit(fragment);
        self.lost_from = if self.lost == 0 { number } else { self.lost_from.min(number) };
        self.lost = self.lost.saturating_add(1);
    }

    fn take_writable(&mut self) -> bool {
        let is_free = self.messages.len() <= self.class.of(&SEND_QUEUE_MESSAGES) / 2
            && self.queued_bytes <= self.class.of(&SEND_QUEUE_BYTES) / 2;
        is_free && core::mem::take(&mut self.was_busy)
    }
}

#[cfg(test)]
mod tests;
