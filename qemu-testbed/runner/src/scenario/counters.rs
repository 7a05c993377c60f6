//! The module's counters, a number each below its sysctl tree.

use anyhow::{Context, Result};

use super::cluster::Cluster;

/// Hand-offs that a node has begun.
pub(super) const STARTED: &str = "moves/started";
/// And that were offered to it.
pub(super) const OFFERED: &str = "moves/offered";

/// So long what is waited for in a guest may take to begin, in seconds, on the slowest host.
const SEEN_S: u32 = 600;

fn path(name: &str) -> String {
    format!("/proc/sys/holon/{name}")
}

/// One counter of a node.
pub(super) fn read(cluster: &Cluster, node: usize, name: &str) -> Result<u64> {
    let text = cluster.sh(node, &format!("cat {}", path(name)))?;
    text.parse().with_context(|| format!("{name} of node{node}: {text}"))
}

/// A shell line that ends as soon as a counter is not what it was before.
pub(super) fn until_changed(name: &str, before: u64) -> String {
    let path = path(name);
    in_time(&format!("while read -r now <{path} && [ \\$now = {before} ]; do :; done"))
}

/// A shell line that fails if what it waits for does not come.
pub(super) fn in_time(wait: &str) -> String {
    format!("timeout {SEEN_S} sh -c \"{wait}\"")
}
