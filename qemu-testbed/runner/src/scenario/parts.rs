//! Single areas of the module, tested from inside the guests by programs of `kernel-mod/tests`.

use anyhow::{ensure, Result};

use super::cluster::{eventually, Cluster, PROGRAMS, SOON};
use super::holders::rots;
use super::lodges::{holds_nothing, lend_much, lenders, recall};
use crate::build;

/// Where `holon-filetest agent` listens: over the cluster's own network.
const AGENT: &str = "10.77.0.1:7799";

/// Where the module with its self-tests is put.
const SELFTEST: &str = "/root/holon-selftest.ko";

/// Of programs that take minutes, on the slowest host: a task that faults for ever is to be a
/// failure.
const TEST_MAX_S: u32 = 3_000;

/// Remote files: pipes, terminals and the rest, from a program's point of view.
pub(crate) fn files(cluster: &mut Cluster) -> Result<()> {
    let agent = format!("systemd-run -q --unit filetest {PROGRAMS}/holon-filetest agent 7799");
    cluster.sh(1, &agent)?;
    eventually("the agent to listen", SOON, || {
        let listens = cluster.capture(1, "ss -Hltn 'sport = :7799' | grep -q LISTEN")?;
        Ok(listens.status.success().then_some(()))
    })?;
    let tested = cluster.sh(2, &format!("{PROGRAMS}/holon-filetest test {AGENT}"));
    cluster.sh(1, "systemctl stop filetest")?;
    let said = tested?;
    ensure!(said.lines().any(|line| line.starts_with("ok ")), "no case ran: {said}");
    Ok(())
}

/// Far memory: content after faults, stream, fork, mremap, munmap, discard, mprotect and exit in
/// the middle, with answers lost and with a dead source. Needs a module of its own for a while.
pub(crate) fn memory(cluster: &mut Cluster) -> Result<()> {
    cluster.push(3, &build::selftest_module()?, SELFTEST)?;
    cluster.sh(3, "systemctl stop holond && rmmod holon")?;
    cluster.sees_up(1, 2)?;
    let tested = cluster.sh(
        3,
        &format!(
            "insmod {SELFTEST} && timeout {TEST_MAX_S} {PROGRAMS}/memtest loop && rmmod holon"
        ),
    );
    if tested.is_ok() {
        cluster.sh(3, "systemctl start holond")?;
        cluster.sees_up(1, 3)?;
        cluster.sees_up(3, 3)?;
    }
    let said = tested?;
    ensure!(!said.contains("FAIL"), "{said}");
    Ok(())
}

/// Lodged pages: whatever a process, its kernel and others may do with its memory, each with the
/// content checked; then the same while one allocation after the other fails; then what becomes of
/// pages that rot where they lie.
pub(crate) fn lodged(cluster: &mut Cluster) -> Result<()> {
    lenders(cluster, &[2, 3])?;
    lend_much(cluster)?;
    let tested = lodgetest(cluster, "all");
    recall(cluster)?;
    tested?;
    cluster.push(1, &build::selftest_module()?, SELFTEST)?;
    reload(cluster, 1, &format!("insmod {SELFTEST}"))?;
    lend_much(cluster)?;
    let tested = lodgetest(cluster, "fails");
    recall(cluster)?;
    holds_nothing(cluster, 2)?;
    holds_nothing(cluster, 3)?;
    let tested = tested.and_then(|()| rots(cluster)).and_then(|()| holds_nothing(cluster, 1));
    let reloaded = reload(cluster, 1, "modprobe holon");
    tested.and(reloaded)
}

fn lodgetest(cluster: &Cluster, what: &str) -> Result<()> {
    let line = format!("timeout {TEST_MAX_S} {PROGRAMS}/lodgetest {what}");
    let said = cluster.capture(1, &line)?;
    let (text, more) =
        (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    ensure!(
        said.status.success() && !text.contains("FAIL"),
        "lodgetest {what}: {}: {text}{more}",
        said.status
    );
    Ok(())
}

/// A node's module goes and comes, this way.
pub(super) fn reload(cluster: &Cluster, node: usize, how: &str) -> Result<()> {
    let line = format!("systemctl stop holond && rmmod holon && {how} && systemctl start holond");
    cluster.sh(node, &line)?;
    (1..=cluster.len()).try_for_each(|node| cluster.sees_up(node, cluster.len()))
}
