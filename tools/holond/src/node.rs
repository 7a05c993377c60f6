//! What the daemon knows, and how its parts reach each other.

use crate::cgroup::Instance;
use crate::config::Config;
use crate::cordons::Cordons;
use crate::events::EventLog;
use crate::homes::Homes;
use crate::jobs::inits::Inits;
use crate::jobs::record::JobRecord;
use crate::jobs::session::Sessions;
use crate::jobs::start::Restartables;
use crate::jobs::table::JobTable;
use crate::kernel::Device;
use crate::memory::Memory;
use crate::moves::Moves;
use crate::nodes::NodeInfo;
use crate::peer::message::{PeerReply, PeerRequest};
use crate::peer::rpc::{CallError, Rpc};
use crate::peer::serve;
use crate::procs::Commands;
use crate::tasks;
use crate::wire::Wire;
use holon_api::rows::EventRow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long another daemon may take to answer a simple question.
pub(crate) const ANSWER_TIME: Duration = Duration::from_secs(2);
/// How long it may take to do something.
pub(crate) const ACTION_TIME: Duration = Duration::from_secs(30);

/// The daemon.
pub(crate) struct Node {
    /// The cluster as configured.
    pub(crate) config: Config,
    /// The module, if it is loaded.
    pub(crate) device: Option<Arc<Device>>,
    /// Why it is not.
    pub(crate) module_problem: String,
    /// How traffic is protected.
    pub(crate) wire: Wire,
    /// What happened here.
    pub(crate) events: EventLog,
    /// Calls under way.
    pub(crate) rpc: Rpc,
    /// Job inits here.
    pub(crate) inits: Inits,
    /// Other homes' trees.
    pub(crate) homes: Homes,
    /// Clients of commands.
    pub(crate) sessions: Sessions,
    /// What is needed to start commands again.
    pub(crate) restartables: Restartables,
    /// Command lines of processes.
    pub(crate) commands: Commands,
    /// Moves that somebody waits for.
    pub(crate) moves: Moves,
    /// What is remembered of remote memory.
    pub(crate) memory: Memory,
    /// The job table as it was written last.
    pub(crate) written: Mutex<Vec<u8>>,
    /// This daemon's life: another number after each start.
    pub(crate) life: u64,
    state: Mutex<State>,
}

/// What changes.
#[derive(Default)]
pub(crate) struct State {
    /// Peers in session.
    pub(crate) up: BTreeSet<u32>,
    /// All known jobs.
    pub(crate) jobs: JobTable,
    /// Cordoned nodes, with reasons.
    pub(crate) cordons: Cordons,
    /// The latest word of each node's daemon.
    pub(crate) infos: BTreeMap<u32, NodeInfo>,
    /// Processes whose body was lost with its node: job and PID.
    pub(crate) lost: BTreeSet<(u32, u32)>,
    /// Peers that have told what they know since they came up.
    pub(crate) greeted: BTreeSet<u32>,
    /// Configured peers that are not in session, and since when.
    pub(crate) down_since: BTreeMap<u32, Instant>,
    /// Of these, those that are given up, or about whom the others are asked.
    pub(crate) given_up: BTreeSet<u32>,
    /// Of these, those that said that they leave.
    pub(crate) left: BTreeSet<u32>,
    /// Homes that are to be asked whether they still have their jobs.
    pub(crate) doubtful: BTreeSet<u32>,
    /// Jobs of homes that are gone that are being decided about.
    pub(crate) deciding: BTreeSet<u32>,
    /// Inits of an earlier daemon whose job is not known here yet.
    pub(crate) unclaimed: BTreeSet<Instance>,
    /// The life of each peer's daemon that we know.
    pub(crate) lives: BTreeMap<u32, u64>,
    /// Jobs of ours whose namespaces the other nodes were told to make.
    pub(crate) prepared: BTreeSet<u32>,
    /// What the module last said to the placement table.
    pub(crate) place_problem: Option<nix::errno::Errno>,
}

fn life() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Unique enough: two starts of one daemon are never in one nanosecond.
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

impl State {
    /// A peer is in session. False if it was.
    pub(crate) fn peer_up(&mut self, slot: u32) -> bool {
        self.down_since.remove(&slot);
        self.left.remove(&slot);
        self.given_up.remove(&slot);
        self.doubtful.insert(slot);
        self.up.insert(slot)
    }

    /// A peer is no longer in session. False if it was not.
    pub(crate) fn peer_down(&mut self, slot: u32, has_left: bool) -> bool {
        if !self.up.remove(&slot) {
            return false;
        }
        self.down_since.insert(slot, Instant::now());
        if has_left {
            self.left.insert(slot);
        }
        self.infos.remove(&slot);
        self.greeted.remove(&slot);
        true
    }

    /// A peer has told what it knows.
    pub(crate) fn greet(&mut self, slot: u32) {
        if self.up.contains(&slot) {
            self.greeted.insert(slot);
        }
    }
}

impl Node {
    /// Puts it together.
    pub(crate) fn new(
        config: Config,
        device: Result<Arc<Device>, String>,
        wire: Wire,
        state_dir: &Path,
    ) -> Arc<Self> {
        let events = EventLog::open(&config.own_node().name, state_dir.join("events.jsonl"));
        let (device, module_problem) = match device {
            Ok(device) => (Some(device), String::new()),
            Err(problem) => (None, problem),
        };
        let peers = config.nodes.iter().map(|n| n.slot).filter(|slot| *slot != config.own);
        let down_since = peers.map(|slot| (slot, Instant::now())).collect();
        let state = State { down_since, ..State::default() };
        Arc::new(Self {
            config,
            device,
            module_problem,
            wire,
            events,
            rpc: Rpc::default(),
            inits: Inits::default(),
            homes: Homes::default(),
            sessions: Sessions::default(),
            restartables: Restartables::default(),
            commands: Commands::default(),
            moves: Moves::default(),
            memory: Memory::default(),
            written: Mutex::default(),
            life: life(),
            state: Mutex::new(state),
        })
    }

    /// The changing part.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This node's slot.
    pub(crate) fn own(&self) -> u32 {
        self.config.own
    }

    /// This node's name.
    pub(crate) fn name(&self) -> &str {
        &self.config.own_node().name
    }

    /// A time-out, scaled.
    pub(crate) fn time(&self, time: Duration) -> Duration {
        self.config.scaled(time)
    }

    /// Notes an event.
    pub(crate) fn note(&self, event: EventRow) {
        self.events.note(event);
    }

    /// The module's version; empty if it is not loaded.
    pub(crate) fn module_version(&self) -> String {
        self.device.as_ref().map(|device| device.version()).unwrap_or_default()
    }

    /// Whether a node is up as far as the transport knows.
    pub(crate) fn is_up(&self, slot: u32) -> bool {
        slot == self.own() || self.state().up.contains(&slot)
    }

    /// All nodes that are up, this one included.
    pub(crate) fn all_up(&self) -> Vec<u32> {
        let mut up: Vec<u32> = self.state().up.iter().copied().collect();
        up.push(self.own());
        up.sort_unstable();
        up
    }

    /// Whether more than half of the configured nodes are up.
    pub(crate) fn has_quorum(&self) -> bool {
        self.config.is_majority(self.all_up().len())
    }

    /// For how long a peer has not been in session; none if it is.
    pub(crate) fn down_for(&self, slot: u32) -> Option<Duration> {
        self.state().down_since.get(&slot).map(Instant::elapsed)
    }

    /// Whether more than half of the configured nodes have told what they know.
    pub(crate) fn has_heard(&self) -> bool {
        self.config.is_majority(self.state().greeted.len() + 1)
    }

    /// Asks a node's daemon; its own node is asked without a detour.
    pub(crate) fn ask(
        self: &Arc<Self>,
        slot: u32,
        request: PeerRequest,
        blob: &[u8],
        time: Duration,
    ) -> Result<PeerReply, CallError> {
        if slot == self.own() {
            return match serve::handle(self, slot, request, blob.to_vec()) {
                PeerReply::Error(error) => Err(CallError::Refused(error)),
                reply => Ok(reply),
            };
        }
        let device = self.device.as_ref().filter(|_| self.is_up(slot)).ok_or(CallError::Down)?;
        self.rpc.call(&**device, slot, &request, blob, self.time(time)).map(|(reply, _)| reply)
    }

    /// Asks several daemons at once.
    pub(crate) fn ask_each(
        self: &Arc<Self>,
        slots: &[u32],
        request: &PeerRequest,
        time: Duration,
    ) -> Vec<(u32, Result<PeerReply, CallError>)> {
        let ask = |&slot: &u32| {
            let (node, request) = (self.clone(), request.clone());
            let work = move || node.ask(slot, request, &[], time);
            (slot, std::thread::Builder::new().spawn(work))
        };
        let threads: Vec<_> = slots.iter().map(ask).collect();
        let joined = |thread: std::io::Result<JoinHandle<_>>| match thread {
            Ok(thread) => thread.join().unwrap_or(Err(CallError::Nonsense)),
            Err(error) => Err(CallError::Busy(error.to_string())),
        };
        threads.into_iter().map(|(slot, thread)| (slot, joined(thread))).collect()
    }

    /// Asks several daemons at once and looks at the answers as they come, until `look` has enough.
    pub(crate) fn ask_until(
        self: &Arc<Self>,
        slots: &[u32],
        request: &PeerRequest,
        time: Duration,
        mut look: impl FnMut(Result<PeerReply, CallError>) -> bool,
    ) {
        let (sender, answers) = channel();
        for &slot in slots {
            let (node, request, sender) = (self.clone(), request.clone(), sender.clone());
            // Nobody may listen any more: the asker has enough.
            tasks::spawn(move || drop(sender.send(node.ask(slot, request, &[], time))));
        }
        drop(sender);
        for answer in answers {
            if look(answer) {
                return;
            }
        }
    }

    /// Tells all peers that are up; who does not hear it now hears it when it comes back.
    pub(crate) fn tell_peers(self: &Arc<Self>, request: PeerRequest) {
        let peers: Vec<u32> = self.state().up.iter().copied().collect();
        for slot in peers {
            let (node, request) = (self.clone(), request.clone());
            tasks::spawn(move || {
                if let Err(error) = node.ask(slot, request, &[], ACTION_TIME) {
                    log::info!("{} was not told: {error}", node.config.name(slot));
                }
            });
        }
    }

    /// A job's record.
    pub(crate) fn job(&self, job: u32) -> Option<JobRecord> {
        self.state().jobs.get(job).cloned()
    }

    /// Notes what became of another home's job and tells the others. False if something newer is
    /// known.
    pub(crate) fn publish(self: &Arc<Self>, record: JobRecord) -> bool {
        let is_news = self.state().jobs.merge(record.clone());
        if is_news {
            self.tell_peers(PeerRequest::Jobs { records: vec![record] });
        }
        is_news
    }

    /// Changes a job of this home and tells the others.
    pub(crate) fn change_job(
        self: &Arc<Self>,
        job: u32,
        change: impl FnOnce(&mut JobRecord),
    ) -> Option<JobRecord> {
        let changed = self.state().jobs.change_own(self.own(), job, change)?;
        self.tell_peers(PeerRequest::Jobs { records: vec![changed.clone()] });
        Some(changed)
    }
}
