//! Pages made shorter, and whole again: LZ4 as the kernel has it, block format.

use rust_alloc::vec::Vec;

use crate::{errno::Result, page::PAGE_LEN, raw};

/// A packed page has no more bytes than this: what does not get shorter by a quarter is not worth
/// the work of making it whole.
pub const PACKED_MAX: usize = PAGE_LEN / 4 * 3;

/// Packs pages. Allocates nothing once it is made.
pub struct Packer {
    work: Vec<u64>,
}

impl Packer {
    /// With all the memory that it needs.
    pub fn new() -> Result<Self> {
        let words = (raw::KPI_PACK_WORK_LEN as usize).div_ceil(size_of::<u64>());
        let mut work = Vec::new();
        work.try_reserve_exact(words)?;
        work.resize(words, 0);
        Ok(Self { work })
    }

    /// Packs a page: how long it is in `out` then. `None` if it does not get short enough, or if
    /// this kernel has no LZ4; `out` has anything then.
    pub fn pack(&mut self, page: &[u8; PAGE_LEN], out: &mut [u8; PACKED_MAX]) -> Option<usize> {
        let work = self.work.as_mut_ptr().cast();
        // SAFETY: a page is readable, `out` is writable for its length, and the room for the work
        // has what the header asks for.
        let len = unsafe { raw::kpi_page_pack(page.as_ptr(), out.as_mut_ptr(), PACKED_MAX, work) };
        (1..=PACKED_MAX).contains(&len).then_some(len)
    }
}

/// Makes a page of what [`Packer::pack`] made of it. Whatever the bytes are, nothing else is
/// written; false if they are not what a page was packed to.
pub fn unpack(packed: &[u8], page: &mut [u8; PAGE_LEN]) -> bool {
    // A length that can't be a packed page's is not the kernel's to see.
    if packed.len() > PACKED_MAX {
        return false;
    }
    // SAFETY: so many bytes are readable, a page is writable, and LZ4's safe decoder leaves the
    // bounds of neither.
    unsafe { raw::kpi_page_unpack(packed.as_ptr(), packed.len(), page.as_mut_ptr()) }
}
