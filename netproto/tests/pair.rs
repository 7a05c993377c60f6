//! Two nodes: one promise a test.

mod sim;

use netproto::{Class, DownReason, Event, SendError};
use sim::{Sim, MS, SECOND};

/// Default times: see `Config::new`.
const HEARTBEAT: u64 = 200 * MS;
const SILENCE: u64 = 4 * SECOND;

fn pair(seed: u64) -> Sim {
    let mut sim = Sim::new(seed, 2);
    sim.connect();
    sim
}

#[test]
fn connects_within_a_round_trip_or_two() {
    let mut sim = Sim::new(1, 2);
    sim.run_until(2 * MS, "both up", Sim::all_up);
    assert_eq!(sim.events.len(), 2);
}

#[test]
fn messages_of_every_length_arrive_whole() {
    let mut sim = pair(2);
    let most = netproto::limits::MESSAGE_LEN_MAX - 24;
    for class in Class::ALL {
        for len in [0, 1, 1200, 1291, 1292, 1293, 4096, 40_000, most - 1, most] {
            assert_eq!(sim.send(0, 1, class, len), Ok(()));
            assert_eq!(sim.send(1, 0, class, len), Ok(()));
        }
        assert_eq!(sim.send(0, 1, class, most + 1), Err(SendError::TooLong));
    }
    sim.run_until(SECOND, "all arrived", |sim| sim.oracle.outstanding() == 0);
    assert_eq!(sim.oracle.delivered, 60);
    assert_eq!(sim.transport(0).counters().bad_total(), 0);
    assert_eq!(sim.transport(0).counters().tx_fragments_again, 0);
}

#[test]
fn an_empty_message_is_a_message() {
    let mut sim = pair(3);
    let (now, peer) = (sim.now(), sim::slot(1));
    sim.nodes[1].is_lazy = true;
    let kind = netproto::Kind(9);
    assert_eq!(sim.transport(0).send(now, peer, Class::Bulk, kind, &[]), Ok(()));
    sim.drain(0);
    sim.run_for(10 * MS);
    let message = sim.transport(1).poll_message().expect("arrived");
    assert_eq!((message.kind, message.payload.len()), (kind, 0));
}

#[test]
fn a_dead_peer_is_reported_in_time_and_with_its_reason() {
    let mut sim = pair(4);
    sim.run_for(10 * SECOND);
    let died_ns = sim.now_ns;
    sim.crash(1);
    sim.run_for(10 * SECOND);
    let [(at_ns, 0, 1, Some(DownReason::Silence))] = sim.oracle.downs[..] else {
        panic!("{:?}", sim.oracle.downs);
    };
    assert!(at_ns - died_ns <= SILENCE + MS && at_ns - died_ns >= SILENCE - 2 * HEARTBEAT);
    assert_eq!(sim.send(0, 1, Class::Control, 1), Err(SendError::Down));
}

#[test]
fn the_time_scale_stretches_detection() {
    let mut sim = Sim::with(5, 2, |config| config.timescale = 10);
    sim.connect();
    sim.run_for(10 * SECOND);
    sim.crash(1);
    sim.run_for(35 * SECOND);
    assert_eq!(sim.oracle.downs.len(), 0);
    sim.run_for(6 * SECOND);
    assert_eq!(sim.oracle.downs.len(), 1);
}

#[test]
fn nobody_is_down_falsely_under_loss() {
    let mut sim = Sim::new(6, 2);
    sim.net.each_path(|path| path.loss_ppm = 50_000);
    sim.net.each_path(|path| path.delay_mean_ns = 2 * MS);
    sim.connect();
    for _ in 0..1200 {
        sim.run_for(500 * MS);
        let _ = sim.send(0, 1, Class::Bulk, 20_000);
        let _ = sim.send(1, 0, Class::Fault, 100);
    }
    assert_eq!(sim.oracle.downs.len(), 0);
    sim.run_until(5 * SECOND, "all arrived", |sim| sim.oracle.outstanding() == 0);
    assert_eq!(sim.oracle.delivered, 2400);
}

#[test]
fn a_restart_ends_what_was_in_flight() {
    let mut sim = pair(7);
    sim.net.path(0, 1).delay_min_ns = 50 * MS;
    assert_eq!(sim.send(0, 1, Class::Control, 3000), Ok(()));
    assert_eq!(sim.send(1, 0, Class::Control, 3000), Ok(()));
    sim.start(1);
    let old = sim::incarnation(1, 1);
    let new = sim::incarnation(1, 2);
    sim.run_until(SECOND, "up again", |sim| sim.oracle.ups == 4);
    let peer = sim::slot(1);
    let about: Vec<Event> = sim.events.iter().filter(|e| e.1 == 0).map(|e| e.2).collect();
    let expected = [
        Event::Up { slot: peer, incarnation: old },
        Event::Restarted { slot: peer, old, new },
        Event::Up { slot: peer, incarnation: new },
    ];
    assert_eq!(about, expected);
    sim.run_for(SECOND);
    // The message of node 1's first life was on the wire before it died, and may count or not; the
    // one to its first life may not reach the second.
    assert!(sim.oracle.delivered <= 1);
    assert_eq!(sim.send(0, 1, Class::Control, 10), Ok(()));
    sim.run_until(SECOND, "new message", |sim| sim.oracle.outstanding() == 0);
}

#[test]
fn a_one_way_cut_takes_both_down_and_heals() {
    let mut sim = pair(8);
    sim.run_for(SECOND);
    sim.net.path(1, 0).is_cut = true;
    sim.run_for(2 * SILENCE + SECOND);
    let down = |node: usize| sim.oracle.downs.iter().filter(|down| down.1 == node).count();
    assert_eq!((down(0), down(1)), (1, 1), "{:?}", sim.oracle.downs);
    assert_eq!(sim.oracle.ups, 2, "no session over a one-way path");
    sim.net.path(1, 0).is_cut = false;
    sim.run_until(2 * HEARTBEAT, "up after the cut", Sim::all_up);
    assert_eq!(sim.send(1, 0, Class::Bulk, 10_000), Ok(()));
    sim.run_until(SECOND, "message", |sim| sim.oracle.outstanding() == 0);
}

#[test]
fn a_short_cut_loses_nothing() {
    let mut sim = pair(9);
    for _ in 0..20 {
        assert_eq!(sim.send(0, 1, Class::Bulk, 30_000), Ok(()));
    }
    sim.net.each_path(|path| path.is_cut = true);
    sim.run_for(3 * SECOND);
    sim.net.each_path(|path| path.is_cut = false);
    sim.run_until(3 * SECOND, "all arrived", |sim| sim.oracle.outstanding() == 0);
    assert_eq!((sim.oracle.delivered, sim.oracle.downs.len()), (20, 0));
}

#[test]
fn faults_overtake_a_flood() {
    let mut sim = pair(10);
    while sim.send(0, 1, Class::Bulk, 60_000).is_ok() {}
    sim.run_for(50_000);
    let before = sim.oracle.delivered;
    assert_eq!(sim.send(0, 1, Class::Fault, 100), Ok(()));
    let backlog = sim.oracle.outstanding();
    sim.run_until(MS, "fault", |sim| sim.oracle.delivered > before);
    assert!(sim.oracle.outstanding() + 2 >= backlog, "the fault came among the first");
    sim.run_until(10 * SECOND, "the rest", |sim| sim.oracle.outstanding() == 0);
    assert!(sim.events.iter().any(|e| matches!(e.2, Event::Writable { class: Class::Bulk, .. })));
}

/// Queued together, the higher class leaves first, however long the lower one has waited.
#[test]
fn the_highest_class_is_first_in_the_datagram() {
    let mut sim = pair(16);
    sim.run_for(SECOND);
    sim.net.record = Some(Vec::new());
    let (now, peer) = (sim.now(), sim::slot(1));
    for class in [Class::Bulk, Class::Control, Class::Fault] {
        let outcome = sim.transport(0).send(now, peer, class, netproto::Kind(1), &[&[0; 600]]);
        assert_eq!(outcome, Ok(()));
    }
    sim.nodes[1].is_lazy = true;
    sim.drain(0);
    let record = sim.net.record.take().expect("recorded");
    let classes = record.iter().map(|(_, _, bytes)| (bytes[40], bytes[41]));
    assert_eq!(classes.collect::<Vec<_>>(), [(1, 0), (1, 1), (1, 2)]);
}

/// What tells a waiting sender that there is room is lost: it must ask.
#[test]
fn a_lost_acknowledgement_is_asked_for() {
    let mut sim = pair(17);
    sim.nodes[1].is_lazy = true;
    while sim.send(0, 1, Class::Control, 900).is_ok() {}
    sim.run_for(20 * SECOND);
    // The receiver takes all at once; what tells so is lost.
    sim.net.path(1, 0).is_cut = true;
    sim.nodes[1].is_lazy = false;
    sim.drain(1);
    sim.run_for(MS);
    sim.net.path(1, 0).is_cut = false;
    sim.run_until(SECOND, "going on", |sim| sim.oracle.outstanding() == 0);
}

#[test]
fn a_slow_taker_is_waited_for() {
    let mut sim = pair(11);
    sim.nodes[1].is_lazy = true;
    let mut taken = 0;
    for _ in 0..2000 {
        taken += u64::from(sim.send(0, 1, Class::Control, 900).is_ok());
        sim.run_for(MS);
    }
    // What the sender queues and what the receiver lets it send are all that is kept.
    assert!((256..=256 + 256 + 8).contains(&taken), "{taken}");
    assert_eq!(sim.send(0, 1, Class::Control, 900), Err(SendError::Busy));
    assert_eq!(sim.send(0, 1, Class::Fault, 900), Ok(()), "the classes are apart");
    sim.run_for(20 * SECOND);
    assert_eq!(sim.oracle.downs.len(), 0);
    sim.nodes[1].is_lazy = false;
    sim.run_until(2 * SECOND, "all arrived", |sim| sim.oracle.outstanding() == 0);
    assert_eq!(sim.oracle.delivered, taken + 1);
    let is_writable = |e: &(u64, usize, Event)| matches!(e.2, Event::Writable { .. });
    assert_eq!(sim.events.iter().filter(|e| is_writable(e)).count(), 1);
}

#[test]
fn a_farewell_is_heard_at_once() {
    let mut sim = pair(12);
    let now = sim.now();
    sim.transport(1).shutdown(now);
    sim.drain(1);
    sim.oracle.on_crash(1);
    sim.run_for(MS);
    assert!(matches!(sim.oracle.downs[..], [(_, 0, 1, Some(DownReason::Left))]));
    sim.run_for(20 * SECOND);
    assert_eq!(sim.oracle.ups, 2, "who left does not come back in the same life");
    sim.start(1);
    sim.run_until(SECOND, "up", Sim::all_up);
}

#[test]
fn a_session_that_is_given_up_begins_again() {
    let mut sim = pair(16);
    sim.run_for(SECOND);
    let (now, peer) = (sim.now(), sim::slot(1));
    assert_eq!(sim.transport(0).give_up(now, peer), Ok(()));
    sim.drain(0);
    sim.run_for(SECOND);
    assert!(sim.all_up());
    let reasons: Vec<_> = sim.oracle.downs.iter().map(|down| (down.1, down.3)).collect();
    assert_eq!(reasons, [(0, Some(DownReason::Silence)), (1, Some(DownReason::PeerReset))]);
}

#[test]
fn a_stopped_host_blames_nobody() {
    let mut sim = pair(13);
    // Between two heartbeats, so that nothing is under way.
    sim.run_for(SECOND + 50 * MS);
    sim.pause(0, 60 * SECOND);
    sim.pause(1, 60 * SECOND);
    sim.run_for(120 * SECOND);
    assert_eq!(sim.oracle.downs.len(), 0);
    assert_eq!(sim.transport(0).counters().stalls, 1);
}

#[test]
fn a_stopped_node_is_dropped_and_comes_back() {
    let mut sim = pair(14);
    sim.run_for(SECOND);
    sim.pause(0, 20 * SECOND);
    sim.run_for(21 * SECOND);
    assert!(sim.all_up());
    let reasons: Vec<_> = sim.oracle.downs.iter().map(|down| (down.1, down.3)).collect();
    assert_eq!(reasons, [(1, Some(DownReason::Silence)), (0, Some(DownReason::PeerReset))]);
}

#[test]
fn an_idle_pair_is_nearly_silent() {
    let mut sim = pair(15);
    let before = sim.net.sent;
    sim.run_for(60 * SECOND);
    // A ping and a pong each per heartbeat, and the handshake's last words.
    assert!(sim.net.sent - before <= 4 * 300 + 8, "{}", sim.net.sent - before);
    let rtt = sim.transport(0).peer(sim::slot(1)).and_then(|info| info.rtt).expect("measured");
    assert!((200..=260).contains(&rtt.as_us()), "{rtt:?}");
}
