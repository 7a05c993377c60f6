//! Pages that go out of a process: which may, and taking them away.

use core::{mem::ManuallyDrop, ptr::NonNull};

use rust_alloc::{boxed::Box, vec::Vec};

use crate::{
    alloc::zeroed_vec,
    errno::{Errno, Result},
    mm::Mm,
    module::Unloading,
    page::PAGE_LEN,
    raw, Global,
};

/// Most pages in one batch.
pub const LODGE_MAX: usize = raw::KPI_LODGE_MAX as usize;

/// What is in 2 MiB of an address space: a bit per page that may go, and of these a bit for each
/// that was touched.
pub type Region = raw::kpi_region;

/// A region without pages.
pub const NO_REGION: Region = Region { start: 0, here: [0; 8], touched: [0; 8] };

/// An address space that may end meanwhile: only its name is kept.
///
/// # Invariants
/// `raw` is an address space structure that we have a reference to.
pub struct MmName {
    raw: NonNull<raw::mm_struct>,
}

// SAFETY: the reference may be given up by any task.
unsafe impl Send for MmName {}
// SAFETY: as above.
unsafe impl Sync for MmName {}

impl MmName {
    /// The name of an address space.
    pub fn of(mm: &Mm) -> Self {
        // SAFETY: never null, and alive.
        let raw = unsafe { NonNull::new_unchecked(mm.as_raw()) };
        // SAFETY: alive.
        unsafe { raw::kpi_mm_grab(raw.as_ptr()) };
        Self { raw }
    }

    /// The address space, unless it has ended.
    pub fn get(&self) -> Option<MmUse> {
        // SAFETY: by the invariant.
        let got = unsafe { raw::kpi_mm_try_get(self.raw.as_ptr()) };
        // SAFETY: with `true` we have a user's reference.
        let mm = if got { unsafe { Mm::from_raw(self.raw.as_ptr()) } } else { None };
        mm.map(|mm| MmUse(ManuallyDrop::new(mm)))
    }

    /// A number that is this address space's as long as it is named.
    pub fn number(&self) -> u64 {
        self.raw.as_ptr() as u64
    }
}

impl Clone for MmName {
    fn clone(&self) -> Self {
        // SAFETY: by the invariant; the new value's own reference.
        unsafe { raw::kpi_mm_grab(self.raw.as_ptr()) };
        Self { raw: self.raw }
    }
}

impl Drop for MmName {
    fn drop(&mut self) {
        // SAFETY: our reference is given up.
        unsafe { raw::kpi_mm_drop(self.raw.as_ptr()) }
    }
}

/// A user's reference that is given up without freeing the mappings here, should it be the last.
pub struct MmUse(ManuallyDrop<Mm>);

impl core::ops::Deref for MmUse {
    type Target = Mm;

    fn deref(&self) -> &Mm {
        &self.0
    }
}

impl Drop for MmUse {
    fn drop(&mut self) {
        // SAFETY: the user's reference of the value, which is never dropped itself, is given up.
        unsafe { raw::kpi_mm_put_later(self.0.as_raw()) }
    }
}

impl Mm {
    /// A number that is this address space's as long as it lives.
    pub fn number(&self) -> u64 {
        self.as_raw() as u64
    }

    /// Looks at the regions from `start` on that have pages, and forgets who was touched. How
    /// many, and where to go on, if there is more. `EAGAIN` while it is being changed.
    pub fn regions(&self, start: u64, out: &mut [Region]) -> Result<(usize, Option<u64>)> {
        let mut next = u64::MAX;
        // SAFETY: a live address space; `out` has that many entries.
        let count = Errno::check_len(unsafe {
            raw::kpi_mm_regions(
                self.as_raw(),
                start,
                out.as_mut_ptr(),
                out.len() as u64,
                &raw mut next,
            )
        })?;
        Ok((count, (next != u64::MAX).then_some(next)))
    }
}

/// Pages of one process on their way out, and their contents.
///
/// # Invariants
/// Each of `raw.copy` points to a page of `_contents` of its own.
pub struct LodgeBatch {
    raw: Box<raw::kpi_lodge>,
    _contents: Vec<u8>,
}

// SAFETY: the pointers are into memory that this value owns, but for `mm`, which is only used
// during a call.
unsafe impl Send for LodgeBatch {}

/// What of a batch has gone.
pub struct Gone<'a> {
    /// A bit for each page.
    pub mask: u32,
    /// The frame of the pool that stands for each of them.
    pub frames: &'a [u64; LODGE_MAX],
}

impl LodgeBatch {
    /// Without pages, but with memory for all of them.
    pub fn new() -> Result<Self> {
        let mut contents = zeroed_vec(LODGE_MAX * PAGE_LEN)?;
        let mut raw = Vec::new();
        raw.try_reserve_exact(1)?;
        raw.push(raw::kpi_lodge {
            mm: core::ptr::null_mut(),
            pages: 0,
            addr: [0; LODGE_MAX],
            copy: [core::ptr::null_mut(); LODGE_MAX],
            tag: [0; LODGE_MAX],
            any: 0,
            gone: 0,
            pfn: [0; LODGE_MAX],
            src: [0; LODGE_MAX],
            dst: [0; LODGE_MAX],
        });
        let raw: Box<[raw::kpi_lodge; 1]> =
            raw.into_boxed_slice().try_into().map_err(|_| Errno::EINVAL)?;
        let raw = Box::into_raw(raw).cast::<raw::kpi_lodge>();
        // SAFETY: an array of one is laid out as its element.
        let mut raw = unsafe { Box::from_raw(raw) };
        for (copy, page) in raw.copy.iter_mut().zip(contents.chunks_exact_mut(PAGE_LEN)) {
            *copy = page.as_mut_ptr().cast();
        }
        Ok(Self { raw, _contents: contents })
    }

    /// Forgets all pages.
    pub fn clear(&mut self) {
        self.raw.pages = 0;
    }

    /// Adds a page; addresses must ascend. False if it does not fit.
    pub fn push(&mut self, addr: u64) -> bool {
        let at = self.len();
        let fits = at < LODGE_MAX && (at == 0 || self.raw.addr[at - 1] < addr);
        if fits {
            (self.raw.addr[at], self.raw.tag[at]) = (addr, 0);
            self.raw.pages += 1;
        }
        fits
    }

    /// How many pages.
    pub fn len(&self) -> usize {
        self.raw.pages as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.raw.pages == 0
    }

    /// Copies the pages as they are now; those that can't go are left out from here on. `EAGAIN`
    /// while the address space is being changed.
    pub fn copy_out(&mut self, mm: &Mm) -> Result {
        self.raw.mm = mm.as_raw();
        // SAFETY: a live address space; by the invariant there is a page for each content.
        let copied = Errno::check_len(unsafe { raw::kpi_mm_copy_out(&raw mut *self.raw) })?;
        let mut to = 0;
        for from in 0..self.len() {
            if copied & 1 << from != 0 {
                self.raw.addr.swap(from, to);
                self.raw.copy.swap(from, to);
                to += 1;
            }
        }
        self.raw.pages = to as u64;
        Ok(())
    }

    /// The address of a page.
    pub fn address(&self, position: usize) -> u64 {
        self.raw.addr[position]
    }

    /// A page's content as it was copied.
    pub fn content(&self, position: usize) -> &[u8; PAGE_LEN] {
        // SAFETY: by the invariant; the content is only written by `copy_out`.
        unsafe { &*self.raw.copy[position].cast() }
    }

    /// What a page is to carry when it has gone; a page without a tag does not go.
    pub fn set_tag(&mut self, position: usize, tag: u64) {
        self.raw.tag[position] = tag;
    }

    /// Takes the pages away whose content is still what was copied and, without `any`, that were
    /// not touched since. Before anybody can see it `note` is told which; it must not sleep for
    /// long. `EAGAIN` as above: nothing has gone, and `note` was not called.
    pub fn take_away(&mut self, mm: &Mm, any: bool, note: impl FnOnce(Gone<'_>)) -> Result<u32> {
        self.raw.mm = mm.as_raw();
        self.raw.any = u32::from(any);
        // SAFETY: as for `copy_out`.
        Errno::check(unsafe { raw::kpi_mm_lodge_begin(&raw mut *self.raw) })?;
        note(Gone { mask: self.raw.gone, frames: &self.raw.pfn });
        // SAFETY: begun above.
        unsafe { raw::kpi_mm_lodge_end(&raw mut *self.raw) };
        Ok(self.raw.gone)
    }
}

/// A process whose pages may go.
pub struct Process {
    /// Its address space.
    pub mm: MmName,
    /// Its pid in the first namespace.
    pub pid: u32,
    /// A number that is its pid namespace's, see [`PidNs::number`](crate::task::PidNs::number).
    pub ns: u64,
}

/// Looks at the processes of this machine, in room that was made once.
pub struct Processes(Vec<raw::kpi_process>);

const NO_PROCESS: raw::kpi_process =
    raw::kpi_process { mm: core::ptr::null_mut(), pid_ns: core::ptr::null_mut(), pid: 0, pad: 0 };

impl Processes {
    /// For `most` processes.
    pub fn new(most: usize) -> Result<Self> {
        let mut room = Vec::new();
        room.try_reserve_exact(most)?;
        room.resize(most, NO_PROCESS);
        Ok(Self(room))
    }

    /// Gives each to `take`, but for the kernel's, inits, and those that must not be killed for
    /// memory; as many as there is room for. Allocates nothing.
    pub fn each(&mut self, mut take: impl FnMut(Process)) -> Result {
        let most = self.0.len() as u64;
        // SAFETY: there are that many entries.
        let count = Errno::check_len(unsafe { raw::kpi_processes(self.0.as_mut_ptr(), most) })?;
        for process in self.0.iter_mut().take(count) {
            let process = core::mem::replace(process, NO_PROCESS);
            if let Some(raw) = NonNull::new(process.mm) {
                let ns = process.pid_ns as u64;
                take(Process { mm: MmName { raw }, pid: process.pid, ns });
            }
        }
        Ok(())
    }
}

/// Makes memory free before a process is killed for it: gives how many pages. In the context of any
/// task that allocates; it may sleep, but only for a few seconds.
pub type LastCall = fn() -> u64;

static LAST_CALL: Global<LastCall> = Global::new();

/// While it lives, the last call is made.
pub struct OutOfMemory(());

impl OutOfMemory {
    /// Begins; once in the module's life.
    pub fn begin(call: LastCall) -> Result<Self> {
        LAST_CALL.set(call)?;
        // SAFETY: ended when this is dropped.
        Errno::check(unsafe { raw::kpi_oom_begin() }).map(|_| Self(()))
    }

    /// Forgets whom to call.
    pub fn clear(token: &Unloading) {
        LAST_CALL.clear(token);
    }
}

impl Drop for OutOfMemory {
    fn drop(&mut self) {
        // SAFETY: begun; waits until nobody calls.
        unsafe { raw::kpi_oom_end() }
    }
}

#[no_mangle]
extern "C" fn kapi_mm_oom() -> u64 {
    LAST_CALL.get().map_or(0, |call| call())
}
