//! How the transport shares a link, and what it makes of one: beside TCP cubic, in figures.
//!
//! The bars are the project's; `-- --nocapture` prints what was measured.

mod dumbbell;
mod sim;

use dumbbell::{Bottleneck, World, MS, SECOND};

const LINK: Bottleneck = Bottleneck {
    rate_mbit: 100,
    round_trip_ns: 20 * MS,
    queue_bytes: 250_000,
    loss_ppm: 0,
    has_bands: false,
    late_ns: 0,
};

/// Rates and round trips of the links that are tried.
const LINKS: [(u64, u64); 4] = [(10, 20), (100, 20), (1000, 1), (100, 1)];

/// A link whose queue holds `paths` times what is under way when it is just full.
fn link(rate_mbit: u64, round_trip_ms: u64, paths: f64) -> Bottleneck {
    let mut link = Bottleneck { rate_mbit, round_trip_ns: round_trip_ms * MS, ..LINK };
    link.queue_bytes = (link.path_bytes() as f64 * paths) as u64;
    link
}

fn mbit(bytes: u64, span_ns: u64) -> f64 {
    bytes as f64 * 8000.0 / span_ns as f64
}

/// Goodputs of one flow of each sort by itself on the same link, in Mbit/s: ours and TCP's.
fn alone(seed: u64, link: Bottleneck, span_ns: u64) -> (f64, f64) {
    let mut ours = World::new(seed, link);
    ours.add_pair(true);
    ours.run_for(2 * SECOND);
    let before = ours.pairs[0].bulk_bytes;
    ours.run_for(span_ns);
    let mut tcp = World::new(seed, link);
    tcp.add_tcp();
    tcp.run_for(2 * SECOND);
    let tcp_before = tcp.flows[0].delivered();
    tcp.run_for(span_ns);
    let ours = mbit(ours.pairs[0].bulk_bytes - before, span_ns);
    (ours, mbit(tcp.flows[0].delivered() - tcp_before, span_ns))
}

#[test]
fn a_clean_link_is_filled() {
    for (rate_mbit, round_trip_ms) in LINKS {
        let span_ns = if rate_mbit > 100 { 2 } else { 5 } * SECOND;
        let mut link = link(rate_mbit, round_trip_ms, 1.0);
        link.queue_bytes = link.queue_bytes.max(100_000);
        let (ours, tcp) = alone(1, link, span_ns);
        let ratio = ours / tcp;
        println!(
            "clean {rate_mbit} Mbit/s {round_trip_ms} ms: ours {ours:.1} Mbit/s, cubic {tcp:.1}, \
             ratio {ratio:.3}"
        );
        assert!(ratio >= 0.95);
    }
}

/// Hosts that come late, and then do much at once: what waits for them is not the link's queue, and
/// the round trip of a few packets is shorter than that of many. TCP is given hosts that do not.
/// The queue stays within some times of what they are late by.
#[test]
fn late_hosts_fill_a_link() {
    for (rate_mbit, round_trip_us, late_us) in
        [(500, 300, 500), (500, 300, 1500), (100, 300, 1000), (100, 20_000, 1500)]
    {
        let mut link = Bottleneck { rate_mbit, round_trip_ns: round_trip_us * 1000, ..LINK };
        link.queue_bytes = 4_000_000;
        link.late_ns = late_us * 1000;
        let (ours, tcp) = alone(1, link, 3 * SECOND);
        let ratio = ours / tcp;
        let (queue, _) = queue_of(link, |world| world.add_pair(true));
        let queue_us = queue * link.packet_ns() as f64 / 1000.0;
        println!(
            "late {rate_mbit} Mbit/s {round_trip_us} us, hosts late by {late_us} us at most: ours \
             {ours:.1} Mbit/s, cubic {tcp:.1}, ratio {ratio:.3}, queue {queue_us:.0} us"
        );
        assert!(ratio >= 0.85);
        assert!(queue_us <= 15.0 * late_us as f64);
    }
}

#[test]
fn random_loss_is_not_congestion() {
    for seed in 1..=3 {
        let (ours, tcp) = alone(seed, Bottleneck { loss_ppm: 10_000, ..LINK }, 10 * SECOND);
        let ratio = ours / tcp;
        println!(
            "1% loss 20 ms seed {seed}: ours {ours:.1} Mbit/s, cubic {tcp:.1}, ratio {ratio:.2}"
        );
        assert!(ratio >= 5.0);
    }
}

/// Goodputs of one flow of each sort that share a link.
fn together(seed: u64, link: Bottleneck, is_tcp_first: bool) -> (f64, f64) {
    let span_ns = 40 * SECOND;
    let mut world = World::new(seed, link);
    if is_tcp_first {
        world.add_tcp();
        world.run_for(2 * SECOND);
        world.add_pair(true);
    } else {
        world.add_pair(true);
        world.run_for(2 * SECOND);
        world.add_tcp();
    }
    world.run_for(8 * SECOND);
    let before = (world.pairs[0].bulk_bytes, world.flows[0].delivered());
    world.run_for(span_ns);
    let ours = mbit(world.pairs[0].bulk_bytes - before.0, span_ns);
    (ours, mbit(world.flows[0].delivered() - before.1, span_ns))
}

#[test]
fn a_link_is_shared_with_cubic() {
    for (rate_mbit, round_trip_ms, paths) in
        [(20, 20, 0.5), (20, 20, 1.0), (20, 20, 2.0), (100, 2, 1.0), (100, 2, 4.0)]
    {
        for is_tcp_first in [false, true] {
            share(link(rate_mbit, round_trip_ms, paths), is_tcp_first);
        }
    }
}

#[test]
fn late_hosts_share_with_cubic() {
    for paths in [1.0, 4.0] {
        for is_tcp_first in [false, true] {
            let link = link(100, 2, paths);
            share(Bottleneck { late_ns: MS / 2, ..link }, is_tcp_first);
        }
    }
}

#[test]
fn a_long_fast_link_is_shared_with_cubic() {
    for (paths, is_tcp_first) in [(0.5, false), (1.0, false), (1.0, true), (2.0, true)] {
        share(link(100, 20, paths), is_tcp_first);
    }
}

fn share(link: Bottleneck, is_tcp_first: bool) {
    let (ours, tcp) = together(1, link, is_tcp_first);
    let ratio = ours / tcp;
    let first = if is_tcp_first { "cubic" } else { "ours" };
    let paths = link.queue_bytes as f64 / link.path_bytes() as f64;
    println!(
        "shared {} Mbit/s {} ms, queue {paths:.1} BDP, late {} us, {first} first: ours {ours:.1} \
         Mbit/s, cubic {tcp:.1}, ratio {ratio:.2}",
        link.rate_mbit,
        link.round_trip_ns / MS,
        link.late_ns / 1000,
    );
    assert!((0.5..=2.0).contains(&ratio));
}

/// Packets' times in the queue, on average, and the most bytes in it as packets.
fn queue_of(link: Bottleneck, start: impl Fn(&mut World)) -> (f64, f64) {
    let mut world = World::new(1, link);
    start(&mut world);
    world.run_for(3 * SECOND);
    world.queue_mean_ns();
    world.run_for(2 * SECOND);
    let most = world.queue_bytes_max as f64 / 1538.0;
    (world.queue_mean_ns() as f64 / link.packet_ns() as f64, most)
}

#[test]
fn the_queue_is_short() {
    for (rate_mbit, round_trip_ms) in LINKS {
        let mut link = link(rate_mbit, round_trip_ms, 4.0);
        link.queue_bytes = link.queue_bytes.max(400_000);
        let (ours, most) = queue_of(link, |world| world.add_pair(true));
        let (tcp, _) = queue_of(link, World::add_tcp);
        println!(
            "queue {rate_mbit} Mbit/s {round_trip_ms} ms: ours {ours:.1} packets (at most \
             {most:.0}), cubic {tcp:.1}"
        );
        assert!(ours <= 10.0 && ours < tcp / 5.0);
    }
}

#[test]
fn two_of_ours_share_and_keep_it_short() {
    for (rate_mbit, round_trip_ms) in LINKS {
        let mut link = link(rate_mbit, round_trip_ms, 4.0);
        link.queue_bytes = link.queue_bytes.max(400_000);
        let mut world = World::new(1, link);
        world.add_pair(true);
        world.run_for(2 * SECOND);
        world.add_pair(true);
        world.run_for(3 * SECOND);
        world.queue_mean_ns();
        let before = [0, 1].map(|pair: usize| world.pairs[pair].bulk_bytes);
        world.run_for(5 * SECOND);
        let queue = world.queue_mean_ns() as f64 / link.packet_ns() as f64;
        let [first, second] =
            [0, 1].map(|pair| mbit(world.pairs[pair].bulk_bytes - before[pair], 5 * SECOND));
        println!(
            "own {rate_mbit} Mbit/s {round_trip_ms} ms: {first:.1} and {second:.1} Mbit/s, queue \
             {queue:.1} packets"
        );
        assert!((0.5..=2.0).contains(&(first / second)) && queue <= 15.0);
    }
}

/// Latencies of pages that somebody waits for, sorted, in ns.
fn faults(link: Bottleneck, is_greedy: bool) -> Vec<u64> {
    let mut world = World::new(1, link);
    world.add_pair(is_greedy);
    world.run_for(2 * SECOND);
    for _ in 0..300 {
        world.send_page(0);
        world.run_for(10 * MS + 7_777);
    }
    world.run_for(SECOND);
    let mut all = world.pairs[0].page_latencies_ns.clone();
    assert_eq!(all.len(), 300, "each page arrives once");
    all.sort_unstable();
    all
}

/// A page leaves at once whatever is queued. What is in the link's own queue is before it, unless
/// the link serves urgent packets first: then it waits for one packet's rest at most.
#[test]
fn a_fault_does_not_wait_for_bulk() {
    for has_bands in [false, true] {
        for (rate_mbit, round_trip_ms) in LINKS {
            let mut link = link(rate_mbit, round_trip_ms, 4.0);
            link.queue_bytes = link.queue_bytes.max(400_000);
            link.has_bands = has_bands;
            let (idle, busy) = (faults(link, false), faults(link, true));
            let later =
                |at: usize| busy[at].saturating_sub(idle[150]) as f64 / link.packet_ns() as f64;
            let (median, late, most) = (later(150), later(297), later(299));
            let how = if has_bands { "urgent first" } else { "in order" };
            println!(
                "fault {rate_mbit} Mbit/s {round_trip_ms} ms {how}: idle {} us; under bulk later \
                 by packets: median {median:.2}, p99 {late:.2}, most {most:.2}",
                idle[150] / 1000
            );
            assert!(if has_bands { most <= 1.1 } else { late <= 16.0 });
        }
    }
}
