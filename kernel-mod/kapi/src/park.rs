//! Being called by a task at its next edge to user mode.

use core::ffi::c_void;

use rust_alloc::{boxed::Box, sync::Arc};

use crate::{
    errno::{Errno, Result},
    own::Own,
    raw,
    task::Task,
};

/// What is called in the task's own context. It may wait, killably. The task may be ending.
pub trait Parked: Send + Sync {
    /// The call.
    fn parked(self: Arc<Self>, own: &Own);
}

type Stored = Arc<dyn Parked>;

/// Has the task call `target` once, at its next edge to user mode; wakes it if it sleeps.
pub fn request(task: &Task, target: Arc<dyn Parked>) -> Result {
    let stored: *mut Stored = Box::into_raw(Box::new(target));
    // SAFETY: a live task; the box is taken over by `kapi_parked` if this succeeds.
    let rc = unsafe { raw::kpi_park_request(task.as_raw(), stored.cast()) };
    if rc != 0 {
        // SAFETY: nobody took it over.
        drop(unsafe { Box::from_raw(stored) });
    }
    Errno::check(rc).map(drop)
}

/// Has a task that sleeps in a call go through our hands once, so that the restart function of that
/// call becomes known ([`crate::own::restarts_known`]). The call goes on undisturbed.
pub fn look_at(task: &Task) -> Result {
    // SAFETY: a live task; without data nothing of ours is called.
    Errno::check(unsafe { raw::kpi_park_request(task.as_raw(), core::ptr::null_mut()) }).map(drop)
}

/// Calls that were asked for and have not returned.
pub fn outstanding() -> u64 {
    // SAFETY: no condition on the caller.
    unsafe { raw::kpi_park_outstanding() }
}

/// Waits until no task is inside a call's last instructions; at unload.
pub fn quiesce() {
    // SAFETY: no condition on the caller.
    unsafe { raw::kpi_park_quiesce() }
}

/// # Safety
/// `data` is from `request`; the context is the task's own.
#[no_mangle]
unsafe extern "C" fn kapi_parked(data: *mut c_void) {
    // SAFETY: by the function's contract.
    let target = unsafe { Box::from_raw(data.cast::<Stored>()) };
    // SAFETY: by the function's contract.
    let own = unsafe { Own::new() };
    target.parked(&own);
}
