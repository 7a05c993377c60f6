//! Pages of a process that are referred to instead of being copied.

use core::{
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{page::PAGE_LEN, raw};

/// How many there are, clones and all.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// A page whose content only the tasks of one address space could change; whoever has this knows
/// that these do not run. (A debugger that writes to a stopped process, or the kernel as it ends a
/// killed one, might still do so. Then the bytes read are of either time: they are only copied and
/// summed, and no sum that was made before fits them.)
///
/// # Invariants
/// `raw` is an anonymous page that we have a reference to, counted in [`COUNT`].
#[derive(Debug)]
pub struct StillPage {
    raw: NonNull<raw::page>,
}

// SAFETY: a page is memory; the reference to it may be given up by any task.
unsafe impl Send for StillPage {}

impl StillPage {
    /// Of an anonymous page as above, whose reference is given up.
    pub(crate) fn new(raw: NonNull<raw::page>) -> Self {
        COUNT.fetch_add(1, Ordering::Relaxed);
        Self { raw }
    }

    /// Its content.
    pub fn bytes(&self) -> &[u8; PAGE_LEN] {
        // SAFETY: all memory is mapped, our reference keeps the page, and nobody changes it, as
        // told above.
        unsafe { &*raw::kpi_page_addr(self.raw.as_ptr()).cast() }
    }
}

/// How many references there are now.
pub fn count() -> &'static AtomicU64 {
    &COUNT
}

impl AsRef<[u8]> for StillPage {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl Clone for StillPage {
    fn clone(&self) -> Self {
        // SAFETY: we have a reference.
        unsafe { raw::kpi_page_get(self.raw.as_ptr()) };
        COUNT.fetch_add(1, Ordering::Relaxed);
        Self { raw: self.raw }
    }
}

impl Drop for StillPage {
    fn drop(&mut self) {
        // SAFETY: our reference is given up.
        unsafe { raw::kpi_page_put(self.raw.as_ptr()) }
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
}
