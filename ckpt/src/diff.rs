//! What changed between the manifest and the freeze, and whether the final part can carry it.

mod files;
mod layout;

use alloc::collections::TryReserveError;

use crate::manifest::Manifest;
use crate::object::change::Change;
use crate::object::places::Places;
use crate::object::position::Positions;

/// What the target can still change in a body that it has prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carry {
    /// How many parts of the address space may be unmapped or mapped; 0 if none.
    pub changes_max: usize,
}

/// What the final part has to carry.
#[derive(Debug, PartialEq, Eq)]
pub struct Compatible {
    /// Pages that the manifest did not name, or that lie in what [`Change::map`] maps.
    pub places: Places,
    /// Changed mappings.
    pub change: Change,
    /// Positions and flags of all descriptions that are opened by path.
    pub positions: Positions,
}

/// What the final part can't carry: the process has to be prepared again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Incompatible {
    /// It is not an image of the same process at the same epoch, or not one of a running process.
    #[error("another process")]
    Subject,
    /// Credentials changed.
    #[error("credentials changed")]
    Creds,
    /// Limits, name, personality or priority changed.
    #[error("attributes of the task changed")]
    Task,
    /// Working directory or umask changed.
    #[error("working directory or umask changed")]
    Fs,
    /// The executable changed.
    #[error("the executable changed")]
    Exe,
    /// Descriptors were opened, closed or replaced.
    #[error("open files changed")]
    Files,
    /// Address space bounds other than the heap's end changed.
    #[error("bounds of the address space changed")]
    Mm,
    /// Mappings of files changed, or special ones.
    #[error("mappings of files changed")]
    Mappings,
    /// More mappings changed than the target takes.
    #[error("too many mappings changed")]
    Changes,
    /// A written page of a file's mapping went back to the file's content.
    #[error("a written page of a mapped file was dropped")]
    FilePage,
    /// There is no memory to compare.
    #[error("no memory")]
    NoMemory,
}

impl From<TryReserveError> for Incompatible {
    fn from(_: TryReserveError) -> Self {
        Self::NoMemory
    }
}

/// Compares the manifest that the target prepared with one that was taken at the freeze.
///
/// On `Ok`, a target that prepared `prepared` and applies the result has what a target that had
/// prepared `now` would have.
pub fn diff(prepared: &Manifest, now: &Manifest, carry: Carry) -> Result<Compatible, Incompatible> {
    let (Some(old), Some(new)) = (prepared.memory(), now.memory()) else {
        return Err(Incompatible::Subject);
    };
    let same_process = prepared.subject.process == now.subject.process
        && prepared.subject.epoch == now.subject.epoch
        && prepared.subject.group_pid == now.subject.group_pid
        && prepared.subject.session_pid == now.subject.session_pid;
    if !same_process {
        return Err(Incompatible::Subject);
    }
    if prepared.creds != now.creds {
        return Err(Incompatible::Creds);
    }
    if !same_task(prepared, now) {
        return Err(Incompatible::Task);
    }
    if prepared.fs != now.fs {
        return Err(Incompatible::Fs);
    }
    if old.exe != new.exe {
        return Err(Incompatible::Exe);
    }
    let positions = files::compare(&prepared.files, &now.files)?;
    let (change, places) = layout::compare(old, new, carry)?;
    Ok(Compatible { places, change, positions })
}

/// All but the times that it has used, which the final part has anyway.
fn same_task(prepared: &Manifest, now: &Manifest) -> bool {
    let (old, new) = (&prepared.task, &now.task);
    old.comm == new.comm
        && old.personality == new.personality
        && old.nice == new.nice
        && old.rlimits == new.rlimits
        && old.oom_score_adj == new.oom_score_adj
}
