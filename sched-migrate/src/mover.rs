//! A node's part in all hand-offs.
//!
//! Drive it like this: give it one input (a `handle_*` method, a command, or a completion of what
//! an effect asked for), then take effects with [`Mover::poll_effect`] until there are none, and
//! perform them in their order; then arm a timer for [`Mover::poll_timeout`]. Times must not go
//! backwards. Messages of the node to itself never become effects.

mod input;
mod offer;
mod peer;
mod state;

use netproto::id::{AttemptId, Epoch, GlobalPid, RequestId, Slot};
use netproto::time::Instant;

use crate::directory::Directory;
use crate::effect::{Effect, Effects};
use crate::failure::Failure;
use crate::source::{Source, Start, Work};
use crate::table::Table;
use crate::target::Target;
use crate::timing::Timing;

/// How many attempts that were aborted before their image came are remembered.
const ABORTED_LEN: usize = 16;

/// What a node's part is bounded by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// This node.
    pub own: Slot,
    /// Hand-offs away from here at one time.
    pub sources_max: usize,
    /// Hand-offs to here at one time.
    pub targets_max: usize,
    /// Bounds of the steps.
    pub timing: Timing,
}

/// Whom the node lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate {
    /// Nobody comes in but those that come home.
    pub cordoned: bool,
    /// How many bodies the node has at most.
    pub bodies_max: usize,
}

impl Gate {
    /// Everybody.
    pub const OPEN: Self = Self { cordoned: false, bodies_max: usize::MAX };
}

/// A process to be moved or placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Comes back in the report.
    pub request: RequestId,
    /// The process, which runs here, or is about to execute here.
    pub process: GlobalPid,
    /// Which of the two.
    pub work: Work,
    /// Where it is to go.
    pub target: Slot,
    /// Whether its memory of the last move is still being fetched: then [`Mover::fetched`] starts
    /// the move.
    pub fetching: bool,
}

/// Why a request was not even started. Nothing was disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The process is being moved already.
    #[error("the process is being moved already")]
    Busy,
    /// It is to go where it is.
    #[error("the process is there already")]
    SameNode,
    /// It does not run here.
    #[error("the process does not run here")]
    NotHere,
    /// The target is down.
    #[error("target is down")]
    TargetDown,
    /// The target's module is of another version.
    #[error("target's module is of another version")]
    Version,
    /// Too many processes are being moved.
    #[error("too many processes are being moved")]
    TooMany,
    /// No memory.
    #[error("no memory")]
    NoMemory,
}

impl StartError {
    /// The same as a failure of the hand-off, for events.
    pub const fn failure(self) -> Failure {
        match self {
            Self::Busy | Self::TooMany => Failure::Busy,
            Self::SameNode | Self::NotHere => Failure::Stale,
            Self::TargetDown => Failure::TargetDown,
            Self::Version => Failure::Version,
            Self::NoMemory => Failure::NoMemory,
        }
    }
}

/// Where a process' signals and reports go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// It runs here and its origin is here.
    Here,
    /// Its body is here, at this epoch; its origin is there.
    Body {
        /// The origin.
        origin: Slot,
        /// The body's epoch.
        epoch: Epoch,
    },
    /// Its origin is here, its body is there.
    Away {
        /// Where the body is.
        slot: Slot,
        /// The body's epoch.
        epoch: Epoch,
    },
}

/// Counts of what happened, for the node's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Requests that were started.
    pub started: u64,
    /// Offers of other nodes.
    pub offered: u64,
    /// Offers that were refused at once.
    pub offers_refused: u64,
    /// Of these: the node is cordoned.
    pub refused_cordoned: u64,
    /// Of these: there was no room or no memory.
    pub refused_full: u64,
    /// Of these: module or kernel differ.
    pub refused_version: u64,
    /// Processes that were let run here.
    pub released: u64,
    /// Processes that left.
    pub left: u64,
    /// Requests that ended with the process where it was.
    pub stayed: u64,
    /// Compare-and-swaps that this node's directory granted.
    pub swaps_won: u64,
    /// Compare-and-swaps that it refused.
    pub swaps_lost: u64,
    /// Processes that this node got back from the origin after FINAL.
    pub reclaimed: u64,
    /// Processes that the origin had given away when this node asked.
    pub reclaim_lost: u64,
    /// Images that came after the word that they were given up.
    pub aborted_early: u64,
    /// Messages about what is not, or no longer, here.
    pub stale: u64,
}

#[derive(Debug, Clone, Copy)]
struct Body {
    origin: Slot,
    epoch: Epoch,
}

/// A node's part in all hand-offs.
#[derive(Debug)]
pub struct Mover {
    config: Config,
    gate: Gate,
    now: Instant,
    peers_up: u64,
    /// Those that are up with a module of another version.
    peers_foreign: u64,
    attempts: u64,
    directory: Directory,
    bodies: Table<GlobalPid, Body>,
    sources: Table<GlobalPid, Source>,
    targets: Table<AttemptId, Target>,
    aborted: [Option<AttemptId>; ABORTED_LEN],
    aborted_next: usize,
    effects: Effects,
    stats: Stats,
}

impl Mover {
    /// A node without processes, on which all other nodes are down.
    pub const fn new(config: Config) -> Self {
        Self {
            gate: Gate::OPEN,
            now: Instant::ZERO,
            peers_up: 0,
            peers_foreign: 0,
            attempts: 0,
            directory: Directory::new(),
            bodies: Table::new(),
            sources: Table::new(),
            targets: Table::new(),
            aborted: [None; ABORTED_LEN],
            aborted_next: 0,
            effects: Effects::new(config.own),
            stats: Stats {
                started: 0,
                offered: 0,
                offers_refused: 0,
                refused_cordoned: 0,
                refused_full: 0,
                refused_version: 0,
                released: 0,
                left: 0,
                stayed: 0,
                swaps_won: 0,
                swaps_lost: 0,
                reclaimed: 0,
                reclaim_lost: 0,
                aborted_early: 0,
                stale: 0,
            },
            config,
        }
    }

    /// Starts to move or place a process. On `Err` nothing was disturbed; on `Ok` a
    /// [`Effect::Report`] ends it.
    pub fn start(&mut self, now: Instant, request: Request) -> Result<AttemptId, StartError> {
        self.now = now;
        let process = request.process;
        if request.target == self.config.own {
            return Err(StartError::SameNode);
        }
        if self.peers_up & mask(request.target) == 0 {
            return Err(StartError::TargetDown);
        }
        if self.peers_foreign & mask(request.target) != 0 {
            return Err(StartError::Version);
        }
        let being_moved = self.targets.iter().any(|(_, target)| target.offer().process == process);
        if being_moved || self.sources.get(process).is_some() {
            return Err(StartError::Busy);
        }
        if self.sources.len() >= self.config.sources_max {
            return Err(StartError::TooMany);
        }
        let no_memory = |_| StartError::NoMemory;
        self.reserve_effects().map_err(no_memory)?;
        self.sources.reserve(1).map_err(no_memory)?;
        let (origin, epoch) = self.whereabouts(process)?;
        let Request { request, work, target, fetching, .. } = request;
        let start = Start { request, process, work, target, origin, epoch };
        let attempt = self.next_attempt();
        let source = Source::new(start, attempt, now);
        self.sources.insert(process, source).map_err(no_memory)?;
        self.stats.started += 1;
        self.with_source(process, |source, cx| source.begin(fetching, cx));
        self.pump();
        Ok(attempt)
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop()
    }

    /// When [`Mover::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let sources = self.sources.iter().filter_map(|(_, source)| source.deadline());
        let targets = self.targets.iter().filter_map(|(_, target)| target.deadline());
        sources.chain(targets).min()
    }

    /// Sets whom the node lets in. What is under way goes on.
    pub fn set_gate(&mut self, gate: Gate) {
        self.gate = gate;
    }

    /// Whom the node lets in.
    pub const fn gate(&self) -> Gate {
        self.gate
    }

    /// Counts of what happened.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }
}

/// The bit of a slot in a set of slots.
fn mask(slot: Slot) -> u64 {
    1 << slot.get()
}
