//! From a survey to the image's manifest.

use alloc::{boxed::Box, vec::Vec};

use ckpt::{
    manifest::{Body, Memory},
    object::{
        creds::{Caps, Creds, Ids},
        exec::Exec,
        file::{Fd as ImageFd, FileKind, Files},
        fs::{Exe, Fs},
        mm::Mm as ImageMm,
        places::Places,
        subject::Subject,
        task::{Rlimit, Task as ImageTask},
        vma::{MappedFile, Vma, VmaFlags, VmaKind, Vmas},
    },
    Bytes, Manifest,
};
use kapi::{
    fileref::FileRef,
    task::{Facts, Fd, Mapping, MmInfo},
    Errno, Result,
};
use zerocopy::IntoBytes;

use super::survey::{vm, Survey};

/// What the image says about an open file.
pub(crate) type Describe<'a> = &'a mut dyn FnMut(&FileRef) -> Result<FileKind>;

fn copy(bytes: &[u8]) -> Result<Bytes> {
    Ok(Bytes::copy_of(bytes)?)
}

/// The manifest of a running process.
#[inline(never)]
pub(crate) fn live(
    survey: &Survey,
    subject: Subject,
    places: Places,
    describe: Describe<'_>,
) -> Result<Box<Manifest>> {
    let memory = Memory {
        exe: Exe { path: copy(&survey.exe.path()?)? },
        mm: mm(&survey.mm_info, &survey.mappings)?,
        vmas: vmas(&survey.mappings, survey.mm_info.start_stack)?,
        places,
    };
    Ok(Box::new(Manifest {
        subject,
        task: task(&survey.facts)?,
        creds: creds(&survey.facts, &survey.groups)?,
        fs: Fs { cwd: copy(&survey.cwd)?, umask: survey.facts.umask.unsigned_abs() },
        files: files(&survey.fds, Keep::All, describe)?,
        body: Body::Live(memory),
    }))
}

/// What is taken of a process that is about to execute a file.
pub(crate) struct Context<'a> {
    pub(crate) facts: &'a Facts,
    pub(crate) groups: &'a [u32],
    pub(crate) fds: &'a [Fd],
    pub(crate) cwd: &'a [u8],
}

/// The manifest of an exec.
#[inline(never)]
pub(crate) fn exec(
    context: &Context<'_>,
    subject: Subject,
    exec: Exec,
    describe: Describe<'_>,
) -> Result<Box<Manifest>> {
    Ok(Box::new(Manifest {
        subject,
        task: task(context.facts)?,
        creds: creds(context.facts, context.groups)?,
        fs: Fs { cwd: copy(context.cwd)?, umask: context.facts.umask.unsigned_abs() },
        files: files(context.fds, Keep::OverExec, describe)?,
        body: Body::Exec(exec),
    }))
}

fn task(facts: &Facts) -> Result<ImageTask> {
    let len = facts.comm.iter().position(|byte| *byte == 0).unwrap_or(15).min(15);
    let mut rlimits = [Rlimit::default(); 16];
    for (limit, (soft, hard)) in rlimits.iter_mut().zip(facts.rlim_cur.iter().zip(&facts.rlim_max))
    {
        *limit = Rlimit { soft: *soft, hard: *hard };
    }
    Ok(ImageTask {
        comm: copy(&facts.comm[..len])?,
        personality: facts.personality,
        nice: facts.nice,
        rlimits,
        oom_score_adj: facts.oom_score_adj,
        utime_ns: facts.utime_ns,
        stime_ns: facts.stime_ns,
    })
}

fn creds(facts: &Facts, groups: &[u32]) -> Result<Creds> {
    let mut copied = Vec::new();
    copied.try_reserve_exact(groups.len())?;
    copied.extend_from_slice(groups);
    Ok(Creds {
        user: Ids { real: facts.uid, effective: facts.euid, saved: facts.suid, fs: facts.fsuid },
        group: Ids { real: facts.gid, effective: facts.egid, saved: facts.sgid, fs: facts.fsgid },
        groups: copied,
        caps: Caps {
            inheritable: facts.cap_inheritable,
            permitted: facts.cap_permitted,
            effective: facts.cap_effective,
            bounding: facts.cap_bset,
            ambient: facts.cap_ambient,
        },
        securebits: facts.securebits,
        dumpable: u8::try_from(facts.dumpable).unwrap_or(0),
        no_new_privs: facts.no_new_privs != 0,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    All,
    OverExec,
}

fn files(fds: &[Fd], keep: Keep, describe: Describe<'_>) -> Result<Files> {
    let mut seen: Vec<usize> = Vec::new();
    let mut files = Files::default();
    for fd in fds.iter().filter(|fd| keep == Keep::All || !fd.cloexec) {
        let identity = fd.file.identity();
        let group = match seen.iter().position(|one| *one == identity) {
            Some(group) => group,
            None => {
                seen.try_reserve(1)?;
                files.descriptions.try_reserve(1)?;
                files.descriptions.push(describe(&fd.file)?);
                seen.push(identity);
                seen.len() - 1
            }
        };
        let group = u32::try_from(group).map_err(|_| Errno::E2BIG)?;
        files.fds.try_reserve(1)?;
        files.fds.push(ImageFd { fd: fd.fd, group, cloexec: fd.cloexec });
    }
    Ok(files)
}

fn mm(info: &MmInfo, mappings: &[Mapping]) -> Result<ImageMm> {
    let special = || mappings.iter().filter(|mapping| mapping.special);
    let used = usize::try_from(info.auxv_count).unwrap_or(0).min(info.auxv.len());
    // Pairs only, up to and with the one that ends the vector.
    let end = info.auxv[..used].chunks_exact(2).position(|pair| pair.first() == Some(&0));
    let words = end.map_or(used & !1, |end| (end + 1) * 2);
    Ok(ImageMm {
        start_code: info.start_code,
        end_code: info.end_code,
        start_data: info.start_data,
        end_data: info.end_data,
        start_brk: info.start_brk,
        brk: info.brk,
        start_stack: info.start_stack,
        arg_start: info.arg_start,
        arg_end: info.arg_end,
        env_start: info.env_start,
        env_end: info.env_end,
        mmap_base: info.mmap_base,
        vdso_start: special().map(|mapping| mapping.start).min().unwrap_or(0),
        vdso_end: special().map(|mapping| mapping.end).max().unwrap_or(0),
        flags: 0,
        auxv: copy(info.auxv[..words].as_bytes())?,
    })
}

const FLAGS: [(u64, VmaFlags); 13] = [
    (vm::READ, VmaFlags::READ),
    (vm::WRITE, VmaFlags::WRITE),
    (vm::EXEC, VmaFlags::EXEC),
    (vm::GROWSDOWN, VmaFlags::GROWSDOWN),
    (vm::NORESERVE, VmaFlags::NORESERVE),
    (vm::HUGEPAGE, VmaFlags::HUGEPAGE),
    (vm::NOHUGEPAGE, VmaFlags::NOHUGEPAGE),
    (vm::DONTCOPY, VmaFlags::DONTFORK),
    (vm::DONTDUMP, VmaFlags::DONTDUMP),
    (vm::WIPEONFORK, VmaFlags::WIPEONFORK),
    (vm::SEQ_READ, VmaFlags::SEQUENTIAL),
    (vm::RAND_READ, VmaFlags::RANDOM),
    (vm::MERGEABLE, VmaFlags::MERGEABLE),
];

fn vmas(mappings: &[Mapping], start_stack: u64) -> Result<Vmas> {
    let mut vmas = Vec::new();
    vmas.try_reserve_exact(mappings.len())?;
    for mapping in mappings {
        let flags = FLAGS
            .iter()
            .filter(|(bit, _)| mapping.flags & bit != 0)
            .fold(VmaFlags::empty(), |all, (_, flag)| all | *flag);
        let holds_stack = mapping.start <= start_stack && start_stack < mapping.end;
        let kind = match &mapping.file {
            _ if mapping.special => VmaKind::Special,
            Some(file) if mapping.flags & vm::SHARED != 0 => {
                VmaKind::FileShared(mapped(file, mapping)?)
            }
            Some(file) => VmaKind::FilePrivate(mapped(file, mapping)?),
            None if mapping.flags & vm::GROWSDOWN != 0 && holds_stack => VmaKind::Stack,
            None => VmaKind::Anon,
        };
        vmas.push(Vma { start: mapping.start, end: mapping.end, flags, kind });
    }
    Ok(Vmas(vmas))
}

fn mapped(file: &FileRef, mapping: &Mapping) -> Result<MappedFile> {
    let info = file.info();
    Ok(MappedFile {
        path: copy(&file.path()?)?,
        page_offset: mapping.page_off,
        dev: info.dev,
        ino: info.ino,
        size_bytes: info.size,
        mtime_ns: i64::try_from(info.mtime_ns).unwrap_or(0),
    })
}
