//! A process in one of its two parts: the surrogate at its origin, or the body elsewhere.

use alloc::sync::Arc;

use kapi::{
    lock_class, module::Hold, own::Stub, task::Task, Errno, Mutex, Result, SpinLock, WaitQueue,
};
use netproto::{AttemptId, Epoch, GlobalPid, Slot};

use super::{exec::Kept, surrogate::Before};

/// Which part of a process its task here is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Stands for the body.
    Surrogate,
    /// Runs.
    Body,
}

/// How a body ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) utime_ns: u64,
    pub(crate) stime_ns: u64,
}

/// A surrogate that executes the helper.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Helping {
    pub(crate) attempt: AttemptId,
    /// What it was given for that.
    pub(crate) fds: Option<[u32; 2]>,
}

/// What changes about a record.
pub(crate) struct State {
    pub(crate) role: Role,
    /// Surrogate: where the body is. Body: where the surrogate is.
    pub(crate) slot: Slot,
    pub(crate) epoch: Epoch,
    /// Surrogate: end like this.
    pub(crate) ended: Option<Ended>,
    /// Surrogate: stop.
    pub(crate) stop: bool,
    /// The body is stopped.
    pub(crate) stopped: bool,
    /// Surrogate: the next SIGCONT is not for the body.
    pub(crate) swallow_continue: bool,
    /// Surrogate: the old memory is not needed any more.
    pub(crate) release: bool,
    /// Surrogate: pages of the old memory that are kept, while they are.
    pub(crate) keeps_memory: bool,
    /// Surrogate: the request that the memory was left with.
    pub(crate) left_with: u64,
    /// Surrogate: become the helper of this image.
    pub(crate) become_helper: Option<AttemptId>,
    /// Surrogate: it is the helper now.
    pub(crate) helping: Option<Helping>,
    pub(crate) stub: Option<Stub>,
    /// Placed at exec: what to run again.
    pub(crate) kept: Option<Arc<Kept>>,
}

/// A surrogate or a body.
pub(crate) struct Record {
    pub(crate) process: GlobalPid,
    pub(crate) task: Task,
    pub(crate) state: SpinLock<State>,
    /// Surrogate: what it was.
    pub(crate) before: Mutex<Option<Before>>,
    pub(crate) wake: WaitQueue,
    _hold: Hold,
}

impl Record {
    pub(crate) fn new(
        process: GlobalPid,
        task: Task,
        role: Role,
        slot: Slot,
        epoch: Epoch,
    ) -> Result<Arc<Self>> {
        let state = State {
            role,
            slot,
            epoch,
            ended: None,
            stop: false,
            stopped: false,
            swallow_continue: false,
            release: false,
            keeps_memory: false,
            left_with: 0,
            become_helper: None,
            helping: None,
            stub: None,
            kept: None,
        };
        Ok(Arc::new(Self {
            process,
            task,
            state: SpinLock::new(lock_class!(c"holon-record"), state)?,
            before: Mutex::new(lock_class!(c"holon-before"), None)?,
            wake: WaitQueue::new()?,
            _hold: Hold::new().ok_or(Errno::ESHUTDOWN)?,
        }))
    }

    /// Which part it is.
    pub(crate) fn role(&self) -> Role {
        self.state.lock().role
    }

    /// Where the other part is, and the epoch.
    pub(crate) fn peer(&self) -> (Slot, Epoch) {
        let state = self.state.lock();
        (state.slot, state.epoch)
    }

    /// Changes it and tells the surrogate's task.
    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.wake.wake_all();
    }
}
