//! Whom a node lets in, and what it says to those that it does not.

use holon_simkit::Rng;
use netproto::id::{AttemptId, Epoch, GlobalPid, RequestId, Slot};
use netproto::msg::migrate::{
    Abort, Cas, CasOutcome, CasResult, Committed, ImageKind, Prepared, Refused,
};
use netproto::time::{Duration, Instant};
use sched_migrate::{
    Config, Effect, Failure, Gate, Message, Mover, Offer, Request, Route, StartError, Timing, Work,
};

const NOW: Instant = Instant::ZERO;

fn slot(number: u8) -> Slot {
    Slot::new(number).expect("a slot")
}

/// Node 0, with two peers.
fn mover() -> Mover {
    let config =
        Config { own: slot(0), sources_max: 2, targets_max: 2, timing: Timing::standard() };
    let mut mover = Mover::new(config);
    mover.handle_peer_up(slot(1));
    mover.handle_peer_up(slot(2));
    mover
}

fn attempt(source: u8, count: u64) -> AttemptId {
    AttemptId((u64::from(source) << 56) | count)
}

fn offer(count: u64, pid: u32) -> Offer {
    Offer {
        attempt: attempt(1, count),
        process: GlobalPid::new(1, pid),
        kind: ImageKind::Live,
        origin: slot(2),
        epoch: Epoch(5),
    }
}

fn effects(mover: &mut Mover) -> Vec<Effect> {
    std::iter::from_fn(|| mover.poll_effect()).collect()
}

fn refusal(mover: &mut Mover, offer: Offer) -> Option<Failure> {
    mover.handle_offer(NOW, slot(1), offer);
    effects(mover).into_iter().find_map(|effect| match effect {
        Effect::Send { message: Message::Refused(Refused { reason, .. }), .. } => {
            Some(Failure::from_number(reason))
        }
        _ => None,
    })
}

#[test]
fn cordoned_and_full() {
    let mut node = mover();
    node.set_gate(Gate { cordoned: true, bodies_max: 10 });
    assert_eq!(refusal(&mut node, offer(1, 10)), Some(Failure::Cordoned));
    node.set_gate(Gate { cordoned: false, bodies_max: 1 });
    assert_eq!(refusal(&mut node, offer(2, 10)), None);
    assert_eq!(refusal(&mut node, offer(3, 11)), Some(Failure::Full));
    node.set_gate(Gate { cordoned: false, bodies_max: 10 });
    assert_eq!(refusal(&mut node, offer(4, 11)), None);
    // No more than `targets_max` at once.
    assert_eq!(refusal(&mut node, offer(5, 12)), Some(Failure::Full));
    let stats = node.stats();
    assert_eq!((stats.offers_refused, stats.refused_cordoned, stats.refused_full), (3, 1, 2));
}

#[test]
fn a_cordon_lets_in_what_comes_home() {
    let mut node = mover();
    let process = GlobalPid::new(1, 10);
    let request = Request {
        request: RequestId(1),
        process,
        work: Work::Running,
        target: slot(1),
        fetching: false,
    };
    let left = node.start(NOW, request).expect("a start");
    node.handle_message(NOW, slot(1), Message::Prepared(Prepared { attempt: left }));
    node.frozen(NOW, left);
    let epoch = effects(&mut node).into_iter().find_map(|effect| match effect {
        Effect::Prepare { epoch, .. } => Some(epoch),
        _ => None,
    });
    let expect_epoch = epoch.expect("a prepare");
    let cas = Cas { attempt: left, process, expect_epoch, new_slot: slot(1) };
    node.handle_message(NOW, slot(1), Message::Cas(cas));
    let Some(Route::Away { epoch, .. }) = node.route(process) else {
        panic!("it did not leave: {:?}", node.route(process));
    };
    let committed = Committed { attempt: left, epoch, fetch_bytes: 0 };
    node.handle_message(NOW, slot(1), Message::Committed(committed));
    node.set_gate(Gate { cordoned: true, ..Gate::OPEN });
    assert!(node.gate().cordoned);
    assert_eq!(refusal(&mut node, offer(1, 11)), Some(Failure::Cordoned));
    let home = Offer { origin: slot(0), epoch, ..offer(2, 10) };
    assert_eq!(refusal(&mut node, home), None);
}

#[test]
fn another_version_neither_gives_nor_takes() {
    let mut node = mover();
    node.handle_foreign_peer_up(slot(1));
    assert_eq!(refusal(&mut node, offer(1, 10)), Some(Failure::Version));
    let request = Request {
        request: RequestId(1),
        process: GlobalPid::new(1, 10),
        work: Work::Running,
        target: slot(1),
        fetching: false,
    };
    assert_eq!(node.start(NOW, request), Err(StartError::Version));
    // A new life of it may be of the same version.
    node.handle_peer_down(NOW, slot(1));
    node.handle_peer_up(slot(1));
    assert_eq!(refusal(&mut node, offer(2, 10)), None);
}

#[test]
fn offers_that_can_not_be_right() {
    let mut node = mover();
    let forged = Offer { attempt: attempt(2, 1), ..offer(1, 10) };
    assert_eq!(refusal(&mut node, forged), Some(Failure::BadImage));
    let stale = Offer { origin: slot(0), ..offer(2, 10) };
    assert_eq!(refusal(&mut node, stale), Some(Failure::Stale));
    let astray = Offer { origin: slot(3), ..offer(3, 10) };
    assert_eq!(refusal(&mut node, astray), Some(Failure::OriginUnreachable));
    assert!(node.is_idle());
    assert_eq!(node.stats().offers_refused, 3);
}

fn take(node: &mut Mover, taken: Offer) {
    assert_eq!(refusal(node, taken), None);
    node.restored(NOW, taken.attempt);
    node.handle_final(NOW, slot(1), taken.attempt);
    node.applied(NOW, taken.attempt, 0);
    let result = CasResult {
        attempt: taken.attempt,
        outcome: CasOutcome::Won,
        slot: slot(0),
        epoch: Epoch(6),
    };
    // From another than the origin it means nothing.
    node.handle_message(NOW, slot(1), Message::CasResult(result));
    assert!(!effects(node).iter().any(|effect| matches!(effect, Effect::Release { .. })));
    node.handle_message(NOW, slot(2), Message::CasResult(result));
    assert!(effects(node).iter().any(|effect| matches!(effect, Effect::Release { .. })));
}

#[test]
fn a_body_is_known_until_it_ends_or_its_origin_does() {
    let mut node = mover();
    let taken = offer(1, 10);
    take(&mut node, taken);
    let body = Route::Body { origin: slot(2), epoch: Epoch(6) };
    assert_eq!(node.route(taken.process), Some(body));
    assert_eq!(refusal(&mut node, offer(2, 10)), Some(Failure::Busy));
    node.ended(NOW, taken.process);
    assert_eq!((node.route(taken.process), node.bodies()), (None, 0));
    let other = offer(3, 11);
    take(&mut node, other);
    node.handle_peer_down(NOW, slot(2));
    assert_eq!(effects(&mut node), [Effect::OriginLost { process: other.process }]);
    assert_eq!(node.bodies(), 0);
}

#[test]
fn a_newer_attempt_waits_until_the_older_is_gone() {
    let mut node = mover();
    assert_eq!(refusal(&mut node, offer(1, 10)), None);
    node.handle_offer(NOW, slot(1), offer(2, 10));
    let discards = effects(&mut node);
    assert!(matches!(discards[..], [Effect::Discard { .. }]), "{discards:?}");
    node.discarded(NOW, attempt(1, 1));
    let restores = effects(&mut node);
    assert!(matches!(restores[..], [Effect::Restore { .. }]), "{restores:?}");
    // The older one again comes too late.
    assert_eq!(refusal(&mut node, offer(1, 10)), Some(Failure::Busy));
}

#[test]
fn a_helper_that_hangs_is_given_up() {
    let mut node = mover();
    assert_eq!(refusal(&mut node, offer(1, 10)), None);
    let due = node.poll_timeout().expect("a bound");
    node.handle_timeout(due);
    assert!(matches!(effects(&mut node)[..], [Effect::Discard { .. }]));
    assert_eq!(node.poll_timeout(), None);
    node.discarded(due, attempt(1, 1));
    let refused = Refused { attempt: attempt(1, 1), reason: Failure::Timeout.number() };
    let message = Message::Refused(refused);
    assert_eq!(effects(&mut node), [Effect::Send { to: slot(1), message }]);
}

fn request(pid: u32, target: u8) -> Request {
    Request {
        request: RequestId(1),
        process: GlobalPid::new(1, pid),
        work: Work::Running,
        target: slot(target),
        fetching: false,
    }
}

#[test]
fn requests_that_are_not_started() {
    let mut node = mover();
    assert_eq!(node.start(NOW, request(10, 0)), Err(StartError::SameNode));
    assert_eq!(node.start(NOW, request(10, 3)), Err(StartError::TargetDown));
    assert!(node.start(NOW, request(10, 1)).is_ok());
    assert_eq!(node.start(NOW, request(10, 2)), Err(StartError::Busy));
    assert!(node.start(NOW, request(11, 1)).is_ok());
    assert_eq!(node.start(NOW, request(12, 1)), Err(StartError::TooMany));
    assert_eq!(node.stats().started, 2);
}

#[test]
fn a_process_that_is_away_is_not_moved_from_here() {
    let mut node = mover();
    let attempt = node.start(NOW, request(10, 1)).expect("started");
    let process = GlobalPid::new(1, 10);
    let epoch = node.directory().get(process).expect("entered").epoch;
    assert_eq!(node.route(process), Some(Route::Here));
    let cas = Cas { attempt, process, expect_epoch: epoch, new_slot: slot(1) };
    // Nobody claims before FINAL.
    node.handle_message(NOW, slot(1), Message::Cas(cas));
    assert_eq!(node.route(process), Some(Route::Here));
    node.handle_message(NOW, slot(1), Message::Prepared(Prepared { attempt }));
    node.frozen(NOW, attempt);
    // Nobody claims for another.
    node.handle_message(NOW, slot(2), Message::Cas(cas));
    assert_eq!(node.route(process), Some(Route::Here));
    node.handle_message(NOW, slot(1), Message::Cas(cas));
    let there = Epoch(epoch.0 + 1);
    assert_eq!(node.route(process), Some(Route::Away { slot: slot(1), epoch: there }));
    assert!(node.is_current(process, slot(1), there));
    assert!(!node.is_current(process, slot(1), epoch) && !node.is_current(process, slot(2), there));
    effects(&mut node);
    let early = Committed { attempt, epoch, fetch_bytes: 0 };
    node.handle_message(NOW, slot(1), Message::Committed(early));
    assert!(effects(&mut node).is_empty(), "an epoch that does not follow");
    node.abort(NOW, process);
    effects(&mut node);
    assert_eq!(node.start(NOW, request(10, 2)), Err(StartError::NotHere));
}

#[test]
fn a_wait_for_the_last_fetch_is_bounded() {
    let mut node = mover();
    let asked = Request { fetching: true, ..request(10, 1) };
    node.start(NOW, asked).expect("started");
    assert!(effects(&mut node).is_empty());
    let due = node.poll_timeout().expect("a bound");
    assert_eq!(due.since(NOW), Timing::standard().fetch);
    node.handle_timeout(due);
    let ended = effects(&mut node);
    let report = ended.iter().find_map(|effect| match effect {
        Effect::Report(report) => Some(report),
        _ => None,
    });
    assert_eq!(report.expect("reported").result, Err(Failure::Fetching));
    assert!(!ended
        .iter()
        .any(|effect| matches!(effect, Effect::Send { .. } | Effect::Thaw { .. })));
}

#[test]
fn timing_scales() {
    let scaled = Timing::standard().scaled(20);
    assert_eq!(scaled.prepare, Duration::from_ms(200_000));
    assert_eq!(Timing::standard().scaled(0), Timing::standard());
}

/// What a node may say that has no part in a hand-off.
fn meddling(rng: &mut Rng, of: AttemptId, process: GlobalPid) -> Message {
    let attempt = AttemptId(of.0 ^ if rng.coin() { 0 } else { rng.below(4) });
    let (slot, epoch) = (slot(u8::try_from(rng.below(4)).expect("small")), Epoch(rng.below(8)));
    let reason = u16::try_from(rng.below(40)).expect("small");
    let outcome = rng.pick(&[CasOutcome::Won, CasOutcome::Lost, CasOutcome::Unknown]);
    match rng.below(6) {
        0 => Message::Prepared(Prepared { attempt }),
        1 => Message::Refused(Refused { attempt, reason }),
        2 => Message::Abort(Abort { attempt, reason }),
        3 => Message::Cas(Cas { attempt, process, expect_epoch: epoch, new_slot: slot }),
        4 => Message::CasResult(CasResult { attempt, outcome, slot, epoch }),
        _ => Message::Committed(Committed { attempt, epoch, fetch_bytes: rng.below(1 << 20) }),
    }
}

/// A third node says anything about a hand-off from node 1 of a process of node 2, before and while
/// it goes on: it is answered at most, and the hand-off comes to its end.
#[test]
fn a_third_node_changes_nothing() {
    for seed in 0..300 {
        let (mut rng, mut node) = (Rng::new(seed), mover());
        node.handle_peer_up(slot(3));
        let taken = offer(1 + seed, 10);
        let mut meddle = |node: &mut Mover| {
            for _ in 0..20 {
                let message = meddling(&mut rng, taken.attempt, taken.process);
                node.handle_message(NOW, slot(3), message);
                let to_others = effects(node)
                    .into_iter()
                    .find(|effect| !matches!(effect, Effect::Send { to, .. } if *to == slot(3)));
                assert_eq!(to_others, None, "{message:?}");
            }
        };
        meddle(&mut node);
        assert_eq!(refusal(&mut node, taken), None);
        meddle(&mut node);
        node.restored(NOW, taken.attempt);
        let _ = effects(&mut node);
        meddle(&mut node);
        node.handle_final(NOW, slot(1), taken.attempt);
        let _ = effects(&mut node);
        meddle(&mut node);
        node.applied(NOW, taken.attempt, 0);
        let _ = effects(&mut node);
        meddle(&mut node);
        let (attempt, outcome) = (taken.attempt, CasOutcome::Won);
        let won = CasResult { attempt, outcome, slot: slot(0), epoch: Epoch(6) };
        node.handle_message(NOW, slot(2), Message::CasResult(won));
        assert!(effects(&mut node).iter().any(|effect| matches!(effect, Effect::Release { .. })));
        meddle(&mut node);
        let body = Route::Body { origin: slot(2), epoch: Epoch(6) };
        assert_eq!(node.route(taken.process), Some(body));
    }
}
