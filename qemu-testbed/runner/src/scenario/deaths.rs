//! Nodes lose power without a warning.

use anyhow::{ensure, Context, Result};

use super::cluster::{eventually, Cluster, PROGRAMS, SOON};
use super::counting::{self, finished};
use super::lodges::{blast_names, holds_nothing, lenders, Lodged, MIB};

/// The target dies while a process is handed to it: the process runs on where it was.
pub(crate) fn target_killed(cluster: &mut Cluster) -> Result<()> {
    let job = cluster.run(1, &format!("-- {}", counting::command("/root/target.out")))?;
    let id = cluster.find(1, job, "counter")?;
    // The target hears the request and answers nothing: the hand-off is under way when it dies.
    cluster.instance().pause(3)?;
    let moving = cluster.begin(1, &format!("clusterctl migrate {id} --to node3"))?;
    eventually("the hand-off to begin", SOON, || cluster.event(1, "migrate-start", &id))?;
    cluster.kill(3)?;
    let output = moving.finish()?;
    ensure!(!output.status.success(), "a move to a dead node was reported as done");
    let process = cluster.alive(2, &id)?;
    ensure!(process.node == "node1", "{id} is on {}", process.node);
    finished(cluster, 1, job, "/root/target.out")?;
    cluster.start(3)
}

/// The source dies while it still has most of the memory: the process ends with that reason, which
/// `blast` has told before. What the source had on another node is let go there.
pub(crate) fn source_killed(cluster: &mut Cluster) -> Result<()> {
    lenders(cluster, &[])?;
    let lodged = Lodged::begin_on(cluster, 2, "/root/source-lodged.out", MIB)?;
    lodged.evict(cluster)?;
    ensure!(cluster.memory(3, 1)?.held_bytes > 0, "node1 holds nothing");
    let job = cluster.run(2, &format!("-- sh -c 'exec {PROGRAMS}/touch 128 >/root/touch.out'"))?;
    let id = cluster.find(1, job, "touch")?;
    eventually("the memory to be touched", SOON, || {
        Ok(cluster.sh(2, "cat /root/touch.out")?.contains("ready").then_some(()))
    })?;
    let bystander = cluster.run(1, &format!("-- {}", counting::command("/root/source.out")))?;
    cluster.sh(3, "sysctl -qw holon.memory.stream=0")?;
    cluster.migrate(&id, 3)?;
    ensure!(blast_names(cluster, 1, 2, &id)?, "blast node2 does not name memory of {id}");
    ensure!(!blast_names(cluster, 2, 1, &id)?, "blast node1 names memory of {id}");
    cluster.kill(2)?;
    cluster.sees_up(1, 2)?;
    cluster.ended(1, job, SOON)?;
    let lost = cluster.event(3, "origin-lost", &id)?.or(cluster.event(3, "memory-lost", &id)?);
    lost.context("no event names the process that was lost")?;
    finished(cluster, 1, bystander, "/root/source.out")?;
    cluster.sh(3, "sysctl -qw holon.memory.stream=1")?;
    cluster.start(2)?;
    holds_nothing(cluster, 1)
}

/// A node with a body dies: its surrogate says so; others go on; `--restart exec` runs again.
pub(crate) fn node_killed(cluster: &mut Cluster) -> Result<()> {
    let script =
        format!("{PROGRAMS}/counter /root/body.out 100000 300000; echo $? >/root/body.status");
    let job = cluster.run(1, &format!("-- sh -c '{script}'"))?;
    let id = cluster.find(1, job, "counter")?;
    cluster.migrate(&id, 3)?;
    let bystander = cluster.run(1, &format!("-- {}", counting::command("/root/other.out")))?;
    let again = cluster.run(
        1,
        &format!("--on node3 --restart exec -- {}", counting::command("/root/again.out")),
    )?;
    cluster.find(1, again, "counter")?;
    cluster.kill(3)?;
    cluster.sees_up(1, 2)?;
    cluster.sees_up(2, 2)?;
    cluster.ended(1, job, SOON)?;
    let status = cluster.sh(1, "cat /root/body.status")?;
    ensure!(status == "245", "the shell's wait saw status {status}, not 245");
    cluster.event(1, "node-lost", &id)?.context("no event says that the process was lost")?;
    let moved = eventually("the job to run again elsewhere", SOON, || {
        Ok(cluster.processes(1)?.into_iter().find(|p| p.job == again))
    })?;
    ensure!(moved.node != "node3", "the job is shown on the dead node");
    let node = if moved.node == "node1" { 1 } else { 2 };
    finished(cluster, 1, bystander, "/root/other.out")?;
    finished(cluster, node, again, "/root/again.out")?;
    cluster.start(3)
}
