//! The sending queue by itself.
#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use super::*;
use crate::id::Slot;
use crate::link::frame::Frame;
use crate::link::Transmit;
use crate::pool::allocate;
use crate::wire::Reader;
use alloc::vec;

fn pool() -> Pool {
    Pool::new([8, 8, 8], allocate).expect("memory")
}

type Queue = Outbox<&'static [u8]>;

fn push(outbox: &mut Queue, pool: &mut Pool, lane: Lane, len: usize) -> Result<bool, SendError> {
    let payload = vec![7; len];
    let (kind, purpose) = (Kind(1), Purpose::Other);
    let pieces = [Piece::Bytes(&payload[..])].into_iter();
    let out = Outgoing { kind, lane, purpose, answers: None, pieces };
    outbox.push(out, pool).map(|taken| taken.is_some())
}

/// The next fragment: message, offset, length, after.
fn next(outbox: &mut Queue, data_max: u16) -> Option<((u64, u16, usize, After), Carried)> {
    let mut buffer = [0; 9000];
    let mut w = Writer::new(&mut buffer);
    let mut contents = Contents::new();
    let (carried, _) = outbox.write_next(data_max, (&mut w, &mut contents))?;
    let head_len = w.len();
    let transmit = Transmit { slot: Slot::new(1).expect("slot"), head_len, contents };
    let parts = transmit.parts(&buffer, |content| outbox.content(content));
    let bytes = parts.collect::<Vec<_>>().concat();
    let Ok(Frame::Fragment(fragment)) = Frame::decode(&mut Reader::new(&bytes)) else {
        panic!("not a fragment");
    };
    let what = (fragment.number, fragment.offset, fragment.data.len(), fragment.shape.after);
    Some((what, carried))
}

fn arrive(outbox: &mut Queue, pool: &mut Pool, carried: Carried) {
    if let Carried::Fragment { number, index, cutting, .. } = carried {
        outbox.on_arrived(number, index, cutting, pool);
    }
}

fn lose(outbox: &mut Queue, carried: Carried) {
    if let Carried::Fragment { number, index, cutting, .. } = carried {
        outbox.on_lost(number, index, cutting);
    }
}

#[test]
fn lost_fragments_leave_before_new_ones_and_once() {
    let (mut outbox, mut pool) = (Queue::new(Class::Bulk).expect("memory"), pool());
    for len in [2500, 0, 10] {
        assert_eq!(push(&mut outbox, &mut pool, Lane::Free, len), Ok(true));
    }
    let sent: Vec<_> = (0..4).map(|_| next(&mut outbox, 1200).expect("more")).collect();
    let places: Vec<_> = sent.iter().map(|(what, _)| (what.0, what.1, what.2)).collect();
    assert_eq!(places, [(0, 0, 1200), (0, 1200, 1200), (0, 2400, 100), (1, 0, 0)]);
    for _ in 0..2 {
        lose(&mut outbox, sent[1].1);
        lose(&mut outbox, sent[3].1);
    }
    arrive(&mut outbox, &mut pool, sent[0].1);
    let again: Vec<_> = (0..3).map(|_| next(&mut outbox, 1200).expect("more").0).collect();
    let places: Vec<_> = again.iter().map(|what| (what.0, what.1)).collect();
    assert_eq!(places, [(0, 1200), (1, 0), (2, 0)]);
    assert!(!outbox.wants());
    for (_, carried) in &sent {
        arrive(&mut outbox, &mut pool, *carried);
    }
    assert_eq!(outbox.queued_bytes(), 10);
    assert_eq!(outbox.base, 2);
}

#[test]
fn a_shorter_path_cuts_anew_and_old_news_do_not_count() {
    let (mut outbox, mut pool) = (Queue::new(Class::Bulk).expect("memory"), pool());
    assert_eq!(push(&mut outbox, &mut pool, Lane::Free, 6000), Ok(true));
    let (_, old) = next(&mut outbox, 4000).expect("more");
    let mut news = Vec::new();
    while let Some((what, carried)) = next(&mut outbox, 1500) {
        assert_eq!(what.2, 1500);
        news.push(carried);
    }
    assert_eq!(news.len(), 4);
    arrive(&mut outbox, &mut pool, old);
    lose(&mut outbox, old);
    assert!(!outbox.wants());
    news.into_iter().for_each(|carried| arrive(&mut outbox, &mut pool, carried));
    assert_eq!((outbox.queued_bytes(), outbox.base), (0, 1));
}

#[test]
fn lanes_name_their_predecessors() {
    let (mut outbox, mut pool) = (Queue::new(Class::Control).expect("memory"), pool());
    let (one, two) = (Lane::Keyed(1), Lane::Keyed(2));
    let lanes = [one, two, one, Lane::Free, Lane::Strict, two, two];
    for lane in lanes {
        assert_eq!(push(&mut outbox, &mut pool, lane, 1), Ok(true));
    }
    let after: Vec<_> = core::iter::from_fn(|| next(&mut outbox, 1200)).map(|n| n.0 .3).collect();
    let distance = After::Distance;
    let expected = [
        After::Nothing,
        After::Nothing,
        distance(2),
        After::Nothing,
        After::All,
        distance(1),
        distance(1),
    ];
    assert_eq!(after, expected);
}

#[test]
fn credit_and_bounds_hold_the_sender() {
    let (mut outbox, mut pool) = (Queue::new(Class::Control).expect("memory"), pool());
    assert_eq!(
        push(&mut outbox, &mut pool, Lane::Free, MESSAGE_LEN_MAX + 1),
        Err(SendError::TooLong)
    );
    for _ in 0..16 {
        assert_eq!(push(&mut outbox, &mut pool, Lane::Free, MESSAGE_LEN_MAX), Ok(true));
    }
    assert_eq!(push(&mut outbox, &mut pool, Lane::Free, 1), Err(SendError::Busy));
    outbox.reset(&mut pool);
    for _ in 0..256 {
        assert_eq!(push(&mut outbox, &mut pool, Lane::Free, 1), Ok(true));
    }
    assert_eq!(push(&mut outbox, &mut pool, Lane::Free, 1), Err(SendError::Busy));
    let sent: Vec<_> = core::iter::from_fn(|| next(&mut outbox, 1200)).collect();
    assert_eq!(sent.len(), 256);
    sent.iter().take(200).for_each(|(_, carried)| arrive(&mut outbox, &mut pool, *carried));
    assert_eq!(push(&mut outbox, &mut pool, Lane::Free, 1), Ok(true));
    assert!(!outbox.wants(), "the peer's caller has taken nothing");
    let class = Class::Control;
    outbox.on_credit(&Credit { class, messages: 257, bytes: 0 });
    assert!(outbox.wants());
    outbox.reset(&mut pool);
    for _ in 0..16 {
        assert_eq!(push(&mut outbox, &mut pool, Lane::Free, MESSAGE_LEN_MAX), Ok(true));
    }
    while let Some((_, carried)) = next(&mut outbox, 8000) {
        arrive(&mut outbox, &mut pool, carried);
    }
    assert_eq!(push(&mut outbox, &mut pool, Lane::Free, 1), Ok(true));
    assert!(!outbox.wants(), "the bytes count too");
    outbox.on_credit(&Credit { class, messages: 0, bytes: (1 << 20) + 1 });
    assert!(outbox.wants(), "credit is never taken back");
}
