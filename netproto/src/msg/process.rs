//! How payloads name a process.

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::id::GlobalPid;

/// A process on the wire.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct ProcessWire {
    job: U32,
    pid: U32,
}

impl From<GlobalPid> for ProcessWire {
    fn from(process: GlobalPid) -> Self {
        Self { job: U32::new(process.job.0), pid: U32::new(process.pid.0) }
    }
}

impl From<ProcessWire> for GlobalPid {
    fn from(wire: ProcessWire) -> Self {
        Self::new(wire.job.get(), wire.pid.get())
    }
}
