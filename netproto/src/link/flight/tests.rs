//! The flight by itself: which packets are lost, and when that is known.

use super::*;
use crate::config::Config;
use crate::id::{Incarnation, Slot};
use crate::link::seen::Seen;
use alloc::vec;
use alloc::vec::Vec;

struct Bench {
    flight: Flight,
    rtt: Rtt,
    told: Vec<(u64, Fate)>,
}

fn ms(ms: u64) -> Instant {
    Instant::from_ns(ms * 1_000_000)
}

impl Bench {
    fn new() -> Self {
        let slot = Slot::new(1).expect("in range");
        let rtt = Rtt::new(&Config::new(slot, Incarnation([1; 16])));
        Self { flight: Flight::new().expect("memory"), rtt, told: Vec::new() }
    }

    /// Sends a packet that carries a fragment of the message with the packet's number.
    fn send(&mut self, now: Instant, class: Class) {
        let number = self.flight.next();
        let carried = Carried::Fragment { class, number, index: 0, cutting: 0 };
        self.flight.on_sent(now, 1000, class, &[carried]);
    }

    fn ack(&mut self, now: Instant, packets: &[u64]) -> Result<Outcome, BadAck> {
        let mut seen = Seen::new();
        packets.iter().for_each(|packet| seen.on_packet(now, Duration::ZERO, *packet));
        let ack = seen.ack(now).expect("due");
        let told = &mut self.told;
        self.flight.on_ack(now, &ack, &mut self.rtt, |carried, fate| {
            if let Carried::Fragment { number, .. } = carried {
                told.push((number, fate));
            }
        })
    }

    fn pass(&mut self, now: Instant) -> Outcome {
        let told = &mut self.told;
        self.flight.on_time(now, &self.rtt, |carried, fate| {
            if let Carried::Fragment { number, .. } = carried {
                told.push((number, fate));
            }
        })
    }
}

fn lost(told: &[(u64, Fate)]) -> Vec<u64> {
    told.iter().filter(|(_, fate)| *fate == Fate::Lost).map(|(number, _)| *number).collect()
}

#[test]
fn three_later_ones_make_a_packet_lost() {
    let mut bench = Bench::new();
    (0..6).for_each(|_| bench.send(ms(0), Class::Bulk));
    bench.ack(ms(20), &[1, 3, 4]).expect("good");
    assert_eq!(lost(&bench.told), []);
    let outcome = bench.ack(ms(20), &[5]).expect("good");
    assert_eq!((lost(&bench.told), outcome.lost_bytes, outcome.lost_packets), (vec![2], 1000, 1));
    assert_eq!(bench.flight.bytes_down_to(Class::Bulk), 1000);
}

#[test]
fn time_makes_a_packet_lost_and_a_late_one_teaches_patience() {
    let mut bench = Bench::new();
    (0..3).for_each(|_| bench.send(ms(0), Class::Bulk));
    bench.ack(ms(20), &[1, 3]).expect("good");
    // A quarter of the round trip later than it could have come.
    assert_eq!(bench.flight.deadline(&bench.rtt), Some(ms(25)));
    bench.pass(ms(24));
    assert_eq!(lost(&bench.told), []);
    bench.pass(ms(25));
    assert_eq!(lost(&bench.told), [2]);
    bench.ack(ms(26), &[2]).expect("late");
    assert_eq!(bench.told.last(), Some(&(2, Fate::Arrived)));
    // From now on packets may overtake each other, and half a round trip is waited for.
    (0..9).for_each(|_| bench.send(ms(100), Class::Bulk));
    bench.ack(ms(120), &[5, 6, 7, 8, 9, 10, 11, 12]).expect("good");
    assert_eq!(bench.flight.deadline(&bench.rtt), Some(ms(130)));
    bench.pass(ms(130));
    assert_eq!(lost(&bench.told), [2, 4]);
}

/// Urgent packets may pass the others on the way: they say nothing of them.
#[test]
fn urgent_packets_do_not_make_others_lost() {
    let mut bench = Bench::new();
    (0..4).for_each(|_| bench.send(ms(0), Class::Bulk));
    (0..4).for_each(|_| bench.send(ms(0), Class::Fault));
    bench.ack(ms(5), &[5, 6, 7, 8]).expect("good");
    bench.pass(ms(10));
    assert_eq!(lost(&bench.told), []);
    bench.ack(ms(20), &[4]).expect("good");
    assert_eq!(lost(&bench.told), [1], "three later ones of its own sort");
}

#[test]
fn the_tail_is_probed_once_and_then_times_out() {
    let mut bench = Bench::new();
    bench.send(ms(0), Class::Control);
    bench.ack(ms(20), &[1]).expect("good");
    bench.send(ms(100), Class::Control);
    bench.send(ms(100), Class::Control);
    let probe_at = bench.flight.deadline(&bench.rtt).expect("a probe");
    assert_eq!(probe_at, ms(141), "two round trips and the delay of an ack");
    let outcome = bench.pass(probe_at);
    assert!(outcome.is_probe && bench.flight.is_probe_owed());
    assert_eq!((lost(&bench.told), outcome.lost_packets), (vec![3], 0), "the last one again");
    bench.send(probe_at, Class::Control);
    assert!(!bench.flight.is_probe_owed());
    let timeout_at = bench.flight.deadline(&bench.rtt).expect("a timeout");
    assert!(bench.pass(timeout_at).is_timeout);
    assert_eq!(lost(&bench.told), [3, 2, 3, 4]);
    assert_eq!(bench.flight.bytes_down_to(Class::Bulk), 0);
    bench.send(timeout_at, Class::Control);
    let next = bench.flight.deadline(&bench.rtt).expect("a timeout");
    assert!(next.since(timeout_at) > timeout_at.since(probe_at), "doubled");
}

#[test]
fn what_was_never_sent_is_not_acknowledged() {
    let mut bench = Bench::new();
    assert_eq!(bench.ack(ms(1), &[1]).err(), Some(BadAck));
    bench.send(ms(1), Class::Bulk);
    assert!(bench.ack(ms(2), &[1]).is_ok());
    assert_eq!(bench.ack(ms(2), &[1]).map(|outcome| outcome.acked_bytes), Ok(0));
    assert_eq!(bench.ack(ms(2), &[1, 2]).err(), Some(BadAck));
}

#[test]
fn nothing_grows_without_an_end() {
    let mut bench = Bench::new();
    while bench.flight.has_room() {
        bench.send(ms(0), Class::Bulk);
    }
    assert_eq!(bench.flight.packets.len(), FLIGHT_MAX);
    let capacity = bench.flight.packets.capacity();
    bench.ack(ms(9), &(1..=2048).collect::<Vec<_>>()).expect("good");
    assert!(bench.flight.packets.is_empty() && bench.flight.carried.is_empty());
    assert_eq!(bench.flight.packets.capacity(), capacity);
}
