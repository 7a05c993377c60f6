//! What lists are made of. Field names are a contract: they are printed by `-o json`.

use crate::id::ProcessId;
use crate::API_VERSION;
use serde::{Deserialize, Serialize};

/// A list with its heading, as `-o json` prints it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct List<T> {
    /// Always [`API_VERSION`].
    pub api_version: String,
    /// What is listed.
    pub kind: String,
    /// The rows.
    pub items: Vec<T>,
    /// Nodes that should have been asked and did not answer: their rows are not among the items.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

impl<T> List<T> {
    /// A list of `kind`, all nodes having answered.
    pub fn new(kind: &str, items: Vec<T>) -> Self {
        Self { api_version: API_VERSION.into(), kind: kind.into(), items, missing: Vec::new() }
    }
}

/// One process of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRow {
    /// `JOB.PID`.
    pub id: ProcessId,
    /// The job's number.
    pub job: u32,
    /// The PID that the program sees.
    pub pid: u32,
    /// The owner's name, or number if nameless.
    pub user: String,
    /// The job's home.
    pub home: String,
    /// Where the process runs.
    pub node: String,
    /// `running`, `sleeping`, `waiting` (for a disk or a peer), `stopped`, `zombie`, `moving`.
    pub state: String,
    /// Memory on the node where it runs.
    pub local_bytes: u64,
    /// Memory still on other nodes.
    pub remote_bytes: u64,
    /// Its command line.
    pub command: String,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeRow {
    /// Its name.
    pub name: String,
    /// Its slot.
    pub slot: u32,
    /// Its address.
    pub addr: String,
    /// `up`, `down`, or `unknown`: the kernel hears it, its daemon does not answer.
    pub state: String,
    /// Whether new work stays away.
    pub cordoned: bool,
    /// Why it is cordoned.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cordon_reason: String,
    /// Processors.
    pub cpus: u32,
    /// Load average of the last minute.
    pub load: f64,
    /// Memory in all, in bytes.
    pub mem_total: u64,
    /// Memory that new work can have, in bytes.
    pub mem_free: u64,
    /// Jobs whose home it is.
    pub jobs: u32,
    /// Bodies of processes that came from elsewhere.
    pub bodies: u32,
    /// Surrogates of processes that are elsewhere.
    pub surrogates: u32,
    /// Version of its module; empty if unknown.
    #[serde(default)]
    pub version: String,
}

/// One job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRow {
    /// Its number.
    pub job: u32,
    /// Its home.
    pub home: String,
    /// The owner's name.
    pub user: String,
    /// The owner's number.
    pub uid: u32,
    /// `never` or `exec`.
    pub restart: String,
    /// `running`, `finishing` (the command ended, others run), `ended`, `lost`.
    pub state: String,
    /// Its processes now.
    pub processes: u32,
    /// The first process, `JOB.PID`.
    pub main: Option<ProcessId>,
    /// How often it was started again.
    pub restarts: u32,
    /// The command.
    pub command: String,
    /// When it was started.
    pub started: String,
    /// The first process's exit status, 128+n for a signal, once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
}

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRow {
    /// When, RFC 3339.
    pub time: String,
    /// What: `node-up`, `migrate-done` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// Who says it.
    pub node: String,
    /// The process concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessId>,
    /// The job concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<u32>,
    /// From which node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// To which node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For how long the process stood still, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze_us: Option<u64>,
    /// From the request to the commit, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_us: Option<u64>,
    /// Grows by one with each event of the node that says it.
    #[serde(default)]
    pub seq: u64,
}

/// The module's presence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleRow {
    /// Whether `/dev/holon` is there.
    pub loaded: bool,
    /// Its version; empty if not loaded.
    pub version: String,
    /// Why not loaded.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub problem: String,
}

/// What protects the traffic between nodes, as one of them sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncryptionRow {
    /// What is so now: `wireguard`, `none`, or `not-up`: nothing is sent, for the `problem`.
    pub mode: String,
    /// What `nodes.toml` says: `wireguard` or `plain`.
    pub chosen: String,
    /// The encrypted interface, if one was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The other nodes, if it is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<TunnelPeerRow>,
    /// Why it is not up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Reason>,
}

/// Another node at the other end of the encrypted interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelPeerRow {
    /// Its name.
    pub node: String,
    /// Its address within, with the module's port.
    pub address: String,
    /// Its address outside, with WireGuard's port.
    pub endpoint: String,
    /// When it last proved who it is: `fresh` (in the last 3 minutes), `stale`, `never` or
    /// `unknown`.
    pub handshake: String,
    /// How many seconds ago that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_s: Option<u64>,
}

/// The whole cluster as one node sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Status {
    /// Always [`API_VERSION`].
    #[serde(rename = "apiVersion")]
    pub api_version: String,
    /// Always `Status`.
    pub kind: String,
    /// Who says it.
    pub node: String,
    /// Whether more than half of the configured nodes are up.
    pub quorum: bool,
    /// How many are up.
    pub nodes_up: u32,
    /// How many are configured.
    pub nodes_total: u32,
    /// Jobs that have not ended.
    pub jobs: u32,
    /// Processes of jobs.
    pub processes: u32,
    /// This node's module.
    pub module: ModuleRow,
    /// What protects the traffic between nodes.
    #[serde(default)]
    pub encryption: EncryptionRow,
    /// All nodes.
    pub nodes: Vec<NodeRow>,
    /// What is wrong now.
    pub alarms: Vec<String>,
}

/// Whether a process can move now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The process.
    pub process: ProcessId,
    /// Where it is.
    pub node: String,
    /// Whether it could move now.
    pub movable: bool,
    /// If not, why: a short name and a sentence each.
    pub reasons: Vec<Reason>,
}

/// One reason against a move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// A stable short name.
    pub name: String,
    /// What it means.
    pub text: String,
}

/// A finished move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The process.
    pub process: ProcessId,
    /// Where it was.
    pub from: String,
    /// Where it is.
    pub to: String,
    /// For how long it stood still, in microseconds.
    pub freeze_us: u64,
    /// From the request to the commit, in microseconds.
    pub total_us: u64,
}

/// Remote memory of one node: what it lends, and what of its own is elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryRow {
    /// The node.
    pub node: String,
    /// What it would lend at most.
    pub lend_max_bytes: u64,
    /// What is set aside to be lent.
    pub frames_bytes: u64,
    /// What others were promised.
    pub promised_bytes: u64,
    /// What is here of others.
    pub held_bytes: u64,
    /// Whether it is short of memory and asks for what it lends.
    pub short: bool,
    /// Whether what lodges here is to leave.
    pub leaving: bool,
    /// What of its processes lodges elsewhere.
    pub lodged_bytes: u64,
    /// Of that, what has fewer copies than wanted, or lies where it should not.
    pub to_mend_bytes: u64,
    /// Since its module was loaded: pages that went.
    pub evicted_pages: u64,
    /// Pages that came back.
    pub fetched_pages: u64,
    /// Of these, pages that came before anybody touched them.
    pub ahead_pages: u64,
    /// Pages that no holder has any more.
    pub lost_pages: u64,
    /// Copies that were made again.
    pub mended_pages: u64,
    /// Answers whose content was wrong.
    pub misread_pages: u64,
    /// Faults that waited for a page of another node.
    pub faults: u64,
    /// The same per second, lately.
    pub faults_per_second: f64,
    /// Pages that went, per second, lately.
    #[serde(default)]
    pub evicted_per_second: f64,
    /// Pages that came back, per second, lately.
    #[serde(default)]
    pub fetched_per_second: f64,
    /// How long these took: the median.
    pub fault_median_us: f64,
    /// 99 % of them at most.
    pub fault_p99_us: f64,
    /// 99.9 % of them at most.
    pub fault_p999_us: f64,
    /// The longest.
    pub fault_max_us: f64,
    /// How many took how long.
    pub fault_latencies: Vec<Latencies>,
    /// With whom memory is shared.
    pub peers: Vec<MemoryPeer>,
}

/// How many faults took less than so long, and at least half of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latencies {
    /// The bound.
    pub below_ns: u64,
    /// How many.
    pub count: u64,
}

/// Memory that a node shares with another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryPeer {
    /// The other.
    pub node: String,
    /// As a holder: `up`, `silent` (what it has stays counted), `given-up` (heard or not), `dead`.
    pub state: String,
    /// What the other was promised here.
    pub promised_bytes: u64,
    /// What the other has here.
    pub held_bytes: u64,
    /// What may lodge at the other.
    pub limit_bytes: u64,
    /// What does, or is on its way.
    pub used_bytes: u64,
    /// What it could lend besides.
    pub spare_bytes: u64,
}

/// What would be hurt by a node's loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Blast {
    /// Always [`API_VERSION`].
    #[serde(rename = "apiVersion")]
    pub api_version: String,
    /// Always `Blast`.
    pub kind: String,
    /// The node.
    pub node: String,
    /// Processes that would be hurt, and why.
    pub processes: Vec<Hurt>,
    /// Jobs whose home it is.
    pub homes: Vec<JobRow>,
    /// Nodes that did not answer: what they have there is not shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// A process that would be hurt by a node's loss.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hurt {
    /// It; none if it is of no job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessId>,
    /// Where it runs.
    pub node: String,
    /// Its number there, if it is of no job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_pid: Option<u32>,
    /// Its command.
    pub command: String,
    /// `memory`: it has pages that are nowhere else. `body`: it runs there. `surrogate`: its origin
    /// is there.
    pub why: String,
    /// With `memory`: how much.
    pub bytes: u64,
}

/// What of Holon's is on a node, counted by its kernel (`jobs` by its daemon).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Jobs whose home it is and which have not ended.
    pub jobs: u32,
    /// Processes of jobs that run there, whatever their home.
    pub running: u32,
    /// Of those, bodies of processes that came from elsewhere.
    pub bodies: u32,
    /// Surrogates there of processes elsewhere.
    pub surrogates: u32,
    /// Memories kept there for processes that moved on.
    pub spaces: u32,
    /// Open files served to bodies elsewhere.
    pub files: u32,
    /// Moves under way.
    pub attempts: u32,
    /// Clients there that wait for a job elsewhere.
    #[serde(default)]
    pub clients: u32,
    /// Pages of others that lodge there.
    #[serde(default)]
    pub lodgers: u64,
}

/// The outcome of `drain`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct DrainResult {
    /// Always [`API_VERSION`].
    #[serde(rename = "apiVersion")]
    pub api_version: String,
    /// Always `DrainResult`.
    pub kind: String,
    /// The node.
    pub node: String,
    /// How many processes were moved off.
    pub moved: u32,
    /// What could not be moved, with reasons.
    pub stays: Vec<Stays>,
    /// What is left.
    pub left: Left,
    /// Whether the node may be switched off and nothing suffers.
    pub safe: bool,
    /// Why not.
    pub because: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

/// A process that a drain leaves where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stays {
    /// The process.
    pub process: ProcessId,
    /// Its command.
    pub command: String,
    /// Why.
    pub reason: String,
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
