//! What daemons ask each other.

use crate::cordons::Word;
use crate::jobs::record::JobRecord;
use crate::jobs::takeover::Vote;
use crate::jobs::users::Account;
use crate::nodes::NodeInfo;
use holon_api::request::{RunInput, RunSpec};
use holon_api::rows::{EventRow, Explanation, Hurt, Left, MemoryRow, Moved, ProcessRow};
use holon_api::{ApiError, ProcessId};
use serde::{Deserialize, Serialize};

/// A question to another node's daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub(crate) enum PeerRequest {
    /// I am here (again): my jobs, what is cordoned, and my version.
    Hello(Box<Hello>),
    /// How are you?
    Info,
    /// Processes of jobs on your node.
    Rows,
    /// Remote memory on your node.
    Memory,
    /// Which of your processes have memory that is only there?
    Hurt {
        /// Where.
        slot: u32,
    },
    /// For how long have you not heard this node?
    DownFor {
        /// It.
        slot: u32,
    },
    /// Your events since this one.
    Events {
        /// The last one known.
        after_seq: u64,
    },
    /// I want this number for a new job: do you know nothing against it?
    JobNumber {
        /// It.
        job: u32,
    },
    /// What do you know of this job?
    Job {
        /// The job.
        job: u32,
    },
    /// The job's home seems to be dead: make sure, become its home and start it.
    TakeOver {
        /// Its record, with you as its home.
        record: Box<JobRecord>,
    },
    /// What do you know of this run of a job and of its home?
    Vote {
        /// The job.
        job: u32,
        /// The run.
        restarts: u32,
        /// Its home.
        home: u32,
    },
    /// This is a job's next run: take its record, unless you know another.
    Accept {
        /// The record.
        record: Box<JobRecord>,
    },
    /// These jobs changed.
    Jobs {
        /// Their records.
        records: Vec<JobRecord>,
    },
    /// This job may come to your node soon: build its namespaces.
    Prepare {
        /// The job.
        job: u32,
    },
    /// Start a job with its home at yours.
    Run {
        /// What and how.
        spec: Box<RunSpec>,
        /// As whom.
        account: Account,
        /// The asker's number of the client's session.
        session: u64,
    },
    /// Bytes or news for a session of yours; the blob has the bytes.
    SessionInput {
        /// Your number of it.
        session: u64,
        /// What.
        input: RunInput,
    },
    /// Bytes or news for a session that I began at yours; the blob has the bytes.
    SessionOutput {
        /// Your number of it.
        session: u64,
        /// What.
        output: SessionOutput,
    },
    /// The client is gone.
    SessionClosed {
        /// Your number of it.
        session: u64,
    },
    /// Move a process whose body is at yours.
    Migrate {
        /// The process.
        process: ProcessId,
        /// To which slot.
        to: u32,
    },
    /// The command line of a process that comes to yours.
    Command {
        /// The process.
        process: ProcessId,
        /// Its command line.
        command: String,
    },
    /// Whether a process whose body is at yours can move.
    Explain {
        /// The process.
        process: ProcessId,
    },
    /// Send a signal to all processes of a job at yours; tell whether there are any.
    Signal {
        /// The job.
        job: u32,
        /// The signal.
        signal: i32,
    },
    /// A job was killed and has no process: its record is over.
    Killed {
        /// The job.
        job: u32,
    },
    /// A job is over: end what is left of it.
    Forget {
        /// The job.
        job: u32,
        /// Its runs up to this one; a later one is another matter.
        restarts: u32,
    },
    /// A node is cordoned or not.
    Cordon {
        /// The node.
        slot: u32,
        /// The word about it.
        word: Word,
    },
    /// What of Holon's is at yours?
    Left,
    /// Begin to tear down empty namespaces of jobs at yours.
    Tidy,
    /// Whether a job has processes at yours.
    HasProcesses {
        /// The job.
        job: u32,
    },
}

/// Who I am.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// The daemon's version.
    pub(crate) version: String,
    /// Another number after each start of the daemon.
    pub(crate) life: u64,
    /// All jobs that I know.
    pub(crate) records: Vec<JobRecord>,
    /// Highest job number that I know of.
    pub(crate) job_max: u32,
    /// The last word about each node's cordon.
    pub(crate) cordons: Vec<(u32, Word)>,
    /// I have given you up, as far as memory goes: it is over between these lives of ours.
    #[serde(default)]
    pub(crate) given_up: Option<GivenUp>,
}

/// Lives of two modules that have no more to do with each other's memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct GivenUp {
    /// The asker's.
    pub(crate) mine: [u8; 16],
    /// The one that was given up.
    pub(crate) yours: [u8; 16],
}

/// What a session's home side says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "output", rename_all = "kebab-case")]
pub(crate) enum SessionOutput {
    /// The blob was written to stdout.
    Stdout,
    /// The blob was written to stderr.
    Stderr,
    /// The last bytes for stdin were taken.
    StdinTaken,
    /// The command ended.
    Exited {
        /// Its status, or 128+n.
        status: i32,
        /// Why, if Holon ended it.
        note: Option<String>,
    },
}

/// An answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub(crate) enum PeerReply {
    /// Done.
    Done,
    /// No.
    Error(ApiError),
    /// To `Hello`.
    Hello(Box<Hello>),
    /// To `Info`.
    Info(Box<NodeInfo>),
    /// To `Rows`.
    Rows {
        /// The processes.
        rows: Vec<ProcessRow>,
    },
    /// To `Memory`.
    Memory(Box<MemoryRow>),
    /// To `Hurt`.
    Hurt {
        /// They.
        hurt: Vec<Hurt>,
    },
    /// To `DownFor`.
    DownFor {
        /// For so long; none: it is heard.
        ms: Option<u64>,
    },
    /// To `Events`.
    Events {
        /// Oldest first.
        events: Vec<EventRow>,
        /// The number of the last one that there is.
        last_seq: u64,
    },
    /// To `JobNumber`.
    JobNumber {
        /// Whether it was not known and is noted now.
        granted: bool,
        /// The highest number known.
        max: u32,
    },
    /// To `Job`.
    Job {
        /// It, if known.
        record: Option<Box<JobRecord>>,
    },
    /// To `Run`.
    Started {
        /// The job.
        job: u32,
        /// Its first process.
        process: ProcessId,
        /// The home's number of the session.
        session: u64,
    },
    /// To `Vote`.
    Vote(Vote),
    /// To `Migrate`.
    Moved(Moved),
    /// To `Explain`.
    Explained(Explanation),
    /// To `Left`.
    Left(Left),
    /// To `HasProcesses`.
    HasProcesses {
        /// Whether.
        has: bool,
    },
}
