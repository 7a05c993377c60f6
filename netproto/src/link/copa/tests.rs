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

/// Acknowledges so many packets of 40 at once, all of the same round trip.
fn bunch(copa: &mut Copa, now_us: u64, round_trip_us: u64, packets: u64) {
    copa.window = 40 * PACKET;
    let arrival = Arrival {
        acked_bytes: packets * PACKET,
        lost_bytes: 0,
        sample: Some(Duration::from_us(round_trip_us)),
        smoothed: Some(Duration::from_us(round_trip_us)),
        is_round: false,
        used_bytes: copa.window(),
    };
    copa.on_ack(Instant::from_ns(now_us * 1000), &arrival);
}

#[test]
fn what_comes_in_bunches_is_counted_in_bunches() {
    let mut copa = copa();
    for at in 0..100 {
        bunch(&mut copa, at * 200, 10_000, u64::from(ACK_EVERY));
    }
    assert_eq!((copa.unit(), copa.ahead()), (PACKET, Duration::ZERO), "as many as wait for one");
    for at in 0..200 {
        bunch(&mut copa, 20_000 + at * 1000, 10_000, 10);
    }
    let unit = copa.unit();
    assert!((8 * PACKET..10 * PACKET).contains(&unit), "{unit}");
    assert_eq!(copa.ahead(), copa.spacing(unit - PACKET));
    // A single large one among many counts little, and two at the same instant count as one.
    bunch(&mut copa, 220_000, 10_000, 40);
    assert!(copa.unit() < 2 * unit);
    for at in 0..400 {
        bunch(&mut copa, 230_000 + at / 2 * 1000, 10_000, 5);
    }
    assert!((8 * PACKET..10 * PACKET).contains(&copa.unit()), "{}", copa.unit());
    for at in 0..2000 {
        bunch(&mut copa, 500_000 + at * 1000, 10_000, 100);
    }
    assert_eq!(copa.unit(), BUNCH_MAX, "no longer than what leaves a host in one piece");
}

/// A delay that would be a queue of many packets is what a few bunches take.
#[test]
fn a_step_of_bunches_at_most_doubles_the_window() {
    let mut copa = copa();
    copa.is_starting = false;
    copa.window = 100 * PACKET;
    copa.velocity = 8;
    let alone = copa.step(PACKET);
    assert!(alone < PACKET / 6);
    copa.bunch = 3 * PACKET;
    assert_eq!(copa.step(PACKET), 2 * alone);
    copa.bunch = 20 * PACKET;
    assert_eq!(copa.step(PACKET), PACKET);
    copa.velocity = VELOCITY_MAX;
    assert_eq!(copa.step(PACKET), 1024 * 2 * PACKET / 100, "never less than for packets alone");
    let target = |copa: &mut Copa| {
        copa.velocity = 1;
        bunch(copa, 10, 10_000, 0);
        bunch(copa, 20_000, 12_000, 1);
        copa.window > 40 * PACKET
    };
    copa.bunch = 0;
    assert!(!target(&mut copa), "40 packets in 12 ms are more than 2 in 2");
    copa.bunch = 20 * PACKET;
    assert!(target(&mut copa), "and less than 2 times 19 in 2");
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
