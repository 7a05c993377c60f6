//! Laying out the address space of a process on its way in.

use alloc::{boxed::Box, sync::Arc, vec::Vec};

use ckpt::{
    manifest::Memory,
    object::{
        file::FileKind,
        places::{PageRange, Piece, Places},
        vma::{Vma, VmaFlags, VmaKind},
    },
    Final,
};
use kapi::{binfmt::Bprm, ctl, fileref::FileRef, mm::Mm, own::Own, task::MmInfo, Errno, Result};

use super::{incoming::Incoming, record::Record, restorer::Control, surrogate, survey::vm};
use crate::memory::space::Target;

const PROT_READ: u64 = 1;
const PROT_WRITE: u64 = 2;
const PROT_EXEC: u64 = 4;
const MAP_SHARED: u64 = 1;
const MAP_PRIVATE: u64 = 2;
const MAP_ANONYMOUS: u64 = 0x20;
const MAP_GROWSDOWN: u64 = 0x100;
const MAP_NORESERVE: u64 = 0x4000;
const O_RDONLY: u32 = 0;
const PAGE_LEN: u64 = 4096;

/// The exec of an image by its helper.
pub(crate) fn image(own: &Own, bprm: &Bprm<'_>, incoming: &Arc<Incoming>) -> Result {
    let memory = incoming.manifest.memory().ok_or(Errno::EINVAL)?;
    // What can fail without harm comes first.
    let exe = FileRef::open(&memory.exe.path, O_RDONLY)?;
    let files = open_mapped(memory)?;
    let format = bprm.format_now();
    bprm.begin(incoming.manifest.task.personality)?;
    bprm.keep_format(&format);
    let made = make(own, bprm, incoming, memory, (&exe, &files));
    match (made, &incoming.record) {
        (Err(errno), Some(record)) => back_to_surrogate(own, bprm, incoming, record, errno),
        (made, _) => made,
    }
}

#[inline(never)]
fn make(
    own: &Own,
    bprm: &Bprm<'_>,
    incoming: &Arc<Incoming>,
    memory: &Memory,
    (exe, files): (&FileRef, &[Option<FileRef>]),
) -> Result {
    lay_out(own, memory, files)?;
    own.set_mm_info(&mm_info(memory));
    own.set_exe(exe)?;
    let mut comm = [0; 16];
    let name = &incoming.manifest.task.comm;
    comm[..name.len()].copy_from_slice(name);
    own.set_comm(&comm);
    insert(incoming, memory, &memory.places)?;
    enter_restorer(own, bprm, incoming, memory)
}

/// Past the point of no return an error would end the task, and with it the body elsewhere.
#[inline(never)]
fn back_to_surrogate(
    own: &Own,
    bprm: &Bprm<'_>,
    incoming: &Incoming,
    record: &Arc<Record>,
    errno: Errno,
) -> Result {
    let fd = surrogate::prepare(own, record, &[])?;
    let stub = record.state.lock().stub.ok_or(Errno::EIO)?;
    bprm.start(stub.code, u64::from(fd), stub.data, 0)?;
    incoming.turned_back(errno);
    Ok(())
}

fn open_mapped(memory: &Memory) -> Result<Vec<Option<FileRef>>> {
    let mut files: Vec<Option<FileRef>> = Vec::new();
    files.try_reserve_exact(memory.vmas.0.len())?;
    let mut last: Option<(&[u8], FileRef)> = None;
    for vma in &memory.vmas.0 {
        let (VmaKind::FilePrivate(mapped) | VmaKind::FileShared(mapped)) = &vma.kind else {
            files.push(None);
            continue;
        };
        let file = match &last {
            Some((path, file)) if *path == mapped.path.as_slice() => file.clone(),
            _ => FileRef::open(&mapped.path, O_RDONLY)?,
        };
        if file.info().size != mapped.size_bytes {
            log::warn!("{}: another file here", mapped.path.escape_ascii());
            return Err(Errno::ESTALE);
        }
        last = Some((mapped.path.as_slice(), file.clone()));
        files.push(Some(file));
    }
    Ok(files)
}

fn lay_out(own: &Own, memory: &Memory, files: &[Option<FileRef>]) -> Result {
    let all = || memory.vmas.0.iter().zip(files);
    // Those with hints first: only one that is alone, or beside one with others, stays by itself.
    for (vma, file) in all().filter(|(vma, _)| hints(vma) != 0) {
        map(own, vma, file.as_ref())?;
    }
    for (vma, file) in all().filter(|(vma, _)| hints(vma) == 0) {
        map(own, vma, file.as_ref())?;
    }
    Ok(())
}

/// What a program asked for by `madvise`. Merging of equal pages can't be asked for again from
/// here, and nobody can tell.
fn hints(vma: &Vma) -> u64 {
    let bits = [
        (VmaFlags::DONTFORK, vm::DONTCOPY),
        (VmaFlags::DONTDUMP, vm::DONTDUMP),
        (VmaFlags::WIPEONFORK, vm::WIPEONFORK),
        (VmaFlags::SEQUENTIAL, vm::SEQ_READ),
        (VmaFlags::RANDOM, vm::RAND_READ),
        (VmaFlags::HUGEPAGE, vm::HUGEPAGE),
        (VmaFlags::NOHUGEPAGE, vm::NOHUGEPAGE),
    ];
    bits.iter().filter(|(flag, _)| vma.flags.contains(*flag)).fold(0, |all, (_, bit)| all | bit)
}

fn map(own: &Own, vma: &Vma, file: Option<&FileRef>) -> Result {
    let bit = |flag, value| if vma.flags.contains(flag) { value } else { 0 };
    let prot = bit(VmaFlags::READ, PROT_READ)
        | bit(VmaFlags::WRITE, PROT_WRITE)
        | bit(VmaFlags::EXEC, PROT_EXEC);
    let reserve = bit(VmaFlags::NORESERVE, MAP_NORESERVE);
    let (flags, page_offset) = match &vma.kind {
        VmaKind::Special => return Ok(()),
        VmaKind::Anon | VmaKind::Stack => {
            (MAP_PRIVATE | MAP_ANONYMOUS | bit(VmaFlags::GROWSDOWN, MAP_GROWSDOWN), 0)
        }
        VmaKind::FilePrivate(mapped) => (MAP_PRIVATE, mapped.page_offset),
        VmaKind::FileShared(mapped) => (MAP_SHARED, mapped.page_offset),
    };
    let file = file.map(|file| (file, page_offset));
    own.map(vma.start, vma.end - vma.start, prot, flags | reserve, file)?;
    match hints(vma) {
        0 => Ok(()),
        hints => own.hint(vma.start, vma.end, hints),
    }
}

#[inline(never)]
fn mm_info(memory: &Memory) -> Box<MmInfo> {
    let mm = &memory.mm;
    let mut info = Box::new(MmInfo {
        start_code: mm.start_code,
        end_code: mm.end_code,
        start_data: mm.start_data,
        end_data: mm.end_data,
        start_brk: mm.start_brk,
        brk: mm.brk,
        start_stack: mm.start_stack,
        arg_start: mm.arg_start,
        arg_end: mm.arg_end,
        env_start: mm.env_start,
        env_end: mm.env_end,
        mmap_base: mm.mmap_base,
        mmap_legacy_base: mm.mmap_base,
        ..MmInfo::default()
    });
    for (to, from) in info.auxv.iter_mut().zip(mm.auxv.chunks_exact(8)) {
        *to = from.first_chunk().map_or(0, |word| u64::from_ne_bytes(*word));
        info.auxv_count += 1;
    }
    info
}

/// Puts the pages that live at the source in their places, mapping by mapping.
fn insert(incoming: &Incoming, memory: &Memory, places: &Places) -> Result {
    let mm = Mm::current().ok_or(Errno::EINVAL)?;
    let space = incoming.space.lock();
    let Some(space) = space.as_ref() else {
        return if places.pages() == 0 { Ok(()) } else { Err(Errno::EINVAL) };
    };
    for vma in memory.vmas.0.iter().filter(|vma| vma.has_places()) {
        for range in places.within(vma.start / PAGE_LEN, vma.end / PAGE_LEN) {
            if vma.is_anon() {
                insert_anon(space, &mm, places, range)?;
            } else {
                space.replace(&mm, range.start * PAGE_LEN, range.count)?;
            }
        }
    }
    Ok(())
}

fn enter_restorer(own: &Own, bprm: &Bprm<'_>, incoming: &Arc<Incoming>, memory: &Memory) -> Result {
    let (start, end) = (memory.mm.vdso_start, memory.mm.vdso_end);
    // So that the restorer does not lie where the vDSO goes.
    if end > start {
        own.map(start, end - start, 0, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, None)?;
    }
    let restorer = own.map_restorer()?;
    if end > start {
        own.unmap(start, end - start)?;
    }
    let fd = ctl::open(own, Arc::new(Control(incoming.clone())), 0)?;
    incoming.note_restorer(restorer, fd);
    bprm.start(restorer.code, u64::from(fd), start, restorer.data)
}

/// In the restorer's last call: what it needed goes.
#[inline(never)]
pub(crate) fn clean_up(own: &Own, incoming: &Incoming) -> Result {
    let Some((restorer, fd)) = incoming.take_restorer() else {
        return Ok(());
    };
    own.unmap_restorer(&restorer)?;
    own.close(fd)
}

/// Puts in what changed in the layout between the manifest and the freeze, and positions.
#[inline(never)]
pub(crate) fn apply(own: &Own, incoming: &Incoming, part: &Final) -> Result {
    let memory = incoming.manifest.memory().ok_or(Errno::EINVAL)?;
    for span in &part.change.unmap {
        own.unmap(span.start, span.end - span.start)?;
    }
    for vma in &part.change.map {
        map(own, vma, None)?;
    }
    if part.change.brk != memory.mm.brk {
        let mut info = mm_info(memory);
        info.brk = part.change.brk;
        own.set_mm_info(&info);
    }
    insert_changed(incoming, memory, part)?;
    refresh_files(incoming);
    for position in &part.positions.0 {
        let fd = incoming.manifest.files.fds.iter().find(|fd| fd.group == position.group);
        if let Some(fd) = fd {
            let number = i32::try_from(fd.fd).map_err(|_| Errno::EBADF)?;
            // What can't be positioned has no position to lose.
            let _ = FileRef::of_fd(number)?.seek(position.position);
        }
    }
    for fd in incoming.manifest.files.fds.iter().filter(|fd| fd.cloexec) {
        own.set_cloexec(fd.fd);
    }
    Ok(())
}

/// The files were opened while the process still wrote to them elsewhere. A client of a file server
/// that believed the old size would fill the gap up to its first write with zeros.
fn refresh_files(incoming: &Incoming) {
    let files = &incoming.manifest.files;
    for (group, kind) in (0u32..).zip(&files.descriptions) {
        let fd = files.fds.iter().find(|fd| fd.group == group);
        if let (FileKind::Path { .. }, Some(fd)) = (kind, fd) {
            let file = i32::try_from(fd.fd).ok().and_then(|fd| FileRef::of_fd(fd).ok());
            // A server that can't be asked will tell the process itself, at its next call.
            let _ = file.map(|file| file.refresh());
        }
    }
}

/// Huge pages as such, as far as that can be.
fn insert_anon(space: &Target, mm: &Mm, places: &Places, range: PageRange) -> Result {
    for Piece { range, huge } in places.pieces(range) {
        if huge {
            space.insert_huge(mm, range.start * PAGE_LEN, range.count)?;
        } else {
            space.insert(mm, range.start * PAGE_LEN, range.count)?;
        }
    }
    Ok(())
}

fn insert_changed(incoming: &Incoming, memory: &Memory, part: &Final) -> Result {
    let mm = Mm::current().ok_or(Errno::EINVAL)?;
    let space = incoming.space.lock();
    let Some(space) = space.as_ref() else {
        return if part.places.pages() == 0 { Ok(()) } else { Err(Errno::EINVAL) };
    };
    for range in part.places.ranges() {
        insert_range(space, &mm, memory, &part.places, *range)?;
    }
    Ok(())
}

/// Part by part, as the mappings of the manifest lie; what is between them was mapped since.
fn insert_range(
    space: &Target,
    mm: &Mm,
    memory: &Memory,
    places: &Places,
    range: PageRange,
) -> Result {
    let (mut at, end) = (range.start, range.end());
    while at < end {
        let index = memory.vmas.0.partition_point(|vma| vma.end / PAGE_LEN <= at);
        let vma = memory.vmas.0.get(index);
        let covered = vma.filter(|vma| vma.start / PAGE_LEN <= at);
        let edge = match (covered, vma) {
            (Some(vma), _) => vma.end / PAGE_LEN,
            (None, Some(next)) => next.start / PAGE_LEN,
            (None, None) => end,
        };
        let stop = edge.min(end);
        let file = covered.is_some_and(|vma| matches!(vma.kind, VmaKind::FilePrivate(_)));
        if file {
            space.replace(mm, at * PAGE_LEN, stop - at)?;
        } else {
            let range = PageRange { start: at, count: stop - at };
            insert_anon(space, mm, places, range)?;
        }
        at = stop;
    }
    Ok(())
}

/// Released: the last that the task does in the kernel before it runs.
#[inline(never)]
pub(crate) fn finish(own: &Own, incoming: &Incoming) {
    let part = incoming.final_part.lock().take();
    let Some(part) = part else { return };
    let pending = super::live::pending_in(&part).unwrap_or_default();
    own.send_self(&pending);
}
