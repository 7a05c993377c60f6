//! Placement and drain plans.

use netproto::id::{GlobalPid, Slot};
use sched_migrate::policy::{place, plan, Candidate, NoPlace, Node, Placement, Stay, Weights};
use sched_migrate::{Reason, Reasons};

const GIB: u64 = 1 << 30;

fn slot(number: u8) -> Slot {
    Slot::new(number).expect("a slot")
}

fn node(number: u8) -> Node {
    Node {
        slot: slot(number),
        usable: true,
        cordoned: false,
        capacity_milli: 2000,
        load_milli: 0,
        outstanding: 0,
        memory_free_bytes: 4 * GIB,
    }
}

fn work() -> Placement {
    Placement { memory_bytes: 0, from: slot(0), not_at: None, may_stay: true }
}

fn choose(nodes: &[Node], work: Placement) -> Result<Slot, NoPlace> {
    place(nodes, &work, &Weights::default())
}

#[test]
fn work_stays_where_there_is_room() {
    let nodes = [node(0), node(1), node(2)];
    assert_eq!(choose(&nodes, work()), Ok(slot(0)));
}

#[test]
fn work_goes_where_it_has_most_of_a_processor() {
    let busy = |number, load_milli| Node { load_milli, ..node(number) };
    assert_eq!(choose(&[busy(0, 6000), busy(1, 1000), busy(2, 2000)], work()), Ok(slot(1)));
    // Twice the load on four times the processors is half the crowd.
    let large = Node { capacity_milli: 8000, ..busy(2, 2000) };
    assert_eq!(choose(&[busy(0, 6000), busy(1, 1000), large], work()), Ok(slot(2)));
    // A node that is hardly better is not worth the way.
    assert_eq!(choose(&[busy(0, 3000), busy(1, 2000), busy(2, 2000)], work()), Ok(slot(0)));
}

#[test]
fn what_was_just_sent_counts() {
    let nodes = [
        Node { load_milli: 9000, ..node(0) },
        Node { outstanding: 3, ..node(1) },
        Node { outstanding: 2, ..node(2) },
    ];
    assert_eq!(choose(&nodes, work()), Ok(slot(2)));
}

#[test]
fn a_burst_is_spread() {
    let mut nodes = [Node { load_milli: 2000, ..node(0) }, node(1), node(2)];
    let mut counts = [0; 3];
    for _ in 0..30 {
        let at = choose(&nodes, work()).expect("a place");
        counts[at.index()] += 1;
        nodes[at.index()].outstanding += 1;
    }
    assert_eq!(counts.iter().sum::<i32>(), 30);
    assert!(counts.iter().all(|count| (8..=12).contains(count)), "{counts:?}");
}

#[test]
fn nodes_that_place_at_once_do_not_all_choose_the_same() {
    let nodes = [node(0), node(1), node(2)];
    let from = |number| Placement { from: slot(number), may_stay: false, ..work() };
    let chosen = [0, 1, 2].map(|number| choose(&nodes, from(number)).expect("a place"));
    assert_eq!(chosen, [slot(1), slot(2), slot(0)]);
}

#[test]
fn obstacles() {
    let down = |number| Node { usable: false, ..node(number) };
    let cordoned = |number| Node { cordoned: true, ..node(number) };
    let full = |number| Node { memory_free_bytes: GIB / 32, ..node(number) };
    let away = Placement { may_stay: false, memory_bytes: GIB, ..work() };
    assert_eq!(choose(&[node(0), down(1), down(2)], away), Err(NoPlace::NoneUp));
    assert_eq!(choose(&[node(0), down(1), cordoned(2)], away), Err(NoPlace::AllCordoned));
    assert_eq!(choose(&[node(0), full(1), cordoned(2)], away), Err(NoPlace::NoMemory));
    assert_eq!(choose(&[node(0), full(1), node(2)], away), Ok(slot(2)));
    let not_two = Placement { not_at: Some(slot(2)), ..away };
    assert_eq!(choose(&[node(0), full(1), node(2)], not_two), Err(NoPlace::NoMemory));
    // A cordon keeps what is new away, not what is there.
    assert_eq!(choose(&[cordoned(0), cordoned(1)], work()), Ok(slot(0)));
    assert_eq!(choose(&[], work()), Err(NoPlace::NoneUp));
}

#[test]
fn extremes_do_not_overflow() {
    let wild = Node {
        capacity_milli: 0,
        load_milli: u32::MAX,
        outstanding: u32::MAX,
        memory_free_bytes: u64::MAX,
        ..node(1)
    };
    let away = Placement { memory_bytes: u64::MAX, may_stay: false, ..work() };
    assert_eq!(choose(&[wild], away), Ok(slot(1)));
}

fn candidate(pid: u32, home: u8, memory_bytes: u64) -> Candidate {
    let process = GlobalPid::new(1, pid);
    Candidate { process, home: slot(home), memory_bytes, reasons: Reasons::NONE }
}

fn drain(candidates: &[Candidate], nodes: &[Node]) -> sched_migrate::policy::Plan {
    plan(slot(0), candidates, nodes, &Weights::default()).expect("memory")
}

#[test]
fn a_drain_moves_guests_first_and_small_ones_first() {
    let candidates = [
        candidate(10, 0, GIB / 4),
        candidate(11, 1, GIB / 2),
        candidate(12, 2, GIB / 8),
        candidate(13, 0, GIB / 8),
    ];
    let plan = drain(&candidates, &[node(0), node(1), node(2)]);
    let order: Vec<u32> = plan.moves.iter().map(|step| step.process.pid.0).collect();
    assert_eq!(order, [12, 11, 13, 10]);
    assert!(plan.stays.is_empty());
    assert!(plan.moves.iter().all(|step| step.to != slot(0)));
    let to_one = plan.moves.iter().filter(|step| step.to == slot(1)).count();
    assert_eq!(to_one, 2, "spread over both");
}

#[test]
fn a_drain_says_what_stays_and_why() {
    let mut reasons = Reasons::NONE;
    reasons.add(Reason::Socket);
    let stuck = Candidate { reasons, ..candidate(10, 0, 1) };
    let large = candidate(11, 0, 5 * GIB);
    let fits = candidate(12, 0, 3 * GIB);
    let late = candidate(13, 0, 4 * GIB - 1);
    let plan = drain(&[stuck, large, fits, late], &[node(0), node(1)]);
    let moved: Vec<u32> = plan.moves.iter().map(|step| step.process.pid.0).collect();
    assert_eq!(moved, [12]);
    let no_memory = Stay::NoPlace(NoPlace::NoMemory);
    // The memory that the first one takes is not there for the next.
    assert_eq!(
        plan.stays,
        [
            (stuck.process, Stay::Ineligible(reasons)),
            (late.process, no_memory),
            (large.process, no_memory),
        ]
    );
}

#[test]
fn a_drain_of_the_last_node_moves_nothing() {
    let plan = drain(&[candidate(10, 0, 1)], &[node(0)]);
    assert_eq!(plan.stays, [(GlobalPid::new(1, 10), Stay::NoPlace(NoPlace::NoneUp))]);
    assert_eq!(drain(&[], &[node(0), node(1)]), sched_migrate::policy::Plan::default());
}
