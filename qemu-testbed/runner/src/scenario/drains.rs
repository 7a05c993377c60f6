//! A node is emptied and switched off; nobody notices.

use anyhow::{ensure, Result};

use super::cluster::{Cluster, PROGRAMS};

/// node2 has a body and keeps another's unfetched memory; after the drain it is powered off.
pub(crate) fn drain(cluster: &mut Cluster) -> Result<()> {
    let job = cluster.run(1, &format!("-- {PROGRAMS}/counter /root/drain.out 30000 300000"))?;
    let bystander = cluster.run(3, &format!("-- {PROGRAMS}/counter /root/by.out 10000 300000"))?;
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
    finished(cluster, 1, job, "/root/drain.out", 30_000)?;
    finished(cluster, 3, bystander, "/root/by.out", 10_000)?;
    cluster.start(2)?;
    cluster.sh(1, "clusterctl undrain node2")?;
    Ok(())
}

/// The job ended and its counter's file is complete and in order.
pub(crate) fn finished(
    cluster: &Cluster,
    node: usize,
    job: u32,
    file: &str,
    lines: u64,
) -> Result<()> {
    // The same takes three times as long on one day as on another: 122 s to 382 s were seen.
    cluster.ended(node, job, std::time::Duration::from_secs(900))?;
    let check = format!("awk '$1 != NR {{ bad = 1 }} END {{ print NR, bad + 0 }}' {file}");
    let seen = cluster.sh(node, &check)?;
    ensure!(seen == format!("{lines} 0"), "{file} has (lines, bad): {seen}");
    Ok(())
}
