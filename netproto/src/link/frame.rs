//! The frames in a link datagram's body.
//!
//! ```text
//! fragment: 1, class, kind(2), number(8), message length(4), offset(2), after(2), length(2), data
//! ack:      2, more, delay(2), largest(8), below(4), then `more` times: gap(4), below(4)
//! credit:   3, class, 0, 0, messages(8), bytes(8)
//! ping:     4, 0, 0, 0, stamp(8)          pong: 5, 0, 0, 0, stamp(8)
//! ```
//! A message's `number` counts those of its class. `after` says what it must not be delivered
//! before: 0 nothing, 65535 all with lower numbers, else the one with a number so much lower.
//!
//! An ack names runs of packet numbers from the largest down: `below` is how many more belong to
//! the run, `gap` how many are missing (at least one) before the next. `delay` is for how long the
//! largest was held back, in units of 8 us.
//!
//! A credit lets messages with numbers below `messages` be sent as far as they end, all messages of
//! the class laid end to end, at or before `bytes`.

use crate::error::DecodeError;
use crate::event::Class;
use crate::limits::{
    ACK_LEN_MAX, CREDIT_LEN, FRAGMENT_HEADER_LEN, MESSAGE_LEN_MAX, PING_LEN, RANGES_MAX,
};
use crate::msg::Kind;
use crate::time::Duration;
use crate::wire::writer::Full;
use crate::wire::{Reader, Writer};

const FRAGMENT: u8 = 1;
const ACK: u8 = 2;
const CREDIT: u8 = 3;
const PING: u8 = 4;
const PONG: u8 = 5;

const AFTER_NOTHING: u16 = 0;
const AFTER_ALL: u16 = u16::MAX;
const DELAY_UNIT_US: u64 = 8;

/// What a message must not be delivered before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Nothing,
    All,
    /// The message with a number so much lower; never zero.
    Distance(u16),
}

/// A piece of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fragment<'a> {
    pub(crate) class: Class,
    pub(crate) number: u64,
    pub(crate) shape: Shape,
    pub(crate) offset: u16,
    pub(crate) data: &'a [u8],
}

/// What all fragments of a message say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) kind: Kind,
    pub(crate) message_len: u32,
    pub(crate) after: After,
}

/// Runs of packet numbers, first and last each, from the largest down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ranges {
    runs: [(u64, u64); RANGES_MAX],
    len: usize,
}

/// What was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ack {
    /// At least one.
    pub(crate) ranges: Ranges,
    pub(crate) delay: Duration,
}

/// How far the peer may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Credit {
    pub(crate) class: Class,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

/// A checked frame.
#[expect(clippy::large_enum_variant, reason = "lives for one call, where nothing is allocated")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    Fragment(Fragment<'a>),
    Ack(Ack),
    Credit(Credit),
    Ping { stamp: u64 },
    Pong { stamp: u64 },
}

impl Ranges {
    pub(crate) const fn new() -> Self {
        Self { runs: [(0, 0); RANGES_MAX], len: 0 }
    }

    pub(crate) fn as_slice(&self) -> &[(u64, u64)] {
        self.runs.get(..self.len).unwrap_or_default()
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [(u64, u64)] {
        self.runs.get_mut(..self.len).unwrap_or_default()
    }

    /// Puts a run at a place; the lowest one is forgotten when there are too many.
    pub(crate) fn insert(&mut self, at: usize, run: (u64, u64)) {
        self.len = self.len.saturating_add(1).min(RANGES_MAX);
        if let Some(tail) = self.runs.get_mut(at..self.len).filter(|tail| !tail.is_empty()) {
            tail.rotate_right(1);
            if let Some(first) = tail.first_mut() {
                *first = run;
            }
        }
    }

    pub(crate) fn remove(&mut self, at: usize) {
        if let Some(tail) = self.runs.get_mut(at..self.len).filter(|tail| !tail.is_empty()) {
            tail.rotate_left(1);
            self.len = self.len.saturating_sub(1);
        }
    }
}

impl<'a> Frame<'a> {
    /// Reads and checks the next frame.
    pub(crate) fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        match r.u8()? {
            FRAGMENT => decode_fragment(r).map(Self::Fragment),
            ACK => decode_ack(r).map(Self::Ack),
            CREDIT => {
                let class = decode_class(r)?;
                r.zeros::<2>()?;
                let (messages, bytes) = (r.u64()?, r.u64()?);
                Ok(Self::Credit(Credit { class, messages, bytes }))
            }
            PING => {
                r.zeros::<3>()?;
                Ok(Self::Ping { stamp: r.u64()? })
            }
            PONG => {
                r.zeros::<3>()?;
                Ok(Self::Pong { stamp: r.u64()? })
            }
            _ => Err(DecodeError::value("frame")),
        }
    }
}

fn decode_class(r: &mut Reader<'_>) -> Result<Class, DecodeError> {
    Class::from_number(r.u8()?).ok_or(DecodeError::value("class"))
}

fn decode_fragment<'a>(r: &mut Reader<'a>) -> Result<Fragment<'a>, DecodeError> {
    let class = decode_class(r)?;
    let kind = Kind(r.u16()?);
    let number = r.u64()?;
    let message_len = r.u32()?;
    let offset = r.u16()?;
    let after = match r.u16()? {
        AFTER_NOTHING => After::Nothing,
        AFTER_ALL => After::All,
        distance => After::Distance(distance),
    };
    let len = usize::from(r.u16()?);
    let data = r.bytes(len)?;
    let whole_len = usize::try_from(message_len).map_err(|_| DecodeError::value("message_len"))?;
    if whole_len > MESSAGE_LEN_MAX {
        return Err(DecodeError::value("message_len"));
    }
    if usize::from(offset).saturating_add(len) > whole_len || (len == 0) != (whole_len == 0) {
        return Err(DecodeError::value("length"));
    }
    Ok(Fragment { class, number, shape: Shape { kind, message_len, after }, offset, data })
}

fn decode_ack(r: &mut Reader<'_>) -> Result<Ack, DecodeError> {
    let more = usize::from(r.u8()?);
    let delay = Duration::from_us(u64::from(r.u16()?).saturating_mul(DELAY_UNIT_US));
    if more >= RANGES_MAX {
        return Err(DecodeError::value("more"));
    }
    let mut ranges = Ranges::new();
    let mut last = r.u64()?;
    for at in 0..=more {
        if at > 0 {
            let (first_before, _) = ranges.as_slice().last().copied().unwrap_or_default();
            let gap = u64::from(r.u32()?).saturating_add(1);
            last = first_before.checked_sub(gap).ok_or(DecodeError::value("gap"))?;
            if gap < 2 {
                return Err(DecodeError::value("gap"));
            }
        }
        let first = last.checked_sub(u64::from(r.u32()?)).ok_or(DecodeError::value("below"))?;
        // Packet zero is never to be acknowledged.
        if first == 0 {
            return Err(DecodeError::value("below"));
        }
        ranges.insert(at, (first, last));
    }
    Ok(Ack { ranges, delay })
}

impl Fragment<'_> {
    /// Writes it whole, or nothing.
    #[cfg(test)]
    pub(crate) fn encode(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        self.encode_front(self.data.len(), w)?;
        w.bytes(self.data)
    }

    /// Writes what comes before so many bytes of data, if there is room for both.
    pub(crate) fn encode_front(&self, len: usize, w: &mut Writer<'_>) -> Result<(), Full> {
        if FRAGMENT_HEADER_LEN.saturating_add(len) > w.room() {
            return Err(Full);
        }
        w.bytes(&[FRAGMENT, self.class.number()])?;
        w.u16(self.shape.kind.0)?;
        w.u64(self.number)?;
        w.u32(self.shape.message_len)?;
        w.u16(self.offset)?;
        w.u16(match self.shape.after {
            After::Nothing => AFTER_NOTHING,
            After::All => AFTER_ALL,
            After::Distance(distance) => distance,
        })?;
        w.u16(u16::try_from(len).map_err(|_| Full)?)
    }
}

impl Ack {
    /// Bytes of an ack with one run.
    pub(crate) const LEN_MIN: usize = 16;

    /// Writes it with as many runs as fit, or nothing.
    pub(crate) fn encode(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        let room = w.room().min(ACK_LEN_MAX).checked_sub(Self::LEN_MIN).ok_or(Full)?;
        let mut runs = self.ranges.as_slice().iter();
        let (first, last) = runs.next().copied().ok_or(Full)?;
        // A step that does not fit 32 bits ends the list: older runs are not told.
        let mut before = first;
        let step = |&(first, last): &(u64, u64)| {
            let gap = u32::try_from(before.checked_sub(last)?.checked_sub(1)?).ok()?;
            let below = u32::try_from(last.checked_sub(first)?).ok()?;
            before = first;
            Some((gap, below))
        };
        let below = u32::try_from(last.saturating_sub(first)).map_err(|_| Full)?;
        let mut steps = [(0, 0); RANGES_MAX];
        let mut more = 0_u8;
        for (place, step) in steps.iter_mut().zip(runs.map_while(step)).take(room / 8) {
            *place = step;
            more = more.saturating_add(1);
        }
        let units = self.delay.as_us() / DELAY_UNIT_US;
        w.bytes(&[ACK, more])?;
        w.u16(u16::try_from(units).unwrap_or(u16::MAX))?;
        w.u64(last)?;
        w.u32(below)?;
        for (gap, below) in steps.iter().take(usize::from(more)) {
            w.u32(*gap)?;
            w.u32(*below)?;
        }
        Ok(())
    }
}

impl Credit {
    /// Writes it whole, or nothing.
    pub(crate) fn encode(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        if CREDIT_LEN > w.room() {
            return Err(Full);
        }
        w.bytes(&[CREDIT, self.class.number(), 0, 0])?;
        w.u64(self.messages)?;
        w.u64(self.bytes)
    }
}

/// Writes a ping.
pub(crate) fn encode_ping(stamp: u64, w: &mut Writer<'_>) -> Result<(), Full> {
    encode_stamp(PING, stamp, w)
}

/// Writes a pong.
pub(crate) fn encode_pong(stamp: u64, w: &mut Writer<'_>) -> Result<(), Full> {
    encode_stamp(PONG, stamp, w)
}

fn encode_stamp(number: u8, stamp: u64, w: &mut Writer<'_>) -> Result<(), Full> {
    if PING_LEN > w.room() {
        return Err(Full);
    }
    w.bytes(&[number, 0, 0, 0])?;
    w.u64(stamp)
}

#[cfg(test)]
mod tests;
