//! The cluster: its clock, its events, and how a node is driven.

use std::collections::{BTreeMap, VecDeque};

use holon_simkit::{Agenda, Net, Path, Rng, Trace};
use netproto::{AttemptId, Class, Event, Instant, Kind, RequestId, SendError, Slot};
use sched_migrate::Offer;

use crate::node::{slot, Letter, Life, Node};
use crate::options::Options;
use crate::process::Process;

/// Events kept for the report of a broken promise.
const RECENT_MAX: usize = 200;

/// Work of a node that takes time.
#[derive(Debug, Clone)]
pub(crate) enum Local {
    SendImage { to: usize, offer: Offer },
    CaptureFailed(AttemptId),
    Freeze { process: usize, attempt: AttemptId },
    Restored { attempt: AttemptId, is_good: bool },
    Applied { attempt: AttemptId, is_good: bool },
    Discarded { process: usize, attempt: AttemptId },
}

#[derive(Debug)]
struct Later {
    node: usize,
    life: u64,
    local: Local,
}

#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) options: Options,
    pub(crate) now_ns: u64,
    pub(crate) rng: Rng,
    pub(crate) network: Net,
    pub(crate) nodes: Vec<Node>,
    pub(crate) processes: Vec<Process>,
    pub(crate) requests: u64,
    /// Requests that must still be reported: the node and its life.
    pub(crate) open_requests: BTreeMap<RequestId, (usize, u64)>,
    pub(crate) seen: BTreeMap<String, u64>,
    later: Agenda<Later>,
    /// The last events.
    recent: VecDeque<String>,
    pub(crate) trace: Trace,
}

impl Cluster {
    pub(crate) fn new(seed: u64, options: Options) -> Self {
        let count = options.nodes;
        let mut cluster = Self {
            now_ns: 1_000_000_000,
            rng: Rng::new(seed),
            network: network(&options),
            nodes: (0..count).map(|_| Node::new()).collect(),
            processes: (0..options.processes).map(|n| Process::new(n, n % count)).collect(),
            requests: 0,
            open_requests: BTreeMap::new(),
            seen: BTreeMap::new(),
            later: Agenda::new(),
            recent: VecDeque::new(),
            trace: Trace::new(),
            options,
        };
        (0..count).for_each(|node| cluster.start(node));
        for process in 0..cluster.processes.len() {
            let origin = cluster.processes[process].origin;
            cluster.run_at(origin, process, netproto::Epoch(0));
        }
        cluster
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_ns(self.now_ns)
    }

    pub(crate) fn note(&mut self, line: String) {
        self.trace.note(line.as_bytes());
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(format!("{:>12} us  {line}", self.now_ns / 1000));
    }

    pub(crate) fn saw(&mut self, what: impl Into<String>) {
        *self.seen.entry(what.into()).or_default() += 1;
    }

    /// A node that lives.
    pub(crate) fn life(&mut self, node: usize) -> &mut Life {
        self.nodes[node].life.as_mut().expect("a live node")
    }

    pub(crate) fn is_awake(&self, node: usize) -> bool {
        self.nodes[node].life.is_some() && self.nodes[node].paused_until_ns <= self.now_ns
    }

    pub(crate) fn start(&mut self, node: usize) {
        let (now, count) = (self.now(), self.nodes.len());
        self.note(format!("node {node} starts"));
        self.nodes[node].start(now, node, count);
        self.drain(node);
    }

    pub(crate) fn crash(&mut self, node: usize) {
        self.note(format!("node {node} crashes"));
        self.saw("crash");
        self.excuse_crash(node);
        self.nodes[node].life = None;
        self.nodes[node].waiting.clear();
        self.open_requests.retain(|_, (at, _)| *at != node);
    }

    pub(crate) fn pause(&mut self, node: usize, span_ns: u64) {
        self.note(format!("node {node} stands still for {} ms", span_ns / 1_000_000));
        self.nodes[node].paused_until_ns = self.now_ns + span_ns;
    }

    /// Local work, done after a while.
    pub(crate) fn after(&mut self, node: usize, local: Local) {
        let delay_ns = 1_000 + self.rng.below(5_000_000);
        let life = self.nodes[node].number;
        self.later.add(self.now_ns + delay_ns, Later { node, life, local });
    }

    fn next_ns(&self) -> Option<u64> {
        let timers = self.nodes.iter().filter_map(Node::timer_ns).min();
        [self.later.next_at_ns(), timers, self.network.next_at_ns()].into_iter().flatten().min()
    }

    /// Lets all happen that happens up to a time.
    pub(crate) fn run_to(&mut self, end_ns: u64) {
        while let Some(at_ns) = self.next_ns().filter(|at_ns| *at_ns <= end_ns) {
            self.now_ns = self.now_ns.max(at_ns);
            self.step();
            self.check_instant();
        }
        self.now_ns = end_ns;
    }

    fn step(&mut self) {
        while let Some((_, to, bytes)) = self.network.arrive(self.now_ns) {
            if self.is_awake(to) {
                self.wake(to);
                self.receive(to, &bytes);
            } else if self.nodes[to].life.is_some() {
                self.nodes[to].waiting.push(bytes);
            }
        }
        while let Some(later) = self.later.take_due(self.now_ns) {
            self.finish(later);
        }
        for node in 0..self.nodes.len() {
            let is_due = self.nodes[node].timer_ns().is_some_and(|at_ns| at_ns <= self.now_ns);
            if is_due && self.is_awake(node) {
                self.wake(node);
                let now = self.now();
                let life = self.life(node);
                life.transport.handle_timeout(now);
                self.drain(node);
                self.life(node).mover.handle_timeout(now);
                self.drain(node);
            }
        }
    }

    fn finish(&mut self, later: Later) {
        let node = later.node;
        if self.nodes[node].life.is_none() || self.nodes[node].number != later.life {
            return;
        }
        if !self.is_awake(node) {
            self.later.add(self.nodes[node].paused_until_ns, later);
            return;
        }
        self.wake(node);
        self.note(format!("{node}: {:?}", later.local));
        self.local(node, later.local);
        self.drain(node);
    }

    /// After a standstill a node first sees what has waited in its socket.
    fn wake(&mut self, node: usize) {
        for bytes in std::mem::take(&mut self.nodes[node].waiting) {
            self.receive(node, &bytes);
        }
    }

    fn receive(&mut self, node: usize, bytes: &[u8]) {
        let now = self.now();
        let refused = self.life(node).transport.handle_datagram(now, bytes).is_err();
        if refused {
            self.saw("datagram refused");
        }
        self.drain(node);
    }

    /// Queues a message; it keeps its place behind those that wait for room. To a node that is down
    /// it is dropped, as the mover expects.
    pub(crate) fn send(&mut self, node: usize, to: usize, class: Class, kind: Kind, bytes: &[u8]) {
        let letter = Letter { class, kind, payload: bytes.to_vec() };
        self.life(node).outbox.entry(to).or_default().push_back(letter);
        self.post(node, to);
    }

    fn post(&mut self, node: usize, to: usize) {
        let now = self.now();
        let Life { transport, outbox, .. } = self.life(node);
        let Some(letters) = outbox.get_mut(&to) else {
            return;
        };
        // Of a class that is full nothing may overtake; the other classes go on.
        let mut full = Vec::new();
        let mut is_waiting = false;
        letters.retain(|letter| {
            if full.contains(&letter.class) {
                return true;
            }
            let pieces = [&letter.payload[..]];
            match transport.send(now, slot(to), letter.class, letter.kind, &pieces) {
                Ok(()) => false,
                Err(SendError::Busy) => {
                    full.push(letter.class);
                    is_waiting = true;
                    true
                }
                Err(_) => false,
            }
        });
        if is_waiting {
            self.saw("waited for room");
        }
    }

    /// Takes all outputs of a node, until there are none of any kind.
    pub(crate) fn drain(&mut self, node: usize) {
        if self.nodes[node].life.is_none() {
            return;
        }
        loop {
            if let Some(event) = self.life(node).transport.poll_event() {
                self.peer_event(node, event);
            } else if let Some(effect) = self.life(node).mover.poll_effect() {
                self.note(format!("{node}: {effect:?}"));
                self.perform(node, effect);
            } else if let Some(message) = self.life(node).transport.poll_message() {
                self.message(node, message);
            } else {
                break;
            }
        }
        let now = self.now();
        let mut buffer = [0; 2000];
        let life = self.nodes[node].life.as_mut().expect("looked above");
        while let Some(transmit) = life.transport.poll_transmit(now, &mut buffer) {
            let path = (node, transmit.slot().index());
            let bytes = life.transport.parts(&transmit, &buffer).collect::<Vec<_>>().concat();
            self.network.send(self.now_ns, path, &bytes, &mut self.rng);
        }
    }

    fn peer_event(&mut self, node: usize, event: Event) {
        let now = self.now();
        let peer = event.slot().index();
        match event {
            Event::Up { .. } => {
                self.note(format!("{node}: {peer} is up"));
                self.life(node).mover.handle_peer_up(slot(peer));
            }
            Event::Down { .. } | Event::Restarted { .. } => {
                self.note(format!("{node}: {event:?}"));
                self.saw(match event {
                    Event::Restarted { .. } => "restarted",
                    _ => "down",
                });
                self.excuse_session_end(node, peer);
                let life = self.life(node);
                life.outbox.remove(&peer);
                life.incoming.retain(|(from, _), _| *from != peer);
                life.mover.handle_peer_down(now, slot(peer));
            }
            Event::Writable { .. } => self.post(node, peer),
        }
    }

    /// The process of this name.
    pub(crate) fn number_of(&self, name: netproto::GlobalPid) -> usize {
        let found = self.processes.iter().position(|process| process.name == name);
        found.expect("no other names are used")
    }

    pub(crate) fn fail(&self, what: &str) -> ! {
        for line in &self.recent {
            eprintln!("{line}");
        }
        panic!("{what}");
    }
}

/// The node in a slot.
pub(crate) fn index(slot: Slot) -> usize {
    slot.index()
}

fn network(options: &Options) -> Net {
    let mut net = Net::new(options.nodes);
    net.each_path(|path| {
        *path = Path {
            loss_ppm: options.loss_ppm,
            duplicate_ppm: options.duplicate_ppm,
            corrupt_ppm: options.corrupt_ppm,
            delay_mean_ns: options.delay_mean_ns,
            ..Path::clean()
        };
    });
    net
}
