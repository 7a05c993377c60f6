//! The frames in a link datagram's body.
//!
//! ```text
//! fragment: 1, class, flags, 0, length(2), kind(2), sequence(8), message length(4), data
//! ack:      2, class, 0, 0, next(8), bitmap(16): bit i is set if next + 1 + i was received
//! ping:     3, 0, 0, 0, stamp(8)          pong: 4, 0, 0, 0, stamp(8)
//! ```
//! `next` is the lowest sequence number that was not received.

use crate::error::DecodeError;
use crate::event::Class;
use crate::limits::{ACK_LEN, FRAGMENT_HEADER_LEN, MESSAGE_LEN_MAX, PING_LEN};
use crate::msg::Kind;
use crate::wire::writer::Full;
use crate::wire::{Reader, Writer};

const FRAGMENT: u8 = 1;
const ACK: u8 = 2;
const PING: u8 = 3;
const PONG: u8 = 4;

const FIRST: u8 = 1;
const LAST: u8 = 2;

/// A piece of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fragment<'a> {
    pub(crate) class: Class,
    pub(crate) sequence: u64,
    pub(crate) place: Place,
    pub(crate) data: &'a [u8],
}

/// Where in its message a fragment belongs, and what that message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) message_len: u32,
    pub(crate) is_first: bool,
    pub(crate) is_last: bool,
}

/// What was received of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) class: Class,
    pub(crate) next: u64,
    pub(crate) bitmap: u128,
}

/// A checked frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    Fragment(Fragment<'a>),
    Ack(Ack),
    Ping { stamp: u64 },
    Pong { stamp: u64 },
}

impl<'a> Frame<'a> {
    /// Reads and checks the next frame.
    pub(crate) fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        match r.u8()? {
            FRAGMENT => decode_fragment(r).map(Self::Fragment),
            ACK => {
                let class = decode_class(r)?;
                r.zeros::<2>()?;
                let next = r.u64()?;
                let bitmap = u128::from_le_bytes(r.array()?);
                Ok(Self::Ack(Ack { class, next, bitmap }))
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
    let flags = r.u8()?;
    r.zeros::<1>()?;
    let len = usize::from(r.u16()?);
    let kind = Kind(r.u16()?);
    let sequence = r.u64()?;
    let message_len = r.u32()?;
    let data = r.bytes(len)?;
    if flags & !(FIRST | LAST) != 0 {
        return Err(DecodeError::value("flags"));
    }
    let whole_len = usize::try_from(message_len).map_err(|_| DecodeError::value("message_len"))?;
    if whole_len > MESSAGE_LEN_MAX {
        return Err(DecodeError::value("message_len"));
    }
    let is_first = flags & FIRST != 0;
    let is_last = flags & LAST != 0;
    let is_whole = is_first && is_last;
    let fits = if is_whole { len == whole_len } else { len > 0 && len < whole_len };
    if !fits {
        return Err(DecodeError::value("length"));
    }
    Ok(Fragment { class, sequence, place: Place { kind, message_len, is_first, is_last }, data })
}

impl Fragment<'_> {
    /// Bytes that it takes on the wire.
    pub(crate) fn wire_len(&self) -> usize {
        FRAGMENT_HEADER_LEN.saturating_add(self.data.len())
    }

    /// Writes it whole, or nothing.
    pub(crate) fn encode(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        if self.wire_len() > w.room() {
            return Err(Full);
        }
        let first = if self.place.is_first { FIRST } else { 0 };
        let last = if self.place.is_last { LAST } else { 0 };
        w.bytes(&[FRAGMENT, self.class.number(), first | last, 0])?;
        w.u16(u16::try_from(self.data.len()).map_err(|_| Full)?)?;
        w.u16(self.place.kind.0)?;
        w.u64(self.sequence)?;
        w.u32(self.place.message_len)?;
        w.bytes(self.data)
    }
}

impl Ack {
    /// Whether the bitmap names the fragment `index` places after some base, which `next` is
    /// `ahead` places after.
    pub(crate) fn names(&self, index: usize, ahead: usize) -> bool {
        index
            .checked_sub(ahead)
            .and_then(|after| after.checked_sub(1))
            .and_then(|bit| u32::try_from(bit).ok())
            .and_then(|bit| self.bitmap.checked_shr(bit))
            .is_some_and(|bits| bits & 1 == 1)
    }

    /// Writes it whole, or nothing.
    pub(crate) fn encode(&self, w: &mut Writer<'_>) -> Result<(), Full> {
        if ACK_LEN > w.room() {
            return Err(Full);
        }
        w.bytes(&[ACK, self.class.number(), 0, 0])?;
        w.u64(self.next)?;
        w.bytes(&self.bitmap.to_le_bytes())
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
mod tests {
    use super::*;

    fn place(message_len: u32, is_first: bool, is_last: bool) -> Place {
        Place { kind: Kind(0x0102), message_len, is_first, is_last }
    }

    #[test]
    fn golden_frames() {
        let mut buffer = [0xee; 100];
        let mut w = Writer::new(&mut buffer);
        let fragment = Fragment {
            class: Class::Bulk,
            sequence: 0x1122,
            place: place(3, true, true),
            data: b"abc",
        };
        let ack = Ack { class: Class::Control, next: 7, bitmap: 0b101 | 1 << 127 };
        fragment.encode(&mut w).expect("fits");
        ack.encode(&mut w).expect("fits");
        encode_ping(9, &mut w).expect("fits");
        encode_pong(10, &mut w).expect("fits");
        let len = w.len();
        assert_eq!(len, FRAGMENT_HEADER_LEN + 3 + ACK_LEN + 2 * PING_LEN);
        #[rustfmt::skip]
        let golden = [
            1, 2, 3, 0, 3, 0, 2, 1, 0x22, 0x11, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, b'a', b'b', b'c',
            2, 1, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80,
            3, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0,
            4, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(buffer.get(..len), Some(&golden[..]));
        let mut r = Reader::new(&golden);
        assert_eq!(Frame::decode(&mut r), Ok(Frame::Fragment(fragment)));
        assert_eq!(Frame::decode(&mut r), Ok(Frame::Ack(ack)));
        assert_eq!(Frame::decode(&mut r), Ok(Frame::Ping { stamp: 9 }));
        assert_eq!(Frame::decode(&mut r), Ok(Frame::Pong { stamp: 10 }));
        assert!(r.is_empty());
        assert_eq!(Frame::decode(&mut r), Err(DecodeError::Truncated));
    }

    #[test]
    fn lengths_that_contradict_are_refused() {
        let cases: [(Place, &[u8], bool); 8] = [
            (place(0, true, true), b"", true),
            (place(1, true, true), b"", false),
            (place(0, true, true), b"a", false),
            (place(3, true, false), b"", false),
            (place(3, true, false), b"abc", false),
            (place(4, false, true), b"abc", true),
            (place(0, false, false), b"a", false),
            (place(64 * 1024 + 1, true, false), b"a", false),
        ];
        for (place, data, good) in cases {
            let mut buffer = [0; 64];
            let mut w = Writer::new(&mut buffer);
            let fragment = Fragment { class: Class::Fault, sequence: 0, place, data };
            fragment.encode(&mut w).expect("fits");
            let len = w.len();
            let mut r = Reader::new(buffer.get(..len).expect("written"));
            assert_eq!(Frame::decode(&mut r).is_ok(), good, "{place:?} {data:?}");
        }
    }
}
