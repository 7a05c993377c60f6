//! The UDP echo, and faults of a process that was moved.

use anyhow::{ensure, Result};

use super::output::Figures;
use super::peers::{ECHO_PORT, HOLDER};
use crate::scenario::cluster::{eventually, Cluster, PROGRAMS, SOON};

const PAGES: u32 = 2000;
const ECHOES: u32 = 2000;

/// Microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Latency {
    pub median: f64,
    pub p99: f64,
}

impl Latency {
    /// From a line that a program printed.
    pub(super) fn of(figures: &Figures, line: &str) -> Result<Self> {
        let (median, p99) = (figures.get(line, "median_us")?, figures.get(line, "p99_us")?);
        Ok(Self { median, p99 })
    }
}

/// 4 KiB for a short question, between user space here and there.
pub(super) fn echo(cluster: &Cluster) -> Result<Latency> {
    let line = format!("{PROGRAMS}/udpecho ask {HOLDER} {ECHO_PORT} {ECHOES}");
    Latency::of(&Figures::read(&format!("echo {}", cluster.sh(1, &line)?)), "echo")
}

/// The process is moved with the background stream off, so that every page is a fault.
pub(super) fn faults(cluster: &Cluster) -> Result<Latency> {
    const OUT: &str = "/root/faults.out";
    const STREAM: &str = "/proc/sys/holon/memory/stream";
    for node in 1..=2 {
        cluster.sh(node, &format!("echo 0 >{STREAM}"))?;
    }
    let job = cluster.run(1, &format!("-- sh -c 'exec {PROGRAMS}/faults {PAGES} >{OUT}'"))?;
    let id = cluster.find(1, job, "faults")?;
    eventually("the pages to be touched", SOON, || {
        Ok(cluster.sh(1, &format!("cat {OUT}"))?.contains("ready").then_some(()))
    })?;
    cluster.migrate(&id, 2)?;
    cluster.sh(1, "pkill -USR1 -x faults")?;
    cluster.ended(1, job, SOON)?;
    for node in 1..=2 {
        cluster.sh(node, &format!("echo 1 >{STREAM}"))?;
    }
    let said = cluster.sh(1, &format!("tail -n 1 {OUT}"))?;
    ensure!(said.contains("slow"), "the program ended with: {said}");
    Latency::of(&Figures::read(&format!("fault {said}")), "fault")
}
