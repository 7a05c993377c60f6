//! The job that most scenarios move: a counter whose file tells whether anything happened to it.

use std::time::Duration;

use anyhow::{ensure, Result};

use super::cluster::{eventually, Cluster, PROGRAMS};

/// More lines than any scenario lasts: it ends when it is told to.
const LINES: u64 = 10_000_000;
/// So many lines more show that it goes on.
const MORE: u64 = 50;
/// Some scenarios leave it on a node that has much to do.
const ENDED: Duration = Duration::from_secs(300);

/// The command that counts into a file; `program` is the counter's name, or a path to a copy.
pub(crate) fn command_of(program: &str, file: &str) -> String {
    format!("{program} {file} {LINES} 300000")
}

/// The same for the usual program.
pub(crate) fn command(file: &str) -> String {
    command_of(&format!("{PROGRAMS}/counter"), file)
}

/// The job's counter goes on, and ends when it is told to; its file on `node` is complete and in
/// order.
pub(crate) fn finished(cluster: &Cluster, node: usize, job: u32, file: &str) -> Result<()> {
    let lines =
        || -> Result<u64> { Ok(cluster.sh(node, &format!("cat {file} | wc -l"))?.parse()?) };
    let before = lines()?;
    eventually(&format!("{file} to grow"), ENDED, || Ok((lines()? > before + MORE).then_some(())))?;
    // That it fails where a node is down is no matter: what it wrote at its end tells.
    cluster.sh(node, &format!("clusterctl job kill {job} -s USR1; true"))?;
    cluster.ended(node, job, ENDED)?;
    let check = format!(
        "awk '$1 == \"end\" && !end {{ end = NR; next }} end || $1 != NR {{ bad = 1 }} \
         END {{ print end && end == NR, bad + 0 }}' {file}"
    );
    let seen = cluster.sh(node, &check)?;
    ensure!(seen == "1 0", "{file} has (its end, bad lines): {seen}");
    Ok(())
}

/// The last number in its file.
pub(crate) fn last_line(cluster: &Cluster, file: &str) -> Result<u64> {
    let text = cluster.sh(1, &format!("tail -n 1 {file} | cut -d' ' -f1"))?;
    Ok(text.parse().unwrap_or(0))
}
