//! Nodes, links, time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use netproto::id::{AttemptId, Epoch, GlobalPid, RequestId, Slot};
use netproto::msg::migrate::ImageKind;
use netproto::time::Instant;
use sched_migrate::{
    Config, Effect, Failure, Message, Mover, Offer, Report, Request, StartError, Timing, Work,
};

pub const NODES: u8 = 3;
pub const PROCESS: GlobalPid = GlobalPid::new(1, 7);

/// SplitMix64.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// One time in `bound`; never, if that is 0.
    pub fn one_in(&mut self, bound: u64) -> bool {
        bound > 0 && self.below(bound) == 0
    }
}

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

/// What is delivered.
#[derive(Debug, Clone, Copy)]
pub enum Packet {
    Offer(Offer),
    Final(AttemptId),
    Mover(Message),
    Kill(Epoch),
    Exited(Epoch),
}

#[derive(Debug, Clone, Copy)]
pub enum Local {
    SendOffer { to: Slot, offer: Offer },
    CaptureFailed(AttemptId),
    Freeze(AttemptId),
    Restored { attempt: AttemptId, ok: bool },
    Applied { attempt: AttemptId, ok: bool },
    Discarded(AttemptId),
    PlaceAgain { not_at: Slot },
}

#[derive(Debug, Clone, Copy)]
pub enum Event {
    Deliver {
        from: Slot,
        from_life: u64,
        to: Slot,
        to_life: u64,
        packet: Packet,
    },
    Local {
        at: Slot,
        life: u64,
        local: Local,
    },
    /// `at` learns that a life of `of` has ended, or that one has begun.
    Verdict {
        at: Slot,
        life: u64,
        of: Slot,
        of_life: u64,
        up: bool,
    },
    Restart(Slot),
    Resume(Slot),
    /// Move the process from where it runs.
    Start(u8),
    Crash(Slot),
    Pause(Slot, u64),
    /// SIGKILL, by someone.
    Kill,
    Abort,
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
    heap: BinaryHeap<Reverse<(u64, u64, usize)>>,
    events: Vec<Option<Event>>,
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

fn mover(own: u8) -> Mover {
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
            rng: Rng(seed),
            heap: BinaryHeap::new(),
            events: Vec::new(),
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
        let index = self.events.len();
        self.events.push(Some(event));
        let seq = u64::try_from(index).expect("small");
        self.heap.push(Reverse((self.now_ns + delay_ns, seq, index)));
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
        let timeout = self.next_timeout();
        let event_at = self.heap.peek().map(|Reverse((at, ..))| *at);
        match (timeout, event_at) {
            (None, None) => return false,
            (Some((at, node)), event) if event.is_none_or(|event| at < event) => {
                self.now_ns = at;
                let now = self.now();
                self.trace.push(format!("{at}: timeout at {node}"));
                self.node(node).mover.handle_timeout(now);
                self.drain(node);
            }
            _ => {
                let Reverse((at, _, index)) = self.heap.pop().expect("peeked");
                self.now_ns = at;
                if let Some(event) = self.events[index].take() {
                    self.trace.push(format!("{at}: {event:?}"));
                    self.handle(event);
                }
            }
        }
        self.steps += 1;
        self.check_instant();
        assert!(self.steps < 100_000, "does not come to rest");
        true
    }

    pub fn run(&mut self) {
        while self.step() {}
    }

    fn handle(&mut self, event: Event) {
        let place = match event {
            Event::Deliver { to, to_life, .. } => Some((to, to_life)),
            Event::Local { at, life, .. } | Event::Verdict { at, life, .. } => Some((at, life)),
            Event::Restart(_)
            | Event::Resume(_)
            | Event::Start(_)
            | Event::Crash(_)
            | Event::Pause(..)
            | Event::Kill
            | Event::Abort => None,
        };
        if let Some((at, life)) = place {
            let node = self.node(at);
            if !node.alive || node.life != life {
                return;
            }
            if node.paused {
                node.held.push(event);
                return;
            }
        }
        match event {
            Event::Deliver { from, from_life, to, packet, .. } => {
                let known = self.node(to).up.get(&from) == Some(&from_life);
                let lives = self.node(from).alive && self.node(from).life == from_life;
                match (known, lives) {
                    (true, _) => self.deliver(from, to, packet),
                    // The session is not up on this side yet: the link keeps sending.
                    (false, true) => self.after(20_000_000, event),
                    // After the verdict nothing of that life is listened to.
                    (false, false) => {}
                }
            }
            Event::Local { at, local, .. } => self.local(at, local),
            Event::Verdict { at, of, of_life, up, .. } => self.verdict(at, of, of_life, up),
            Event::Restart(at) => self.restart(at),
            Event::Resume(at) => self.resume(at),
            Event::Start(to) => self.start(slot(to)),
            Event::Crash(at) => self.crash(at),
            Event::Pause(at, for_ns) => {
                if self.node(at).alive && !self.node(at).paused {
                    self.node(at).paused = true;
                    self.after(for_ns, Event::Resume(at));
                }
            }
            Event::Kill => self.kill(),
            Event::Abort => self.abort(),
        }
    }

    fn deliver(&mut self, from: Slot, to: Slot, packet: Packet) {
        let now = self.now();
        match packet {
            Packet::Offer(offer) => self.node(to).mover.handle_offer(now, from, offer),
            Packet::Final(attempt) => self.node(to).mover.handle_final(now, from, attempt),
            Packet::Mover(message) => {
                // Over the wire, as it would be.
                let encoded = message.encode();
                let decoded = Message::decode(encoded.kind, encoded.payload());
                assert_eq!(decoded, Some(Ok(message)));
                self.node(to).mover.handle_message(now, from, message);
            }
            Packet::Kill(epoch) => {
                if self.node(to).task == Some(Task::Running(epoch)) {
                    self.saw("a body was killed for its source");
                    self.body_exits(to, epoch);
                }
            }
            Packet::Exited(epoch) => {
                if self.node(to).mover.is_current(PROCESS, from, epoch) {
                    self.end_at_origin();
                }
            }
        }
        self.drain(to);
    }

    pub fn drain(&mut self, at: Slot) {
        while let Some(effect) = self.node(at).mover.poll_effect() {
            self.trace.push(format!("    {at}: {effect:?}"));
            self.perform(at, effect);
        }
    }

    /// Moves the process from wherever it runs.
    fn start(&mut self, target: Slot) {
        let Some(at) = self.running_at() else {
            return;
        };
        if self.node(at).paused {
            return;
        }
        self.start_at(at, target);
    }

    pub fn start_at(&mut self, at: Slot, target: Slot) -> bool {
        let work = match self.nodes[at.index()].task {
            Some(Task::Passed) => Work::PlacedAgain,
            // Where it has been placed it is moved like any other.
            _ if self.kind == ImageKind::Exec && at == self.origin => Work::Exec,
            _ => Work::Running,
        };
        self.requests += 1;
        let request = RequestId(self.requests);
        let fetching = self.rng.one_in(10);
        let now = self.now();
        let asked = Request { request, process: PROCESS, work, target, fetching };
        let started = self.node(at).mover.start(now, asked);
        let life = self.node(at).life;
        match started {
            Ok(_) => {
                self.open_requests.insert(request, (at, life));
            }
            Err(error) => {
                self.saw(format!("not started: {error}"));
                assert_ne!(error, StartError::NotHere, "it runs here");
                return false;
            }
        }
        self.drain(at);
        if fetching && self.rng.below(2) == 0 {
            self.node(at).mover.fetched(now, PROCESS);
            self.drain(at);
        }
        true
    }

    fn verdict(&mut self, at: Slot, of: Slot, of_life: u64, up: bool) {
        let now = self.now();
        if up {
            // A peer that came again: its old life ended, whether that was noticed or not.
            if self.node(at).up.contains_key(&of) {
                self.node(at).mover.handle_peer_down(now, of);
                self.drain(at);
            }
            self.node(at).up.insert(of, of_life);
            self.node(at).mover.handle_peer_up(of);
        } else if self.node(at).up.get(&of) == Some(&of_life) {
            self.node(at).up.remove(&of);
            self.node(at).mover.handle_peer_down(now, of);
        }
        self.drain(at);
    }

    pub fn crash(&mut self, at: Slot) {
        if !self.node(at).alive {
            return;
        }
        self.note_crash(at);
        let life = self.node(at).life;
        let node = self.node(at);
        node.alive = false;
        node.paused = false;
        node.task = None;
        node.prepared = None;
        node.freezing = None;
        node.held.clear();
        node.up.clear();
        self.open_requests.retain(|_, (slot, _)| *slot != at);
        for other in (0..NODES).map(slot).filter(|other| *other != at) {
            let other_life = self.node(other).life;
            let delay = 300_000_000 + self.rng.below(1_500_000_000);
            let verdict =
                Event::Verdict { at: other, life: other_life, of: at, of_life: life, up: false };
            self.after(delay, verdict);
        }
    }

    fn restart(&mut self, at: Slot) {
        if self.node(at).alive {
            return;
        }
        let node = self.node(at);
        node.mover = mover(at.get());
        node.life += 1;
        node.alive = true;
        let life = node.life;
        for other in (0..NODES).map(slot).filter(|other| *other != at) {
            if !self.node(other).alive {
                continue;
            }
            let other_life = self.node(other).life;
            let delay = self.delay_ns();
            let up =
                Event::Verdict { at: other, life: other_life, of: at, of_life: life, up: true };
            self.after(delay, up);
            let delay = self.delay_ns();
            let up = Event::Verdict { at, life, of: other, of_life: other_life, up: true };
            self.after(delay, up);
        }
    }

    fn resume(&mut self, at: Slot) {
        if !self.node(at).paused {
            return;
        }
        self.node(at).paused = false;
        for event in std::mem::take(&mut self.node(at).held) {
            self.handle(event);
        }
    }

    fn kill(&mut self) {
        let Some(at) = self.running_at() else {
            // Frozen: its source is told.
            let frozen = |node: &Node| matches!(node.task, Some(Task::Frozen | Task::Passed));
            if let Some(index) = self.nodes.iter().position(frozen) {
                let at = slot(u8::try_from(index).expect("few"));
                self.excuse.get_or_insert("killed while it was stopped");
                self.saw("killed while it was stopped");
                let now = self.now();
                self.node(at).mover.killed(now, PROCESS);
                self.drain(at);
                self.finish_kill(at);
            }
            return;
        };
        let Some(Task::Running(epoch)) = self.node(at).task else {
            return;
        };
        self.excuse.get_or_insert("killed");
        self.body_exits(at, epoch);
    }

    /// If the source got it back, it dies there now.
    fn finish_kill(&mut self, at: Slot) {
        if let Some(Task::Running(epoch)) = self.node(at).task {
            self.body_exits(at, epoch);
        }
    }

    fn abort(&mut self) {
        let now = self.now();
        for number in 0..NODES {
            let at = slot(number);
            if self.node(at).alive && !self.node(at).paused {
                self.node(at).mover.abort(now, PROCESS);
                self.drain(at);
            }
        }
    }

    pub fn report(&mut self, at: Slot, report: Report) {
        let open = self.open_requests.remove(&report.request);
        let life = self.node(at).life;
        assert_eq!(open, Some((at, life)), "reported twice, or by another: {report:?}");
        let name = match report.result {
            Ok(_) => "moved".to_string(),
            Err(failure) => format!("failed: {}", failure.name()),
        };
        self.saw(name);
        if report.tries > 2 {
            self.saw("prepared while frozen");
        }
        self.reports.push(report);
        if report.result == Err(Failure::Killed) {
            self.finish_kill(at);
        }
    }

    pub fn effect_name(effect: &Effect) -> String {
        let text = format!("{effect:?}");
        text.split([' ', '(', '{']).next().unwrap_or_default().to_string()
    }
}
