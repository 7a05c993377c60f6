//! What every node knows about a job.

use super::users::Account;
use holon_api::request::{Restart, RunSpec};
use holon_api::rows::JobRow;
use holon_api::ProcessId;
use serde::{Deserialize, Serialize};

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum JobState {
    /// Its namespaces are being made.
    Starting,
    /// Its command runs.
    Running,
    /// Its command ended, other processes run.
    Finishing,
    /// Over.
    Ended,
    /// Over, because of a lost node.
    Lost,
    /// Its home has ended it or knows that it does not run, but did not want that: it may be run
    /// again. Only with `restart: exec`.
    Fenced,
}

impl JobState {
    /// Whether nothing of it runs any more.
    pub(crate) fn is_over(self) -> bool {
        matches!(self, Self::Ended | Self::Lost | Self::Fenced)
    }

    /// As in `job list`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Finishing => "finishing",
            Self::Ended => "ended",
            Self::Lost => "lost",
            Self::Fenced => "fenced",
        }
    }
}

/// A job. Its home changes it, and tells the others; after the home's death, who takes it over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobRecord {
    /// Its number.
    pub(crate) job: u32,
    /// Slot of its home.
    pub(crate) home: u32,
    /// As whom it runs.
    pub(crate) account: Account,
    /// What to do when it is lost.
    pub(crate) restart: Restart,
    /// Its command, for people.
    pub(crate) command: String,
    /// How far it is.
    pub(crate) state: JobState,
    /// PID of its first process; 0 before it is there.
    pub(crate) main_pid: u32,
    /// When it was started, RFC 3339.
    pub(crate) started: String,
    /// How often it was started again.
    pub(crate) restarts: u32,
    /// Grows with each change by the same home.
    pub(crate) revision: u32,
    /// Exit status of the first process, 128+n for a signal.
    pub(crate) status: Option<i32>,
    /// What is needed to start it again; only with `restart: exec`.
    pub(crate) spec: Option<Box<RunSpec>>,
}

impl JobRecord {
    /// Whether this is later than `other`: who took a job over wins against its old home.
    pub(crate) fn is_newer_than(&self, other: &Self) -> bool {
        (self.restarts, self.revision) > (other.restarts, other.revision)
    }

    /// What is over for good needs no command and no environment any more.
    pub(crate) fn drop_unneeded(&mut self) {
        if matches!(self.state, JobState::Ended | JobState::Lost) {
            self.spec = None;
        }
    }

    /// For `job list`.
    pub(crate) fn row(&self, home: String, processes: u32) -> JobRow {
        let pid = self.main_pid;
        JobRow {
            job: self.job,
            home,
            user: self.account.name.clone(),
            uid: self.account.uid,
            restart: self.restart.name().into(),
            state: self.state.name().into(),
            processes,
            main: (pid != 0).then_some(ProcessId { job: self.job, pid }),
            restarts: self.restarts,
            command: self.command.clone(),
            started: self.started.clone(),
            status: self.status,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::jobs::users::account;

    /// A job that runs at its home.
    pub(crate) fn record(job: u32, home: u32) -> JobRecord {
        JobRecord {
            job,
            home,
            account: account("root").expect("everywhere"),
            restart: Restart::Never,
            command: "true".into(),
            state: JobState::Running,
            main_pid: 2,
            started: String::new(),
            restarts: 0,
            revision: 0,
            status: None,
            spec: None,
        }
    }
}
