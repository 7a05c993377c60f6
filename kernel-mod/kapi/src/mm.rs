//! Address spaces: putting pages of the pool into them, reading them, and where they have pages.

use core::ptr::NonNull;

use rust_alloc::vec::Vec;

use crate::{
    errno::{Errno, Result},
    page::{words, PeekedPage, BATCH_MAX, PAGE_LEN},
    raw,
};

/// A process's address space, kept alive with all its mappings.
///
/// # Invariants
/// `raw` is an address space that we have a user's reference to.
pub struct Mm {
    raw: NonNull<raw::mm_struct>,
}

// SAFETY: address spaces have locks of their own; the reference may be given up by any task.
unsafe impl Send for Mm {}
// SAFETY: as above.
unsafe impl Sync for Mm {}

/// A mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// First address.
    pub start: u64,
    /// Address behind it.
    pub end: u64,
    /// What it is.
    pub kind: AreaKind,
}

/// What kind of memory a mapping is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AreaKind {
    /// Anonymous.
    Anon,
    /// A file's, private, with pages that may have been written.
    Written,
    /// A file's, private, never written.
    Clean,
    /// Shared, of a device, of huge pages: no page of the pool can be there.
    Special,
}

/// A run of pages.
pub type Run = raw::kpi_run;

/// What a page of an address space is.
pub enum Peeked {
    /// It has content.
    Data(PeekedPage),
    /// It was never written.
    Zero,
    /// It can't be had.
    Gone,
}

/// What is in a part of an address space.
pub struct Present {
    raw: raw::kpi_present,
}

impl Present {
    /// Whether the page at an offset is there, and anonymous.
    pub fn has(&self, offset: u64) -> bool {
        let word = self.raw.bits.get((offset / 64) as usize);
        word.is_some_and(|word| (word >> (offset % 64)) & 1 != 0)
    }

    /// How many pages are of huge ones.
    pub fn huge(&self) -> u64 {
        self.raw.huge
    }
}

/// How pages of the pool are to be put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Over holes.
    Holes,
    /// Over holes and private pages.
    Replace,
    /// As one huge page, [`BATCH_MAX`] pages and aligned, where there is nothing; or not at all.
    Huge,
}

/// What came of putting one batch in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inserted {
    /// Pages that were looked at; less than asked for at the end of a mapping.
    pub looked_at: u64,
    /// Pages that the pool gave for it: each is in place or was given up again.
    pub taken: u64,
    /// The pool ran empty: the rest was not tried.
    pub dry: bool,
}

/// Scratch memory for putting pages in.
pub struct InsertBatch {
    src: Vec<u64>,
    dst: Vec<u64>,
    frames: Vec<u64>,
}

impl InsertBatch {
    /// With its memory, or `ENOMEM`.
    pub fn new() -> Result<Self> {
        Ok(Self { src: words()?, dst: words()?, frames: words()? })
    }

    /// Of the last batch: the pool's frame that is in place of each page, or 0.
    pub fn frames(&self, looked_at: u64) -> &[u64] {
        let len = usize::try_from(looked_at).map_or(BATCH_MAX, |len| len.min(BATCH_MAX));
        self.frames.get(..len).unwrap_or_default()
    }
}

fn batch_len(pages: u64) -> Result<usize> {
    match usize::try_from(pages) {
        Ok(len) if len <= BATCH_MAX => Ok(len),
        _ => Err(Errno::EINVAL),
    }
}

impl Mm {
    /// # Safety
    /// `raw` is null or an address space with a user's reference, which is given up.
    pub(crate) unsafe fn from_raw(raw: *mut raw::mm_struct) -> Option<Self> {
        NonNull::new(raw).map(|raw| Self { raw })
    }

    pub(crate) fn as_raw(&self) -> *mut raw::mm_struct {
        self.raw.as_ptr()
    }

    /// The calling task's; none for a kernel thread.
    pub fn current() -> Option<Self> {
        // SAFETY: no condition on the caller; it is a pointer that stays good while the task runs.
        let raw = NonNull::new(unsafe { raw::kpi_mm_current() })?;
        // SAFETY: the running task is a user of it.
        unsafe { raw::kpi_mm_get(raw.as_ptr()) };
        Some(Self { raw })
    }

    /// Another reference.
    pub fn share(&self) -> Self {
        // SAFETY: we have a reference.
        unsafe { raw::kpi_mm_get(self.raw.as_ptr()) };
        Self { raw: self.raw }
    }

    /// Puts pages of the pool in the place of `pages` pages from address `start` on, within one
    /// mapping. Page `i` carries `tag + i`. `EINVAL` where no such page can be, `EINTR` for a task
    /// that is killed.
    pub fn insert(
        &self,
        batch: &mut InsertBatch,
        start: u64,
        pages: u64,
        tag: u64,
        how: How,
    ) -> Result<Inserted> {
        batch_len(pages)?;
        let mut insert = raw::kpi_insert {
            mm: self.raw.as_ptr(),
            start,
            pages,
            tag_first: tag,
            replace: u32::from(how == How::Replace),
            huge: u32::from(how == How::Huge),
            dry: 0,
            src: batch.src.as_mut_ptr(),
            dst: batch.dst.as_mut_ptr(),
            pfn: batch.frames.as_mut_ptr(),
            taken: 0,
        };
        // SAFETY: a live address space; the arrays have BATCH_MAX entries.
        let looked_at = Errno::check_len(unsafe { raw::kpi_mm_insert(&raw mut insert) })? as u64;
        Ok(Inserted { looked_at, taken: insert.taken, dry: insert.dry != 0 })
    }

    /// Gives private file memory pages of its own, so that they can be replaced.
    pub fn unshare(&self, start: u64, pages: u64) -> Result {
        // SAFETY: a live address space.
        Errno::check_len(unsafe { raw::kpi_mm_unshare(self.raw.as_ptr(), start, pages) }).map(drop)
    }

    /// Looks at `pages` pages from address `start` on, gives each to `each` with its offset.
    pub fn peek<const N: usize>(
        &self,
        start: u64,
        pages: u64,
        mut each: impl FnMut(u64, Peeked),
    ) -> Result {
        let mut found = [core::ptr::null_mut(); N];
        let mut what = [0; N];
        if usize::try_from(pages).map_or(true, |pages| pages > N) {
            return Err(Errno::EINVAL);
        }
        // SAFETY: a live address space; the arrays have `pages` entries at least.
        Errno::check(unsafe {
            raw::kpi_mm_peek(self.raw.as_ptr(), start, pages, found.as_mut_ptr(), what.as_mut_ptr())
        })?;
        for ((offset, page), what) in (0..pages).zip(found).zip(what) {
            let what = u32::from(what);
            let is_still = what == raw::KPI_PEEK_STILL;
            let peeked = match what {
                raw::KPI_PEEK_DATA | raw::KPI_PEEK_STILL => {
                    // SAFETY: with these the reference is ours now, and the shim vouches for STILL.
                    let page = unsafe { PeekedPage::from_raw(page, is_still) };
                    page.map_or(Peeked::Gone, Peeked::Data)
                }
                raw::KPI_PEEK_ZERO => Peeked::Zero,
                _ => Peeked::Gone,
            };
            each(offset, peeked);
        }
        Ok(())
    }

    /// The first mapping that ends above `addr`.
    pub fn area(&self, addr: u64) -> Result<Option<Area>> {
        let mut area = raw::kpi_area { start: 0, end: 0, anon: 0, cow: 0, special: 0, pad: 0 };
        // SAFETY: a live address space; writes one such structure.
        let rc = unsafe { raw::kpi_mm_area(self.raw.as_ptr(), addr, &raw mut area) };
        let found = Errno::check(rc)?;
        let kind = match (area.special, area.anon, area.cow) {
            (0, 0, 0) => AreaKind::Clean,
            (0, 0, _) => AreaKind::Written,
            (0, _, _) => AreaKind::Anon,
            (_, _, _) => AreaKind::Special,
        };
        Ok((found != 0).then_some(Area { start: area.start, end: area.end, kind }))
    }

    /// Runs of pages within `[start, end)` that have page tables, into `out`: their number, and
    /// the address to go on at.
    pub fn populated(&self, start: u64, end: u64, out: &mut [Run]) -> Result<(usize, u64)> {
        let mut next = end;
        // SAFETY: a live address space; `out` has that many entries.
        let count = Errno::check_len(unsafe {
            raw::kpi_mm_populated(
                self.raw.as_ptr(),
                start,
                end,
                out.as_mut_ptr(),
                out.len() as u64,
                &raw mut next,
            )
        })?;
        Ok((count, next))
    }

    /// What `pages` pages from `start` on are.
    pub fn present(&self, start: u64, pages: u64) -> Result<Present> {
        batch_len(pages)?;
        let mut raw = raw::kpi_present { bits: [0; BATCH_MAX / 64], huge: 0 };
        // SAFETY: a live address space; writes one such structure.
        let rc = unsafe { raw::kpi_mm_present(self.raw.as_ptr(), start, pages, &raw mut raw) };
        Errno::check(rc)?;
        Ok(Present { raw })
    }

    /// For each of up to `N` pages from address `start` on: the tag of the page of the pool that
    /// stands there, or 0.
    pub fn tags<const N: usize>(&self, start: u64, pages: u64) -> Result<[u64; N]> {
        let mut tags = [0; N];
        if usize::try_from(pages).map_or(true, |pages| pages > N) {
            return Err(Errno::EINVAL);
        }
        // SAFETY: a live address space; the array has `pages` entries at least.
        Errno::check(unsafe {
            raw::kpi_mm_tags(self.raw.as_ptr(), start, pages, tags.as_mut_ptr())
        })?;
        Ok(tags)
    }

    /// As [`Self::tags`], of up to [`BATCH_MAX`] pages.
    pub fn tags_of<'a>(
        &self,
        batch: &'a mut InsertBatch,
        start: u64,
        pages: u64,
    ) -> Result<&'a [u64]> {
        let len = batch_len(pages)?;
        // SAFETY: a live address space; the array has BATCH_MAX entries.
        Errno::check(unsafe {
            raw::kpi_mm_tags(self.raw.as_ptr(), start, pages, batch.src.as_mut_ptr())
        })?;
        Ok(batch.src.get(..len).unwrap_or_default())
    }

    /// Whether some of its pages are in swap.
    pub fn has_swapped(&self) -> bool {
        // SAFETY: a live address space.
        unsafe { raw::kpi_mm_swapped(self.raw.as_ptr()) != 0 }
    }

    /// Bytes in a page, for addresses.
    pub const PAGE: u64 = PAGE_LEN as u64;
}

impl Drop for Mm {
    fn drop(&mut self) {
        // SAFETY: our reference is given up; by the kpi's contract this may sleep, so values of
        // this type are not dropped in atomic context.
        unsafe { raw::kpi_mm_put(self.raw.as_ptr()) }
    }
}
