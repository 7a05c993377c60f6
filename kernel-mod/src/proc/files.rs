//! What an image says about open files.

use ckpt::{
    object::file::{FileKind, Subkind},
    Bytes,
};
use kapi::{
    file::Kind,
    fileref::{self, FileInfo, FileRef},
    rfile, Errno, Result,
};

use super::facts::is_plain;
use crate::port::file::{hand_over, HandOver};

/// `O_CREAT`, `O_EXCL`, `O_NOCTTY`, `O_TRUNC`, `O_CLOEXEC`: of no use when a file is opened again.
const FLAGS_DROPPED: u32 = 0o100 | 0o200 | 0o400 | 0o1000 | 0o2_000_000;
/// `O_NOCTTY`: a restore must never give a process a terminal.
const O_NOCTTY: u32 = 0o400;
const O_PATH: u32 = 0o10_000_000;

/// A file that was described, and what keeps it for the target.
pub(crate) enum Exported {
    /// The target opens it by itself.
    Plain,
    /// It stays where it is.
    Remote(HandOver),
}

/// Devices that are the same everywhere, as `new_encode_dev(1, minor)`.
const DEVICES: [(u64, &[u8]); 5] = [
    (3, b"/dev/null"),
    (5, b"/dev/zero"),
    (7, b"/dev/full"),
    (8, b"/dev/random"),
    (9, b"/dev/urandom"),
];
const MINOR_BITS: u32 = 20;

fn device(info: &FileInfo) -> Option<&'static [u8]> {
    let (major, minor) = (info.rdev >> MINOR_BITS, info.rdev & ((1 << MINOR_BITS) - 1));
    let known = DEVICES.iter().find(|(number, _)| major == 1 && *number == minor);
    known.filter(|_| info.kind == fileref::KIND_CHAR).map(|(_, path)| *path)
}

/// Whether it stands for a file of another node.
pub(crate) fn is_ours(file: &FileRef) -> bool {
    rfile::operations_of(file).is_some()
}

/// Filesystems of each node's own: a path there names another file elsewhere.
const NODE_LOCAL: [u64; 5] = [0x9fa0, 0x6265_6572, 0x6367_7270, 0x6462_6720, 0x7472_6163];

fn by_path(info: &FileInfo) -> bool {
    let named = info.nameless == 0 && info.unlinked == 0 && !NODE_LOCAL.contains(&info.magic);
    named && matches!(info.kind, fileref::KIND_REGULAR | fileref::KIND_DIR)
}

/// Whether [`describe`] will know what to say.
pub(crate) fn can_describe(file: &FileRef, info: &FileInfo) -> bool {
    by_path(info) || device(info).is_some() || (info.flags & O_PATH == 0 && file.describe().steps)
}

/// What the image says of a file, and what must be kept until the target has it. `own_refs` are
/// the references to it that the process and we have: with more, others have it open too, and share
/// its position. Then it must stay where it is.
pub(crate) fn describe(file: &FileRef, own_refs: u64) -> Result<(FileKind, Exported)> {
    let info = file.info();
    let alone = info.refs <= own_refs || info.kind == fileref::KIND_DIR;
    let flags = (info.flags & !FLAGS_DROPPED) | O_NOCTTY;
    if let Some(path) = device(&info) {
        return Ok((FileKind::Dev { path: Bytes::copy_of(path)?, flags }, Exported::Plain));
    }
    if by_path(&info) && alone && !is_ours(file) {
        let path = file.path()?;
        if is_plain(&path) {
            let kind = FileKind::Path {
                path: Bytes::from(path),
                flags,
                position: info.pos,
                mode: info.mode,
            };
            return Ok((kind, Exported::Plain));
        }
    }
    let handed = hand_over(file)?;
    Ok((remote(&handed), Exported::Remote(handed)))
}

/// What is said of a file that was described before.
pub(crate) fn describe_again(file: &FileRef, before: Option<&Exported>) -> Result<FileKind> {
    match before {
        Some(Exported::Remote(handed)) => Ok(remote(handed)),
        Some(Exported::Plain) => Ok(describe(file, u64::MAX)?.0),
        // It was opened since: the difference is found by comparing.
        None => Err(Errno::ESTALE),
    }
}

fn remote(handed: &HandOver) -> FileKind {
    let info = &handed.info;
    FileKind::Remote {
        holder: handed.holder,
        file: handed.file,
        flags: info.flags,
        fmode: u32::from(info.readable) | u32::from(info.writable) << 1,
        subkind: match info.kind {
            Kind::Pipe | Kind::Fifo => Subkind::Pipe,
            Kind::Terminal => Subkind::Terminal,
            Kind::Deleted => Subkind::Unlinked,
            Kind::Device => Subkind::Device,
            Kind::Regular
            | Kind::Directory
            | Kind::Block
            | Kind::Socket
            | Kind::Anonymous
            | Kind::Remote => Subkind::Other,
        },
    }
}
