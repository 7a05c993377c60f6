//! What the processes' area keeps, and the queue to its driver.

use alloc::{boxed::Box, collections::VecDeque, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kapi::{
    exits::Watch, fileref::FileRef, lock_class, task::Task, workqueue::WorkQueue, Errno, Global,
    Mutex, Result, WaitQueue,
};
use netproto::{limits::SLOT_COUNT, AttemptId, Epoch, GlobalPid, Message, Slot};
use sched_migrate::{table::Table, Failure, Mover};

use crate::{memory::space, port::net};

use super::{
    gate::Why, incoming::Incoming, jobs::Jobs, leaving::Leaving, outbox::Outbox, place::Placement,
    record::Record,
};

/// Bytes of a peer's messages that wait for the driver at most, with what each of them costs: some
/// images as large as can be. A peer that is further ahead loses its session.
const WAITING_BYTES_MAX: usize = 64 << 20;
const MESSAGE_COST: usize = 256;

/// Something for the driver.
pub(crate) enum Input {
    /// A message of the MIGRATE or SURROGATE class.
    Message(Message),
    /// A session began.
    PeerUp(Slot),
    /// A session ended.
    PeerDown(Slot),
    /// A source step is done.
    Source(AttemptId, core::result::Result<Done, Failure>),
    /// The task of a leaving process has parked.
    Parked(GlobalPid),
    /// A process that is being moved away was killed.
    Killed(GlobalPid),
    /// The task of an exec has become the surrogate.
    Passed(GlobalPid),
    /// The memory of a process' last move is here.
    Fetched(GlobalPid),
    /// A target step is done.
    Target(AttemptId, core::result::Result<Done, Failure>),
    /// A process that was won for this node had ended before it could run. Its origin and epoch.
    Stillborn(GlobalPid, Slot, Epoch),
    /// All that was made for an attempt to come here is gone.
    Discarded(AttemptId),
    /// Nothing but a reason to look for effects and deadlines.
    Look,
}

/// A step that is done.
pub(crate) enum Done {
    /// Stopped and captured, and what changed can be carried.
    Frozen,
    /// Stopped, and too much has changed.
    Incompatible,
    /// The helper has parked.
    Restored,
    /// FINAL is applied; so many bytes are elsewhere.
    Applied(u64),
}

/// What turns a surrogate into a helper.
pub(crate) struct Helper {
    pub(crate) exec: FileRef,
    pub(crate) device: FileRef,
}

/// All tables, behind one lock.
#[derive(Default)]
pub(crate) struct Tables {
    pub(crate) jobs: Jobs,
    pub(crate) records: Table<GlobalPid, Arc<Record>>,
    pub(crate) leaving: Table<GlobalPid, Arc<Leaving>>,
    pub(crate) incoming: Table<AttemptId, Arc<Incoming>>,
    pub(crate) watches: Table<GlobalPid, Watch>,
    /// Memory of processes that came here, while they live.
    pub(crate) spaces: Table<GlobalPid, Arc<space::Target>>,
    /// Processes that came home: the directory still names them.
    pub(crate) at_home: Vec<GlobalPid>,
    /// Execs that run here by choice, and count as such till they end.
    pub(crate) stayed: Vec<GlobalPid>,
    /// Execs to be placed again as soon as their tasks are surrogates.
    pub(crate) again: Table<GlobalPid, (Epoch, Slot)>,
    pub(crate) helper: Option<Helper>,
    pub(crate) placement: Placement,
    /// Why the gate is as it is.
    pub(crate) why: Why,
}

/// What waits for the driver.
#[derive(Default)]
struct Queue {
    inputs: VecDeque<Input>,
    /// Bytes of messages, by peer.
    bytes: Vec<usize>,
}

/// Whose message it is, and what it costs.
fn cost(input: &Input) -> Option<(Slot, usize)> {
    match input {
        Input::Message(message) => Some((message.from, message.payload.len() + MESSAGE_COST)),
        _ => None,
    }
}

/// The area's state.
pub(crate) struct Proc {
    pub(crate) tables: Mutex<Box<Tables>>,
    pub(crate) mover: Mutex<Option<Box<Mover>>>,
    pub(crate) outbox: Outbox,
    queue: Mutex<Queue>,
    pub(crate) waiting: AtomicBool,
    pub(crate) wake: WaitQueue,
    /// For what may take long: manifests, comparisons.
    pub(crate) work: WorkQueue,
    /// For final parts, whose processes stand still: a slow peer holds up its own only.
    pub(crate) finals: WorkQueue,
    requests: AtomicU64,
}

static PROC: Global<Proc> = Global::new();

impl Proc {
    pub(crate) fn new() -> Result<Self> {
        let mut queue = Queue::default();
        queue.bytes.try_reserve_exact(usize::from(SLOT_COUNT))?;
        queue.bytes.resize(usize::from(SLOT_COUNT), 0);
        Ok(Self {
            tables: Mutex::new(lock_class!(c"holon-proc"), Box::default())?,
            mover: Mutex::new(lock_class!(c"holon-mover"), None)?,
            outbox: Outbox::new()?,
            queue: Mutex::new(lock_class!(c"holon-proc-queue"), queue)?,
            waiting: AtomicBool::new(false),
            wake: WaitQueue::new()?,
            work: WorkQueue::new(c"holon-proc", 8)?,
            finals: WorkQueue::new(c"holon-final", u32::from(SLOT_COUNT))?,
            requests: AtomicU64::new(0),
        })
    }

    /// Gives the driver something to do.
    pub(crate) fn push(&self, input: Input) {
        let mut queue = self.queue.lock();
        if let Some((from, cost)) = cost(&input) {
            let is_own = Some(from) == net::own_slot();
            if let Some(waiting) = queue.bytes.get_mut(from.index()) {
                if !is_own && *waiting + cost > WAITING_BYTES_MAX {
                    drop(queue);
                    log::error!("node {from} sends faster than it can be served: its session ends");
                    net::end_session(from);
                    return;
                }
                *waiting += cost;
            }
        }
        queue.inputs.push_back(input);
        drop(queue);
        self.waiting.store(true, Ordering::Release);
        self.wake.wake_all();
    }

    pub(crate) fn pop(&self) -> Option<Input> {
        let mut queue = self.queue.lock();
        let input = queue.inputs.pop_front()?;
        if let Some((from, cost)) = cost(&input) {
            if let Some(waiting) = queue.bytes.get_mut(from.index()) {
                *waiting -= cost;
            }
        }
        Some(input)
    }

    /// A number for a request.
    pub(crate) fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Has something done on a worker.
    pub(crate) fn spawn(&self, body: impl FnOnce() + Send + 'static) -> Result {
        self.work.push(body)
    }
}

/// The state, once the module is loaded.
pub(crate) fn get() -> Result<&'static Proc> {
    PROC.get().ok_or(Errno::ENODEV)
}

pub(crate) fn global() -> &'static Global<Proc> {
    &PROC
}

impl Tables {
    /// Sees to it that the end of a process is reported to the driver.
    pub(crate) fn watch(&mut self, process: GlobalPid, task: &Task) -> Result {
        if self.watches.get(process).is_some() {
            return Ok(());
        }
        let watch = Watch::new(task, watch_id(process))?;
        Ok(self.watches.insert(process, watch)?)
    }

    /// The image whose helper is a process.
    pub(crate) fn incoming_of(&self, process: GlobalPid) -> Vec<Arc<Incoming>> {
        let mine = self.incoming.iter().filter(|(_, incoming)| incoming.process == process);
        mine.map(|(_, incoming)| incoming.clone()).collect()
    }
}

fn watch_id(process: GlobalPid) -> u64 {
    u64::from(process.job.0) << 32 | u64::from(process.pid.0)
}

/// The process whose end was reported under a number.
pub(crate) fn watched(id: u64) -> GlobalPid {
    GlobalPid::new((id >> 32) as u32, id as u32)
}
