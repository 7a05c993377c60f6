//! Several transports, a simulated network and a stepping clock in one thread. Nothing here waits:
//! the clock jumps to the next thing that happens.
#![allow(dead_code, reason = "each test file uses its part of the harness")]

pub(crate) mod oracle;

use std::sync::{Arc, Weak};

use holon_simkit::{Net, Rng, Trace};
use netproto::{
    transport::Transmit, Class, Config, Event, Incarnation, Instant, Kind, Lane, Piece, SendError,
    Slot,
};

use oracle::Oracle;

/// What messages refer to.
pub(crate) type Shared = Arc<[u8]>;
pub(crate) type Transport = netproto::Transport<Shared>;

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1000 * MS;

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) transport: Option<Transport>,
    pub(crate) life: u64,
    /// Stands still until then: nothing is received, no timer runs; datagrams wait.
    pub(crate) paused_until_ns: u64,
    /// Does not take its messages.
    pub(crate) is_lazy: bool,
    waiting: Vec<Vec<u8>>,
    timer_ns: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Sim {
    pub(crate) now_ns: u64,
    pub(crate) rng: Rng,
    pub(crate) net: Net,
    pub(crate) nodes: Vec<Node>,
    pub(crate) oracle: Oracle,
    pub(crate) trace: Trace,
    pub(crate) tweak: fn(&mut Config),
    /// All events in order: time, node, event.
    pub(crate) events: Vec<(u64, usize, Event)>,
    /// All that a message ever referred to.
    held: Vec<Weak<[u8]>>,
}

pub(crate) fn slot(number: usize) -> Slot {
    Slot::new(u8::try_from(number).expect("small")).expect("a slot")
}

pub(crate) fn incarnation(node: usize, life: u64) -> Incarnation {
    let mut rng = Rng::new(0x1234_5678 + node as u64 * 1000 + life);
    let mut bytes = [0; 16];
    bytes.fill_with(|| rng.byte());
    Incarnation(bytes)
}

impl Sim {
    pub(crate) fn new(seed: u64, count: usize) -> Self {
        Self::with(seed, count, |_| ())
    }

    /// A cluster whose nodes have changed settings.
    pub(crate) fn with(seed: u64, count: usize, tweak: fn(&mut Config)) -> Self {
        let node = || Node {
            transport: None,
            life: 0,
            paused_until_ns: 0,
            is_lazy: false,
            waiting: Vec::new(),
            timer_ns: None,
        };
        let mut sim = Self {
            now_ns: SECOND,
            rng: Rng::new(seed),
            net: Net::new(count),
            nodes: (0..count).map(|_| node()).collect(),
            oracle: Oracle::default(),
            trace: Trace::new(),
            tweak,
            events: Vec::new(),
            held: Vec::new(),
        };
        (0..count).for_each(|node| sim.start(node));
        sim
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_ns(self.now_ns)
    }

    /// Begins a node's next life.
    pub(crate) fn start(&mut self, node: usize) {
        self.crash(node);
        let life = self.nodes[node].life + 1;
        let mut config = Config::new(slot(node), incarnation(node, life));
        (self.tweak)(&mut config);
        let mut transport = Transport::new(config).expect("good settings");
        for peer in (0..self.nodes.len()).filter(|peer| *peer != node) {
            transport.add_peer(self.now(), slot(peer)).expect("a free slot");
        }
        self.nodes[node].life = life;
        self.nodes[node].transport = Some(transport);
        self.drain(node);
    }

    /// Ends a node without a word.
    pub(crate) fn crash(&mut self, node: usize) {
        self.oracle.on_crash(node);
        self.nodes[node].transport = None;
        self.nodes[node].waiting.clear();
        self.nodes[node].timer_ns = None;
        self.nodes[node].paused_until_ns = 0;
    }

    pub(crate) fn pause(&mut self, node: usize, span_ns: u64) {
        self.nodes[node].paused_until_ns = self.now_ns + span_ns;
    }

    pub(crate) fn transport(&mut self, node: usize) -> &mut Transport {
        self.nodes[node].transport.as_mut().expect("a live node")
    }

    fn is_paused(&self, node: usize) -> bool {
        self.nodes[node].paused_until_ns > self.now_ns
    }

    /// Sends a message of `len` bytes (and 24 that the judge adds).
    pub(crate) fn send(
        &mut self,
        from: usize,
        to: usize,
        class: Class,
        len: usize,
    ) -> Result<(), SendError> {
        let payload = self.oracle.compose((from, to, class), len);
        let (now, kind) = (self.now(), Kind(0x0100 | u16::from(class.number())));
        let cut = payload.len() / 3;
        let outcome = if payload.len() % 2 == 0 {
            let pieces = [&payload[..cut], &payload[cut..]];
            self.transport(from).send(now, slot(to), class, kind, &pieces)
        } else {
            let rest = self.share(&payload[cut..]);
            let pieces = [Piece::Bytes(&payload[..cut]), Piece::Held(&rest)];
            self.transport(from).send_pieces(slot(to), (class, Lane::Strict), kind, &pieces)
        };
        if outcome.is_ok() {
            self.oracle.on_sent((from, to, class));
            self.drain(from);
        }
        outcome
    }

    /// Something to refer to, that is watched.
    pub(crate) fn share(&mut self, bytes: &[u8]) -> Shared {
        let shared = Shared::from(bytes);
        self.held.push(Arc::downgrade(&shared));
        shared
    }

    /// How much is still referred to of all that ever was.
    pub(crate) fn held(&self) -> usize {
        self.held.iter().filter(|one| one.strong_count() > 0).count()
    }

    /// Takes all outputs of a node.
    pub(crate) fn drain(&mut self, node: usize) {
        let now = self.now();
        let is_lazy = self.nodes[node].is_lazy;
        let Some(mut transport) = self.nodes[node].transport.take() else {
            return;
        };
        while let Some(event) = transport.poll_event() {
            self.oracle.on_event(self.now_ns, node, &event);
            self.trace.note(format!("{} {node} {event:?}", self.now_ns).as_bytes());
            self.events.push((self.now_ns, node, event));
        }
        while let Some(message) = if is_lazy { None } else { transport.poll_message() } {
            self.oracle.on_message(node, &message);
            self.trace.note(&message.payload);
            transport.recycle(message.payload);
        }
        assert!(transport.poll_event().is_none(), "taking a message caused an event");
        let mut buffer = [0; 9000];
        let mut burst = Vec::new();
        while let Some(transmit) = transport.poll_transmit(now, &mut buffer) {
            let head = buffer[..transmit.head_len()].to_vec();
            burst.push((transmit, head));
            assert!(burst.len() < 100_000, "a node that sends for ever");
        }
        // Put together only here: that is what lets a driver send all in one piece.
        for (transmit, head) in &burst {
            let to = transmit.slot();
            let path_max = transport.peer(to).map(|info| usize::from(info.mtu_payload));
            assert!(Some(transmit.len()) <= path_max, "datagram too long");
            let parts: Vec<&[u8]> = transport.parts(transmit, head).collect();
            assert!(parts.len() <= Transmit::PARTS_MAX, "too many parts");
            let bytes = parts.concat();
            assert_eq!(bytes.len(), transmit.len());
            self.trace.note(&bytes);
            self.net.send(self.now_ns, (node, to.index()), &bytes, &mut self.rng);
        }
        self.nodes[node].timer_ns = transport.poll_timeout().map(Instant::as_ns);
        self.nodes[node].transport = Some(transport);
    }

    pub(crate) fn deliver(&mut self, node: usize, bytes: &[u8]) {
        let now = self.now();
        if let Some(transport) = &mut self.nodes[node].transport {
            let outcome = transport.handle_datagram(now, bytes);
            self.trace.note_number(outcome.is_ok().into());
            self.drain(node);
        }
    }

    fn next_ns(&self) -> Option<u64> {
        let timer = |node: &Node| node.timer_ns.map(|at| at.max(node.paused_until_ns));
        let timers = self.nodes.iter().filter_map(timer).min();
        self.net.next_at_ns().into_iter().chain(timers).min()
    }

    /// Lets the next thing happen, at or before `end_ns`; false when there is none.
    pub(crate) fn step(&mut self, end_ns: u64) -> bool {
        let Some(at_ns) = self.next_ns().filter(|at_ns| *at_ns <= end_ns) else {
            self.now_ns = self.now_ns.max(end_ns);
            return false;
        };
        self.now_ns = self.now_ns.max(at_ns);
        while let Some((_, to, bytes)) = self.net.arrive(self.now_ns) {
            if self.is_paused(to) {
                self.nodes[to].waiting.push(bytes);
            } else {
                self.wake(to);
                self.deliver(to, &bytes);
            }
        }
        for node in 0..self.nodes.len() {
            let is_due = self.nodes[node].timer_ns.is_some_and(|at| at <= self.now_ns);
            if is_due && !self.is_paused(node) {
                self.wake(node);
                let now = self.now();
                self.transport(node).handle_timeout(now);
                self.drain(node);
                let timer_ns = self.nodes[node].timer_ns;
                assert!(timer_ns.is_none_or(|at| at > self.now_ns), "a timer that stands still");
            }
        }
        true
    }

    /// After a pause a node first sees what has waited in its socket.
    fn wake(&mut self, node: usize) {
        for bytes in std::mem::take(&mut self.nodes[node].waiting) {
            self.deliver(node, &bytes);
        }
    }

    pub(crate) fn run_for(&mut self, span_ns: u64) {
        let end_ns = self.now_ns + span_ns;
        while self.step(end_ns) {}
    }

    /// Runs until the condition holds; panics when it does not within the span.
    pub(crate) fn run_until(&mut self, span_ns: u64, what: &str, done: impl Fn(&Self) -> bool) {
        let end_ns = self.now_ns + span_ns;
        while !done(self) {
            assert!(self.step(end_ns), "not within {} ms: {what}", span_ns / MS);
        }
    }

    pub(crate) fn all_up(&self) -> bool {
        let count = self.nodes.len();
        let live = |node: &usize| self.nodes[*node].transport.is_some();
        (0..count).filter(live).all(|node| {
            (0..count).filter(live).all(|peer| node == peer || self.oracle.is_up(node, peer))
        })
    }

    pub(crate) fn connect(&mut self) {
        self.run_until(5 * SECOND, "all up", Self::all_up);
    }
}
