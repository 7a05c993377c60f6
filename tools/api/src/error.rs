//! Errors that reach a user: what failed, why, and what to do about it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The exit codes of `clusterctl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// Failed for a reason of no class below.
    Failure,
    /// The command line makes no sense.
    Usage,
    /// No such node, job or process.
    NotFound,
    /// Some of what was asked was done; the rest is named.
    Partial,
    /// Not allowed as things stand: the process can't move, the node is cordoned and so on.
    Refused,
    /// Not finished in time; it may still go on.
    TimedOut,
    /// Fewer than half of the nodes are up.
    NoQuorum,
    /// The daemon or the module is not there, or versions differ.
    NotReady,
    /// Not yours to do.
    Permission,
    /// Given up on request.
    Cancelled,
    /// `run`: Holon itself failed.
    RunFailed,
    /// `run`: the command can't be executed.
    RunNotExecutable,
    /// `run`: the command was not found.
    RunNotFound,
}

impl Code {
    /// The exit status.
    pub fn status(self) -> u8 {
        match self {
            Self::Failure => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Partial => 4,
            Self::Refused => 5,
            Self::TimedOut => 6,
            Self::NoQuorum => 7,
            Self::NotReady => 8,
            Self::Permission => 9,
            Self::Cancelled => 10,
            Self::RunFailed => 125,
            Self::RunNotExecutable => 126,
            Self::RunNotFound => 127,
        }
    }
}

/// What went wrong, in three parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// Its class, which is the exit status too.
    pub code: Code,
    /// What failed.
    pub what: String,
    /// Why.
    pub why: String,
    /// What to do; empty if there is nothing to say.
    #[serde(default)]
    pub fix: String,
}

impl ApiError {
    /// An error with no advice.
    pub fn new(code: Code, what: impl Into<String>, why: impl fmt::Display) -> Self {
        Self { code, what: what.into(), why: why.to_string(), fix: String::new() }
    }

    /// The same with advice.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = fix.into();
        self
    }

    /// The same in another class.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

impl std::error::Error for ApiError {}
