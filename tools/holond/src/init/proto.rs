//! What `holond` and a job init say to each other, as frames on a Unix socket.

use crate::cgroup::Instance;
use holon_api::request::RunSpec;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How a job init is to be set up; given as JSON in its first argument.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct InitConfig {
    /// The job, and which run of it.
    pub(crate) instance: Instance,
    /// The job's home.
    pub(crate) home: u32,
    /// This node's slot: PIDs are allocated in its range.
    pub(crate) slot: u32,
    /// The host name that the job sees: its home's.
    pub(crate) hostname: String,
    /// Where to listen.
    pub(crate) socket: PathBuf,
    /// The home's tree, if this is not the home.
    pub(crate) view: Option<ViewConfig>,
}

/// How to see the home's root from here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ViewConfig {
    /// Where the daemon has mounted the home's tree.
    pub(crate) tree: PathBuf,
}

/// A request, or what answers it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Numbered<T> {
    /// The request's number, from 1 on; 0: unasked, or the one who asked is gone.
    pub(crate) number: u64,
    /// It.
    pub(crate) what: T,
}

/// A request to the job init. An answer comes when it is ready: it names its request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub(crate) enum InitRequest {
    /// Starts a command; the frame has its stdin, stdout and stderr.
    Spawn(Box<SpawnSpec>),
    /// Which commands that `Spawn` started run?
    Commands,
    /// Forks a restore helper with this PID for this image.
    Restore {
        /// The module's number of the image.
        image: u64,
        /// The PID that the process has.
        pid: i32,
    },
    /// Sends a signal: to a PID, to a group if negative, to all if -1.
    Signal {
        /// PID inside the job.
        pid: i32,
        /// Signal number.
        signal: i32,
    },
}

/// A command with the user's numbers looked up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SpawnSpec {
    /// The command and its surroundings.
    pub(crate) run: RunSpec,
    /// User.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
    /// Supplementary groups.
    pub(crate) groups: Vec<u32>,
}

/// What the job init says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub(crate) enum InitReply {
    /// To a request: done; the PID inside the job where one was made.
    Done {
        /// PID or 0.
        pid: i32,
    },
    /// To a request: failed.
    Failed {
        /// At which step.
        step: SpawnStep,
        /// With which errno.
        errno: i32,
    },
    /// To `Commands`.
    Commands {
        /// Their PIDs.
        pids: Vec<i32>,
    },
    /// Unasked: a command that `Spawn` started ended.
    Exited {
        /// Its PID.
        pid: i32,
        /// Its wait status as the kernel gives it.
        status: i32,
    },
    /// Unasked: the last process of the job here is gone, or the first one came.
    Count {
        /// Whether there are processes other than the init.
        empty: bool,
    },
}

/// Steps of starting a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SpawnStep {
    /// The fork.
    Fork,
    /// Session and terminal.
    Terminal,
    /// Standard streams.
    Streams,
    /// Resource limits.
    Limits,
    /// User and groups.
    User,
    /// Working directory.
    Directory,
    /// The exec; ENOENT means that the command was not found.
    Exec,
    /// A signal could not be sent.
    Signal,
    /// The request made no sense.
    Request,
}

impl SpawnStep {
    /// All, at their numbers on the pipe between child and init.
    pub(crate) const ALL: [Self; 9] = [
        Self::Fork,
        Self::Terminal,
        Self::Streams,
        Self::Limits,
        Self::User,
        Self::Directory,
        Self::Exec,
        Self::Signal,
        Self::Request,
    ];
}
