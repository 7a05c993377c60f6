//! All that can be told of a process from outside: the ground for its eligibility and its manifest.

use alloc::{boxed::Box, vec::Vec};

use ckpt::limits::{FDS_MAX, VMAS_MAX};
use kapi::{
    fileref::FileRef,
    mm::Mm,
    task::{Facts, Fd, Mapping, MmInfo, Task},
    Result,
};

/// The kernel's `VM_*` bits that matter here.
pub(crate) mod vm {
    pub(crate) const READ: u64 = 1;
    pub(crate) const WRITE: u64 = 1 << 1;
    pub(crate) const EXEC: u64 = 1 << 2;
    pub(crate) const SHARED: u64 = 1 << 3;
    pub(crate) const MAYWRITE: u64 = 1 << 5;
    pub(crate) const GROWSDOWN: u64 = 1 << 8;
    pub(crate) const UFFD: u64 = 1 << 9 | 1 << 12 | 1 << 41;
    /// Guard pages without a mapping of their own.
    pub(crate) const MAYBE_GUARD: u64 = 1 << 11;
    /// Protection keys.
    pub(crate) const PKEY: u64 = 0x1f << 32;
    pub(crate) const SHADOW_STACK: u64 = 1 << 37;
    pub(crate) const SEALED: u64 = 1 << 42;
    /// What can't be made again elsewhere. Not among it is memory that the kernel may drop: libc
    /// keeps the state of `getrandom` in such, and as ordinary memory it is just never dropped.
    pub(crate) const STRANGE: u64 = MAYBE_GUARD | PKEY | SHADOW_STACK | SEALED;
    pub(crate) const PFNMAP: u64 = 1 << 10;
    pub(crate) const LOCKED: u64 = 1 << 13;
    pub(crate) const IO: u64 = 1 << 14;
    pub(crate) const SEQ_READ: u64 = 1 << 15;
    pub(crate) const RAND_READ: u64 = 1 << 16;
    pub(crate) const DONTCOPY: u64 = 1 << 17;
    pub(crate) const NORESERVE: u64 = 1 << 21;
    pub(crate) const HUGETLB: u64 = 1 << 22;
    pub(crate) const WIPEONFORK: u64 = 1 << 25;
    pub(crate) const DONTDUMP: u64 = 1 << 26;
    pub(crate) const MIXEDMAP: u64 = 1 << 28;
    pub(crate) const HUGEPAGE: u64 = 1 << 29;
    pub(crate) const NOHUGEPAGE: u64 = 1 << 30;
    pub(crate) const MERGEABLE: u64 = 1 << 31;
}

/// A look at a process.
pub(crate) struct Survey {
    pub(crate) facts: Box<Facts>,
    /// It holds a lock or lease on a file.
    pub(crate) locks: bool,
    pub(crate) groups: Vec<u32>,
    pub(crate) fds: Vec<Fd>,
    pub(crate) mappings: Vec<Mapping>,
    pub(crate) mm: Mm,
    pub(crate) mm_info: Box<MmInfo>,
    pub(crate) exe: FileRef,
    pub(crate) cwd: Vec<u8>,
    pub(crate) root: Vec<u8>,
    pub(crate) init_root: Vec<u8>,
}

impl Survey {
    /// References to a file that the process has and that this look took.
    pub(crate) fn refs_of(&self, file: &FileRef) -> u64 {
        let same = |other: &FileRef| other.identity() == file.identity();
        let fds = self.fds.iter().filter(|fd| same(&fd.file)).count();
        let mapped = self.mappings.iter().filter(|mapping| mapping.file.as_ref().is_some_and(same));
        2 * (fds + mapped.count()) as u64
    }
}

/// Looks at a process without disturbing it; `init` has its job's namespaces.
#[inline(never)]
pub(crate) fn survey(task: &Task, init: &Task) -> Result<Survey> {
    let facts = task.facts(init)?;
    let mm = task.mm()?;
    let fds = task.fds(FDS_MAX)?;
    let mappings = mm.vmas(VMAS_MAX)?;
    // A lock outlives its descriptor if the file is still mapped.
    let mapped = mappings.iter().filter_map(|mapping| mapping.file.as_ref());
    let locks = fds.iter().map(|fd| &fd.file).chain(mapped).any(|file| task.holds_lock(file));
    Ok(Survey {
        groups: task.groups(facts.groups_count)?,
        fds,
        mappings,
        locks,
        mm_info: mm.info(),
        exe: task.exe()?,
        cwd: task.cwd()?,
        root: task.root()?,
        init_root: init.root()?,
        facts,
        mm,
    })
}
