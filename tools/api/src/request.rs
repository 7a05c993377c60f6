//! Requests and replies over the Unix socket.

use crate::arg::Arg;
use crate::error::ApiError;
use crate::id::ProcessId;
use crate::rows::{
    Blast, DrainResult, EventRow, Explanation, JobRow, List, MemoryRow, Moved, NodeRow, ProcessRow,
    Status,
};
use serde::{Deserialize, Serialize};

/// What a client asks; one per connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// The whole cluster in short.
    Status,
    /// The nodes.
    NodeList,
    /// The jobs, those that ended lately too if `all`.
    JobList {
        /// Also those that have ended.
        all: bool,
    },
    /// All processes of all jobs.
    Ps,
    /// Remote memory of all nodes.
    Memory,
    /// What would be hurt by a node's loss.
    Blast {
        /// The node.
        node: String,
    },
    /// What happened.
    Events {
        /// Stay and tell what happens next.
        follow: bool,
    },
    /// Start a job. The client's stdin, stdout and stderr come with the frame.
    Run(Box<RunSpec>),
    /// Move a process.
    Migrate {
        /// The process.
        process: ProcessId,
        /// The node to move to.
        to: String,
    },
    /// Tell whether a process can move.
    Explain {
        /// The process.
        process: ProcessId,
    },
    /// Move everything off a node.
    Drain {
        /// The node.
        node: String,
        /// Why, for those who look at the node later.
        reason: String,
        /// Only tell what would be done.
        dry_run: bool,
        /// Give up waiting after this long; the node stays cordoned.
        timeout_ms: u64,
    },
    /// Let new work in again.
    Undrain {
        /// The node.
        node: String,
    },
    /// Send a signal to every process of a job.
    JobKill {
        /// The job.
        job: u32,
        /// The signal's number.
        signal: i32,
    },
    /// The daemon's and the module's versions.
    Version,
}

/// How the first process of a job is started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSpec {
    /// The command.
    pub argv: Vec<Arg>,
    /// Environment strings `NAME=value`.
    pub env: Vec<Arg>,
    /// Working directory.
    pub cwd: Arg,
    /// File mode mask.
    pub umask: u32,
    /// Soft and hard limits by resource number.
    pub limits: Vec<Limit>,
    /// The job's home, if not this node.
    pub on: Option<String>,
    /// What to do when the job is lost with a node.
    pub restart: Restart,
    /// Run as this user (name or number), if not as the caller.
    pub uid: Option<String>,
    /// Do not stay connected.
    pub detach: bool,
    /// Make a terminal for the job.
    pub terminal: Option<WindowSize>,
}

/// One resource limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// `RLIMIT_*`.
    pub resource: u32,
    /// Soft limit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

/// What becomes of a job whose node died.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// It ends.
    #[default]
    Never,
    /// Its command is executed again elsewhere.
    Exec,
}

impl Restart {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Exec => "exec",
        }
    }
}

/// A terminal's size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
}

/// What a client of `run` says later. `Stdin`'s bytes are the frame's blob; an empty one is the
/// end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "input", rename_all = "kebab-case")]
pub enum RunInput {
    /// Bytes for the command's stdin.
    Stdin,
    /// The terminal's size changed.
    Resize(WindowSize),
    /// Send this signal to the command's process group.
    Signal {
        /// The signal's number.
        signal: i32,
    },
}

/// What the daemon answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// Done, nothing to tell.
    Done {
        /// One line for people.
        note: String,
    },
    /// It failed.
    Error(ApiError),
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// To [`Request::NodeList`].
    Nodes(List<NodeRow>),
    /// To [`Request::JobList`].
    Jobs(List<JobRow>),
    /// To [`Request::Ps`].
    Processes(List<ProcessRow>),
    /// To [`Request::Memory`].
    Memory(List<MemoryRow>),
    /// To [`Request::Blast`].
    Blast(Box<Blast>),
    /// To [`Request::Events`]; with `follow`, many.
    Events(List<EventRow>),
    /// To [`Request::Run`]: the job has its number.
    Started {
        /// The number.
        job: u32,
        /// Its first process.
        process: ProcessId,
        /// Whether standard streams go through this connection.
        streamed: bool,
    },
    /// The command wrote the frame's blob to stdout (or to its terminal).
    Stdout,
    /// The command wrote the frame's blob to stderr.
    Stderr,
    /// The bytes of the last [`RunInput::Stdin`] were taken: send the next.
    StdinTaken,
    /// The command ended.
    Exited {
        /// Its status, or 128+n.
        status: i32,
        /// If Holon ended it: why.
        note: Option<String>,
    },
    /// To [`Request::Migrate`].
    Moved(Moved),
    /// To [`Request::Explain`].
    Explained(Explanation),
    /// What a drain is going to do: one line each.
    Plan {
        /// The lines.
        lines: Vec<String>,
    },
    /// How far a drain is: one line.
    Progress {
        /// The line.
        line: String,
    },
    /// To [`Request::Drain`].
    Drained(Box<DrainResult>),
    /// To [`Request::Version`].
    Version {
        /// The daemon's.
        daemon: String,
        /// The module's; empty if not loaded.
        module: String,
    },
}
