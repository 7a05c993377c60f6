//! Whose pages may go.

use alloc::vec::Vec;

use kapi::{
    lodge::{processes, MmName, Process},
    Result,
};

use super::knobs::{self, Scope};

/// Processes looked at, at most.
const PROCESSES_MAX: usize = 4096;

/// Those processes of this node whose pages may go now.
pub(super) fn list() -> Result<Vec<Process>> {
    let scope = knobs::scope();
    if scope == Scope::None {
        return Ok(Vec::new());
    }
    let own = crate::control::daemon::pid();
    let jobs = crate::proc::job_spaces()?;
    let mut list = processes(PROCESSES_MAX)?;
    list.retain(|process| {
        let is_wanted = match scope {
            Scope::None => false,
            Scope::Jobs => jobs.contains(&process.ns),
            Scope::All => true,
        };
        is_wanted && Some(process.pid) != own
    });
    Ok(list)
}

/// The same address space?
pub(super) fn is_same(one: &MmName, other: &MmName) -> bool {
    one.number() == other.number()
}
