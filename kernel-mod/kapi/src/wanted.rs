//! A fault on a page of the pool, and the pages beside it.

use crate::{
    errno::{Errno, Result},
    page::Page,
    raw,
};

/// Most pages that are looked at, or put in, in one call.
pub const BESIDE_MAX: usize = raw::KPI_LODGE_MAX as usize;

/// A fault on a page of the pool, while it is being answered.
///
/// # Invariants
/// `raw` is the fault that the calling task is in.
pub struct Wanted<'a> {
    raw: &'a raw::kpi_fault,
}

impl<'a> Wanted<'a> {
    /// Of the fault that the calling task is in.
    pub(crate) fn new(raw: &'a raw::kpi_fault) -> Self {
        Self { raw }
    }

    /// What the page carries.
    pub fn tag(&self) -> u64 {
        self.raw.tag
    }

    /// Its user address.
    pub fn address(&self) -> u64 {
        self.raw.addr
    }

    /// A number of the address space, as [`crate::lodge::MmName::number`] has it.
    pub fn space(&self) -> u64 {
        self.raw.mm
    }

    /// The process whose address space it is, in the first pid namespace: not always the one that
    /// touches it. 0 if it has just ended. Looks at all tasks.
    pub fn process(&self) -> u32 {
        // SAFETY: no condition on the caller.
        unsafe { raw::kpi_process_of(self.raw.mm) }
    }

    /// What the pages of the pool at other addresses of the same mapping carry; 0: there is none.
    pub fn tags(&self, addresses: &[u64]) -> [u64; BESIDE_MAX] {
        let mut tags = [0; BESIDE_MAX];
        let count = addresses.len().min(BESIDE_MAX) as u64;
        // SAFETY: by the invariant the address space is locked, as the function needs it; both
        // arrays have that many entries at least.
        unsafe { raw::kpi_fault_tags(self.raw, addresses.as_ptr(), tags.as_mut_ptr(), count) };
        tags
    }

    /// Which pages of this address space are here, and which of these were touched since they were
    /// put in: a bit each.
    pub fn touched(&self, addresses: &[u64]) -> (u32, u32) {
        let (mut here, mut touched) = (0, 0);
        let count = addresses.len().min(BESIDE_MAX) as u64;
        // SAFETY: as above.
        unsafe {
            raw::kpi_fault_touched(
                self.raw,
                addresses.as_ptr(),
                count,
                &raw mut here,
                &raw mut touched,
            );
        }
        (here, touched)
    }

    /// Puts pages in where the pool's are. Gives how many; the others are given up.
    pub fn place(&self, beside: Beside) -> Result<usize> {
        let mut beside = beside;
        // SAFETY: by the invariant of `Beside` each entry is a filled page with our reference;
        // where it is used up it is replaced by null, which `Beside` heeds.
        Errno::check_len(unsafe { raw::kpi_fault_place(self.raw, &raw mut beside.raw) })
    }
}

/// Pages that are to be put in beside one that was faulted on.
///
/// # Invariants
/// Each of the first `raw.pages` pages is null, or a page that we have the reference of a [`Page`]
/// to. There are at most [`BESIDE_MAX`].
pub struct Beside {
    raw: raw::kpi_place,
}

impl Default for Beside {
    fn default() -> Self {
        Self::new()
    }
}

impl Beside {
    /// None.
    pub fn new() -> Self {
        Self { raw: raw::kpi_place::default() }
    }

    /// Adds one; it is given up if there are too many, or one with a higher address.
    pub fn push(&mut self, address: u64, tag: u64, page: Page) {
        let at = self.raw.pages as usize;
        if at < BESIDE_MAX && self.addresses().last().is_none_or(|last| *last < address) {
            (self.raw.addr[at], self.raw.tag[at]) = (address, tag);
            self.raw.page[at] = page.into_raw();
            self.raw.pages += 1;
        }
    }

    /// Where they belong.
    pub fn addresses(&self) -> &[u64] {
        &self.raw.addr[..self.raw.pages as usize]
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.raw.pages == 0
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        for page in &self.raw.page[..self.raw.pages as usize] {
            // SAFETY: by the invariant.
            drop(unsafe { Page::from_raw(*page) });
        }
    }
}
