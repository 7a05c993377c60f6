//! A job's cgroup: `/sys/fs/cgroup/holon/job-N.R`, R for its run. It tells which processes are the
//! job's, and ends them all.

use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::io::{self, Read, Seek};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const ROOT: &str = "/sys/fs/cgroup/holon";

/// One run of a job, as far as it is on this node.
///
/// What is made for it bears both numbers, so that the end of an earlier run never meets the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Instance {
    /// The job.
    pub(crate) job: u32,
    /// How often the job had been started again when its namespaces were made here.
    pub(crate) restarts: u32,
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.job, self.restarts)
    }
}

impl Instance {
    /// The opposite of its text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (job, restarts) = text.split_once('.')?;
        Some(Self { job: job.parse().ok()?, restarts: restarts.parse().ok()? })
    }
}

/// The directory of an instance's cgroup.
fn path(instance: Instance) -> PathBuf {
    PathBuf::from(ROOT).join(format!("job-{instance}"))
}

/// Makes it.
pub(crate) fn create(instance: Instance) -> io::Result<()> {
    fs::create_dir_all(path(instance))
}

/// Puts the calling process in.
pub(crate) fn enter(instance: Instance) -> io::Result<()> {
    fs::write(path(instance).join("cgroup.procs"), "0")
}

/// PIDs (of the host's namespace) in it and in cgroups below it.
pub(crate) fn processes(instance: Instance) -> Vec<i32> {
    let mut found = Vec::new();
    let mut todo = vec![path(instance)];
    while let Some(dir) = todo.pop() {
        let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
        found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
        let below = fs::read_dir(&dir).into_iter().flatten().flatten();
        todo.extend(below.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
    }
    found
}

/// SIGKILL to all of it, atomically.
pub(crate) fn kill(instance: Instance) -> io::Result<()> {
    fs::write(path(instance).join("cgroup.kill"), "1")
}

/// Waits until no process is in it. False if that lasts longer than `time`.
pub(crate) fn wait_empty(instance: Instance, time: Duration) -> bool {
    let end = Instant::now() + time;
    let Ok(mut events) = fs::File::open(path(instance).join("cgroup.events")) else {
        return true;
    };
    loop {
        let mut text = String::new();
        let read = events.rewind().and_then(|()| events.read_to_string(&mut text));
        if read.is_err() || text.lines().any(|line| line == "populated 0") {
            return true;
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        // The kernel marks the file when it changes.
        let mut fds = [PollFd::new(events.as_fd(), PollFlags::POLLPRI)];
        let wait = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let _ = poll(&mut fds, wait);
    }
}

/// Removes it; fails while processes are in it.
pub(crate) fn remove(instance: Instance) -> io::Result<()> {
    let below = fs::read_dir(path(instance))?.flatten();
    for entry in below.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
        // A cgroup that the job made itself; a deeper tree is left to the job's owner.
        let _ = fs::remove_dir(entry.path());
    }
    fs::remove_dir(path(instance))
}

/// Instances that have a cgroup here.
pub(crate) fn instances() -> Vec<Instance> {
    let entries = fs::read_dir(ROOT).into_iter().flatten().flatten();
    let name = |e: fs::DirEntry| Instance::parse(e.file_name().to_str()?.strip_prefix("job-")?);
    let mut instances: Vec<Instance> = entries.filter_map(name).collect();
    instances.sort_unstable();
    instances
}

/// Those of a job up to a run.
pub(crate) fn instances_of(job: u32, upto: u32) -> Vec<Instance> {
    let is_it = |i: &Instance| i.job == job && i.restarts <= upto;
    instances().into_iter().filter(is_it).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        let instance = Instance { job: 12, restarts: 3 };
        assert_eq!(instance.to_string(), "12.3");
        assert_eq!(Instance::parse("12.3"), Some(instance));
        for text in ["12", "12.", ".3", "12.x", "12.3.4"] {
            assert_eq!(Instance::parse(text), None, "{text}");
        }
    }
}
