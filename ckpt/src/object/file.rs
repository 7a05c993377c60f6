//! Open files: descriptors, and the open file descriptions that they share.

use alloc::vec::Vec;

use super::creds::flag;
use super::fs::{encode_path, path};
use super::subject::slot;
use crate::bytes::Bytes;
use crate::error::{DecodeError, EncodeError, Field};
use crate::id::{FileId, Slot};
use crate::image::{Kind, Reader, Record, Writer};
use crate::limits::{FDS_MAX, FD_NUMBER_MAX};

/// What a remote file is at its holder. Decides which calls make sense, nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subkind {
    /// Anything that is none of the others.
    Other,
    /// A pipe or FIFO.
    Pipe,
    /// A terminal.
    Terminal,
    /// A file without a name.
    Unlinked,
    /// A character device.
    Device,
}

impl Subkind {
    /// The number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::Other => 0,
            Self::Pipe => 1,
            Self::Terminal => 2,
            Self::Unlinked => 3,
            Self::Device => 4,
        }
    }

    /// The kind with this number.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Other,
            1 => Self::Pipe,
            2 => Self::Terminal,
            3 => Self::Unlinked,
            4 => Self::Device,
            _ => return None,
        })
    }
}

/// How the target gets at an open file description.
#[derive(Debug, PartialEq, Eq)]
pub enum FileKind {
    /// By opening a path of the job's file tree.
    Path {
        /// The path, from the job's root.
        path: Bytes,
        /// `O_*`, without those that create or truncate.
        flags: u32,
        /// The file position.
        position: u64,
        /// The file's type and mode, `S_IF*` and permissions.
        mode: u32,
    },
    /// Through a proxy: the description stays where it is.
    Remote {
        /// The node that has it.
        holder: Slot,
        /// Its number there.
        file: FileId,
        /// `O_*`.
        flags: u32,
        /// `FMODE_*` of the real file, as far as its proxy must have them.
        fmode: u32,
        /// What it is there.
        subkind: Subkind,
    },
    /// By opening a device that is the same on every node.
    Dev {
        /// The device's path.
        path: Bytes,
        /// `O_*`.
        flags: u32,
    },
}

/// A descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fd {
    /// Its number.
    pub fd: u32,
    /// Which of the descriptions it refers to. Descriptors with the same one share its position.
    pub group: u32,
    /// Whether an exec closes it.
    pub cloexec: bool,
}

/// All open files of a process.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Files {
    /// Open file descriptions; a group's number is its index.
    pub descriptions: Vec<FileKind>,
    /// Descriptors in ascending order.
    pub fds: Vec<Fd>,
}

impl Files {
    /// The description of a group.
    pub fn description(&self, group: u32) -> Option<&FileKind> {
        self.descriptions.get(usize::try_from(group).ok()?)
    }
}

impl Record for Files {
    const KIND: Kind = Kind::Files;
    const VERSION: u16 = 1;

    fn check(&self) -> Result<(), Field> {
        let mut used = 0;
        let mut next_fd = 0;
        for fd in &self.fds {
            if fd.fd < next_fd || fd.fd >= FD_NUMBER_MAX {
                return Err(Field::Fd);
            }
            next_fd = fd.fd + 1;
            // Groups are numbered in the order of their first descriptors.
            match fd.group {
                group if group < used => {}
                group if group == used => used += 1,
                _ => return Err(Field::FdGroup),
            }
        }
        match usize::try_from(used) == Ok(self.descriptions.len()) {
            true => Ok(()),
            false => Err(Field::FdGroup),
        }
    }

    fn encode(&self, out: &mut Writer) -> Result<(), EncodeError> {
        out.count(self.descriptions.len(), FDS_MAX, Field::FdGroup)?;
        for description in &self.descriptions {
            encode_kind(description, out)?;
        }
        out.count(self.fds.len(), FDS_MAX, Field::Fd)?;
        for fd in &self.fds {
            out.u32(fd.fd)?;
            out.u32(fd.group)?;
            out.u8(u8::from(fd.cloexec))?;
        }
        Ok(())
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let descriptions = reader.list(FDS_MAX, 10, Field::FdGroup, decode_kind)?;
        let fds = reader.list(FDS_MAX, 9, Field::Fd, |reader| {
            Ok(Fd { fd: reader.u32()?, group: reader.u32()?, cloexec: flag(reader)? })
        })?;
        Ok(Self { descriptions, fds })
    }
}

fn encode_kind(kind: &FileKind, out: &mut Writer) -> Result<(), EncodeError> {
    match kind {
        FileKind::Path { path, flags, position, mode } => {
            out.u8(1)?;
            encode_path(path, out)?;
            out.u32(*flags)?;
            out.u64(*position)?;
            out.u32(*mode)
        }
        FileKind::Remote { holder, file, flags, fmode, subkind } => {
            out.u8(2)?;
            out.u8(holder.get())?;
            out.u64(file.0)?;
            out.u32(*flags)?;
            out.u32(*fmode)?;
            out.u8(subkind.number())
        }
        FileKind::Dev { path, flags } => {
            out.u8(3)?;
            encode_path(path, out)?;
            out.u32(*flags)
        }
    }
}

fn decode_kind(reader: &mut Reader<'_>) -> Result<FileKind, DecodeError> {
    match reader.u8()? {
        1 => Ok(FileKind::Path {
            path: path(reader)?,
            flags: reader.u32()?,
            position: position(reader)?,
            mode: reader.u32()?,
        }),
        2 => Ok(FileKind::Remote {
            holder: slot(reader)?,
            file: FileId(reader.u64()?),
            flags: reader.u32()?,
            fmode: reader.u32()?,
            subkind: Subkind::from_number(reader.u8()?)
                .ok_or(DecodeError::Unknown(Field::FileKind))?,
        }),
        3 => Ok(FileKind::Dev { path: path(reader)?, flags: reader.u32()? }),
        _ => Err(DecodeError::Unknown(Field::FileKind)),
    }
}

/// Takes a file position, which the kernel keeps in a signed number.
pub(crate) fn position(reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
    let position = reader.u64()?;
    match i64::try_from(position) {
        Ok(_) => Ok(position),
        Err(_) => Err(DecodeError::Bound(Field::Position)),
    }
}
