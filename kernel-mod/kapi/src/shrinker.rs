//! Memory that the kernel may ask back when it needs some.

use core::{
    ffi::{c_void, CStr},
    ptr::NonNull,
};

use rust_alloc::boxed::Box;

use crate::{
    errno::{Errno, Result},
    raw,
};

/// Who has such memory. Called by any task that allocates, with any locks of its own held: must
/// not sleep for a lock whose holder may allocate. A short wait for something else is no harm.
pub trait Reclaim: Sync {
    /// How many pages could be given back.
    fn count(&self) -> u64;
    /// Gives back about so many, and says how many it did, which count as reclaimed; `None` if it
    /// can't be done from here. After fewer than that it is not asked again in this search.
    fn scan(&self, pages: u64) -> Option<u64>;
}

type Data = &'static (dyn Reclaim + Send);

/// A registration; dropping it waits until nobody calls any more.
///
/// # Invariants
/// `raw` is a registered shrinker that only this value knows; its data is `data`.
pub struct Shrinker {
    raw: NonNull<raw::kpi_shrinker>,
    data: *mut Data,
}

// SAFETY: the kernel's shrinkers may be unregistered by any task.
unsafe impl Send for Shrinker {}

impl Shrinker {
    /// Registers, or `ENOMEM`. The kernel asks for up to `batch` pages at a time.
    pub fn new(name: &'static CStr, reclaim: Data, batch: u32) -> Result<Self> {
        let data: *mut Data = Box::into_raw(Box::new(reclaim));
        // SAFETY: the name is copied; `data` lives until the shrinker was freed.
        let raw = unsafe { raw::kpi_shrinker_new(name.as_ptr(), data.cast(), batch) };
        match NonNull::new(raw) {
            Some(raw) => Ok(Self { raw, data }),
            None => {
                // SAFETY: nobody else knows it.
                drop(unsafe { Box::from_raw(data) });
                Err(Errno::ENOMEM)
            }
        }
    }
}

/// Whether the calling task may wait for programs' pages to go, and would get what they leave.
pub fn may_make_room() -> bool {
    // SAFETY: no condition on the caller.
    unsafe { raw::kpi_may_make_room() }
}

/// Whether the calling task has got as many pages by now as it looks for at a time, or it could not
/// be told when: so of tasks other than kswapd where there are several memory nodes.
pub fn is_reclaim_done() -> bool {
    // SAFETY: no condition on the caller.
    unsafe { raw::kpi_reclaim_is_done() }
}

impl Drop for Shrinker {
    fn drop(&mut self) {
        // SAFETY: ours; after the first call nobody uses the data any more.
        unsafe {
            raw::kpi_shrinker_free(self.raw.as_ptr());
            drop(Box::from_raw(self.data));
        }
    }
}

/// # Safety
/// `data` is that of a registered shrinker.
unsafe fn reclaim<'a>(data: *mut c_void) -> &'a (dyn Reclaim + Send) {
    // SAFETY: by the function's contract.
    unsafe { *data.cast::<Data>() }
}

/// # Safety
/// `data` is that of a registered shrinker.
#[no_mangle]
unsafe extern "C" fn kapi_shrinker_count(data: *mut c_void) -> u64 {
    // SAFETY: by the function's contract.
    unsafe { reclaim(data) }.count()
}

/// # Safety
/// `data` is that of a registered shrinker.
#[no_mangle]
unsafe extern "C" fn kapi_shrinker_scan(data: *mut c_void, pages: u64) -> i64 {
    // SAFETY: by the function's contract.
    let freed = unsafe { reclaim(data) }.scan(pages);
    freed.and_then(|freed| i64::try_from(freed).ok()).unwrap_or(-1)
}
