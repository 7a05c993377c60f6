//! Operations on remote files: files whose real description stays on another node.

use zerocopy::little_endian::{I32, I64, U16, U32, U64};
use zerocopy::{transmute, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{check_zero, exact, split, Kind};
use crate::error::DecodeError;
use crate::id::{FileId, RequestId};
use crate::limits::CHUNK_LEN_MAX;

/// What to do with a file. Numbers are only ever added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Op(pub u16);

impl Op {
    /// Take a reference for the asking node. Data: a [`Status`], then the file's name.
    pub const OPEN_REF: Self = Self(1);
    /// Read: `arg0` = length, `arg1` = offset or `u64::MAX` for the file's own. Result: bytes,
    /// data. With [`Flags::NOWAIT`] the result is `-EAGAIN` instead of waiting.
    pub const READ: Self = Self(2);
    /// Write the data: `arg1` = offset or `u64::MAX`. Result: bytes taken.
    pub const WRITE: Self = Self(3);
    /// Poll: `arg0` = events asked for. Result: those ready; an [`Event`] follows when others
    /// become.
    pub const POLL: Self = Self(4);
    /// Ioctl: `arg0` = request number, `arg1` = argument if it is a number, data = argument if it
    /// is a structure. Data of the reply: the structure that came back.
    pub const IOCTL: Self = Self(5);
    /// Seek: `arg0` = offset as two's complement, `arg1` = whence. Result: new offset.
    pub const LSEEK: Self = Self(6);
    /// Flush: `arg0` = 1 for data only.
    pub const FSYNC: Self = Self(7);
    /// Status. Data: a [`Status`].
    pub const FSTAT: Self = Self(8);
}

/// How to do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u16);

impl Flags {
    /// The program wants no waiting.
    pub const NOWAIT: Self = Self(1);

    /// Whether all flags of `other` are set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// An operation; its data follow the head. Client to server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Names the request for the reply and for cancelling.
    pub request: RequestId,
    /// What to do.
    pub op: Op,
    /// How; a flag that the server does not know makes it refuse.
    pub flags: Flags,
    /// The file.
    pub file: FileId,
    /// First argument.
    pub arg0: u64,
    /// Second argument.
    pub arg1: u64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RequestWire {
    request: U64,
    file: U64,
    arg0: U64,
    arg1: U64,
    op: U16,
    flags: U16,
    zero: [u8; 4],
}

impl Request {
    /// The message's number.
    pub const KIND: Kind = Kind::FILE_REQUEST;
    /// Length of the head on the wire.
    pub const LEN: usize = 40;

    /// The head's bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        transmute!(RequestWire {
            request: U64::new(self.request.0),
            file: U64::new(self.file.0),
            arg0: U64::new(self.arg0),
            arg1: U64::new(self.arg1),
            op: U16::new(self.op.0),
            flags: U16::new(self.flags.0),
            zero: [0; 4],
        })
    }

    /// Reads and checks the head, and gives the data.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        let (wire, data): (&RequestWire, _) = split(bytes)?;
        check_zero(&wire.zero)?;
        if data.len() > CHUNK_LEN_MAX {
            return Err(DecodeError::value("data"));
        }
        let head = Self {
            request: RequestId(wire.request.get()),
            op: Op(wire.op.get()),
            flags: Flags(wire.flags.get()),
            file: FileId(wire.file.get()),
            arg0: wire.arg0.get(),
            arg1: wire.arg1.get(),
        };
        Ok((head, data))
    }
}

/// The result of a [`Request`]; its data follow the head. Server to client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// The request.
    pub request: RequestId,
    /// What the operation returned: not negative, or a negative errno.
    pub result: i64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct ReplyWire {
    request: U64,
    result: I64,
}

impl Reply {
    /// The message's number.
    pub const KIND: Kind = Kind::FILE_REPLY;
    /// Length of the head on the wire.
    pub const LEN: usize = 16;

    /// The head's bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        transmute!(ReplyWire { request: U64::new(self.request.0), result: I64::new(self.result) })
    }

    /// Reads and checks the head, and gives the data.
    ///
    /// # Errors
    /// The first field that is wrong: a result below every errno is.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        let (wire, data): (&ReplyWire, _) = split(bytes)?;
        if data.len() > CHUNK_LEN_MAX {
            return Err(DecodeError::value("data"));
        }
        if wire.result.get() < -ERRNO_MAX {
            return Err(DecodeError::value("result"));
        }
        let head = Self { request: RequestId(wire.request.get()), result: wire.result.get() };
        Ok((head, data))
    }
}

/// Largest errno of Linux.
const ERRNO_MAX: i64 = 4095;

/// What a file is at its holder, as far as its stand-in must look like it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Number of its kind: only ever added, see the module's file table.
    pub kind: u32,
    /// `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device that it is.
    pub rdev: u32,
    /// Device that it is on.
    pub dev: u32,
    /// Names that it has.
    pub nlink: u32,
    /// Preferred size of requests.
    pub blksize: u32,
    /// Inode number.
    pub ino: u64,
    /// Bytes in it.
    pub size: i64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct StatusWire {
    words: [U32; 8],
    ino: U64,
    size: I64,
}

impl Status {
    /// Length on the wire.
    pub const LEN: usize = 48;

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        let words = [
            self.kind,
            self.mode,
            self.uid,
            self.gid,
            self.rdev,
            self.dev,
            self.nlink,
            self.blksize,
        ];
        transmute!(StatusWire {
            words: words.map(U32::new),
            ino: U64::new(self.ino),
            size: I64::new(self.size),
        })
    }

    /// Reads it, and gives what follows.
    ///
    /// # Errors
    /// Too short, or a negative size.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        let (wire, rest): (&StatusWire, _) = split(bytes)?;
        if wire.size.get() < 0 {
            return Err(DecodeError::value("size"));
        }
        let [kind, mode, uid, gid, rdev, dev, nlink, blksize] = wire.words.map(U32::get);
        let status = Self {
            kind,
            mode,
            uid,
            gid,
            rdev,
            dev,
            nlink,
            blksize,
            ino: wire.ino.get(),
            size: wire.size.get(),
        };
        Ok((status, rest))
    }
}

/// Stop the request if it still waits; it is answered all the same. Client to server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancel {
    /// The request.
    pub request: RequestId,
    /// The file that it is about.
    pub file: FileId,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct CancelWire {
    request: U64,
    file: U64,
}

impl Cancel {
    /// The message's number.
    pub const KIND: Kind = Kind::FILE_CANCEL;
    /// Length on the wire.
    pub const LEN: usize = 16;

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        transmute!(CancelWire { request: U64::new(self.request.0), file: U64::new(self.file.0) })
    }

    /// Reads and checks the payload.
    ///
    /// # Errors
    /// Wrong length.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: &CancelWire = exact(bytes)?;
        Ok(Self { request: RequestId(wire.request.get()), file: FileId(wire.file.get()) })
    }
}

/// The sender's references to a file changed by `delta`. Client to server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ref {
    /// The file.
    pub file: FileId,
    /// More or fewer, never zero.
    pub delta: i32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RefWire {
    file: U64,
    delta: I32,
    zero: [u8; 4],
}

impl Ref {
    /// The message's number.
    pub const KIND: Kind = Kind::FILE_REF;
    /// Length on the wire.
    pub const LEN: usize = 16;

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        transmute!(RefWire {
            file: U64::new(self.file.0),
            delta: I32::new(self.delta),
            zero: [0; 4],
        })
    }

    /// Reads and checks the payload.
    ///
    /// # Errors
    /// Wrong length or padding, or a delta of zero.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: &RefWire = exact(bytes)?;
        check_zero(&wire.zero)?;
        if wire.delta.get() == 0 {
            return Err(DecodeError::value("delta"));
        }
        Ok(Self { file: FileId(wire.file.get()), delta: wire.delta.get() })
    }
}

/// A file that was polled became ready. Server to client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The file.
    pub file: FileId,
    /// What is ready, as `poll` says it.
    pub mask: u32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct EventWire {
    file: U64,
    mask: U32,
    zero: [u8; 4],
}

impl Event {
    /// The message's number.
    pub const KIND: Kind = Kind::FILE_EVENT;
    /// Length on the wire.
    pub const LEN: usize = 16;

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        transmute!(EventWire {
            file: U64::new(self.file.0),
            mask: U32::new(self.mask),
            zero: [0; 4],
        })
    }

    /// Reads and checks the payload.
    ///
    /// # Errors
    /// Wrong length or padding.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: &EventWire = exact(bytes)?;
        check_zero(&wire.zero)?;
        Ok(Self { file: FileId(wire.file.get()), mask: wire.mask.get() })
    }
}
