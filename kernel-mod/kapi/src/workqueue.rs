//! Queues of work that the kernel's worker threads run.

use core::{
    ffi::{c_void, CStr},
    ptr::NonNull,
};

use rust_alloc::boxed::Box;

use crate::{
    errno::{Errno, Result},
    raw,
};

type Body = Box<dyn FnOnce() + Send>;

/// A queue; dropping it runs what is queued to its end.
///
/// # Invariants
/// `raw` is a live queue that only this value knows.
pub struct WorkQueue {
    raw: NonNull<raw::kpi_workqueue>,
}

// SAFETY: the kernel's queues have locks of their own.
unsafe impl Send for WorkQueue {}
// SAFETY: as above.
unsafe impl Sync for WorkQueue {}

impl WorkQueue {
    /// A queue of which at most `active_max` items run at a time (1: in order).
    pub fn new(name: &'static CStr, active_max: u32) -> Result<Self> {
        // SAFETY: the name is copied.
        let raw = unsafe { raw::kpi_workqueue_new(name.as_ptr(), active_max) };
        NonNull::new(raw).map(|raw| Self { raw }).ok_or(Errno::ENOMEM)
    }

    /// Adds an item. It may sleep, but never for a peer without a bound.
    pub fn push(&self, body: impl FnOnce() + Send + 'static) -> Result {
        let body: *mut Body = Box::into_raw(Box::new(Box::new(body)));
        // SAFETY: a live queue; `kapi_work_run` takes the box over.
        let rc = unsafe { raw::kpi_workqueue_push(self.raw.as_ptr(), body.cast()) };
        Errno::check(rc).map(drop).inspect_err(|_| {
            // SAFETY: it was not queued.
            drop(unsafe { Box::from_raw(body) });
        })
    }

    /// Waits until all items that are in the queue now have run.
    pub fn flush(&self) {
        // SAFETY: a live queue.
        unsafe { raw::kpi_workqueue_flush(self.raw.as_ptr()) }
    }
}

impl Drop for WorkQueue {
    fn drop(&mut self) {
        // SAFETY: nobody can push any more: a push borrows the queue.
        unsafe { raw::kpi_workqueue_free(self.raw.as_ptr()) }
    }
}

/// # Safety
/// `data` is a `Box<Body>` that is given up.
#[no_mangle]
unsafe extern "C" fn kapi_work_run(data: *mut c_void) {
    // SAFETY: by the function's contract.
    let body = unsafe { Box::from_raw(data.cast::<Body>()) };
    body();
}
