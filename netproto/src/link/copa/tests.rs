//! The congestion control by itself: a path of 10 ms and 1000 packets a second, in steps.

use super::*;
use crate::id::{Incarnation, Slot};

const PACKET: u64 = 1400;

fn copa() -> Copa {
    let slot = Slot::new(1).expect("in range");
    Copa::new(&Config::new(slot, Incarnation([1; 16])), PACKET, PACKET * 1000)
}

/// One round in which every packet measured this round trip.
fn round(copa: &mut Copa, now_ms: u64, round_trip_us: u64, lost_packets: u64) {
    let window = copa.window();
    let packets = (window / PACKET).max(1);
    for packet in 1..=packets {
        let arrival = Arrival {
            acked_bytes: PACKET,
            lost_bytes: if packet == packets { lost_packets * PACKET } else { 0 },
            sample: Some(Duration::from_us(round_trip_us)),
            smoothed: Some(Duration::from_us(round_trip_us)),
            is_round: packet == packets,
            used_bytes: copa.window(),
        };
        copa.on_ack(Instant::from_ns(now_ms * 1_000_000), &arrival);
    }
}

#[test]
fn starts_fast_and_stops_at_a_queue() {
    let mut copa = copa();
    assert_eq!(copa.spacing(PACKET), Duration::ZERO, "nothing is known");
    round(&mut copa, 10, 10_000, 0);
    round(&mut copa, 20, 10_000, 0);
    assert_eq!(copa.window(), 64 * PACKET);
    // Twice as fast as the window in a round trip.
    assert_eq!(copa.spacing(PACKET), Duration::from_ns(10_000_000 / 128));
    round(&mut copa, 40, 20_000, 0);
    assert!(copa.window() <= 66 * PACKET, "the queue ends the start: {}", copa.window());
}

#[test]
fn alone_a_loss_means_nothing_and_many_do() {
    let mut copa = copa();
    round(&mut copa, 10, 10_000, 0);
    let before = copa.window();
    round(&mut copa, 20, 10_000, 1);
    assert!(copa.window() >= before);
    let before = copa.window();
    round(&mut copa, 30, 10_000, 40);
    assert!(copa.window() < 2 * before * 8 / 10, "a round with more than an eighth lost");
    copa.on_timeout();
    assert_eq!(copa.window(), 4 * PACKET);
}

#[test]
fn a_full_queue_is_competed_for_until_it_empties() {
    let mut copa = copa();
    round(&mut copa, 10, 10_000, 0);
    let mut now_ms = 100;
    while !copa.is_competing() {
        now_ms += 30;
        round(&mut copa, now_ms, 30_000, 0);
        assert!(now_ms < 1_000);
    }
    let before = copa.inverse_delta;
    (0..5).for_each(|at| round(&mut copa, now_ms + 30 * at, 30_000, 0));
    assert_eq!(copa.inverse_delta, before + 5);
    round(&mut copa, now_ms + 200, 30_000, 1);
    assert_eq!(copa.inverse_delta, (before + 5) / 2);
    round(&mut copa, now_ms + 300, 10_000, 0);
    assert!(!copa.is_competing());
    assert_eq!(copa.inverse_delta, INVERSE_DELTA);
}

#[test]
fn a_retreat_finds_out_that_nobody_else_is_there() {
    let mut copa = copa();
    round(&mut copa, 10, 10_000, 0);
    let mut now_ms = 100;
    while copa.retreat.is_none() {
        now_ms += 30;
        round(&mut copa, now_ms, 30_000, 0);
        assert!(now_ms < 3_000, "no retreat");
    }
    let window = copa.window();
    let before = copa.retreat.map_or(0, |retreat| retreat.window_before);
    assert!(window < before / 3, "{window} of {before}");
    // Somebody else is there: as before, and later again.
    (1..=3).for_each(|at| round(&mut copa, now_ms + 30 * at, 30_000, 0));
    assert!(copa.retreat.is_none() && copa.retreat_in == 2 * RETREAT_FIRST);
    assert!(copa.window() > before / 2);
    while copa.retreat.is_none() {
        now_ms += 30;
        round(&mut copa, now_ms, 30_000, 0);
    }
    round(&mut copa, now_ms + 100, 10_000, 0);
    assert!(!copa.is_competing() && copa.retreat.is_none());
    assert_eq!(copa.inverse_delta_before, INVERSE_DELTA);
}

#[test]
fn stays_in_its_bounds_whatever_is_measured() {
    let mut copa = copa();
    let mut x = 3_u64;
    for at in 0..20_000_u64 {
        x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let arrival = Arrival {
            acked_bytes: (x >> 20) % (1 << (x % 40)),
            lost_bytes: (x >> 24) % (1 << (x % 20)),
            sample: (x % 3 > 0).then_some(Duration::from_ns(x >> (x % 60))),
            smoothed: Some(Duration::from_ns(x >> (x % 50))),
            is_round: x % 7 == 0,
            used_bytes: x >> (x % 64),
        };
        copa.on_ack(Instant::from_ns(at * 1_000_000), &arrival);
        if x % 1009 == 0 {
            copa.on_timeout();
        }
        assert!((4 * PACKET..=1000 * PACKET).contains(&copa.window()));
        let _ = copa.spacing(x);
    }
}
