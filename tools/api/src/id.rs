//! Names of processes: `JOB.PID`, and which slot a PID was allocated in.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// How many PIDs each slot owns in every job's pid namespace.
pub const PIDS_PER_SLOT: u32 = 65_536;
/// How many slots a cluster has at most.
pub const SLOTS_MAX: u32 = 64;
/// The first PIDs of slot 0 stay with the job's init.
const PID_FIRST: u32 = 2;

/// A process's cluster-wide name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessId {
    /// The job's number.
    pub job: u32,
    /// The PID that the program itself sees.
    pub pid: u32,
}

/// Why a text is no `JOB.PID`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a process of the form JOB.PID, such as 3.17")]
pub struct BadProcessId(pub String);

impl ProcessId {
    /// The slot whose node allocated this PID, where the process's surrogate is while it is away.
    pub fn origin_slot(self) -> u32 {
        self.pid / PIDS_PER_SLOT
    }
}

/// The PIDs that a slot's node may allocate: first and last.
pub fn pid_range(slot: u32) -> (u32, u32) {
    let first = (slot * PIDS_PER_SLOT).max(PID_FIRST);
    (first, slot * PIDS_PER_SLOT + (PIDS_PER_SLOT - 1))
}

/// What to write into `ns_last_pid` so that the next PID is the slot's first.
pub fn pid_cursor_start(slot: u32) -> u32 {
    pid_range(slot).0 - 1
}

/// Whether the cursor stands where the next PIDs would soon leave the slot's range.
///
/// The last quarter is kept free: the job's init, which looks once a second, and ten times while
/// there are many forks, must see the cursor in it before 16,384 more have gone by.
pub fn pid_cursor_must_reset(slot: u32, last_pid: u32) -> bool {
    let (first, last) = pid_range(slot);
    last_pid + 1 < first || last_pid >= last - PIDS_PER_SLOT / 4
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.job, self.pid)
    }
}

impl FromStr for ProcessId {
    type Err = BadProcessId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadProcessId(text.to_owned());
        let (job, pid) = text.split_once('.').ok_or_else(bad)?;
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(job) || !digits(pid) {
            return Err(bad());
        }
        let job = job.parse().map_err(|_| bad())?;
        let pid = pid.parse().map_err(|_| bad())?;
        if pid == 0 || pid >= PIDS_PER_SLOT * SLOTS_MAX {
            return Err(bad());
        }
        Ok(Self { job, pid })
    }
}

impl Serialize for ProcessId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ProcessId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints() {
        let id: ProcessId = "3.17".parse().expect("a good name");
        assert_eq!(id, ProcessId { job: 3, pid: 17 });
        assert_eq!(id.to_string(), "3.17");
    }

    #[test]
    fn refuses_what_is_no_process() {
        for text in ["", "3", "3.", ".17", "3.0", "a.b", "3.+7", "3.17.1", "-3.7", "3.4194304"] {
            assert!(text.parse::<ProcessId>().is_err(), "{text}");
        }
    }

    #[test]
    fn slots_do_not_overlap() {
        assert_eq!(pid_range(0), (2, 65_535));
        assert_eq!(pid_range(1), (65_536, 131_071));
        assert_eq!(pid_range(63).1, 4_194_303);
        for slot in 1..SLOTS_MAX {
            assert_eq!(pid_range(slot).0, pid_range(slot - 1).1 + 1);
            assert_eq!(ProcessId { job: 1, pid: pid_range(slot).0 }.origin_slot(), slot);
            assert_eq!(ProcessId { job: 1, pid: pid_range(slot).1 }.origin_slot(), slot);
        }
    }

    #[test]
    fn cursor_is_put_back_in_time() {
        assert!(!pid_cursor_must_reset(1, 65_535));
        assert!(!pid_cursor_must_reset(1, 100_000));
        assert!(pid_cursor_must_reset(1, 120_000));
        assert!(pid_cursor_must_reset(1, 300), "wrapped");
        assert!(!pid_cursor_must_reset(0, 1));
        assert!(pid_cursor_must_reset(0, 65_000));
    }
}
