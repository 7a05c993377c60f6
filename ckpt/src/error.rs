//! What can be wrong with an image.

use alloc::collections::TryReserveError;

/// Why an image could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// There is no memory for it.
    #[error("no memory for the image")]
    NoMemory,
    /// A value is beyond what the format or the decoder allows.
    #[error("{0:?} is beyond the format's bounds")]
    Bound(Field),
}

/// Why an image was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// There is no memory for what it holds.
    #[error("no memory for the image's content")]
    NoMemory,
    /// It ends before its end.
    #[error("the image is cut off")]
    Truncated,
    /// Bytes follow where none may.
    #[error("the image has bytes after its end")]
    Trailing,
    /// It does not start as an image of this part does.
    #[error("not an image of this part")]
    Magic,
    /// It was written by a newer format than this one.
    #[error("image format {0} is not known here")]
    Version(u16),
    /// A record's checksum is wrong.
    #[error("the checksum of record {0:#06x} is wrong")]
    Checksum(u16),
    /// A record that must be understood is not known here.
    #[error("record {0:#06x} is not known here")]
    UnknownRecord(u16),
    /// A record comes twice, or not in the order of numbers.
    #[error("record {0:#06x} is repeated or out of order")]
    Order(u16),
    /// A record is missing.
    #[error("record {0:#06x} is missing")]
    Missing(u16),
    /// A value is out of its bounds, or contradicts another.
    #[error("{0:?} is out of its bounds")]
    Bound(Field),
    /// A number stands for nothing that is known here.
    #[error("{0:?} has an unknown number")]
    Unknown(Field),
}

/// The field that an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// The image as a whole.
    Image,
    /// A record's length.
    Record,
    /// A slot number.
    Slot,
    /// The kind of image.
    ImageKind,
    /// A command name.
    Comm,
    /// A path.
    Path,
    /// Supplementary groups.
    Groups,
    /// A resource limit.
    Rlimit,
    /// The file mode creation mask.
    Umask,
    /// An attribute of the task.
    Task,
    /// The nice value.
    Nice,
    /// The dumpable flag.
    Dumpable,
    /// A process id.
    Pid,
    /// A file descriptor.
    Fd,
    /// A group of file descriptors.
    FdGroup,
    /// The kind of an open file.
    FileKind,
    /// Flags.
    Flags,
    /// A file position.
    Position,
    /// An address.
    Address,
    /// The auxiliary vector.
    Auxv,
    /// A mapping.
    Vma,
    /// The kind of a mapping.
    VmaKind,
    /// A range of places.
    Places,
    /// Arguments.
    Argv,
    /// Environment.
    Envp,
    /// Registers.
    Regs,
    /// Extended processor state.
    Xstate,
    /// A pending signal.
    Pending,
    /// A signal number.
    Signal,
    /// The kind of a restart block.
    RestartKind,
    /// A time.
    Time,
    /// A change of the layout.
    Change,
}

impl From<TryReserveError> for EncodeError {
    fn from(_: TryReserveError) -> Self {
        Self::NoMemory
    }
}

impl From<TryReserveError> for DecodeError {
    fn from(_: TryReserveError) -> Self {
        Self::NoMemory
    }
}
