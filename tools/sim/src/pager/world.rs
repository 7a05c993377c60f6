//! The clock, the nodes, what they hear of each other, and a run from begin to end.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

use netproto::Instant;

use super::node::{Life, Place};
use super::options::{Options, MS};
use super::wire::{self, Flying, Way, Wire};
use holon_simkit::Rng;

/// Events kept for the report of a broken promise.
const TRACE_LEN: usize = 120;

/// How long things may take once all faults are over, in ms.
const CALM_MS_MAX: u64 = 60_000;

/// What one node hears of another, or what happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum News {
    Up { at: usize, of: usize, life: u64 },
    Silent { at: usize, of: usize, life: u64 },
    Dead { at: usize, of: usize, life: u64 },
    Start { node: usize },
    Fence { node: usize, life: u64 },
}

#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) life: Option<Life>,
    pub(super) lives: u64,
}

/// What a run came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What was met, and how often.
    pub seen: BTreeMap<String, u64>,
    /// Of all events: equal seeds must have equal ones.
    pub hash: u64,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) options: Options,
    pub(super) now_ns: u64,
    pub(super) rng: Rng,
    pub(super) wire: Wire,
    pub(super) nodes: Vec<Node>,
    pub(super) is_storm: bool,
    pub(super) last_crash_ns: u64,
    /// Nodes that died, and nodes with a frame that rotted.
    pub(super) died: BTreeSet<usize>,
    pub(super) rotten: BTreeSet<usize>,
    /// Lives of nodes that are cut off, and that others gave up while they lasted.
    pub(super) isolated: BTreeSet<(usize, u64)>,
    pub(super) given_up: BTreeSet<(usize, u64)>,
    pub(super) seen: BTreeMap<String, u64>,
    news: BinaryHeap<Reverse<(u64, u64, News)>>,
    news_number: u64,
    trace: VecDeque<String>,
    hash: u64,
}

/// Lives through one seed.
///
/// # Panics
/// On a broken promise, after the last events.
#[must_use]
pub fn run(seed: u64) -> Outcome {
    let mut world = World::new(seed);
    world.live();
    Outcome { seen: world.seen, hash: world.hash }
}

impl World {
    fn new(seed: u64) -> Self {
        let options = Options::draw(seed);
        let mut world = Self {
            now_ns: 1_000 * MS,
            rng: Rng::new(seed),
            wire: Wire::new(&options),
            nodes: (0..options.nodes).map(|_| Node::default()).collect(),
            is_storm: true,
            last_crash_ns: 0,
            died: BTreeSet::new(),
            rotten: BTreeSet::new(),
            isolated: BTreeSet::new(),
            given_up: BTreeSet::new(),
            seen: BTreeMap::new(),
            news: BinaryHeap::new(),
            news_number: 0,
            trace: VecDeque::new(),
            hash: 0,
            options,
        };
        (0..world.nodes.len()).for_each(|node| world.start(node));
        world
    }

    fn live(&mut self) {
        for _ in 0..self.options.storm_ms {
            self.millisecond();
        }
        self.note("calm".to_string());
        self.is_storm = false;
        self.wire.heal();
        self.fence_all();
        for node in 0..self.nodes.len() {
            self.relieve(node);
            if self.nodes[node].life.is_none() {
                self.start(node);
            }
        }
        for at in 0..self.nodes.len() {
            (0..self.nodes.len()).for_each(|of| self.hear_of_life(at, of, 0));
        }
        self.wait("all is mended", Self::is_mended);
        self.wait("all pages are home", Self::bring_home);
        for node in 0..self.nodes.len() {
            let life = self.life(node);
            life.owner.set_goal(0);
            life.holder.drain();
        }
        self.wait("nobody has anything of anybody", Self::is_clear);
        self.count_stats();
    }

    fn wait(&mut self, what: &str, is_so: impl Fn(&mut Self) -> bool) {
        for _ in 0..CALM_MS_MAX {
            if is_so(self) {
                return;
            }
            self.millisecond();
        }
        for node in &self.nodes {
            if let Some(life) = &node.life {
                eprintln!("{:?}\n{:?}", life.owner.stats(), life.holder.stats());
                for entry in (0..self.options.entries).map(vm_remote::lodge::owner::EntryId) {
                    let copies: Vec<_> = life.owner.copies(entry).collect();
                    if !copies.is_empty() {
                        eprintln!("{entry:?} {:?} {copies:?}", life.owner.stage(entry));
                    }
                }
            }
        }
        self.fail(&format!("it never came about that {what}"));
    }

    /// Whether a page is still elsewhere; asks for those that are.
    fn bring_home(&mut self) -> bool {
        let mut is_home = true;
        for node in 0..self.nodes.len() {
            let away = |place: &Place| !matches!(place, Place::Here(_));
            let found = self.life(node).pages.iter().position(|page| away(&page.place));
            if let Some(page) = found {
                is_home = false;
                self.touch(node, page);
                self.pump(node);
            }
        }
        is_home
    }

    pub(super) fn now(&self) -> Instant {
        Instant::from_ns(self.now_ns)
    }

    pub(super) fn life(&mut self, node: usize) -> &mut Life {
        self.nodes[node].life.as_mut().expect("a live node")
    }

    pub(super) fn is_awake(&self, node: usize) -> bool {
        let now_ns = self.now_ns;
        self.nodes[node].life.as_ref().is_some_and(|life| life.is_paused_until_ns <= now_ns)
    }

    pub(super) fn note(&mut self, line: String) {
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if self.trace.len() == TRACE_LEN {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{:>10} us  {line}", self.now_ns / 1000));
    }

    pub(super) fn saw(&mut self, what: &str) {
        self.saw_times(what, 1);
    }

    pub(super) fn saw_times(&mut self, what: &str, times: u64) {
        if times > 0 {
            *self.seen.entry(what.to_string()).or_default() += times;
        }
    }

    pub(super) fn fail(&self, what: &str) -> ! {
        for line in &self.trace {
            eprintln!("{line}");
        }
        panic!("{what}");
    }

    pub(super) fn tell(&mut self, after_ns: u64, news: News) {
        self.news_number += 1;
        self.news.push(Reverse((self.now_ns + after_ns, self.news_number, news)));
    }

    /// A millisecond of everything.
    fn millisecond(&mut self) {
        let end_ns = self.now_ns + MS;
        for node in 0..self.nodes.len() {
            if self.is_awake(node) {
                self.wake(node);
                self.work(node);
            }
            // It may have left.
            if self.is_awake(node) {
                self.pump(node);
            }
        }
        if self.is_storm {
            self.faults();
        }
        self.gossip();
        loop {
            let news = self.news.peek().map(|Reverse((at_ns, ..))| *at_ns);
            let next = [news, self.wire.next_at_ns()].into_iter().flatten().min();
            let Some(at_ns) = next.filter(|at_ns| *at_ns <= end_ns) else {
                break;
            };
            self.now_ns = self.now_ns.max(at_ns);
            self.hear();
            while let Some(flying) = self.wire.arrive(self.now_ns) {
                self.arrive(flying);
            }
        }
        self.now_ns = end_ns;
        self.check();
    }

    fn arrive(&mut self, flying: Flying) {
        let to = flying.to;
        if self.is_awake(to) {
            self.wake(to);
            self.open(to, &flying);
        } else if let Some(life) = &mut self.nodes[to].life {
            life.waiting.push(flying);
        }
    }

    /// After a standstill a node first sees what has waited in its socket.
    fn wake(&mut self, node: usize) {
        for flying in std::mem::take(&mut self.life(node).waiting) {
            self.open(node, &flying);
        }
    }

    fn open(&mut self, node: usize, flying: &Flying) {
        if flying.way == Way::Urgent {
            self.take_urgent(node, flying.from, &flying.bytes);
            self.pump(node);
            return;
        }
        let Some(letter) = wire::open(&flying.bytes) else {
            self.saw("datagram damaged");
            return;
        };
        if letter.to_life != self.life(node).number {
            self.saw("datagram for a former life");
            return;
        }
        self.receive(node, &letter);
        self.pump(node);
    }

    fn hear(&mut self) {
        while let Some(Reverse((at_ns, _, news))) = self.news.peek().copied() {
            if at_ns > self.now_ns {
                break;
            }
            self.news.pop();
            self.take(news);
        }
    }
}
