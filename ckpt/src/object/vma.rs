//! Mappings.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use super::fs::{encode_path, path};
use crate::bytes::Bytes;
use crate::error::{DecodeError, EncodeError, Field};
use crate::image::{Kind, Reader, Record, Writer};
use crate::limits::{ADDRESS_MAX, PAGE_LEN, VMAS_MAX};

bitflags::bitflags! {
    /// What a mapping allows, and the advice that it was given.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct VmaFlags: u32 {
        /// It may be read.
        const READ = 1 << 0;
        /// It may be written.
        const WRITE = 1 << 1;
        /// It may be executed.
        const EXEC = 1 << 2;
        /// It grows down on a fault below it.
        const GROWSDOWN = 1 << 3;
        /// No memory was reserved for it.
        const NORESERVE = 1 << 4;
        /// `MADV_HUGEPAGE`.
        const HUGEPAGE = 1 << 5;
        /// `MADV_NOHUGEPAGE`.
        const NOHUGEPAGE = 1 << 6;
        /// `MADV_DONTFORK`.
        const DONTFORK = 1 << 7;
        /// `MADV_DONTDUMP`.
        const DONTDUMP = 1 << 8;
        /// `MADV_WIPEONFORK`.
        const WIPEONFORK = 1 << 9;
        /// `MADV_SEQUENTIAL`.
        const SEQUENTIAL = 1 << 10;
        /// `MADV_RANDOM`.
        const RANDOM = 1 << 11;
        /// `MADV_MERGEABLE`.
        const MERGEABLE = 1 << 12;
    }
}

/// A file that is mapped, and what shows that the target maps the same one.
#[derive(Debug, PartialEq, Eq)]
pub struct MappedFile {
    /// Its path, from the job's root.
    pub path: Bytes,
    /// Where in the file the mapping starts, in pages.
    pub page_offset: u64,
    /// The device's number at the source: only compared with others of the same image.
    pub dev: u64,
    /// The inode's number.
    pub ino: u64,
    /// The file's size.
    pub size_bytes: u64,
    /// The file's time of modification.
    pub mtime_ns: i64,
}

impl MappedFile {
    fn try_clone(&self) -> Result<Self, TryReserveError> {
        Ok(Self {
            path: self.path.try_clone()?,
            page_offset: self.page_offset,
            dev: self.dev,
            ino: self.ino,
            size_bytes: self.size_bytes,
            mtime_ns: self.mtime_ns,
        })
    }
}

/// What a mapping maps.
#[derive(Debug, PartialEq, Eq)]
pub enum VmaKind {
    /// Private anonymous memory, the heap among it.
    Anon,
    /// The main thread's stack.
    Stack,
    /// A private mapping of a file: pages of it that were written are anonymous memory.
    FilePrivate(MappedFile),
    /// A shared mapping of a file that can't be written through it.
    FileShared(MappedFile),
    /// vDSO, vvar and their like, which the target has of its own.
    Special,
}

/// A mapping.
#[derive(Debug, PartialEq, Eq)]
pub struct Vma {
    /// Its first byte.
    pub start: u64,
    /// The first byte after it.
    pub end: u64,
    /// What it allows.
    pub flags: VmaFlags,
    /// What it maps.
    pub kind: VmaKind,
}

impl Vma {
    /// Whether its pages are anonymous from the beginning: an absent page of it reads as zeros.
    pub fn is_anon(&self) -> bool {
        match self.kind {
            VmaKind::Anon | VmaKind::Stack => true,
            VmaKind::FilePrivate(_) | VmaKind::FileShared(_) | VmaKind::Special => false,
        }
    }

    /// Whether it can have places.
    pub fn has_places(&self) -> bool {
        match self.kind {
            VmaKind::Anon | VmaKind::Stack | VmaKind::FilePrivate(_) => true,
            VmaKind::FileShared(_) | VmaKind::Special => false,
        }
    }

    /// The part of it from `start` to `end`, which must lie within it.
    pub(crate) fn piece(&self, start: u64, end: u64) -> Result<Self, TryReserveError> {
        let shift = start.saturating_sub(self.start) / PAGE_LEN;
        let moved = |file: &MappedFile| {
            let mut file = file.try_clone()?;
            file.page_offset = file.page_offset.saturating_add(shift);
            Ok::<_, TryReserveError>(file)
        };
        let kind = match &self.kind {
            VmaKind::Anon => VmaKind::Anon,
            VmaKind::Stack => VmaKind::Stack,
            VmaKind::FilePrivate(file) => VmaKind::FilePrivate(moved(file)?),
            VmaKind::FileShared(file) => VmaKind::FileShared(moved(file)?),
            VmaKind::Special => VmaKind::Special,
        };
        Ok(Self { start, end, flags: self.flags, kind })
    }
}

/// All mappings of a process, ascending, none overlapping another.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Vmas(pub Vec<Vma>);

impl Vmas {
    /// The mapping that holds `address`.
    pub fn find(&self, address: u64) -> Option<&Vma> {
        let index = self.0.partition_point(|vma| vma.end <= address);
        self.0.get(index).filter(|vma| vma.start <= address)
    }
}

impl Record for Vmas {
    const KIND: Kind = Kind::Vmas;
    const VERSION: u16 = 1;

    fn check(&self) -> Result<(), Field> {
        check_vmas(&self.0)
    }

    fn encode(&self, out: &mut Writer) -> Result<(), EncodeError> {
        encode_vmas(&self.0, out)
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(decode_vmas(reader)?))
    }
}

/// Whether these spans (start, end) are of whole pages in the user's half, and none begins before
/// the end of the one before.
pub(super) fn are_ascending(spans: impl IntoIterator<Item = (u64, u64)>) -> bool {
    let mut end_last = 0;
    spans.into_iter().all(|(start, end)| {
        let aligned = start % PAGE_LEN == 0 && end % PAGE_LEN == 0;
        let ordered = end_last <= start && start < end;
        end_last = end;
        aligned && ordered && end <= ADDRESS_MAX
    })
}

/// Checks a list of mappings.
pub(super) fn check_vmas(vmas: &[Vma]) -> Result<(), Field> {
    if !are_ascending(vmas.iter().map(|vma| (vma.start, vma.end))) {
        return Err(Field::Vma);
    }
    for vma in vmas {
        let pages = (vma.end - vma.start) / PAGE_LEN;
        match &vma.kind {
            VmaKind::FilePrivate(file) | VmaKind::FileShared(file) => {
                let end = file.page_offset.checked_add(pages).ok_or(Field::Vma)?;
                if end > u64::MAX / PAGE_LEN {
                    return Err(Field::Vma);
                }
            }
            VmaKind::Anon | VmaKind::Stack | VmaKind::Special => {}
        }
        let shared = matches!(vma.kind, VmaKind::FileShared(_));
        if shared && vma.flags.contains(VmaFlags::WRITE) {
            return Err(Field::Flags);
        }
    }
    Ok(())
}

/// Appends a list of mappings.
pub(crate) fn encode_vmas(vmas: &[Vma], out: &mut Writer) -> Result<(), EncodeError> {
    out.count(vmas.len(), VMAS_MAX, Field::Vma)?;
    for vma in vmas {
        out.u64(vma.start)?;
        out.u64(vma.end)?;
        out.u32(vma.flags.bits())?;
        let (number, file) = match &vma.kind {
            VmaKind::Anon => (1, None),
            VmaKind::FilePrivate(file) => (2, Some(file)),
            VmaKind::Stack => (3, None),
            VmaKind::Special => (4, None),
            VmaKind::FileShared(file) => (5, Some(file)),
        };
        out.u8(number)?;
        if let Some(file) = file {
            encode_path(&file.path, out)?;
            out.u64(file.page_offset)?;
            out.u64(file.dev)?;
            out.u64(file.ino)?;
            out.u64(file.size_bytes)?;
            out.i64(file.mtime_ns)?;
        }
    }
    Ok(())
}

/// Takes a list of mappings; the caller checks how they lie.
pub(crate) fn decode_vmas(reader: &mut Reader<'_>) -> Result<Vec<Vma>, DecodeError> {
    reader.list(VMAS_MAX, 21, Field::Vma, |reader| {
        Ok(Vma {
            start: reader.u64()?,
            end: reader.u64()?,
            flags: VmaFlags::from_bits(reader.u32()?).ok_or(DecodeError::Unknown(Field::Flags))?,
            kind: match reader.u8()? {
                1 => VmaKind::Anon,
                2 => VmaKind::FilePrivate(mapped_file(reader)?),
                3 => VmaKind::Stack,
                4 => VmaKind::Special,
                5 => VmaKind::FileShared(mapped_file(reader)?),
                _ => return Err(DecodeError::Unknown(Field::VmaKind)),
            },
        })
    })
}

fn mapped_file(reader: &mut Reader<'_>) -> Result<MappedFile, DecodeError> {
    Ok(MappedFile {
        path: path(reader)?,
        page_offset: reader.u64()?,
        dev: reader.u64()?,
        ino: reader.u64()?,
        size_bytes: reader.u64()?,
        mtime_ns: reader.i64()?,
    })
}
