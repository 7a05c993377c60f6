//! Single pages of ordinary memory, and the pool of pages that the processor cannot reach.

use core::ptr::NonNull;

use rust_alloc::vec::Vec;

use crate::{
    errno::{Errno, Result},
    fail,
    module::Unloading,
    raw,
    still::StillPage,
    wanted::Wanted,
    Global,
};

/// Bytes in a page.
pub const PAGE_LEN: usize = raw::KPI_PAGE_SIZE as usize;

/// Most pages in one operation of a batch.
pub const BATCH_MAX: usize = raw::KPI_MM_BATCH_MAX as usize;

/// A page of ordinary memory that is to become a process's.
///
/// # Invariants
/// `raw` is a page that we have a reference to, and whose content nobody else uses before this
/// value is given up.
#[repr(transparent)]
pub struct Page {
    raw: NonNull<raw::page>,
}

// SAFETY: a page is memory; the reference to it may be given up by any task.
unsafe impl Send for Page {}

impl Page {
    /// A new page with any content, or `ENOMEM`.
    pub fn new() -> Result<Self> {
        // SAFETY: no condition on the caller.
        Self::got(|| unsafe { raw::kpi_page_alloc() }).ok_or(Errno::ENOMEM)
    }

    /// A page that can be done without: `ENOMEM` before others are pressed hard.
    pub fn spare() -> Result<Self> {
        // SAFETY: no condition on the caller.
        Self::got(|| unsafe { raw::kpi_page_alloc_spare() }).ok_or(Errno::ENOMEM)
    }

    /// A page, but only if there is one at once.
    pub fn new_easily() -> Option<Self> {
        // SAFETY: no condition on the caller.
        Self::got(|| unsafe { raw::kpi_page_alloc_easily() })
    }

    /// What `alloc` gives: null, or a page with a reference that nobody else uses.
    fn got(alloc: impl FnOnce() -> *mut raw::page) -> Option<Self> {
        if fail::is_due() {
            return None;
        }
        NonNull::new(alloc()).map(|raw| Self { raw })
    }

    /// The page without its owner.
    pub(crate) fn into_raw(self) -> *mut raw::page {
        core::mem::ManuallyDrop::new(self).raw.as_ptr()
    }

    /// # Safety
    /// `raw` is null, or came from [`Self::into_raw`] and is given up.
    pub(crate) unsafe fn from_raw(raw: *mut raw::page) -> Option<Self> {
        NonNull::new(raw).map(|raw| Self { raw })
    }

    /// Its content.
    pub fn bytes(&self) -> &[u8; PAGE_LEN] {
        // SAFETY: all memory is mapped, and by the invariant nobody else changes this page.
        unsafe { &*raw::kpi_page_addr(self.raw.as_ptr()).cast() }
    }

    /// Its content, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8; PAGE_LEN] {
        // SAFETY: all memory is mapped, and by the invariant this page's content is only ours.
        unsafe { &mut *raw::kpi_page_addr(self.raw.as_ptr()).cast() }
    }

    /// Makes it all zeros.
    pub fn zero(&mut self) {
        // SAFETY: as above.
        unsafe { raw::kpi_page_zero(self.raw.as_ptr()) }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: our reference is given up.
        unsafe { raw::kpi_page_put(self.raw.as_ptr()) }
    }
}

/// A huge page of ordinary memory that is to become a process's.
///
/// # Invariants
/// `raw` is the first of [`BATCH_MAX`] pages that are one, that we have a reference to, and whose
/// content nobody else uses but through the [`Page`]s of [`Self::parts`].
pub struct HugePage {
    raw: NonNull<raw::page>,
    given: bool,
}

// SAFETY: as of a page.
unsafe impl Send for HugePage {}

impl HugePage {
    /// One with any content; none if it isn't to be had without much ado.
    pub fn new() -> Option<Self> {
        // SAFETY: no condition on the caller.
        let raw = NonNull::new(unsafe { raw::kpi_page_alloc_huge() })?;
        Some(Self { raw, given: false })
    }

    /// Its pages in order, to be filled; once.
    pub fn parts(&mut self) -> impl Iterator<Item = Page> + '_ {
        let pages = if core::mem::replace(&mut self.given, true) { 0 } else { BATCH_MAX as u64 };
        // SAFETY: by the invariant it has so many pages, and each is given once.
        let part = |at| NonNull::new(unsafe { raw::kpi_page_part(self.raw.as_ptr(), at) });
        (0..pages).filter_map(part).map(|raw| Page { raw })
    }
}

impl Drop for HugePage {
    fn drop(&mut self) {
        // SAFETY: our reference is given up.
        unsafe { raw::kpi_page_put(self.raw.as_ptr()) }
    }
}

/// What the pool holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStat {
    /// Chunks added so far.
    pub chunks: u64,
    /// Pages in them.
    pub pages: u64,
    /// Those in use.
    pub used: u64,
}

/// The pool's present state.
pub fn pool_stat() -> PoolStat {
    let mut stat = raw::kpi_pool_stat { chunks: 0, pages: 0, used: 0 };
    // SAFETY: writes one such structure.
    unsafe { raw::kpi_pool_stat(&raw mut stat) };
    PoolStat { chunks: stat.chunks, pages: stat.pages, used: stat.used }
}

/// Scratch memory for a batch.
pub(crate) fn words() -> Result<Vec<u64>> {
    if fail::is_due() {
        return Err(Errno::ENOMEM);
    }
    let mut words = Vec::new();
    words.try_reserve_exact(BATCH_MAX)?;
    words.resize(BATCH_MAX, 0);
    Ok(words)
}

/// Adds a chunk of `bytes`, a multiple of 2 MiB. May sleep.
pub fn pool_grow(bytes: u64) -> Result {
    if fail::is_due() {
        return Err(Errno::ENOMEM);
    }
    // SAFETY: no condition on the caller but to be allowed to sleep.
    Errno::check(unsafe { raw::kpi_pool_grow(bytes) }).map(drop)
}

/// Gives the pool back; `EBUSY` while a page of it is in use.
pub fn pool_release(_token: &Unloading) -> Result {
    // SAFETY: the token says that nobody puts pages in any more.
    Errno::check(unsafe { raw::kpi_pool_exit() }).map(drop)
}

/// What a frame of the pool carries now; 0 if nothing, or if it is no frame of the pool.
pub fn frame_tag(frame: u64) -> u64 {
    // SAFETY: the frame is checked.
    unsafe { raw::kpi_frame_tag(frame) }
}

/// What a frame of the pool seems to be the first of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// A page.
    Single,
    /// A huge page, mapped whole.
    Huge,
    /// A huge page of which parts are mapped.
    Parts,
}

/// What a frame of the pool seems to be the first of now.
pub fn frame_kind(frame: u64) -> FrameKind {
    // SAFETY: the frame is checked.
    match unsafe { raw::kpi_frame_huge(frame) } {
        raw::KPI_FRAME_HUGE => FrameKind::Huge,
        raw::KPI_FRAME_PARTS => FrameKind::Parts,
        _ => FrameKind::Single,
    }
}

/// Replaces pages of the pool by ordinary ones, wherever they are mapped.
pub struct HomeBatch {
    src: Vec<u64>,
    dst: Vec<u64>,
}

impl HomeBatch {
    /// With its scratch memory, or `ENOMEM`.
    pub fn new() -> Result<Self> {
        Ok(Self { src: words()?, dst: words()? })
    }

    /// Puts `pages[i]`, filled, where `frames[i]` is, if that still carries `tags[i]`. A page that
    /// was used is taken out of `pages`. Gives the number of those.
    pub fn run(
        &mut self,
        frames: &[u64],
        tags: &[u64],
        pages: &mut [Option<Page>],
    ) -> Result<usize> {
        let count = frames.len();
        let whole =
            tags.len() == count && pages.len() == count && pages.iter().all(Option::is_some);
        if count > BATCH_MAX || !whole {
            return Err(Errno::EINVAL);
        }
        let mut home = raw::kpi_home {
            pages: count as u64,
            pfn: frames.as_ptr(),
            tag: tags.as_ptr(),
            // An Option<Page> is a pointer that is null for None.
            page: pages.as_mut_ptr().cast(),
            src: self.src.as_mut_ptr(),
            dst: self.dst.as_mut_ptr(),
        };
        // SAFETY: all arrays have `pages` entries at least, and all pages are there; a reference
        // that is used up is replaced by null, which is None.
        Errno::check_len(unsafe { raw::kpi_mm_home(&raw mut home) })
    }

    fn huge(&mut self, frame: u64, tag: u64, page: *mut raw::page) -> raw::kpi_huge {
        let (src, dst) = (self.src.as_mut_ptr(), self.dst.as_mut_ptr());
        raw::kpi_huge { pfn: frame, tag, page, src, dst }
    }

    /// Puts a filled huge page, all of whose parts were given up, where the one of `frame` is, if
    /// that still carries `tag`. Gives it back if that can't be.
    pub fn run_huge(
        &mut self,
        frame: u64,
        tag: u64,
        page: HugePage,
    ) -> core::result::Result<(), HugePage> {
        let page = core::mem::ManuallyDrop::new(page);
        let mut home = self.huge(frame, tag, page.raw.as_ptr());
        // SAFETY: the frame is checked; the arrays have BATCH_MAX entries; that nobody has a part
        // of the page is checked by its references.
        let moved = unsafe { raw::kpi_mm_home_huge(&raw mut home) };
        if moved == 1 {
            return Ok(()); // the reference was used up
        }
        let mut page = core::mem::ManuallyDrop::into_inner(page);
        // Only then there might be parts still.
        page.given = moved == 2;
        Err(page)
    }

    /// Has the huge page of `frame`, if it is mapped in `mm`, become single pages.
    pub fn split(&mut self, mm: &crate::mm::Mm, frame: u64, tag: u64) -> Result {
        let mut huge = self.huge(frame, tag, core::ptr::null_mut());
        // SAFETY: a live address space; the frame is checked; the arrays have BATCH_MAX entries.
        Errno::check(unsafe { raw::kpi_mm_split(mm.as_raw(), &raw mut huge) }).map(drop)
    }
}

/// What pages of the pool stand for; the one pager of the module.
pub trait Pager: Sync {
    /// A task needs a page: fill `page`. May sleep, but for a bounded time, and not against a fatal
    /// signal. An error is SIGBUS to the task.
    fn page_wanted(&self, wanted: &Wanted<'_>, page: Page) -> Result;
    /// A task that faults on a page of the pool finds none free for its content: has others go, if
    /// some can, and waits for that for a moment. The task has its address space locked.
    fn make_room(&self);
    /// Pages of the pool were given up by their last user, page `i` with `tag + i`. Any context:
    /// must not sleep.
    fn pages_freed(&self, tag: u64, pages: u64);
}

static PAGER: Global<&'static (dyn Pager + Send)> = Global::new();

/// Names the pager. Before that the pool must not be used.
pub fn set_pager(pager: &'static (dyn Pager + Send)) -> Result {
    PAGER.set(pager).map(drop)
}

/// Forgets the pager.
pub fn clear_pager(token: &Unloading) {
    PAGER.clear(token);
}

/// # Safety
/// `fault` is the fault that the calling task is in, and lasts longer than the call.
#[no_mangle]
unsafe extern "C" fn kapi_mm_page_wanted(
    fault: *const raw::kpi_fault,
    page: *mut raw::page,
) -> i32 {
    // SAFETY: by the function's contract.
    let fault = unsafe { fault.as_ref() };
    let (Some(pager), Some(fault), Some(raw)) = (PAGER.get(), fault, NonNull::new(page)) else {
        return Errno::EIO.code();
    };
    // As if the shim had got no page.
    if fail::is_due() {
        return Errno::ENOMEM.code();
    }
    // SAFETY: the shim holds a reference until we return.
    unsafe { raw::kpi_page_get(raw.as_ptr()) };
    // The shim doesn't look at the content before we return, and the pager has given the page up
    // by then.
    crate::errno::to_code(pager.page_wanted(&Wanted::new(fault), Page { raw }))
}

#[no_mangle]
extern "C" fn kapi_mm_make_room() {
    if let Some(pager) = PAGER.get() {
        pager.make_room();
    }
}

#[no_mangle]
extern "C" fn kapi_mm_pages_freed(tag: u64, pages: u64) {
    if let Some(pager) = PAGER.get() {
        pager.pages_freed(tag, pages);
    }
}

/// A page that is a process's, and that we only read.
///
/// # Invariants
/// `raw` is a page that we have a reference to. If it is still, only tasks of that process change
/// it.
pub struct PeekedPage {
    raw: NonNull<raw::page>,
    is_still: bool,
}

impl PeekedPage {
    /// # Safety
    /// `raw` is a page with a reference, which is given up. If `is_still`, it is an anonymous one
    /// that only tasks of its process change.
    pub(crate) unsafe fn from_raw(raw: *mut raw::page, is_still: bool) -> Option<Self> {
        NonNull::new(raw).map(|raw| Self { raw, is_still })
    }

    /// The page itself, if nobody changes it while the process's tasks do not run: that is the
    /// caller's to know.
    pub fn into_still(self) -> core::result::Result<StillPage, Self> {
        if !self.is_still {
            return Err(self);
        }
        Ok(StillPage::new(core::mem::ManuallyDrop::new(self).raw))
    }

    /// Copies its content out: the process's own devices might still write to it.
    pub fn copy_to(&self, to: &mut [u8; PAGE_LEN]) {
        // SAFETY: all memory is mapped, and our reference keeps the page; `to` is as long.
        unsafe {
            let from: *const u8 = raw::kpi_page_addr(self.raw.as_ptr()).cast();
            core::ptr::copy_nonoverlapping(from, to.as_mut_ptr(), PAGE_LEN);
        }
    }
}

impl Drop for PeekedPage {
    fn drop(&mut self) {
        // SAFETY: our reference is given up.
        unsafe { raw::kpi_page_put(self.raw.as_ptr()) }
    }
}
