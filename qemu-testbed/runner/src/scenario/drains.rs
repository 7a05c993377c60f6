//! A node is emptied and switched off; nobody notices.

use anyhow::{ensure, Result};

use super::cluster::Cluster;
use super::counting;

/// node2 has a body and keeps another's unfetched memory; after the drain it is powered off.
pub(crate) fn drain(cluster: &mut Cluster) -> Result<()> {
    let job = cluster.run(1, &format!("-- {}", counting::command("/root/drain.out")))?;
    let bystander = cluster.run(3, &format!("-- {}", counting::command("/root/by.out")))?;
    let id = cluster.find(1, job, "counter")?;
    cluster.migrate(&id, 2)?;

    let text = cluster.sh(1, "clusterctl drain node2 2>/root/drain.progress")?;
    ensure!(text.contains("safe to power off: yes"), "drain ended with: {text}");
    let progress = cluster.sh(1, "cat /root/drain.progress")?;
    ensure!(progress.contains(&id), "the progress does not name {id}: {progress}");
    let process = cluster.process(3, &id)?;
    ensure!(process.is_some_and(|p| p.node != "node2"), "{id} is still on node2");

    let refused = cluster.capture(1, &format!("clusterctl migrate {id} --to node2"))?;
    ensure!(!refused.status.success(), "a drained node took a process");
    cluster.kill(2)?;
    cluster.sees_up(1, 2)?;
    counting::finished(cluster, 1, job, "/root/drain.out")?;
    counting::finished(cluster, 3, bystander, "/root/by.out")?;
    cluster.start(2)?;
    cluster.sh(1, "clusterctl undrain node2")?;
    Ok(())
}
