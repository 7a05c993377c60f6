//! Whose pages may go.

use alloc::vec::Vec;

use kapi::{
    lodge::{MmName, Process, Processes},
    Result,
};

use super::knobs::{self, Scope};

/// Processes looked at, at most.
const PROCESSES_MAX: usize = 4096;
/// Jobs that there is room for from the start.
const JOBS: usize = 256;

/// Tells whose. Its room is made once: memory may be all gone when it is used.
pub(super) struct Watch {
    processes: Processes,
    jobs: Vec<u64>,
}

impl Watch {
    pub(super) fn new() -> Result<Self> {
        let mut jobs = Vec::new();
        jobs.try_reserve_exact(JOBS)?;
        Ok(Self { processes: Processes::new(PROCESSES_MAX)?, jobs })
    }

    /// Gives those processes of this node to `take` whose pages may go now, and their job (zero:
    /// none).
    pub(super) fn each(&mut self, mut take: impl FnMut(Process, u64)) -> Result {
        let scope = knobs::scope();
        if scope == Scope::None {
            return Ok(());
        }
        let own = crate::control::daemon::pid();
        let Self { processes, jobs } = self;
        crate::proc::put_job_spaces(jobs);
        processes.each(|process| {
            let job = if jobs.contains(&process.ns) { process.ns } else { 0 };
            let is_wanted = match scope {
                Scope::None => false,
                Scope::Jobs => job != 0,
                Scope::All => true,
            };
            if is_wanted && Some(process.pid) != own {
                take(process, job);
            }
        })
    }
}

/// The same address space?
pub(super) fn is_same(one: &MmName, other: &MmName) -> bool {
    one.number() == other.number()
}
