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
    /// Take a reference for the asking node. Result 0; data: see the module's file table.
    pub const OPEN_REF: Self = Self(1);
    /// Read: `arg0` = length, `arg1` = offset or `u64::MAX` for the file's own. Result: bytes, data.
    pub const READ: Self = Self(2);
    /// Write the data: `arg1` = offset or `u64::MAX`. Result: bytes taken.
    pub const WRITE: Self = Self(3);
    /// Poll: `arg0` = events asked for. Result: those ready; an [`Event`] follows when others become.
    pub const POLL: Self = Self(4);
    /// Ioctl: `arg0` = request number, `arg1` = bytes wanted back, data = argument.
    pub const IOCTL: Self = Self(5);
    /// Seek: `arg0` = offset as two's complement, `arg1` = whence. Result: new offset.
    pub const LSEEK: Self = Self(6);
    /// Flush: `arg0` = 1 for data only.
    pub const FSYNC: Self = Self(7);
    /// Status: data = status as defined by the module.
    pub const FSTAT: Self = Self(8);
    /// The client's flags: `arg0` = new flags.
    pub const SET_FLAGS: Self = Self(9);
    /// Give the asking node's reference back. Result 0.
    pub const CLOSE: Self = Self(10);
}

/// An operation; its data follow the head. Client to server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Names the request for the reply and for cancelling.
    pub request: RequestId,
    /// What to do.
    pub op: Op,
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
    zero: [u8; 6],
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
            zero: [0; 6],
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
        transmute!(ReplyWire {
            request: U64::new(self.request.0),
            result: I64::new(self.result),
        })
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
        let head = Self {
            request: RequestId(wire.request.get()),
            result: wire.result.get(),
        };
        Ok((head, data))
    }
}

/// Largest errno of Linux.
const ERRNO_MAX: i64 = 4095;

/// Stop the request if it still waits; it is answered all the same. Client to server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancel {
    /// The request.
    pub request: RequestId,
}

impl Cancel {
    /// The message's number.
    pub const KIND: Kind = Kind::FILE_CANCEL;
    /// Length on the wire.
    pub const LEN: usize = 8;

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        self.request.0.to_le_bytes()
    }

    /// Reads and checks the payload.
    ///
    /// # Errors
    /// Wrong length.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let request: &U64 = exact(bytes)?;
        Ok(Self {
            request: RequestId(request.get()),
        })
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
        Ok(Self {
            file: FileId(wire.file.get()),
            delta: wire.delta.get(),
        })
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
        Ok(Self {
            file: FileId(wire.file.get()),
            mask: wire.mask.get(),
        })
    }
}
