//! A job's cgroup: `/sys/fs/cgroup/holon/job-N`. It tells which processes are the job's, and ends
//! them all.

use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use std::fs;
use std::io::{self, Read, Seek};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const ROOT: &str = "/sys/fs/cgroup/holon";

/// The directory of a job's cgroup.
pub(crate) fn path(job: u32) -> PathBuf {
    PathBuf::from(ROOT).join(format!("job-{job}"))
}

/// Makes it.
pub(crate) fn create(job: u32) -> io::Result<()> {
    fs::create_dir_all(path(job))
}

/// Puts the calling process in.
pub(crate) fn enter(job: u32) -> io::Result<()> {
    fs::write(path(job).join("cgroup.procs"), "0")
}

/// PIDs (of the host's namespace) in it and in cgroups below it.
pub(crate) fn processes(job: u32) -> Vec<i32> {
    let mut found = Vec::new();
    let mut todo = vec![path(job)];
    while let Some(dir) = todo.pop() {
        let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
        found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
        let below = fs::read_dir(&dir).into_iter().flatten().flatten();
        todo.extend(below.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
    }
    found
}

/// SIGKILL to all of it, atomically.
pub(crate) fn kill(job: u32) -> io::Result<()> {
    fs::write(path(job).join("cgroup.kill"), "1")
}

/// Waits until no process is in it. False if that lasts longer than `time`.
pub(crate) fn wait_empty(job: u32, time: Duration) -> bool {
    let end = Instant::now() + time;
    let Ok(mut events) = fs::File::open(path(job).join("cgroup.events")) else {
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
pub(crate) fn remove(job: u32) -> io::Result<()> {
    let below = fs::read_dir(path(job))?.flatten();
    for entry in below.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
        // A cgroup that the job made itself; a deeper tree is left to the job's owner.
        let _ = fs::remove_dir(entry.path());
    }
    fs::remove_dir(path(job))
}

/// Jobs that have a cgroup here.
pub(crate) fn jobs() -> Vec<u32> {
    let entries = fs::read_dir(ROOT).into_iter().flatten().flatten();
    let mut jobs: Vec<u32> = entries
        .filter_map(|e| e.file_name().to_str()?.strip_prefix("job-")?.parse().ok())
        .collect();
    jobs.sort_unstable();
    jobs
}
