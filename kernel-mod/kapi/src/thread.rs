//! Kernel threads, and questions about the calling task.

use core::{
    ffi::{c_int, c_void, CStr},
    ptr::NonNull,
};

use rust_alloc::boxed::Box;

use crate::{
    errno::{Errno, Result},
    raw,
};

type Body = Box<dyn FnOnce() + Send>;

/// A running kernel thread; dropping it asks it to stop and waits for its end.
///
/// # Invariants
/// `raw` is a thread that runs `entry` on `body` and is kept alive by a reference of ours.
pub struct KThread {
    raw: NonNull<raw::kpi_thread>,
    body: *mut Body,
}

// SAFETY: stopping and waking may be done by any task.
unsafe impl Send for KThread {}
// SAFETY: as above.
unsafe impl Sync for KThread {}

/// # Safety
/// `arg` is a `Box<Body>` that is given up.
unsafe extern "C" fn entry(arg: *mut c_void) -> c_int {
    // SAFETY: by the function's contract.
    let body = unsafe { Box::from_raw(arg.cast::<Body>()) };
    body();
    // kthread_stop() wants the thread still to be there.
    while !should_stop() {
        park();
    }
    0
}

fn park() {
    // Nobody else knows this queue: only kthread_stop() or its time wakes the thread.
    if let Ok(queue) = crate::WaitQueue::new() {
        let _ = queue.wait(crate::wait::Mode::Idle, None, should_stop);
    }
}

impl KThread {
    /// Starts a thread with `body`, which must end soon after [`should_stop`] says so.
    pub fn spawn(name: &'static CStr, body: impl FnOnce() + Send + 'static) -> Result<Self> {
        let body: *mut Body = Box::into_raw(Box::new(Box::new(body)));
        let mut thread = core::ptr::null_mut();
        // SAFETY: `entry` takes the box over; the name is copied.
        let rc = unsafe {
            raw::kpi_thread_run(name.as_ptr(), Some(entry), body.cast(), &raw mut thread)
        };
        match (Errno::check(rc), NonNull::new(thread)) {
            (Ok(_), Some(raw)) => Ok(Self { raw, body }),
            (Ok(_), None) => Err(Errno::EIO),
            (Err(errno), _) => {
                // SAFETY: no thread took it over.
                drop(unsafe { Box::from_raw(body) });
                Err(errno)
            }
        }
    }

    /// Lets the thread go before all ordinary tasks. It must never run for long.
    pub fn make_urgent(&self) {
        // SAFETY: kept alive by our reference.
        unsafe { raw::kpi_thread_urgent(self.raw.as_ptr()) }
    }

    /// Gives it its share beside ordinary tasks, as nice(2) counts it: -20 (most) to 19.
    pub fn set_nice(&self, nice: i32) {
        // SAFETY: the thread is there until `self` is dropped.
        unsafe { raw::kpi_thread_set_nice(self.raw.as_ptr(), nice) }
    }

    /// Wakes the thread out of a wait so that it looks at its conditions.
    pub fn wake(&self) {
        // SAFETY: kept alive by our reference.
        unsafe { raw::kpi_thread_wake(self.raw.as_ptr()) }
    }
}

impl Drop for KThread {
    fn drop(&mut self) {
        // SAFETY: kept alive by our reference, which this gives up.
        let rc = unsafe { raw::kpi_thread_stop(self.raw.as_ptr()) };
        if rc == Errno::EINTR.code() {
            // SAFETY: `entry` returns 0, so this says that the thread was stopped before it ran.
            drop(unsafe { Box::from_raw(self.body) });
        }
    }
}

/// In a kernel thread: whether its owner wants it to end.
pub fn should_stop() -> bool {
    // SAFETY: only called on kernel threads of ours (`KThread`'s contract).
    unsafe { raw::kpi_thread_should_stop() }
}

/// Whether the calling task is being killed.
pub fn fatal_signal_pending() -> bool {
    // SAFETY: no condition on the caller.
    unsafe { raw::kpi_fatal_signal_pending() }
}

/// Whether the calling task is the one that finds memory for all others, or a program's that looks
/// for memory itself.
pub fn is_reclaiming() -> bool {
    // SAFETY: no condition on the caller.
    unsafe { raw::kpi_is_reclaiming() }
}

/// Whether a signal waits for the calling task.
pub fn signal_pending() -> bool {
    // SAFETY: no condition on the caller.
    unsafe { raw::kpi_signal_pending() }
}

/// The calling task's number in the first pid namespace.
pub fn current_pid() -> u32 {
    // SAFETY: no condition on the caller.
    unsafe { raw::kpi_current_pid() }
}

/// The number of the calling task's process in the first pid namespace.
pub fn current_process() -> u32 {
    // SAFETY: no condition on the caller.
    unsafe { raw::kpi_current_process() }
}

/// `CAP_SYS_ADMIN`.
pub const CAP_SYS_ADMIN: u32 = 21;

/// Whether the calling task has a capability in the first user namespace.
pub fn capable(capability: u32) -> bool {
    // SAFETY: no condition on the caller.
    unsafe { raw::kpi_capable(capability) }
}

/// Lets others run, in long loops.
pub fn cond_resched() {
    // SAFETY: called where sleeping is allowed, as all of Rust's code outside of spin locks.
    unsafe { raw::kpi_cond_resched() }
}
