//! Pages of a node's processes lodge on other nodes: what users are told is true, and what becomes
//! of the pages when a holder is drained or dies.

use std::time::Duration;

use anyhow::{ensure, Context, Result};

use super::cluster::{eventually, Cluster, PROGRAMS, SOON};
use super::counters;
use super::counting::{self, finished};
use super::holders::dies_midway;

/// Of the program that is evicted, and pages of it that are to go.
pub(super) const MIB: u64 = 8;
const PAGES: u64 = 2048;
/// What has the program look.
pub(super) const LOOK: &str = "pkill -USR1 -x touch";
/// Until all of it came back by faults: one took 55 ms where three guests shared two busy cores.
pub(super) const BACK: Duration = Duration::from_secs(300);
/// What each of the others lends at most, where much of node1 goes; and until that is home.
const MUCH_MIB: u64 = 192;
const HOME: Duration = Duration::from_secs(180);
/// A node is given up after 15 s, here times 4, and its processes' faults are answered then.
pub(super) const GIVEN_UP: Duration = Duration::from_secs(180);

/// A job whose memory is known to the byte.
pub(super) struct Lodged {
    /// Whose memory goes.
    pub(super) owner: usize,
    pub(super) job: u32,
    pub(super) id: String,
    pub(super) output: &'static str,
    /// At least so much of it must have gone: what is in use stays.
    gone_min: u64,
}

impl Lodged {
    pub(super) fn begin(cluster: &Cluster, output: &'static str) -> Result<Self> {
        Self::begin_of(cluster, output, MIB)
    }

    /// With so much memory.
    pub(super) fn begin_of(cluster: &Cluster, output: &'static str, mib: u64) -> Result<Self> {
        Self::begin_on(cluster, 1, output, mib)
    }

    /// On another node than node1.
    pub(super) fn begin_on(
        cluster: &Cluster,
        owner: usize,
        output: &'static str,
        mib: u64,
    ) -> Result<Self> {
        let command = format!("-- sh -c 'exec {PROGRAMS}/touch {mib} >{output}'");
        let job = cluster.run(owner, &command)?;
        let id = cluster.find(owner, job, "touch")?;
        let lodged = Self { owner, job, id, output, gone_min: mib << 19 };
        lodged.said(cluster, "ready", SOON)?;
        Ok(lodged)
    }

    pub(super) fn said(&self, cluster: &Cluster, word: &str, limit: Duration) -> Result<()> {
        eventually(&format!("{word:?} from {}", self.id), limit, || {
            let said = cluster.sh(self.owner, &format!("cat {}", self.output))?;
            Ok(said.contains(word).then_some(()))
        })
    }

    /// Its memory goes to those nodes that lend.
    pub(super) fn evict(&self, cluster: &Cluster) -> Result<()> {
        eventually("its memory to lodge elsewhere", SOON, || {
            // Asked again each time: room is reserved, and coldness measured, on the way.
            self.force(cluster)?;
            let away = cluster.memory(self.owner, self.owner)?.lodged_bytes;
            Ok((away >= self.gone_min).then_some(()))
        })?;
        self.rest(cluster)
    }

    /// Pages of jobs of its node are to go, as many as it has.
    pub(super) fn force(&self, cluster: &Cluster) -> Result<()> {
        cluster.sh(self.owner, &format!("sysctl -qw holon.lodge.force_pages={PAGES}")).map(drop)
    }

    /// No more are to go.
    pub(super) fn rest(&self, cluster: &Cluster) -> Result<()> {
        cluster.sh(self.owner, "sysctl -qw holon.lodge.force_pages=0").map(drop)
    }

    /// Has it look at all of its memory, without `clusterctl`: that would say who can't be reached.
    pub(super) fn look(&self, cluster: &Cluster) -> Result<()> {
        cluster.sh(self.owner, &format!(": >{}; {LOOK}", self.output)).map(drop)
    }

    /// It looks at all of its memory.
    pub(super) fn is_intact(&self, cluster: &Cluster) -> Result<()> {
        let line = format!(": >{}; clusterctl job kill {} -s USR1", self.output, self.job);
        cluster.sh(self.owner, &line)?;
        self.said(cluster, "intact", BACK)
    }

    /// It has lost nothing, as its node tells.
    pub(super) fn has_no_loss(&self, cluster: &Cluster) -> Result<()> {
        let lost = cluster.event(self.owner, "memory-lost", &self.id)?;
        ensure!(lost.is_none(), "it has lost memory: {lost:?}");
        let shown = eventually("the process in ps", SOON, || cluster.process(self.owner, &self.id));
        shown.map(drop)
    }

    /// It dies of what it has lost, and its node says so.
    pub(super) fn dies_of_loss(&self, cluster: &Cluster) -> Result<()> {
        self.look(cluster)?;
        cluster.ended(self.owner, self.job, GIVEN_UP)?;
        let lost = cluster.event(self.owner, "memory-lost", &self.id)?;
        lost.context("no event says that it lost memory").map(drop)
    }

    pub(super) fn end(&self, cluster: &Cluster) -> Result<()> {
        cluster.sh(self.owner, &format!("clusterctl job kill {} -s KILL", self.job))?;
        cluster.ended(self.owner, self.job, SOON)
    }
}

/// Only these nodes lend.
pub(super) fn lenders(cluster: &Cluster, nodes: &[usize]) -> Result<()> {
    for node in 2..=cluster.len() {
        let mib = if nodes.contains(&node) { 64 } else { 0 };
        cluster.sh(node, &format!("sysctl -qw holon.lodge.lend_max_mb={mib}"))?;
    }
    eventually("what is lent to change", SOON, || {
        for node in 2..=cluster.len() {
            let lends = cluster.sh(node, "cat /proc/sys/holon/lodge/lend_frames")?;
            if lends.starts_with("frames 0 ") == nodes.contains(&node) {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
}

/// All others lend much: when pages of all processes go, those of node1's system go as well.
pub(super) fn lend_much(cluster: &Cluster) -> Result<()> {
    for node in 2..=cluster.len() {
        cluster.sh(node, &format!("sysctl -qw holon.lodge.lend_max_mb={MUCH_MIB}"))?;
    }
    Ok(())
}

/// All that went of any process of node1 comes home; only jobs' pages may go from then on.
pub(crate) fn recall(cluster: &Cluster) -> Result<()> {
    cluster.sh(1, "sysctl -qw holon.lodge.scope=1 holon.lodge.recall=1")?;
    eventually("all pages to be home", HOME, || {
        Ok((cluster.memory(1, 1)?.lodged_bytes == 0).then_some(()))
    })
}

/// Whether a loss would hurt a process for its memory, as another node tells.
pub(super) fn blast_names(cluster: &Cluster, from: usize, lost: usize, id: &str) -> Result<bool> {
    let wanted = format!("select(.process == \"{id}\" and .why == \"memory\")");
    let jq = format!("(.missing | length), (.processes[] | {wanted} | .bytes)");
    let line = format!("clusterctl blast node{lost} -o json | jq '{jq}'");
    // Who does not answer might have named it.
    eventually(&format!("all nodes to answer node{from}'s blast"), SOON, || {
        let text = cluster.sh(from, &line)?;
        let bytes = text.strip_prefix('0').map(|bytes| bytes.trim().parse::<u64>());
        Ok(bytes.map(|bytes| bytes.is_ok_and(|bytes| bytes > 0)))
    })
}

/// Memory of a job goes to node2 and comes back, and of who is of no job it stays; every node tells
/// the truth about it meanwhile.
pub(crate) fn round_trip(cluster: &mut Cluster) -> Result<()> {
    lenders(cluster, &[2])?;
    // It is there for longer than the job, so what it has is colder.
    let alone = "systemd-run -q --collect --unit alone -p StandardOutput=truncate:/root/alone.out";
    cluster.sh(1, &format!("{alone} {PROGRAMS}/touch {MIB}"))?;
    eventually("who is of no job to be ready", SOON, || {
        let said = cluster.sh(1, "cat /root/alone.out 2>/dev/null; true")?;
        Ok(said.contains("ready").then_some(()))
    })?;
    let lodged = Lodged::begin(cluster, "/root/lodge.out")?;
    let at_rest = [references_at_rest(cluster, 1)?, references_at_rest(cluster, 2)?];
    lodged.evict(cluster)?;
    let of_no_job = "[.processes[] | select(.process == null)] | length";
    let line = format!("clusterctl blast node2 -o json | jq '{of_no_job}'");
    ensure!(cluster.sh(1, &line)? == "0", "pages of who is of no job went");
    cluster.sh(1, "systemctl stop alone")?;
    for (node, at_rest) in [1, 2].into_iter().zip(at_rest) {
        let now = references(cluster, node)?;
        ensure!(now > at_rest, "node{node}'s module has {now} references, at rest {at_rest}");
    }
    let (away, held) = (cluster.memory(3, 1)?.lodged_bytes, cluster.memory(3, 2)?.held_bytes);
    ensure!(held >= away, "node1 has {away} bytes away, node2 holds {held}");
    ensure!(cluster.memory(3, 3)?.held_bytes == 0, "node3 holds pages though it lends nothing");
    ensure!(blast_names(cluster, 3, 2, &lodged.id)?, "blast node2 does not name {}", lodged.id);
    ensure!(!blast_names(cluster, 2, 3, &lodged.id)?, "blast node3 names {}", lodged.id);
    let shown = cluster.alive(2, &lodged.id)?;
    ensure!(shown.remote_bytes >= lodged.gone_min, "ps shows {} remote bytes", shown.remote_bytes);
    lodged.is_intact(cluster)?;
    lodged.has_no_loss(cluster)?;
    lodged.end(cluster)?;
    holds_nothing(cluster, 2)
}

/// How many references to a node's module there are.
fn references(cluster: &Cluster, node: usize) -> Result<u64> {
    Ok(cluster.sh(node, "cat /sys/module/holon/refcnt")?.parse()?)
}

/// The same, when nothing of what moves keeps it.
fn references_at_rest(cluster: &Cluster, node: usize) -> Result<u64> {
    eventually(&format!("nothing to be held on node{node}"), SOON, || {
        let held = cluster.sh(node, "cat /proc/sys/holon/held")?;
        Ok((held == "nothing").then_some(()))
    })?;
    references(cluster, node)
}

/// A job has no more on other nodes than it may, and more as soon as it may.
pub(crate) fn job_limit(cluster: &mut Cluster) -> Result<()> {
    const LIMIT_MIB: u64 = 2;
    lenders(cluster, &[2])?;
    let knob = |name: &str, value: u64| {
        cluster.sh(1, &format!("sysctl -qw holon.lodge.{name}={value}")).map(drop)
    };
    let met = || counters::read(cluster, 1, "lodge/job_limit_met");
    knob("job_max_mb", LIMIT_MIB)?;
    let before = met()?;
    let lodged = Lodged::begin(cluster, "/root/lodge-limit.out")?;
    eventually("the limit to hold pages back", SOON, || {
        knob("force_pages", PAGES)?;
        Ok((met()? > before).then_some(()))
    })?;
    let far = cluster.sh(1, "awk '{ print $2 }' /proc/sys/holon/lodge/owner")?.parse::<u64>()?;
    let most = LIMIT_MIB << 8;
    ensure!(far > 0 && far <= most, "{far} pages of a job are away that may have {most}");
    knob("job_max_mb", 0)?;
    lodged.evict(cluster)?;
    lodged.is_intact(cluster)?;
    lodged.end(cluster)?;
    holds_nothing(cluster, 2)
}

/// Waits until a node has no pages of others.
pub(super) fn holds_nothing(cluster: &Cluster, node: usize) -> Result<()> {
    eventually(&format!("node{node} to hold nothing"), SOON, || {
        Ok((cluster.memory(1, node)?.held_bytes == 0).then_some(()))
    })
}

/// A node that holds pages is drained: they go on to node3 or come home, and it may be powered off.
pub(crate) fn drained(cluster: &mut Cluster) -> Result<()> {
    lenders(cluster, &[2])?;
    let lodged = Lodged::begin(cluster, "/root/lodge-drain.out")?;
    lodged.evict(cluster)?;
    lenders(cluster, &[2, 3])?;
    let text = cluster.sh(3, "clusterctl drain node2 --timeout 4m 2>/root/drain.progress")?;
    ensure!(text.contains("safe to power off: yes"), "drain ended with: {text}");
    let held = cluster.memory(1, 2)?.held_bytes;
    ensure!(held == 0, "node2 still holds {held} bytes");
    ensure!(!blast_names(cluster, 3, 2, &lodged.id)?, "blast node2 still names {}", lodged.id);
    cluster.kill(2)?;
    cluster.sees_up(1, 2)?;
    lodged.is_intact(cluster)?;
    lodged.end(cluster)?;
    cluster.start(2)?;
    cluster.sh(1, "clusterctl undrain node2")?;
    Ok(())
}

/// The only holder dies: who has pages there dies of it, by name; nobody else does.
pub(crate) fn holder_killed(cluster: &mut Cluster) -> Result<()> {
    lenders(cluster, &[2])?;
    let lodged = Lodged::begin(cluster, "/root/lodge-killed.out")?;
    lodged.evict(cluster)?;
    lenders(cluster, &[2, 3])?;
    let bystander = cluster.run(1, &format!("-- {}", counting::command("/root/lodge-by.out")))?;
    ensure!(blast_names(cluster, 3, 2, &lodged.id)?, "blast node2 does not name {}", lodged.id);
    cluster.kill(2)?;
    lodged.dies_of_loss(cluster)?;
    finished(cluster, 1, bystander, "/root/lodge-by.out")?;
    cluster.start(2)
}

/// Each page is on two nodes. One dies while it is asked for pages: nobody is hurt, and with its
/// new life there are two again.
pub(crate) fn two_copies(cluster: &mut Cluster) -> Result<()> {
    lenders(cluster, &[2, 3])?;
    cluster.sh(1, "sysctl -qw holon.lodge.copies=2")?;
    let lodged = Lodged::begin(cluster, "/root/lodge-copies.out")?;
    // Some go still when it is told to stop, so the knob stays until the end.
    let mended = lodged.evict(cluster).and_then(|()| holder_again(cluster, &lodged));
    cluster.sh(1, "sysctl -qw holon.lodge.copies=1")?;
    mended?;
    lodged.is_intact(cluster)?;
    lodged.has_no_loss(cluster)?;
    lodged.end(cluster)
}

fn holder_again(cluster: &mut Cluster, lodged: &Lodged) -> Result<()> {
    ensure!(!blast_names(cluster, 1, 2, &lodged.id)?, "blast node2 names {}", lodged.id);
    let died = dies_midway(cluster, lodged)?;
    cluster.start(died)?;
    lodged.evict(cluster)?;
    eventually("the copies to be made again", GIVEN_UP, || {
        let (owner, holder) = (cluster.memory(1, 1)?, cluster.memory(1, died)?);
        let is_mended = owner.lodged_bytes == 0 || owner.to_mend_bytes == 0;
        Ok((is_mended && holder.held_bytes >= owner.lodged_bytes).then_some(()))
    })
}
