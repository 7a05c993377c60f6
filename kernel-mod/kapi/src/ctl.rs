//! The nameless file through which a surrogate's stub and a restorer reach the module.

use core::ffi::c_void;

use rust_alloc::{boxed::Box, sync::Arc};

use crate::{
    errno::{Errno, Result},
    own::Own,
    panic::poisoned,
    raw,
};

pub use crate::raw::{
    KPI_CTL_LOADED as LOADED, KPI_CTL_RESUME as RESUME, KPI_CTL_WAIT as WAIT,
    KPI_STUB_AGAIN as STUB_AGAIN, KPI_STUB_EXEC as STUB_EXEC,
};

/// What the file does. Its calls come from the task that it was made for, or from one that
/// inherited or was sent the descriptor: check.
pub trait Ctl: Send + Sync {
    /// A call.
    fn ioctl(&self, own: &Own, cmd: u32, arg: u64) -> Result<u64>;
}

type Stored = Arc<dyn Ctl>;

/// Makes such a file and gives the calling task a descriptor for it.
pub fn open(_own: &Own, ctl: Arc<dyn Ctl>, flags: u32) -> Result<u32> {
    let stored: *mut Stored = Box::into_raw(Box::new(ctl));
    // SAFETY: own context; the box is taken over by the file if this succeeds.
    let rc = unsafe { raw::kpi_ctl_open(stored.cast(), flags) };
    if rc < 0 {
        // SAFETY: nobody took it over.
        drop(unsafe { Box::from_raw(stored) });
    }
    Errno::check(rc)
}

/// # Safety
/// `data` is from `open`, of a file that is still open; the context is a user task's.
#[no_mangle]
unsafe extern "C" fn kapi_ctl_ioctl(data: *mut c_void, cmd: u32, arg: u64) -> i64 {
    if poisoned() {
        return i64::from(Errno::EIO.code());
    }
    // SAFETY: by the function's contract.
    let ctl = unsafe { &*data.cast::<Stored>() };
    // SAFETY: by the function's contract.
    let own = unsafe { Own::new() };
    match ctl.ioctl(&own, cmd, arg) {
        Ok(value) => value as i64,
        Err(errno) => i64::from(errno.code()),
    }
}

/// # Safety
/// `data` is from `open` and is given up, or null.
#[no_mangle]
unsafe extern "C" fn kapi_ctl_release(data: *mut c_void) {
    if !data.is_null() {
        // SAFETY: by the function's contract.
        drop(unsafe { Box::from_raw(data.cast::<Stored>()) });
    }
}
