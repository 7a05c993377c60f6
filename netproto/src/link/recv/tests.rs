//! The receiving queue by itself.

use super::*;

fn piece(sequence: u64, flags: (bool, bool), message_len: u32, data: &[u8]) -> Fragment<'_> {
    Fragment {
        class: Class::Bulk,
        sequence,
        place: Place { kind: Kind(7), message_len, is_first: flags.0, is_last: flags.1 },
        data,
    }
}

fn take(queue: &mut RecvQueue, fragment: &Fragment<'_>) -> Result<Taken, Violation> {
    queue.on_fragment(Instant::ZERO, Duration::from_ms(1), fragment)
}

#[test]
fn joins_out_of_order_and_drops_duplicates() {
    let mut queue = RecvQueue::new(Class::Bulk).expect("memory");
    let last = piece(2, (false, true), 6, b"ef");
    assert_eq!(take(&mut queue, &last), Ok(Taken::New));
    assert_eq!(take(&mut queue, &last), Ok(Taken::Again));
    assert_eq!(queue.ack().map(|ack| (ack.next, ack.bitmap)), Some((0, 0b10)));
    assert_eq!(take(&mut queue, &piece(1, (false, false), 6, b"cd")), Ok(Taken::New));
    assert!(!queue.is_ready());
    assert_eq!(take(&mut queue, &piece(0, (true, false), 6, b"ab")), Ok(Taken::New));
    assert_eq!(queue.pop(), Some((Kind(7), b"abcdef".to_vec())));
    assert_eq!(take(&mut queue, &last), Ok(Taken::Again));
    assert_eq!(queue.ack().map(|ack| (ack.next, ack.bitmap)), Some((3, 0)));
    assert_eq!(take(&mut queue, &piece(131, (true, true), 1, b"x")), Ok(Taken::Refused));
    assert_eq!(take(&mut queue, &piece(130, (true, true), 1, b"x")), Ok(Taken::New));
}

#[test]
fn contradictions_are_violations() {
    let bad: [&[Fragment<'_>]; 6] = [
        &[piece(0, (true, false), 4, b"ab"), piece(1, (false, false), 4, b"cde")],
        &[piece(0, (false, true), 4, b"ab")],
        &[piece(0, (true, false), 4, b"ab"), piece(1, (true, false), 4, b"ab")],
        &[piece(0, (true, false), 4, b"ab"), piece(1, (false, true), 5, b"ab")],
        &[piece(0, (true, false), 4, b"ab"), piece(1, (false, true), 4, b"c")],
        &[piece(0, (true, false), 4, b"ab"), piece(1, (false, false), 4, b"cd")],
    ];
    for fragments in bad {
        let mut queue = RecvQueue::new(Class::Bulk).expect("memory");
        let mut results = fragments.iter().map(|fragment| take(&mut queue, fragment));
        assert!(results.any(|result| result == Err(Violation)), "{fragments:?}");
    }
}

#[test]
fn a_slow_taker_closes_the_window() {
    let mut queue = RecvQueue::new(Class::Bulk).expect("memory");
    let mut sequence = 0;
    while take(&mut queue, &piece(sequence, (true, true), 1, b"x")) == Ok(Taken::New) {
        sequence += 1;
    }
    assert_eq!(sequence, 64 + 128);
    assert_eq!(queue.ack().map(|ack| ack.next), Some(64));
    for _ in 0..64 {
        assert!(queue.pop().is_some());
    }
    assert_eq!(queue.advance(), Ok(true));
    assert!(queue.wants_ack(Instant::ZERO));
    assert_eq!(queue.ack().map(|ack| ack.next), Some(128));
}
