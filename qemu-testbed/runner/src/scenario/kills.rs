//! Deaths and failures in the middle of a move: a process that is not killed itself goes on.

use anyhow::{ensure, Context, Result};

use super::cluster::{Cluster, PROGRAMS, SOON};
use super::counters::{self, in_time, until_changed, OFFERED, STARTED};
use super::counting::{self, finished};

/// Seconds from the moment that the process is seen on its way at a node to its death there; each
/// part dies at every other one.
const DELAYS: [[&str; 3]; 2] = [["0", "0.05", "0.2"], ["0.02", "0.1", "0.4"]];

/// Every part of a process that is on its way is killed, at moments all over the way: what takes
/// part ends, and the nodes have nothing left of it.
pub(crate) fn mid_move(cluster: &mut Cluster) -> Result<()> {
    // Its body's helper, its surrogate's helper, the body that leaves, the surrogate to be.
    let parts = [(1, 2, 2), (2, 1, 1), (2, 1, 2), (1, 2, 1)];
    for ((from, to, at), delays) in parts.into_iter().zip(DELAYS.into_iter().cycle()) {
        for delay in delays {
            killed(cluster, (from, to), at, delay)
                .with_context(|| format!("node{from} to node{to}, killed at node{at} + {delay}"))?;
        }
    }
    for node in 1..=cluster.len() {
        cluster.sees_up(node, cluster.len())?;
    }
    Ok(())
}

fn killed(cluster: &Cluster, (from, to): (usize, usize), at: usize, delay: &str) -> Result<()> {
    let job = cluster.run(1, &format!("-- {PROGRAMS}/counter /root/kill.out 9000000 30000"))?;
    let id = cluster.find(1, job, "counter")?;
    if from != 1 {
        cluster.migrate(&id, from)?;
    }
    // Away from home it appears with the move; elsewhere something of it is there before, and the
    // module tells when the move begins.
    let all = "-x 'counter|holon-restore'";
    let counted = if at == from { STARTED } else { OFFERED };
    let wait = if at == to && to != 1 {
        // Of the last one's nothing may be left to be taken for it.
        cluster.sh(at, &in_time(&format!("while pgrep {all}; do :; done")))?;
        in_time(&format!("until pgrep {all}; do :; done"))
    } else {
        until_changed(counted, counters::read(cluster, at, counted)?)
    };
    let moving = cluster.begin(3, &format!("clusterctl migrate {id} --to node{to}"))?;
    cluster.sh(at, &format!("{wait} && sleep {delay} && {{ pkill -9 {all}; true; }}"))?;
    let _either_way = moving.finish()?;
    // The surrogate's death is the body's, and the other way round; one that was not there yet
    // leaves a process that runs.
    cluster.sh(1, &format!("clusterctl job kill {job}; true"))?;
    cluster.ended(1, job, SOON)
}

/// At home there is no room for a stand-in or a helper, or the executable is another one: no move
/// kills the process.
pub(crate) fn failed_return(cluster: &mut Cluster) -> Result<()> {
    tight(cluster)?;
    busy(cluster)
}

fn tight(cluster: &Cluster) -> Result<()> {
    let tight = counting::command_of(&format!("{PROGRAMS}/tight-static"), "/root/tight.out");
    let job = cluster.run(1, &format!("-- {tight}"))?;
    let id = cluster.find(1, job, "tight-static")?;
    for to in [2, 1, 3, 1] {
        cluster.migrate(&id, to)?;
    }
    finished(cluster, 1, job, "/root/tight.out")
}

/// The file that its executable's path now names is being written.
fn busy(cluster: &Cluster) -> Result<()> {
    cluster.sh(1, &format!("cp {PROGRAMS}/counter /root/busy"))?;
    let job =
        cluster.run(1, &format!("-- {}", counting::command_of("/root/busy", "/root/busy.out")))?;
    let id = cluster.find(1, job, "busy")?;
    cluster.migrate(&id, 2)?;
    let writer = "mv /root/busy /root/busy.old && cp /root/busy.old /root/busy && \
                  (setsid sleep 1000 >>/root/busy 2>&1 </dev/null & echo $! >/root/busy.pid)";
    cluster.sh(1, writer)?;
    let output = cluster.capture(1, &format!("clusterctl migrate {id} --to node1"))?;
    ensure!(!output.status.success(), "it came home over a file that is being written");
    let process = cluster.alive(3, &id)?;
    ensure!(process.node == "node2", "{id} is on {}", process.node);
    cluster.sh(1, "kill $(cat /root/busy.pid)")?;
    cluster.migrate(&id, 1)?;
    finished(cluster, 1, job, "/root/busy.out")
}

/// One that shares its memory with a child is refused, by name, and so is the child.
pub(crate) fn vfork(cluster: &mut Cluster) -> Result<()> {
    let job = cluster.run(1, &format!("-- {PROGRAMS}/tight vfork"))?;
    cluster.find(1, job, "tight")?;
    let ids = super::cluster::eventually("the child", SOON, || {
        let all = cluster.processes(1)?.into_iter().filter(|process| process.job == job);
        let ids: Vec<_> = all.map(|process| process.id).collect();
        Ok((ids.len() == 2).then_some(ids))
    })?;
    for id in ids {
        let output = cluster.capture(2, &format!("clusterctl migrate {id} --to node3"))?;
        let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
        ensure!(output.status.code() == Some(5), "status {:?}: {said}", output.status);
    }
    cluster.sh(1, &format!("clusterctl job kill {job}"))?;
    cluster.ended(1, job, SOON)
}
