//! Learning of the end of watched processes.

use core::ptr::NonNull;

use crate::{
    errno::{Errno, Result},
    raw,
    task::Task,
    wait::WaitQueue,
};

/// A process ended.
pub use crate::raw::kpi_exit as Ended;

/// The registered hook; dropping it takes it away.
pub struct Hook(());

impl Hook {
    /// Hooks the end of tasks; wakes `queue`, which must outlive it, when a report is there.
    pub fn new(queue: &WaitQueue) -> Result<Self> {
        // SAFETY: the caller keeps the queue.
        Errno::check(unsafe { raw::kpi_exit_init(queue.as_raw()) }).map(|_| Self(()))
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        // SAFETY: registered by `new`.
        unsafe { raw::kpi_exit_fini() }
    }
}

/// Whether a report waits.
pub fn any() -> bool {
    // SAFETY: no condition on the caller.
    unsafe { raw::kpi_exit_any() }
}

/// The next report.
pub fn next() -> Option<Ended> {
    let mut ended = Ended::default();
    // SAFETY: a writable structure.
    unsafe { raw::kpi_exit_next(&raw mut ended) }.then_some(ended)
}

/// One report is made when the watched process ends, unless this is dropped before.
pub struct Watch(NonNull<raw::kpi_exit_watch>);

// SAFETY: the shim's table has its own lock.
unsafe impl Send for Watch {}
// SAFETY: as above.
unsafe impl Sync for Watch {}

impl Watch {
    /// Watches a process; `ESRCH` if it is ending already.
    pub fn new(task: &Task, id: u64) -> Result<Self> {
        // SAFETY: a live task.
        let raw = unsafe { raw::kpi_exit_watch_add(task.as_raw(), id) };
        NonNull::new(raw).map(Self).ok_or(Errno::ESRCH)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed once.
        unsafe { raw::kpi_exit_watch_del(self.0.as_ptr()) }
    }
}
