//! The frames by themselves.
#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use super::*;
use alloc::vec;
use alloc::vec::Vec;

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
