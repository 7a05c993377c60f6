//! What scenarios, demo and benchmarks are written in: a cluster and what one does with it.

use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use serde::Deserialize;

use crate::given::Stopwatch;
use crate::instance::client::Instance;
use crate::instance::control::{Boot, Encryption};
use crate::instance::ready;
use crate::instance::up::{self, Payload, Size};
use crate::node::ssh::{Ssh, Terminal};

/// Between two looks at a state that nobody announces. A look that takes longer is followed by a
/// pause of its own length, up to a second: what is waited for has the processors as long.
const LOOK: Duration = Duration::from_millis(300);
const LOOK_MOST: Duration = Duration::from_secs(1);
/// For what takes a second on metal; guests run under emulation.
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// For all memory of a process that is busy itself, over an emulated wire.
const FETCHED: Duration = Duration::from_secs(300);
/// Where the guests have the programs of `qemu-testbed/scenario/programs`.
pub(crate) const PROGRAMS: &str = "/usr/lib/holon-testbed";

/// A row of `clusterctl ps -o json`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Process {
    /// JOB.PID.
    pub id: String,
    /// Its job.
    pub job: u32,
    /// Name of the node where it runs.
    pub node: String,
    /// As `ps` prints it.
    pub state: String,
    /// Memory that is still elsewhere.
    pub remote_bytes: u64,
    /// Command line.
    pub command: String,
}

/// A row of `clusterctl events -o json`, as far as scenarios look at it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Event {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// JOB.PID.
    pub process: Option<String>,
    /// Name of the node that it went to.
    pub to: Option<String>,
    /// How long the process stood still.
    pub freeze_us: Option<u64>,
    /// From the command to the release.
    pub total_us: Option<u64>,
}

/// A row of `clusterctl mem status -o json`, as far as scenarios look at it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Memory {
    /// Name of the node.
    pub node: String,
    /// What it holds of others.
    pub held_bytes: u64,
    /// What of its processes is elsewhere.
    pub lodged_bytes: u64,
    /// Of that, what has too few copies.
    pub to_mend_bytes: u64,
    /// It needs its memory itself.
    pub short: bool,
}

#[derive(Deserialize)]
struct List<T> {
    kind: String,
    items: Vec<T>,
    /// Names of nodes that did not answer: what is there is not among the items.
    #[serde(default)]
    missing: Vec<String>,
}

/// A command that runs on a node.
#[derive(Debug)]
pub(crate) struct Running(Child);

impl Running {
    /// Whether it has.
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.0.try_wait()?.is_some())
    }

    /// Waits for its end.
    pub(crate) fn finish(self) -> Result<Output> {
        Ok(self.0.wait_with_output()?)
    }
}

/// A cluster under test. It ends with this value.
#[derive(Debug)]
pub(crate) struct Cluster {
    instance: Instance,
    ssh: Vec<Ssh>,
}

impl Cluster {
    /// Brings one up in a folder, joined and ready, its traffic in clear.
    pub(crate) fn up(dir: &Path, size: Size, seed: u64) -> Result<Self> {
        Self::up_with(dir, size, seed, Encryption::Plain)
    }

    /// Brings one up in a folder, joined and ready.
    pub(crate) fn up_with(
        dir: &Path,
        size: Size,
        seed: u64,
        encryption: Encryption,
    ) -> Result<Self> {
        up::down(dir)?;
        let instance = up::up(dir, size, seed, Payload::Holon, encryption)?;
        let ssh =
            (1..=size.nodes).map(|node| instance.ssh_unchecked(node)).collect::<Result<_>>()?;
        Ok(Self { instance, ssh })
    }

    /// Takes it down.
    pub(crate) fn down(self) -> Result<()> {
        up::down(&self.instance.config.dir)
    }

    /// The connection to the supervisor.
    pub(crate) fn instance(&mut self) -> &mut Instance {
        &mut self.instance
    }

    /// How many nodes it has.
    pub(crate) fn len(&self) -> usize {
        self.ssh.len()
    }

    /// Runs a shell line on a node; what it printed, or an error with what it said.
    pub(crate) fn sh(&self, node: usize, line: &str) -> Result<String> {
        let output = self.capture(node, line)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
        }
        bail!(
            "node{node}: `{line}` ended with {}: {}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    }

    /// Runs a shell line on a node; all that came of it.
    pub(crate) fn capture(&self, node: usize, line: &str) -> Result<Output> {
        self.ssh[node - 1].capture(line)
    }

    /// Starts a shell line on a node and goes on.
    pub(crate) fn begin(&self, node: usize, line: &str) -> Result<Running> {
        let mut command = self.ssh[node - 1].exec(&[line.to_owned()], Terminal::No);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(Running(command.spawn().context("run ssh")?))
    }

    /// Copies a file to a node.
    pub(crate) fn push(&self, node: usize, from: &Path, to: &str) -> Result<()> {
        self.ssh[node - 1].push(from, to)
    }

    /// A list that `clusterctl` prints on a node.
    fn list<T: for<'a> Deserialize<'a>>(
        &self,
        node: usize,
        words: &str,
        kind: &str,
    ) -> Result<List<T>> {
        let text = self.sh(node, &format!("clusterctl {words} -o json"))?;
        let list: List<T> =
            serde_json::from_str(&text).with_context(|| format!("clusterctl {words}: {text}"))?;
        ensure!(list.kind == kind, "clusterctl {words} printed a {}", list.kind);
        Ok(list)
    }

    /// All processes, as one node sees them: a list that lacks a node's tells nothing of who is
    /// there, so it is asked for again.
    pub(crate) fn processes(&self, node: usize) -> Result<Vec<Process>> {
        eventually(&format!("all nodes to answer node{node}'s ps"), SOON, || self.complete(node))
    }

    /// The same, if all answer at once.
    fn complete(&self, node: usize) -> Result<Option<Vec<Process>>> {
        let list = self.list(node, "ps", "ProcessList")?;
        Ok(list.missing.is_empty().then_some(list.items))
    }

    /// One process, if it is there.
    pub(crate) fn process(&self, node: usize, id: &str) -> Result<Option<Process>> {
        Ok(self.processes(node)?.into_iter().find(|process| process.id == id))
    }

    /// One process that must be there; the error tells what the node knows.
    pub(crate) fn alive(&self, node: usize, id: &str) -> Result<Process> {
        if let Some(process) = self.process(node, id)? {
            return Ok(process);
        }
        let known = self.sh(node, "clusterctl ps; clusterctl events | tail -n 12")?;
        bail!("node{node} does not see {id}. It knows:\n{known}")
    }

    /// Remote memory of node `of`, as node `by` tells it.
    pub(crate) fn memory(&self, by: usize, of: usize) -> Result<Memory> {
        let name = format!("node{of}");
        eventually(&format!("a row of {name} in node{by}'s mem status"), SOON, || {
            let rows: Vec<Memory> = self.list(by, "mem status", "MemoryList")?.items;
            Ok(rows.into_iter().find(|row| row.node == name))
        })
    }

    /// All events that a node knows.
    pub(crate) fn events(&self, node: usize) -> Result<Vec<Event>> {
        Ok(self.list(node, "events", "EventList")?.items)
    }

    /// The newest event of a kind about a process.
    pub(crate) fn event(&self, node: usize, kind: &str, process: &str) -> Result<Option<Event>> {
        let about = |event: &Event| event.kind == kind && event.process.as_deref() == Some(process);
        Ok(self.events(node)?.into_iter().rev().find(about))
    }

    /// Starts a job in the background and gives its number.
    pub(crate) fn run(&self, node: usize, words: &str) -> Result<u32> {
        let text = self.sh(node, &format!("clusterctl run -d {words}"))?;
        text.parse().with_context(|| format!("`clusterctl run -d` printed {text:?}"))
    }

    /// Waits until the job has a process that runs the program which `words` begins with, and whose
    /// command contains `words`; gives its id. A shell that was told to run it is not meant.
    pub(crate) fn find(&self, node: usize, job: u32, words: &str) -> Result<String> {
        let program = words.split(' ').next().unwrap_or(words);
        let wanted = |p: &Process| {
            let first = p.command.split(' ').next().unwrap_or_default();
            let runs = first.rsplit('/').next() == Some(program);
            p.job == job && runs && p.command.contains(words)
        };
        eventually(&format!("{words} in job {job}"), SOON, || {
            let mut all = self.processes(node)?.into_iter();
            Ok(all.find(wanted).map(|process| process.id))
        })
    }

    /// Moves a process and checks that `ps` of another node than it is on then shows it there.
    pub(crate) fn migrate(&self, id: &str, to: usize) -> Result<()> {
        let from = if to == 1 { 2 } else { 1 };
        self.sh(from, &format!("clusterctl migrate {id} --to node{to}"))?;
        self.sees_on(from, id, to)
    }

    /// Checks that `ps` of a node shows a process on another.
    pub(crate) fn sees_on(&self, node: usize, id: &str, on: usize) -> Result<()> {
        let (seen, wanted) = (self.alive(node, id)?, format!("node{on}"));
        ensure!(seen.node == wanted, "node{node} sees {id} on {}, not {wanted}", seen.node);
        Ok(())
    }

    /// Waits until a process has all its memory where it runs.
    pub(crate) fn fetched(&self, node: usize, id: &str) -> Result<()> {
        eventually(&format!("all memory of {id}"), FETCHED, || {
            let process = self.alive(node, id)?;
            Ok((process.remote_bytes == 0).then_some(()))
        })
    }

    /// Waits until a job has no process left.
    pub(crate) fn ended(&self, node: usize, job: u32, limit: Duration) -> Result<()> {
        eventually(&format!("the end of job {job}"), limit, || {
            let all = self.complete(node)?;
            Ok(all.filter(|all| !all.iter().any(|p| p.job == job)).map(drop))
        })
    }

    /// Cuts a node's power.
    pub(crate) fn kill(&mut self, node: usize) -> Result<()> {
        self.instance.kill(node)
    }

    /// Boots a node again with a fresh disk and waits until all see all.
    pub(crate) fn start(&mut self, node: usize) -> Result<()> {
        self.instance.start(node, Boot::Warm)?;
        ready::one(&mut self.instance, node, Boot::Warm)?;
        let all = self.len();
        for other in 1..=all {
            self.sees_up(other, all)?;
        }
        Ok(())
    }

    /// Waits until a node's `status` counts so many members up.
    pub(crate) fn sees_up(&self, node: usize, count: usize) -> Result<()> {
        let line =
            "clusterctl status -o json | jq '[.nodes[] | select(.state == \"up\")] | length'";
        eventually(&format!("{count} nodes up, seen by node{node}"), SOON, || {
            Ok((self.sh(node, line)?.parse() == Ok(count)).then_some(()))
        })
    }
}

/// Looks until `look` finds what it looks for, or the host has given the limit's time in vain.
pub(crate) fn eventually<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let mut watch = Stopwatch::start();
    loop {
        let began = Instant::now();
        if let Some(found) = look()? {
            return Ok(found);
        }
        if watch.elapsed() > limit {
            bail!("waited {} s in vain for {what}", limit.as_secs());
        }
        thread::sleep(began.elapsed().clamp(LOOK, LOOK_MOST));
    }
}
