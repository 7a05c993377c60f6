//! Nodes, links, time.

use std::collections::BTreeMap;

use holon_simkit::{Agenda, Rng};
use netproto::id::{AttemptId, Epoch, GlobalPid, RequestId, Slot};
use netproto::msg::migrate::ImageKind;
use netproto::time::Instant;
use sched_migrate::{Config, Mover, Report, Timing};

use super::event::{Event, Packet};

pub const NODES: u8 = 3;
pub const PROCESS: GlobalPid = GlobalPid::new(1, 7);

pub fn slot(number: u8) -> Slot {
    Slot::new(number).expect("a slot")
}

/// What a process' task on a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    Running(Epoch),
    /// Stopped for a hand-off.
    Frozen,
    /// An exec past the point of no return: it can't go on as it was.
    Passed,
    Surrogate,
}

/// How often things go wrong: one time in so many, 0 for never.
#[derive(Debug, Clone, Copy, Default)]
pub struct Odds {
    pub late: u64,
    pub double: u64,
    pub capture_fails: u64,
    pub incompatible: u64,
    pub restore_fails: u64,
    pub hangs: u64,
}

pub struct Node {
    pub mover: Mover,
    pub life: u64,
    pub alive: bool,
    pub paused: bool,
    pub task: Option<Task>,
    /// The attempt whose restored body waits here.
    pub prepared: Option<AttemptId>,
    pub freezing: Option<AttemptId>,
    /// Lives of the peers that this one holds for up.
    pub up: BTreeMap<Slot, u64>,
    /// What comes while it is paused.
    pub held: Vec<Event>,
}

pub struct World {
    pub nodes: Vec<Node>,
    pub now_ns: u64,
    pub origin: Slot,
    pub kind: ImageKind,
    pub odds: Odds,
    pub rng: Rng,
    agenda: Agenda<Event>,
    /// When the last packet of a class between two lives arrives.
    last_arrival: BTreeMap<(Slot, Slot, bool), u64>,
    /// Which node had the process at which epoch.
    pub ran: BTreeMap<Epoch, Slot>,
    pub requests: u64,
    /// Requests that must still be reported, by their node and its life.
    pub open_requests: BTreeMap<RequestId, (Slot, u64)>,
    pub reports: Vec<Report>,
    /// Why the process may be dead.
    pub excuse: Option<&'static str>,
    pub ended: bool,
    /// The origin has kept the image of the exec by which it left.
    pub kept: bool,
    pub seen: BTreeMap<String, u64>,
    pub steps: u64,
    pub trace: Vec<String>,
}

pub fn timing() -> Timing {
    Timing::standard()
}

/// A node's machine, new.
pub fn mover(own: u8) -> Mover {
    let config = Config { own: slot(own), sources_max: 8, targets_max: 8, timing: timing() };
    Mover::new(config)
}

impl World {
    /// All nodes up, the process running at its origin.
    pub fn new(seed: u64, origin: u8, kind: ImageKind, odds: Odds) -> Self {
        let nodes = (0..NODES).map(|own| Node {
            mover: mover(own),
            life: 1,
            alive: true,
            paused: false,
            task: None,
            prepared: None,
            freezing: None,
            up: BTreeMap::new(),
            held: Vec::new(),
        });
        let mut world = Self {
            nodes: nodes.collect(),
            now_ns: 0,
            origin: slot(origin),
            kind,
            odds,
            rng: Rng::new(seed),
            agenda: Agenda::new(),
            last_arrival: BTreeMap::new(),
            ran: BTreeMap::new(),
            requests: 0,
            open_requests: BTreeMap::new(),
            reports: Vec::new(),
            excuse: None,
            ended: false,
            kept: false,
            seen: BTreeMap::new(),
            steps: 0,
            trace: Vec::new(),
        };
        for at in 0..NODES {
            for of in (0..NODES).filter(|of| *of != at) {
                world.node(slot(at)).mover.handle_peer_up(slot(of));
                world.node(slot(at)).up.insert(slot(of), 1);
            }
        }
        world.run_at(slot(origin), Epoch(0));
        world
    }

    pub fn node(&mut self, at: Slot) -> &mut Node {
        &mut self.nodes[at.index()]
    }

    pub fn now(&self) -> Instant {
        Instant::from_ns(self.now_ns)
    }

    pub fn saw(&mut self, what: impl Into<String>) {
        *self.seen.entry(what.into()).or_default() += 1;
    }

    pub fn after(&mut self, delay_ns: u64, event: Event) {
        self.agenda.add(self.now_ns + delay_ns, event);
    }

    /// Some milliseconds, sometimes seconds.
    pub fn delay_ns(&mut self) -> u64 {
        let late = self.rng.one_in(self.odds.late);
        let bound_ms = if late { 12_000 } else { 4 };
        self.rng.below(bound_ms * 1_000_000) + 1000
    }

    /// Sends over a reliable link: in order per class, to this life of the receiver only.
    pub fn send(&mut self, from: Slot, to: Slot, packet: Packet) {
        let Some(to_life) = self.node(from).up.get(&to).copied() else {
            self.saw("sent to a node that is down");
            return;
        };
        let from_life = self.node(from).life;
        let bulk = matches!(packet, Packet::Offer(_));
        let arrival = self.now_ns + self.delay_ns();
        let last = self.last_arrival.entry((from, to, bulk)).or_default();
        *last = arrival.max(*last + 1);
        let delay = *last - self.now_ns;
        let event = Event::Deliver { from, from_life, to, to_life, packet };
        self.after(delay, event);
        if self.rng.one_in(self.odds.double) {
            self.after(delay, event);
        }
    }

    fn next_timeout(&self) -> Option<(u64, Slot)> {
        let awake = self.nodes.iter().enumerate().filter(|(_, node)| node.alive && !node.paused);
        let times = awake.filter_map(|(index, node)| {
            let number = u8::try_from(index).expect("few");
            Some((node.mover.poll_timeout()?.as_ns().max(self.now_ns), slot(number)))
        });
        times.min()
    }

    /// One event or timeout. Returns `false` when there is none any more.
    pub fn step(&mut self) -> bool {
        let event_at = self.agenda.next_at_ns();
        let is_first = |at: u64| event_at.is_none_or(|event_at| at < event_at);
        if let Some((at, node)) = self.next_timeout().filter(|(at, _)| is_first(*at)) {
            self.now_ns = at;
            let now = self.now();
            self.trace.push(format!("{at}: timeout at {node}"));
            self.node(node).mover.handle_timeout(now);
            self.drain(node);
        } else if let Some(at) = event_at {
            self.now_ns = at;
            if let Some(event) = self.agenda.take_due(at) {
                self.trace.push(format!("{at}: {event:?}"));
                self.handle(event);
            }
        } else {
            return false;
        }
        self.steps += 1;
        self.check_instant();
        assert!(self.steps < 100_000, "does not come to rest");
        true
    }

    pub fn run(&mut self) {
        while self.step() {}
    }

    pub fn drain(&mut self, at: Slot) {
        while let Some(effect) = self.node(at).mover.poll_effect() {
            self.trace.push(format!("    {at}: {effect:?}"));
            self.perform(at, effect);
        }
    }
}
