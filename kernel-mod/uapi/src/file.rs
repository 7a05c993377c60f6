//! Remote files. Numbers 0x60 to 0x7f.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::number::iowr;

/// Takes and fills a [`FileOpen`]: a descriptor for a file that stands on another node, or, where
/// it is this node's own, for that very file. For the helper of a restore.
pub const FILE_OPEN: u32 = iowr::<FileOpen>(0x60);
/// Takes and fills a [`FileExport`]: makes an open file of the caller available to other nodes,
/// until the device file that this was asked on is closed. For tests and tools.
pub const FILE_EXPORT: u32 = iowr::<FileExport>(0x61);

/// Which file to open, and as what.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FileOpen {
    /// Node where the file stands.
    pub slot: u32,
    /// `O_*`: access mode and status flags; others are ignored. For this node's own files ignored.
    pub flags: u32,
    /// The file's number there.
    pub file: u64,
    /// Out: the descriptor, close-on-exec clear.
    pub fd: i32,
    /// Zero.
    pub reserved: u32,
}

/// An open file and the number that it got.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FileExport {
    /// The caller's descriptor.
    pub fd: i32,
    /// Out: node where the file stands; not this one if it is a remote file already.
    pub slot: u32,
    /// Out: the file's number there.
    pub file: u64,
}
