//! The receiving queue by itself.

use super::*;
use crate::pool::allocate;

fn piece(number: u64, len: u32, offset: u16, after: After, data: &[u8]) -> Fragment<'_> {
    let shape = Shape { kind: Kind(7), message_len: len, after };
    Fragment { class: Class::Bulk, number, shape, offset, data }
}

fn bench() -> (Inbox, Pool) {
    (Inbox::new(Class::Bulk).expect("memory"), Pool::new([64, 8, 8], allocate).expect("memory"))
}

#[test]
fn joins_out_of_order_and_drops_duplicates() {
    let (mut inbox, mut pool) = bench();
    let mut take = |inbox: &mut Inbox, offset: u16, data: &[u8]| {
        inbox.on_fragment(&piece(0, 6, offset, After::All, data), &mut pool)
    };
    assert_eq!(take(&mut inbox, 4, b"ef"), Ok(Taken::New));
    assert_eq!(take(&mut inbox, 4, b"ef"), Ok(Taken::Again));
    assert_eq!(take(&mut inbox, 2, b"cd"), Ok(Taken::New));
    assert!(!inbox.is_ready());
    // Cut anew in between: overlaps are fine.
    assert_eq!(take(&mut inbox, 0, b"abc"), Ok(Taken::New));
    assert_eq!(inbox.pop(), Some((Kind(7), b"abcdef".to_vec())));
    assert_eq!(take(&mut inbox, 0, b"abcdef"), Ok(Taken::Again));
    assert_eq!(inbox.held_bytes, 0);
}

#[test]
fn a_slow_taker_closes_the_window() {
    let (mut inbox, mut pool) = bench();
    let mut number = 0;
    while inbox.on_fragment(&piece(number, 1, 0, After::All, b"x"), &mut pool) == Ok(Taken::New) {
        number += 1;
    }
    assert_eq!(number, 1024);
    assert!(!inbox.is_credit_owed());
    for _ in 0..256 {
        assert!(inbox.pop().is_some());
    }
    assert!(inbox.is_credit_owed());
    assert_eq!(inbox.credit().messages, 1024 + 256);
    inbox.on_credit_sent();
    assert!(!inbox.is_credit_owed());
    inbox.on_credit_lost();
    assert!(inbox.is_credit_owed());
    assert_eq!(
        inbox.on_fragment(&piece(number, 1, 0, After::All, b"x"), &mut pool),
        Ok(Taken::New)
    );
}

#[test]
fn one_that_waits_does_not_hold_up_the_next() {
    let (mut inbox, mut pool) = bench();
    let mut give = |inbox: &mut Inbox, number: u64, after: After| {
        let taken = inbox.on_fragment(&piece(number, 1, 0, after, b"x"), &mut pool);
        assert_eq!(taken, Ok(Taken::New));
        inbox.ready.iter().map(|(number, _, _)| *number).collect::<Vec<_>>()
    };
    assert_eq!(give(&mut inbox, 3, After::Distance(2)), []);
    assert_eq!(give(&mut inbox, 2, After::Nothing), [2]);
    assert_eq!(give(&mut inbox, 4, After::All), [2]);
    assert_eq!(give(&mut inbox, 5, After::Distance(60_000)), [2, 5]);
    assert_eq!(give(&mut inbox, 1, After::Distance(1)), [2, 5]);
    assert_eq!(give(&mut inbox, 0, After::Nothing), [2, 5, 0, 1, 3, 4]);
    let forgotten = inbox.reset(&mut Pool::new([1, 1, 1], allocate).expect("memory"));
    assert_eq!(forgotten, 6);
}

#[test]
fn too_many_begun_messages_are_refused() {
    let (mut inbox, mut pool) = bench();
    for number in 0..128 {
        let taken = inbox.on_fragment(&piece(number, 2, 0, After::Nothing, b"x"), &mut pool);
        assert_eq!(taken, Ok(Taken::New));
    }
    let next = piece(128, 2, 0, After::Nothing, b"x");
    assert_eq!(inbox.on_fragment(&next, &mut pool), Ok(Taken::Refused));
    let end = piece(5, 2, 1, After::Nothing, b"y");
    assert_eq!(inbox.on_fragment(&end, &mut pool), Ok(Taken::New));
    assert_eq!(inbox.on_fragment(&next, &mut pool), Ok(Taken::New));
}
