//! The module's memory: `kvmalloc` behind Rust's allocator.
//!
//! May sleep: never allocate with a spin lock held. Use `try_reserve` where a size is neither small
//! nor constant; a failed infallible allocation ends in the panic handler.

use core::alloc::{GlobalAlloc, Layout};

use rust_alloc::vec::Vec;

use crate::{errno::Result, raw};

struct KernelAlloc;

#[global_allocator]
static ALLOC: KernelAlloc = KernelAlloc;

/// The kernel aligns a block to the lowest set bit of its size, so a padded size is enough.
fn padded(layout: Layout) -> usize {
    layout.pad_to_align().size()
}

// SAFETY: kvmalloc gives null or an unused block of at least the size asked for, aligned as
// `padded` says; kvfree takes what kvmalloc gave.
unsafe impl GlobalAlloc for KernelAlloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: no condition on the caller.
        unsafe { raw::kpi_alloc(padded(layout), false) }.cast()
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { raw::kpi_alloc(padded(layout), true) }.cast()
    }

    unsafe fn dealloc(&self, p: *mut u8, _layout: Layout) {
        // SAFETY: the caller got `p` from us and gives it up.
        unsafe { raw::kpi_free(p.cast()) }
    }

    unsafe fn realloc(&self, p: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Ok(wanted) = Layout::from_size_align(size, layout.align()) else {
            return core::ptr::null_mut();
        };
        // SAFETY: the caller got `p` from us; kvrealloc keeps its content and, if it fails, it.
        unsafe { raw::kpi_realloc(p.cast(), padded(wanted)) }.cast()
    }
}

/// A vector of `len` zero bytes, or `ENOMEM`.
pub fn zeroed_vec(len: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len)?;
    bytes.resize(len, 0);
    Ok(bytes)
}

/// An empty vector with room for `len` bytes, if there is memory: without waiting for it, and
/// leaving the reserves alone.
pub fn vec_now(len: usize) -> Option<Vec<u8>> {
    if len == 0 {
        return Some(Vec::new());
    }
    // SAFETY: no condition on the caller.
    let block = unsafe { raw::kpi_alloc_now(len) }.cast::<u8>();
    if block.is_null() {
        return None;
    }
    // SAFETY: a block of `len` bytes that is ours, which this module's allocator can free.
    Some(unsafe { Vec::from_raw_parts(block, 0, len) })
}

/// A vector with a copy of `bytes`, or `ENOMEM`.
pub fn copied_vec(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len())?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

/// The machine's memory, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// What programs could still be given without paging out.
    pub available: u64,
    /// All of it.
    pub total: u64,
    /// Pages of files.
    pub files: u64,
    /// Pages of files that came back soon after the kernel threw them out: a counter.
    pub files_back: u64,
}

impl Memory {
    /// As it is now.
    pub fn now() -> Self {
        // SAFETY: no condition on the caller.
        unsafe {
            Self {
                available: raw::kpi_memory_available(),
                total: raw::kpi_memory_total(),
                files: raw::kpi_memory_files(),
                files_back: raw::kpi_memory_files_back(),
            }
        }
    }
}

/// While it lives, the calling task's allocations may use the kernel's reserves: for page-out only.
pub struct NoReclaim {
    cookie: u32,
    // Not to be sent: it belongs to the calling task.
    _task: core::marker::PhantomData<*mut ()>,
}

impl NoReclaim {
    /// Begins the scope.
    pub fn enter() -> Self {
        // SAFETY: no condition on the caller.
        let cookie = unsafe { raw::kpi_noreclaim_enter() };
        Self { cookie, _task: core::marker::PhantomData }
    }
}

impl Drop for NoReclaim {
    fn drop(&mut self) {
        // SAFETY: the cookie is from this task's enter.
        unsafe { raw::kpi_noreclaim_exit(self.cookie) }
    }
}
