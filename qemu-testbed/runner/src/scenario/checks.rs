//! Proof that the guests' kernels came through clean.

use std::fs;

use anyhow::{bail, Result};

use super::cluster::Cluster;

/// What a healthy kernel never prints, and what our module prints when it left something behind.
const SIGNS: &[&str] = &[
    "WARNING:",
    "BUG:",
    "Oops",
    "Kernel panic",
    "general protection",
    "kernel NULL pointer",
    "Bad page",
    "Bad rss-counter",
    "possible circular locking",
    "inconsistent lock state",
    "blocked for more than",
    "soft lockup",
    "rcu: INFO",
    "refcount_t:",
    "list_add corruption",
    "list_del corruption",
    "kernel BUG at",
    "module is poisoned",
    "are still referred to",
    "unloaded with",
    "the pool can't be given back",
];

/// No console has a line that a kernel prints when something is wrong, and after all jobs have
/// ended every node holds nothing, and the module unloads.
pub(crate) fn clean(cluster: &mut Cluster) -> Result<()> {
    consoles(cluster)?;
    for node in 1..=cluster.len() {
        // A job that is just ending can't be signalled: whether anything is left, `unload` tells.
        cluster.capture(
            node,
            "clusterctl job list -o json | jq -r '.items[].job' | \
             xargs -r -n 1 clusterctl job kill",
        )?;
    }
    for node in 1..=cluster.len() {
        unload(cluster, node)?;
    }
    consoles(cluster)
}

fn unload(cluster: &mut Cluster, node: usize) -> Result<()> {
    let line = "systemctl stop holond && cat /proc/sys/holon/held && rmmod holon && \
                ! test -e /dev/holon && ! test -e /proc/sys/holon";
    let output = cluster.capture(node, line)?;
    if output.status.success() {
        return Ok(());
    }
    // What to look at next: who has the device open, who may still run in a job, the references.
    let users = cluster.capture(
        node,
        "lsmod | grep -w holon; ps -eo pid,ppid,stat,wchan:20,args | grep -v '\\]$' | tail -n 40; \
         find /proc/[0-9]*/fd -lname /dev/holon -o -lname 'anon_inode:*holon*' 2>/dev/null",
    )?;
    bail!(
        "node{node}: the module does not unload: {}{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&users.stdout)
    )
}

/// Looks at the consoles alone.
pub(crate) fn consoles(cluster: &mut Cluster) -> Result<()> {
    let config = &cluster.instance().config;
    for node in 1..=config.nodes {
        let console = fs::read(config.file(node, "serial.log"))?;
        let console = String::from_utf8_lossy(&console);
        if let Some(line) =
            console.lines().find(|line| SIGNS.iter().any(|sign| line.contains(sign)))
        {
            bail!("node{node}'s kernel printed: {}", line.trim());
        }
    }
    Ok(())
}
