//! Wait queues and one-shot completions. Every wait has a bound or heeds a fatal signal.

use core::{ffi::c_void, ptr::NonNull, time::Duration};

use crate::{
    errno::{Errno, Result},
    lock::{LockClass, SpinLock},
    raw,
};

/// What may end a wait early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A signal that kills.
    Killable,
    /// Any signal.
    Interruptible,
    /// Nothing: kernel threads, which are woken to stop.
    Idle,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The condition holds.
    Ready,
    /// It still did not when the time was over.
    TimedOut,
}

/// Tasks that wait for a condition.
///
/// # Invariants
/// `raw` is a live queue that only this value knows.
pub struct WaitQueue {
    raw: NonNull<raw::kpi_waitq>,
}

// SAFETY: the queue has a lock of its own.
unsafe impl Send for WaitQueue {}
// SAFETY: as above.
unsafe impl Sync for WaitQueue {}

/// Calls the condition that `arg` points to.
///
/// # Safety
/// `arg` points to an `F` that nobody else uses.
unsafe extern "C" fn condition<F: FnMut() -> bool>(arg: *mut c_void) -> bool {
    // SAFETY: by the function's contract.
    let cond = unsafe { &mut *arg.cast::<F>() };
    cond()
}

impl WaitQueue {
    /// A queue without waiters, or `ENOMEM`.
    pub fn new() -> Result<Self> {
        // SAFETY: no condition on the caller.
        let raw = NonNull::new(unsafe { raw::kpi_waitq_new() }).ok_or(Errno::ENOMEM)?;
        Ok(Self { raw })
    }

    /// Lets all waiters look at their condition again; from any context.
    pub fn wake_all(&self) {
        // SAFETY: a live queue.
        unsafe { raw::kpi_waitq_wake_all(self.raw.as_ptr()) }
    }

    /// Lets one waiter look at its condition again; from any context.
    pub fn wake_one(&self) {
        // SAFETY: a live queue.
        unsafe { raw::kpi_waitq_wake_one(self.raw.as_ptr()) }
    }

    /// Waits until `cond` holds, which must not sleep (atomics and spin locks only).
    /// `ERESTARTSYS` if a signal ended the wait.
    pub fn wait(
        &self,
        mode: Mode,
        timeout: Option<Duration>,
        cond: impl FnMut() -> bool,
    ) -> Result<Waited> {
        let timeout_ns = timeout.map_or(u64::MAX, |time| {
            u64::try_from(time.as_nanos()).map_or(u64::MAX - 1, |ns| ns.min(u64::MAX - 1))
        });
        self.wait_ns(mode, timeout_ns, cond)
    }

    fn wait_ns<F: FnMut() -> bool>(&self, mode: Mode, ns: u64, mut cond: F) -> Result<Waited> {
        let mode = match mode {
            Mode::Killable => raw::KPI_WAIT_KILLABLE,
            Mode::Interruptible => raw::KPI_WAIT_INTERRUPTIBLE,
            Mode::Idle => raw::KPI_WAIT_IDLE,
        };
        let arg = (&raw mut cond).cast::<c_void>();
        // SAFETY: a live queue; `arg` is the F of `condition` and outlives the call.
        let rc =
            unsafe { raw::kpi_waitq_wait(self.raw.as_ptr(), mode, ns, Some(condition::<F>), arg) };
        Ok(if Errno::check(rc)? == 0 { Waited::TimedOut } else { Waited::Ready })
    }

    pub(crate) fn as_raw(&self) -> *mut raw::kpi_waitq {
        self.raw.as_ptr()
    }
}

impl Drop for WaitQueue {
    fn drop(&mut self) {
        // SAFETY: nobody can wait any more: a wait borrows the queue.
        unsafe { raw::kpi_waitq_free(self.raw.as_ptr()) }
    }
}

/// A value that one side gives once and another waits for.
pub struct Completion<T> {
    value: SpinLock<Option<T>>,
    queue: WaitQueue,
}

impl<T> Completion<T> {
    /// Without a value yet, or `ENOMEM`.
    pub fn new(class: &'static LockClass) -> Result<Self> {
        Ok(Self { value: SpinLock::new(class, None)?, queue: WaitQueue::new()? })
    }

    /// Gives the value, from any context; a second one is handed back.
    pub fn complete(&self, value: T) -> core::result::Result<(), T> {
        let mut slot = self.value.lock();
        if slot.is_some() {
            return Err(value);
        }
        *slot = Some(value);
        drop(slot);
        self.queue.wake_all();
        Ok(())
    }

    /// Takes the value if it is there.
    pub fn try_take(&self) -> Option<T> {
        self.value.lock().take()
    }

    /// Waits for the value and takes it: `ETIMEDOUT`, or `ERESTARTSYS` for a signal.
    pub fn wait(&self, mode: Mode, timeout: Option<Duration>) -> Result<T> {
        let waited = self.queue.wait(mode, timeout, || self.value.lock().is_some())?;
        match waited {
            Waited::Ready => self.try_take().ok_or(Errno::EAGAIN),
            Waited::TimedOut => Err(Errno::ETIMEDOUT),
        }
    }
}
