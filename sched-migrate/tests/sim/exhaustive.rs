//! One hand-off, and one mishap to one node at every step of it.

use netproto::id::Slot;
use netproto::msg::migrate::ImageKind;

use super::event::Event;
use super::world::{slot, Odds, Task, World, NODES};

const SECOND_NS: u64 = 1_000_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mishap {
    Crash,
    CrashAndReturn,
    /// Shorter than any bound.
    Pause,
    /// Longer than all bounds, and yet not taken for dead.
    LongPause,
}

const MISHAPS: [Mishap; 4] =
    [Mishap::Crash, Mishap::CrashAndReturn, Mishap::Pause, Mishap::LongPause];

/// Which of source, target and origin are the same node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// The first move away.
    FromOrigin,
    /// Coming home.
    ToOrigin,
    /// From one foreign node to another.
    Between,
}

/// A world at the start of the move that is looked at; where to it goes.
fn prepare(shape: Shape, kind: ImageKind, odds: Odds) -> (World, u8) {
    let mut world = World::new(1, 0, kind, Odds::default());
    let target = match shape {
        Shape::FromOrigin => 1,
        Shape::ToOrigin | Shape::Between => {
            world.start_at(slot(0), slot(1));
            world.run();
            assert_eq!(world.running_at(), Some(slot(1)), "the first move went well");
            if shape == Shape::ToOrigin {
                0
            } else {
                2
            }
        }
    };
    world.odds = odds;
    (world, target)
}

/// The first steps of the move. Returns the world, where the process ran, and whether the move has
/// ended.
fn move_for(shape: Shape, kind: ImageKind, odds: Odds, steps: u64) -> (World, Slot, bool) {
    let (mut world, target) = prepare(shape, kind, odds);
    let from = world.running_at().expect("it runs");
    world.start_at(from, slot(target));
    let over = (0..steps).any(|_| !world.step());
    (world, from, over)
}

/// Runs the move with a mishap to `node` after `steps` steps. Returns whether the move had ended
/// before, and the world.
fn run(
    shape: Shape,
    kind: ImageKind,
    odds: Odds,
    steps: u64,
    hit: Option<(u8, Mishap)>,
) -> (bool, World) {
    let (mut world, _, over) = move_for(shape, kind, odds, steps);
    if let Some((node, mishap)) = hit {
        match mishap {
            Mishap::Crash => world.crash(slot(node)),
            Mishap::CrashAndReturn => {
                world.crash(slot(node));
                world.after(SECOND_NS, Event::Restart(slot(node)));
            }
            Mishap::Pause => world.after(0, Event::Pause(slot(node), 50_000_000)),
            Mishap::LongPause => world.after(0, Event::Pause(slot(node), 200 * SECOND_NS)),
        }
    }
    world.run();
    world.check_rest();
    (over, world)
}

fn every_step(shape: Shape, kind: ImageKind, odds: Odds) -> u64 {
    let mut runs = 0;
    for mishap in MISHAPS {
        for node in 0..NODES {
            for steps in 0.. {
                let result = std::panic::catch_unwind(|| {
                    run(shape, kind, odds, steps, Some((node, mishap)))
                });
                let Ok((over, world)) = result else {
                    panic!("{shape:?} {kind:?} {odds:?}: {mishap:?} of {node} after {steps} steps");
                };
                check_outcome(shape, kind, node, mishap, &world);
                runs += 1;
                if over {
                    break;
                }
            }
        }
    }
    runs
}

/// Beyond what holds always: a mishap to one node has a bounded effect.
fn check_outcome(shape: Shape, kind: ImageKind, node: u8, mishap: Mishap, world: &World) {
    let alive = world.running_at().is_some();
    if mishap == Mishap::Pause || mishap == Mishap::LongPause {
        assert!(alive, "a pause killed it");
    }
    let crashed = matches!(mishap, Mishap::Crash | Mishap::CrashAndReturn);
    if crashed && node == 0 {
        assert!(!alive, "it outlived its origin");
    }
    let concerned = match shape {
        Shape::FromOrigin => node < 2,
        Shape::ToOrigin => node < 2,
        Shape::Between => true,
    };
    if crashed && !concerned {
        assert!(alive, "another node's crash killed it");
    }
    if crashed && node != 0 && kind == ImageKind::Exec {
        assert!(alive, "a placed exec was not run again");
    }
}

#[test]
fn undisturbed() {
    for (shape, kind) in [
        (Shape::FromOrigin, ImageKind::Live),
        (Shape::ToOrigin, ImageKind::Live),
        (Shape::Between, ImageKind::Live),
        (Shape::FromOrigin, ImageKind::Exec),
    ] {
        let (_, world) = run(shape, kind, Odds::default(), 0, None);
        let at = match shape {
            Shape::FromOrigin => 1,
            Shape::ToOrigin => 0,
            Shape::Between => 2,
        };
        assert_eq!(world.running_at(), Some(slot(at)), "{shape:?} {kind:?}");
        assert!(world.reports.iter().all(|report| report.result.is_ok() && report.tries == 1));
    }
}

#[test]
fn a_mishap_at_every_step_of_a_move() {
    let mut runs = 0;
    for shape in [Shape::FromOrigin, Shape::ToOrigin, Shape::Between] {
        runs += every_step(shape, ImageKind::Live, Odds::default());
    }
    assert!(runs > 300, "only {runs} runs");
}

#[test]
fn a_mishap_at_every_step_of_a_move_prepared_three_times() {
    let odds = Odds { incompatible: 1, ..Odds::default() };
    let (_, world) = run(Shape::FromOrigin, ImageKind::Live, odds, 0, None);
    let report = world.reports.last().expect("reported");
    assert_eq!((report.tries, report.result.is_ok()), (3, true));
    for shape in [Shape::FromOrigin, Shape::ToOrigin, Shape::Between] {
        every_step(shape, ImageKind::Live, odds);
    }
}

#[test]
fn a_mishap_at_every_step_of_a_placed_exec() {
    every_step(Shape::FromOrigin, ImageKind::Exec, Odds::default());
}

#[test]
fn a_mishap_at_every_step_of_a_refused_move() {
    for odds in
        [Odds { restore_fails: 1, ..Odds::default() }, Odds { capture_fails: 1, ..Odds::default() }]
    {
        for shape in [Shape::FromOrigin, Shape::ToOrigin, Shape::Between] {
            every_step(shape, ImageKind::Live, odds);
        }
        every_step(Shape::FromOrigin, ImageKind::Exec, odds);
    }
}

#[test]
fn a_kill_at_every_step() {
    for shape in [Shape::FromOrigin, Shape::ToOrigin, Shape::Between] {
        for steps in 0.. {
            let (mut world, _, over) = move_for(shape, ImageKind::Live, Odds::default(), steps);
            world.after(0, Event::Kill);
            world.run();
            world.check_rest();
            assert_eq!(world.running_at(), None, "{shape:?}: lived on after {steps} steps");
            assert!(world.ended, "{shape:?}: its origin was not told after {steps} steps");
            if over {
                break;
            }
        }
    }
}

#[test]
fn an_abort_at_every_step() {
    for shape in [Shape::FromOrigin, Shape::ToOrigin, Shape::Between] {
        let (mut stayed, mut moved) = (0, 0);
        for steps in 0.. {
            let (mut world, from, over) = move_for(shape, ImageKind::Live, Odds::default(), steps);
            world.after(0, Event::Abort);
            world.run();
            world.check_rest();
            match world.running_at() {
                Some(at) if at == from => stayed += 1,
                Some(_) => moved += 1,
                None => panic!("{shape:?}: an abort killed it"),
            }
            if over {
                break;
            }
        }
        assert!(stayed > 3 && moved > 0, "{shape:?}: {stayed} stayed, {moved} moved");
    }
}

#[test]
fn frozen_is_not_running() {
    let (mut world, target) = prepare(Shape::FromOrigin, ImageKind::Live, Odds::default());
    world.start_at(slot(0), slot(target));
    let mut was_frozen = false;
    while world.step() {
        was_frozen |= world.node(slot(0)).task == Some(Task::Frozen);
    }
    assert!(was_frozen);
}
