//! The frames by themselves.
#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use super::*;
use alloc::vec;
use alloc::vec::Vec;
use holon_simkit::mutate::{mutate, rounds};
use holon_simkit::Rng;

fn shape(message_len: u32) -> Shape {
    Shape { kind: Kind(0x0102), message_len, after: After::Distance(3) }
}

fn ranges(runs: &[(u64, u64)]) -> Ranges {
    let mut ranges = Ranges::new();
    runs.iter().enumerate().for_each(|(at, run)| ranges.insert(at, *run));
    ranges
}

#[test]
fn golden_frames() {
    let mut buffer = [0xee; 120];
    let mut w = Writer::new(&mut buffer);
    let fragment = Fragment {
        class: Class::Bulk,
        number: 0x1122,
        shape: shape(0x7003),
        offset: 0x7000,
        data: b"abc",
    };
    let delay = Duration::from_us(80);
    let ack = Ack { ranges: ranges(&[(0x11, 0x12), (0x0b, 0x0e)]), delay };
    let credit = Credit { class: Class::Control, messages: 7, bytes: 0x8000 };
    fragment.encode(&mut w).expect("fits");
    ack.encode(&mut w).expect("fits");
    credit.encode(&mut w).expect("fits");
    encode_ping(9, &mut w).expect("fits");
    encode_pong(10, &mut w).expect("fits");
    let len = w.len();
    assert_eq!(len, FRAGMENT_HEADER_LEN + 3 + Ack::LEN_MIN + 8 + CREDIT_LEN + 2 * PING_LEN);
    #[rustfmt::skip]
    let golden = [
        1, 2, 2, 1, 0x22, 0x11, 0, 0, 0, 0, 0, 0, 3, 0x70, 0, 0, 0, 0x70, 3, 0, 3, 0,
        b'a', b'b', b'c',
        2, 1, 10, 0, 0x12, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0,
        3, 1, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0,
        4, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0,
        5, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0,
    ];
    assert_eq!(buffer.get(..len), Some(&golden[..]));
    let mut r = Reader::new(&golden);
    assert_eq!(Frame::decode(&mut r), Ok(Frame::Fragment(fragment)));
    assert_eq!(Frame::decode(&mut r), Ok(Frame::Ack(ack)));
    assert_eq!(Frame::decode(&mut r), Ok(Frame::Credit(credit)));
    assert_eq!(Frame::decode(&mut r), Ok(Frame::Ping { stamp: 9 }));
    assert_eq!(Frame::decode(&mut r), Ok(Frame::Pong { stamp: 10 }));
    assert!(r.is_empty());
    assert_eq!(Frame::decode(&mut r), Err(DecodeError::Truncated));
}

#[test]
fn lengths_that_contradict_are_refused() {
    let cases: [(u32, u16, &[u8], bool); 10] = [
        (0, 0, b"", true),
        (1, 0, b"", false),
        (1, 1, b"", false),
        (0, 0, b"a", false),
        (0, 1, b"", false),
        (3, 0, b"abc", true),
        (3, 1, b"abc", false),
        (3, 2, b"c", true),
        (64 * 1024, u16::MAX, b"z", true),
        (64 * 1024 + 1, 0, b"a", false),
    ];
    for (message_len, offset, data, good) in cases {
        let mut buffer = [0; 64];
        let mut w = Writer::new(&mut buffer);
        let fragment =
            Fragment { class: Class::Fault, number: 0, shape: shape(message_len), offset, data };
        fragment.encode(&mut w).expect("fits");
        let len = w.len();
        let mut r = Reader::new(buffer.get(..len).expect("written"));
        assert_eq!(Frame::decode(&mut r).is_ok(), good, "{message_len} {offset} {data:?}");
    }
}

fn ack_bytes(more: u8, largest: u64, numbers: &[u32]) -> Vec<u8> {
    let mut bytes = vec![ACK, more, 0, 0];
    bytes.extend_from_slice(&largest.to_le_bytes());
    numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
    bytes
}

#[test]
fn acks_that_contradict_are_refused() {
    let cases: [(u8, u64, &[u32], bool); 12] = [
        (0, 1, &[0], true),
        (0, 0, &[0], false),
        (0, 5, &[4], true),
        (0, 5, &[5], false),
        (0, 5, &[u32::MAX], false),
        (0, u64::MAX, &[u32::MAX], true),
        (1, 5, &[0, 0, 0], false),
        (1, 5, &[0, 1, 0], true),
        (1, 5, &[0, 3, 0], true),
        (1, 5, &[0, 4, 0], false),
        (1, 5, &[0, u32::MAX, 0], false),
        (1, 5, &[0, 1], false),
    ];
    for (more, largest, numbers, good) in cases {
        let bytes = ack_bytes(more, largest, numbers);
        let outcome = Frame::decode(&mut Reader::new(&bytes));
        assert_eq!(outcome.is_ok(), good, "{more} {largest} {numbers:?}");
    }
    for more in [31, 32, 255] {
        let numbers = vec![1; usize::from(more) * 2 + 1];
        let bytes = ack_bytes(more, 1 << 20, &numbers);
        let outcome = Frame::decode(&mut Reader::new(&bytes));
        assert_eq!(outcome.is_ok(), more == 31);
    }
}

#[test]
fn an_ack_tells_the_newest_runs_that_fit() {
    let runs: Vec<(u64, u64)> = (0..32_u64).map(|i| 900 - 10 * i).map(|n| (n, n + 2)).collect();
    let ack = Ack { ranges: ranges(&runs), delay: Duration::from_ms(1) };
    for room in 0..300 {
        let mut buffer = vec![0; room];
        let mut w = Writer::new(&mut buffer);
        if room < Ack::LEN_MIN {
            assert_eq!(ack.encode(&mut w), Err(Full));
            continue;
        }
        ack.encode(&mut w).expect("fits");
        let len = w.len();
        let Ok(Frame::Ack(told)) = Frame::decode(&mut Reader::new(&buffer[..len])) else {
            panic!("room {room}");
        };
        let count = (1 + (room - 16) / 8).min(RANGES_MAX);
        assert_eq!(told.ranges.as_slice(), &runs[..count]);
        assert_eq!(told.delay, Duration::from_us(1000));
    }
}

fn plain_number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let digits = bytes.get(at..at + width)?.iter().rev();
    Some(digits.fold(0, |number, byte| (number << 8) | u64::from(*byte)))
}

/// A frame read by offsets alone: its length, and the numbers in it.
fn plain_frame(bytes: &[u8]) -> Option<(usize, Vec<u64>)> {
    let number = |at, width| plain_number(bytes, at, width);
    match bytes.first()? {
        1 => {
            let fields = [number(1, 1)?, number(2, 2)?, number(4, 8)?, number(12, 4)?];
            let [class, _, _, whole] = fields;
            let (offset, after, len) = (number(16, 2)?, number(18, 2)?, number(20, 2)?);
            let end = 22 + usize::try_from(len).ok()?;
            let is_right = class < 3
                && whole <= 65_536
                && offset + len <= whole
                && (len == 0) == (whole == 0)
                && bytes.len() >= end;
            is_right.then(|| (end, [&fields[..], &[offset, after, len]].concat()))
        }
        2 => {
            let (more, delay, mut last) = (number(1, 1)?, number(2, 2)?, number(4, 8)?);
            let (mut at, mut values) = (12, vec![delay * 8]);
            for run in 0..=more {
                if run > 0 {
                    let gap = number(at, 4)?;
                    at += 4;
                    last = values.last()?.checked_sub(gap + 1).filter(|_| gap > 0)?;
                }
                let first = last.checked_sub(number(at, 4)?).filter(|first| *first > 0)?;
                at += 4;
                values.extend([last, first]);
            }
            (more < 32).then_some((at, values))
        }
        3 => {
            let (class, zero) = (number(1, 1)?, number(2, 2)?);
            let fields = vec![class, number(4, 8)?, number(12, 8)?];
            (class < 3 && zero == 0).then_some((20, fields))
        }
        kind @ (4 | 5) => {
            let stamp = number(4, 8)?;
            (number(1, 3)? == 0).then_some((12, vec![u64::from(*kind), stamp]))
        }
        _ => None,
    }
}

/// The same by the decoder, and what the encoder makes of it.
fn decoded_frame(bytes: &[u8]) -> Option<(usize, Vec<u64>, Vec<u8>)> {
    let mut r = Reader::new(bytes);
    let frame = Frame::decode(&mut r).ok()?;
    let mut buffer = vec![0; bytes.len()];
    let mut w = Writer::new(&mut buffer);
    let values = match frame {
        Frame::Fragment(it) => {
            it.encode(&mut w).expect("fits");
            let after = match it.shape.after {
                After::Nothing => 0,
                After::All => 65_535,
                After::Distance(distance) => u64::from(distance),
            };
            let (class, kind) = (u64::from(it.class.number()), u64::from(it.shape.kind.0));
            let len = u64::try_from(it.data.len()).expect("small");
            let whole = u64::from(it.shape.message_len);
            vec![class, kind, it.number, whole, u64::from(it.offset), after, len]
        }
        Frame::Ack(it) => {
            it.encode(&mut w).expect("fits");
            let runs = it.ranges.as_slice().iter().flat_map(|(first, last)| [*last, *first]);
            [it.delay.as_us()].into_iter().chain(runs).collect()
        }
        Frame::Credit(it) => {
            it.encode(&mut w).expect("fits");
            vec![u64::from(it.class.number()), it.messages, it.bytes]
        }
        Frame::Ping { stamp } => {
            encode_ping(stamp, &mut w).expect("fits");
            vec![4, stamp]
        }
        Frame::Pong { stamp } => {
            encode_pong(stamp, &mut w).expect("fits");
            vec![5, stamp]
        }
    };
    let len = w.len();
    buffer.truncate(len);
    Some((bytes.len() - r.remaining(), values, buffer))
}

fn any_frame(rng: &mut Rng) -> Vec<u8> {
    let kind = [1, 2, 3, 4, 5][rng.index(5)];
    let mut bytes = vec![kind, 0, 0, 0];
    let number = |rng: &mut Rng| if rng.coin() { rng.draw() } else { rng.below(3_000) };
    match kind {
        1 => {
            let (len, after) = (1 + rng.index(30), rng.pick(&[0, 1, 300, 65_535_u16]));
            let offset = u16::try_from(rng.below(60_000)).expect("small");
            let whole = u32::from(offset) + 30 + rng.below_u32(1_000);
            bytes[1] = rng.pick(&[0, 1, 2]);
            bytes.extend(number(rng).to_le_bytes());
            bytes.extend(whole.to_le_bytes());
            bytes.extend(offset.to_le_bytes());
            bytes.extend(after.to_le_bytes());
            bytes.extend(u16::try_from(len).expect("small").to_le_bytes());
            bytes.resize(bytes.len() + len, 7);
        }
        2 => {
            let more = rng.index(32);
            bytes[1] = u8::try_from(more).expect("small");
            bytes.extend((rng.draw() | 1 << 40).to_le_bytes());
            (0..=2 * more).for_each(|_| bytes.extend((1 + rng.below_u32(900)).to_le_bytes()));
        }
        3 => {
            bytes[1] = rng.pick(&[0, 1, 2]);
            (0..2).for_each(|_| bytes.extend(number(rng).to_le_bytes()));
        }
        _ => bytes.extend(number(rng).to_le_bytes()),
    }
    bytes
}

/// The decoder takes what a reader that shares no code with it takes, reads the same, and what it
/// takes is what the encoder writes.
#[test]
fn two_readers_agree() {
    let (mut taken, mut refused) = (0, 0);
    for seed in 0..rounds(20_000) {
        let mut rng = Rng::new(seed);
        let mut bytes = any_frame(&mut rng);
        assert!(plain_frame(&bytes).is_some(), "{bytes:02x?}");
        for _ in 0..4 {
            let ours = decoded_frame(&bytes);
            let read = ours.as_ref().map(|(len, values, _)| (*len, values.clone()));
            assert_eq!(read, plain_frame(&bytes), "{bytes:02x?}");
            if let Some((len, _, again)) = &ours {
                assert_eq!(bytes.get(..*len), Some(&again[..]), "written differently");
            }
            *(if ours.is_some() { &mut taken } else { &mut refused }) += 1;
            mutate(&mut bytes, &mut rng);
        }
    }
    assert!(taken > refused / 4 && refused > taken / 20, "{taken} taken, {refused} refused");
}
