//! Jobs that run on this node: which pid namespace is whose.

use alloc::vec::Vec;

use kapi::{
    task::{PidNs, Task},
    Errno, Result,
};
use netproto::{GlobalPid, JobId, Slot};

/// A job with processes here.
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) home: Slot,
    pub(crate) ns: PidNs,
    /// Its first process here, whose namespaces are the job's.
    pub(crate) init: Task,
    /// Execs of its processes may be placed.
    pub(crate) place: bool,
}

/// The jobs of this node.
#[derive(Default)]
pub(crate) struct Jobs(Vec<Job>);

/// Jobs on one node at most: each has a daemon's child and a set of namespaces.
const JOBS_MAX: usize = 4096;

impl Jobs {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Their pid namespaces.
    pub(crate) fn spaces(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().map(|job| job.ns.number())
    }

    pub(crate) fn get(&self, id: JobId) -> Result<&Job> {
        self.0.iter().find(|job| job.id == id).ok_or(Errno::ENOENT)
    }

    pub(crate) fn add(&mut self, job: Job) -> Result {
        self.forget_ended();
        if self.0.iter().any(|old| old.id == job.id || old.ns.same(&job.ns)) {
            return Err(Errno::EEXIST);
        }
        if self.0.len() >= JOBS_MAX {
            return Err(Errno::ENOSPC);
        }
        self.0.try_reserve(1)?;
        self.0.push(job);
        Ok(())
    }

    pub(crate) fn remove(&mut self, id: JobId) -> Result {
        let index = self.0.iter().position(|job| job.id == id).ok_or(Errno::ENOENT)?;
        self.0.swap_remove(index);
        Ok(())
    }

    /// Drops jobs whose init has ended: no process of them is left here.
    pub(crate) fn forget_ended(&mut self) {
        self.0.retain(|job| !job.init.dead());
    }

    /// The calling process, if it is one of a job and not its init.
    pub(crate) fn current(&self) -> Option<(&Job, GlobalPid)> {
        let job = self.0.iter().find(|job| job.ns.is_current())?;
        let task = Task::current().ok()?;
        let pid = u32::try_from(task.pid_in(&job.ns)).ok().filter(|pid| *pid > 1)?;
        Some((job, GlobalPid::new(job.id.0, pid)))
    }

    /// A process of a job.
    pub(crate) fn find(&self, process: GlobalPid) -> Result<Task> {
        let job = self.get(process.job)?;
        if process.pid.0 < 2 {
            return Err(Errno::EINVAL);
        }
        let pid = i32::try_from(process.pid.0).map_err(|_| Errno::EINVAL)?;
        Task::find(&job.ns, pid)
    }
}
