//! The cluster's names, as `netproto` defines them.

pub use netproto::id::{AttemptId, Epoch, FileId, GlobalPid, JobId, Pid, Slot, SpaceId};
