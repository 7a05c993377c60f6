//! In which order messages arrive: each lane's promise, with the losses that could break it.

mod sim;

use holon_simkit::Rng;
use netproto::{Class, Kind, Lane, Message};
use sim::{slot, Sim, MS, SECOND};

fn pair(seed: u64) -> Sim {
    let mut sim = Sim::new(seed, 2);
    sim.connect();
    sim.run_for(SECOND);
    sim.nodes[1].is_lazy = true;
    sim
}

fn send(sim: &mut Sim, lane: Lane, number: u16, len: usize) {
    let now = sim.now();
    let order = (Class::Control, lane);
    let payload = vec![number.to_le_bytes()[0]; len];
    let sent = sim.transport(0).send_in(now, slot(1), order, Kind(number), &[&payload]);
    assert_eq!(sent, Ok(()));
    sim.drain(0);
}

fn taken(sim: &mut Sim) -> Vec<Message> {
    let transport = sim.transport(1);
    let all: Vec<Message> = std::iter::from_fn(|| transport.poll_message()).collect();
    sim.drain(1);
    for message in &all {
        assert!(message.payload.iter().all(|byte| *byte == message.kind.0.to_le_bytes()[0]));
    }
    all
}

fn numbers(sim: &mut Sim) -> Vec<u16> {
    taken(sim).iter().map(|message| message.kind.0).collect()
}

/// The first message's packet is lost; what arrives before it is sent again?
fn after_a_loss(lanes: [Lane; 4]) -> Vec<u16> {
    let mut sim = pair(1);
    sim.net.path(0, 1).is_cut = true;
    send(&mut sim, lanes[0], 0, 100);
    sim.run_for(10_000);
    sim.net.path(0, 1).is_cut = false;
    for (number, lane) in (1..).zip(&lanes[1..]) {
        send(&mut sim, *lane, number, 100);
    }
    // Half a round trip and a bit: nobody knows of the loss yet.
    sim.run_for(150_000);
    let early = numbers(&mut sim);
    sim.run_for(SECOND);
    let late = numbers(&mut sim);
    let mut all = [early.clone(), late].concat();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3], "each once");
    early
}

#[test]
fn a_loss_holds_up_only_what_must_wait() {
    let (one, two) = (Lane::Keyed(1), Lane::Keyed(2));
    assert_eq!(after_a_loss([Lane::Strict; 4]), []);
    assert_eq!(after_a_loss([Lane::Free; 4]), [1, 2, 3]);
    assert_eq!(after_a_loss([one, one, two, Lane::Free]), [2, 3]);
    assert_eq!(after_a_loss([one, two, Lane::Strict, two]), [1]);
    assert_eq!(after_a_loss([Lane::Strict, one, Lane::Free, two]), [2]);
    assert_eq!(after_a_loss([Lane::Free, Lane::Strict, one, two]), []);
}

#[test]
fn keys_have_lanes() {
    let mut seen = [0; 64];
    for key in 0..1_000_u64 {
        let Lane::Keyed(lane) = Lane::of(key << 8) else { panic!("keyed") };
        seen[usize::from(lane)] += 1;
    }
    assert!(seen.iter().all(|count| *count > 4), "{seen:?}");
}

/// Whether `second`, sent after `first`, must not be delivered before it.
fn is_ordered(first: Lane, second: Lane) -> bool {
    match (first, second) {
        (_, Lane::Strict) => true,
        (Lane::Free, _) | (_, Lane::Free) => false,
        (Lane::Strict, Lane::Keyed(_)) => true,
        (Lane::Keyed(one), Lane::Keyed(other)) => one == other,
    }
}

#[test]
fn every_promise_holds_under_loss_reordering_and_duplication() {
    let mut overtaken = 0;
    for seed in 0..30 {
        let mut rng = Rng::new(seed);
        let mut sim = pair(seed);
        sim.net.each_path(|path| {
            path.loss_ppm = 100_000;
            path.duplicate_ppm = 100_000;
            path.delay_mean_ns = MS;
        });
        let mut lanes = Vec::new();
        let mut order = Vec::new();
        for number in 0..400 {
            let lane = match rng.below(10) {
                0 => Lane::Strict,
                1..=2 => Lane::Free,
                _ => Lane::Keyed(rng.below(4) as u8),
            };
            lanes.push(lane);
            send(&mut sim, lane, number, usize::try_from(rng.below(4_000)).expect("small"));
            sim.run_for(rng.below(3 * MS));
            order.extend(numbers(&mut sim));
        }
        sim.run_for(5 * SECOND);
        order.extend(numbers(&mut sim));
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..400).collect::<Vec<_>>(), "seed {seed}: each once");
        for (at, second) in order.iter().enumerate() {
            for first in &order[at + 1..] {
                let is_early = first < second;
                overtaken += u64::from(is_early);
                let pair = (lanes[usize::from(*first)], lanes[usize::from(*second)]);
                assert!(!is_early || !is_ordered(pair.0, pair.1), "seed {seed}: {first} {second}");
            }
        }
    }
    assert!(overtaken > 1_000, "the lanes made no difference: {overtaken}");
}
