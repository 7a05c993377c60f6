//! Many moves, with everything going wrong, by seed.

use std::collections::BTreeMap;

use netproto::id::Slot;
use netproto::msg::migrate::ImageKind;

use super::event::Event;
use super::world::{slot, Odds, World, NODES};

const SECOND_NS: u64 = 1_000_000_000;

fn odds(world_seed: u64) -> Odds {
    // Some worlds are calm, some are rough.
    match world_seed % 4 {
        0 => Odds::default(),
        1 => Odds { late: 30, ..Odds::default() },
        2 => Odds { late: 50, double: 10, incompatible: 2, ..Odds::default() },
        _ => Odds {
            late: 20,
            double: 20,
            capture_fails: 20,
            incompatible: 3,
            restore_fails: 10,
            hangs: 15,
        },
    }
}

fn any_node(world: &mut World) -> Slot {
    slot(u8::try_from(world.rng.below(u64::from(NODES))).expect("small"))
}

/// One world's life.
fn live(seed: u64, kind: ImageKind) -> World {
    let origin = u8::try_from(seed % 3).expect("small");
    let mut world = World::new(seed, origin, kind, odds(seed));
    for _ in 0..world.rng.below(12) + 1 {
        let at = world.rng.below(60 * SECOND_NS);
        let target = any_node(&mut world);
        world.after(at, Event::Start(target));
        // Twice at once, sometimes.
        if world.rng.one_in(8) {
            let soon = world.rng.below(3_000_000);
            world.after(at + soon, Event::Start(target));
        }
        if world.rng.one_in(10) {
            let soon = world.rng.below(20_000_000);
            world.after(at + soon, Event::Abort);
        }
        if world.rng.one_in(12) {
            let node = any_node(&mut world);
            let soon = world.rng.below(20_000_000);
            let for_ns = world.rng.below(10 * SECOND_NS);
            world.after(at + soon, Event::Pause(node, for_ns));
        }
        if world.rng.one_in(25) {
            let soon = world.rng.below(20_000_000);
            world.after(at + soon, Event::Kill);
        }
        if world.rng.one_in(15) {
            let node = any_node(&mut world);
            let soon = world.rng.below(20_000_000);
            world.after(at + soon, Event::Crash(node));
            if world.rng.below(3) > 0 {
                let back = world.rng.below(8 * SECOND_NS);
                world.after(at + soon + back, Event::Restart(node));
            }
        }
    }
    world.run();
    world.check_rest();
    note_stats(&mut world);
    world
}

fn note_stats(world: &mut World) {
    for index in 0..world.nodes.len() {
        let stats = *world.nodes[index].mover.stats();
        let counts = [
            ("reclaimed", stats.reclaimed),
            ("reclaim lost", stats.reclaim_lost),
            ("aborted early", stats.aborted_early),
            ("stale", stats.stale),
        ];
        for (what, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            *world.seen.entry(what.to_string()).or_default() += count;
        }
    }
}

/// Things that the batch must have met, or it proves little.
const SOMETIMES: [&str; 33] = [
    "moved",
    "failed: target-down",
    "failed: timeout",
    "failed: busy",
    "failed: aborted",
    "failed: killed",
    "failed: origin-lost",
    "failed: restore-failed",
    "failed: capture-failed",
    "failed: still-fetching",
    "not started: the process is being moved already",
    "not started: the process is there already",
    "not started: target is down",
    "prepared while frozen",
    "Thaw",
    "BecomeSurrogate",
    "End",
    "Release",
    "Discard",
    "Kill",
    "KillBody",
    "BodyLost",
    "OriginLost",
    "PlaceAgain",
    "placed again",
    "executed here after all",
    "local work hangs",
    "killed while it was stopped",
    "a body was killed for its source",
    "the node that had it crashed",
    "reclaimed",
    "reclaim lost",
    "aborted early",
];

fn batch(seeds: std::ops::Range<u64>) -> BTreeMap<String, u64> {
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for seed in seeds {
        for kind in [ImageKind::Live, ImageKind::Exec] {
            let world = match std::panic::catch_unwind(|| live(seed, kind)) {
                Ok(world) => world,
                Err(_) => panic!("seed {seed}, {kind:?}"),
            };
            for (what, count) in &world.seen {
                *seen.entry(what.clone()).or_default() += count;
            }
        }
    }
    seen
}

#[test]
fn seeds() {
    let count = std::env::var("SIM_SEEDS").ok().and_then(|text| text.parse().ok());
    let seen = batch(0..count.unwrap_or(6000));
    let missing: Vec<_> = SOMETIMES.iter().filter(|what| !seen.contains_key(**what)).collect();
    assert!(missing.is_empty(), "never happened: {missing:?}\nhappened: {seen:#?}");
}

#[test]
fn a_seed_is_a_run() {
    for seed in [3, 7, 11, 15] {
        let (first, second) = (live(seed, ImageKind::Live), live(seed, ImageKind::Live));
        assert_eq!(first.trace, second.trace, "seed {seed}");
    }
}
