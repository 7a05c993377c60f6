//! Tasks, seen from outside.

use core::ptr::NonNull;

use rust_alloc::{boxed::Box, vec::Vec};

use crate::{
    alloc::zeroed_vec,
    errno::{Errno, Result},
    fileref::FileRef,
    mm::Mm,
    raw,
};

/// What can be seen of a process without disturbing it.
pub use crate::raw::kpi_facts as Facts;
/// The numbers of an address space.
pub use crate::raw::kpi_mm_info as MmInfo;

/// A pid namespace.
pub struct PidNs(NonNull<raw::pid_namespace>);

// SAFETY: a counted reference to an object with its own locks.
unsafe impl Send for PidNs {}
// SAFETY: as above.
unsafe impl Sync for PidNs {}

impl PidNs {
    /// The namespace whose first process is `pid` of the caller's namespace.
    pub fn of_init(pid: i32) -> Result<Self> {
        // SAFETY: no condition on the caller.
        NonNull::new(unsafe { raw::kpi_ns_of_init(pid) }).map(Self).ok_or(Errno::ESRCH)
    }

    /// Whether it is the calling task's.
    pub fn is_current(&self) -> bool {
        // SAFETY: no condition on the caller.
        unsafe { raw::kpi_ns_current() == self.0.as_ptr() }
    }

    /// A number that is this namespace's as long as it is referred to.
    pub fn number(&self) -> u64 {
        self.0.as_ptr() as u64
    }

    /// Whether both are the same.
    pub fn same(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Drop for PidNs {
    fn drop(&mut self) {
        // SAFETY: we have a reference.
        unsafe { raw::kpi_ns_put(self.0.as_ptr()) }
    }
}

/// A process, by its leader.
pub struct Task(NonNull<raw::task_struct>);

// SAFETY: a counted reference to an object with its own locks.
unsafe impl Send for Task {}
// SAFETY: as above.
unsafe impl Sync for Task {}

impl Task {
    /// The process with this number in a namespace.
    pub fn find(ns: &PidNs, pid: i32) -> Result<Self> {
        // SAFETY: a live namespace.
        let raw = unsafe { raw::kpi_task_find(ns.0.as_ptr(), pid) };
        NonNull::new(raw).map(Self).ok_or(Errno::ESRCH)
    }

    /// The process with this number in the caller's namespace.
    pub fn find_here(pid: i32) -> Result<Self> {
        // SAFETY: no condition on the caller.
        NonNull::new(unsafe { raw::kpi_task_find_here(pid) }).map(Self).ok_or(Errno::ESRCH)
    }

    /// The calling process.
    pub fn current() -> Result<Self> {
        // SAFETY: no condition on the caller.
        NonNull::new(unsafe { raw::kpi_task_current() }).map(Self).ok_or(Errno::ESRCH)
    }

    pub(crate) fn as_raw(&self) -> *mut raw::task_struct {
        self.0.as_ptr()
    }

    /// Whether it is the calling process.
    pub fn is_current(&self) -> bool {
        // SAFETY: a live task.
        unsafe { raw::kpi_task_is_current(self.as_raw()) }
    }

    /// Whether the calling thread is its first.
    pub fn is_this_thread(&self) -> bool {
        // SAFETY: a live task.
        unsafe { raw::kpi_task_is_this_thread(self.as_raw()) }
    }

    /// Its number in a namespace, 0 if it has none there.
    pub fn pid_in(&self, ns: &PidNs) -> i32 {
        // SAFETY: both live.
        unsafe { raw::kpi_task_pid(self.as_raw(), ns.0.as_ptr()) }
    }

    /// Its number in the caller's namespace, 0 if it has none there.
    pub fn pid_here(&self) -> i32 {
        // SAFETY: a live task.
        unsafe { raw::kpi_task_pid(self.as_raw(), core::ptr::null_mut()) }
    }

    /// Its command name.
    pub fn comm(&self) -> [u8; 16] {
        let mut comm = [0; 16];
        // SAFETY: a live task, 16 bytes.
        unsafe { raw::kpi_task_comm(self.as_raw(), comm.as_mut_ptr()) };
        comm
    }

    /// Whether it has ended or is about to.
    pub fn dead(&self) -> bool {
        // SAFETY: a live task.
        unsafe { raw::kpi_task_dead(self.as_raw()) }
    }

    /// Waits, a short while at most, until the task has gone to sleep; `ESRCH` if it has ended.
    /// What keeps it from ending after that is the caller's business.
    pub fn settled(&self, timeout_us: u32) -> Result {
        // SAFETY: a live task.
        Errno::check(unsafe { raw::kpi_task_settled(self.as_raw(), timeout_us) }).map(drop)
    }

    /// Whether it sleeps where no signal wakes it, and did nothing else for that long. Waits so
    /// long at most, and only if it sleeps so now.
    pub fn is_stuck(&self, watch_us: u32) -> bool {
        // SAFETY: a live task.
        unsafe { raw::kpi_task_stuck(self.as_raw(), watch_us) }
    }

    /// Whether it holds a lock or lease on a file that it has open.
    pub fn holds_lock(&self, file: &FileRef) -> bool {
        // SAFETY: a live file and a live task.
        unsafe { raw::kpi_file_locked(file.as_raw(), self.as_raw()) }
    }

    /// Its address space.
    pub fn mm(&self) -> Result<Mm> {
        // SAFETY: a live task; the result is a reference.
        unsafe { Mm::from_raw(raw::kpi_task_mm(self.as_raw())) }.ok_or(Errno::ESRCH)
    }

    /// What can be seen of it; `init` has the namespaces that it should have.
    pub fn facts(&self, init: &Self) -> Result<Box<Facts>> {
        let mut facts = Box::<Facts>::default();
        // SAFETY: live tasks, a writable structure.
        let rc = unsafe { raw::kpi_facts(self.as_raw(), init.as_raw(), &raw mut *facts) };
        Errno::check(rc).map(|_| facts)
    }

    /// Its supplementary groups, in the first user namespace's numbers.
    pub fn groups(&self, count: u32) -> Result<Vec<u32>> {
        let mut groups = Vec::new();
        groups.try_reserve_exact(count as usize)?;
        groups.resize(count as usize, 0);
        // SAFETY: a live task, room for `count`.
        let n = unsafe { raw::kpi_groups(self.as_raw(), groups.as_mut_ptr(), count) };
        groups.truncate(Errno::check_len(n)?);
        Ok(groups)
    }

    /// Its open files, in ascending order.
    pub fn fds(&self, count_max: usize) -> Result<Vec<Fd>> {
        const BATCH: usize = 64;
        let mut next = 0u32;
        let mut fds = Vec::new();
        while next != u32::MAX {
            let mut batch = [raw::kpi_fd::default(); BATCH];
            // SAFETY: a live task, room for BATCH entries.
            let n = unsafe {
                raw::kpi_fds(self.as_raw(), &raw mut next, batch.as_mut_ptr(), BATCH as u32)
            };
            fds.try_reserve(BATCH)?;
            for entry in batch.iter().take(Errno::check_len(n)?) {
                // SAFETY: the entry came with a reference.
                if let Some(file) = unsafe { FileRef::from_raw(entry.file) } {
                    fds.push(Fd { fd: entry.fd, cloexec: entry.cloexec != 0, file });
                }
            }
            if fds.len() > count_max {
                return Err(Errno::E2BIG);
            }
        }
        Ok(fds)
    }

    /// How many of its descriptors are for a file.
    pub fn fd_refs(&self, file: &FileRef) -> u64 {
        let fds = self.fds(usize::MAX).unwrap_or_default();
        fds.iter().filter(|fd| fd.file.identity() == file.identity()).count() as u64
    }

    /// Its executable.
    pub fn exe(&self) -> Result<FileRef> {
        // SAFETY: a live task; the result is a reference.
        unsafe { FileRef::from_raw(raw::kpi_task_exe(self.as_raw())) }.ok_or(Errno::ENOENT)
    }

    /// Its working directory.
    pub fn cwd(&self) -> Result<Vec<u8>> {
        self.dir(0)
    }

    /// Its root directory.
    pub fn root(&self) -> Result<Vec<u8>> {
        self.dir(1)
    }

    fn dir(&self, which: u32) -> Result<Vec<u8>> {
        let mut path = zeroed_vec(raw::KPI_FILE_NAME_LEN_MAX as usize)?;
        // SAFETY: a live task, a buffer of that length.
        let n = unsafe { raw::kpi_task_dir(self.as_raw(), which, path.as_mut_ptr(), path.len()) };
        path.truncate(Errno::check_len(n)?);
        Ok(path)
    }

    /// Sends it SIGKILL.
    pub fn kill(&self) {
        // SAFETY: a live task.
        unsafe { raw::kpi_kill(self.as_raw()) }
    }

    /// Sends it a signal, with what came with it.
    pub fn signal(&self, signal: &crate::own::SigInfo) -> Result {
        // SAFETY: a live task, a whole structure.
        Errno::check(unsafe { raw::kpi_signal_send(self.as_raw(), signal) }).map(drop)
    }

    /// Writes the registers of a task that sleeps in the kernel ([`Task::settled`]) and can't end.
    pub fn set_regs(&self, regs: &[u64; raw::KPI_REGS as usize]) -> Result {
        // SAFETY: a live task, KPI_REGS words.
        Errno::check(unsafe { raw::kpi_regs_set(self.as_raw(), regs.as_ptr()) }).map(drop)
    }
}

impl Clone for Task {
    fn clone(&self) -> Self {
        // SAFETY: a live task.
        unsafe { raw::kpi_task_get(self.as_raw()) };
        Self(self.0)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // SAFETY: we have a reference.
        unsafe { raw::kpi_task_put(self.as_raw()) }
    }
}

/// A file that a process has open.
pub struct Fd {
    /// Its number.
    pub fd: u32,
    /// Closed at exec.
    pub cloexec: bool,
    /// The file.
    pub file: FileRef,
}

impl Mm {
    /// Its numbers.
    pub fn info(&self) -> Box<MmInfo> {
        let mut info = Box::<MmInfo>::default();
        // SAFETY: a live address space, a writable structure.
        unsafe { raw::kpi_mm_info(self.as_raw(), &raw mut *info) };
        info
    }

    /// Its mappings, in ascending order.
    pub fn vmas(&self, count_max: usize) -> Result<Vec<Mapping>> {
        // SAFETY: a live address space.
        let guess = unsafe { raw::kpi_vma_count(self.as_raw()) } as usize + 64;
        let room = guess.min(count_max);
        let mut list: Vec<raw::kpi_vma> = Vec::new();
        list.try_reserve_exact(room)?;
        list.resize(room, raw::kpi_vma::default());
        // SAFETY: a live address space, room for that many.
        let n = unsafe { raw::kpi_vmas(self.as_raw(), list.as_mut_ptr(), room as u64) };
        let n = Errno::check_len(n)?;
        let mut mappings = Vec::new();
        let reserved = mappings.try_reserve_exact(n);
        for vma in list.iter().take(n) {
            // SAFETY: the entry came with a reference.
            let file = unsafe { FileRef::from_raw(vma.file) };
            if reserved.is_ok() {
                mappings.push(Mapping {
                    start: vma.start,
                    end: vma.end,
                    flags: vma.flags,
                    page_off: vma.page_off,
                    file,
                    anon: vma.anon != 0,
                    special: vma.special != 0,
                });
            }
        }
        reserved?;
        Ok(mappings)
    }
}

/// A mapping of an address space.
pub struct Mapping {
    /// Its first byte.
    pub start: u64,
    /// The byte after its last.
    pub end: u64,
    /// The kernel's `VM_*`.
    pub flags: u64,
    /// Where in the file it starts, in pages.
    pub page_off: u64,
    /// What it maps.
    pub file: Option<FileRef>,
    /// Plain anonymous memory.
    pub anon: bool,
    /// The kernel's own: vDSO and its like.
    pub special: bool,
}
