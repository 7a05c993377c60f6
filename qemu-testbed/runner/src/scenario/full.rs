//! A node with less memory than its programs take, and without swap: what does not fit lodges on
//! the others, and nobody is killed for it.

use anyhow::{ensure, Context, Result};

use super::cluster::{eventually, Cluster, PROGRAMS, SOON};
use super::holders::ALL_MB;
use super::lodges::{lend_much, lenders, recall, Lodged};

const LODGE: &str = "/proc/sys/holon/lodge";
/// Pages that are changed at random once the memory is full.
const CHANGES: u64 = 500;
/// At least so much can't have been there: the node has a system besides the program.
const GONE_MIN_MB: u64 = 64;

/// What a shell says of a program that was killed.
const KILLED: i32 = 128 + 9;
const KILLS: &str = "awk '$1 == \"oom_kill\" { print $2 }' /proc/vmstat";
/// Of a job that does nothing while memory is taken away, and pages of it that are to go then.
const IDLE_MIB: u64 = 48;
const IDLE_PAGES: u64 = 4096;
/// What may be left when there is none: what the kernel still calls available.
const FULL_KB: u64 = 8192;
/// And of files, if no task had to look for a page.
const FILES_KB: u64 = 4096;

/// No page is free, and what takes the memory can't go: a job's pages go out nevertheless, and come
/// back right.
pub(crate) fn exhausted(cluster: &mut Cluster) -> Result<()> {
    lenders(cluster, &[2, 3])?;
    let lodged = Lodged::begin_of(cluster, "/root/exhausted.out", IDLE_MIB)?;
    eventually("Holon's tables", SOON, || {
        Ok((!cluster.sh(1, &format!("cat {LODGE}/owner"))?.is_empty()).then_some(()))
    })?;
    // Nothing goes before memory is full.
    cluster.sh(1, &format!("echo 0 >{LODGE}/scope"))?;
    let kills = cluster.sh(1, KILLS)?;
    let ran = cluster.capture(1, &format!("{PROGRAMS}/hog {IDLE_PAGES}"));
    cluster.sh(1, &format!("echo 1 >{LODGE}/scope"))?;
    let ran = ran?;
    let said = String::from_utf8_lossy(&ran.stdout);
    ensure!(ran.status.success(), "{}: {said}{}", ran.status, counters(cluster)?);
    let number = |name: &str| -> Result<u64> {
        let word = said.split_whitespace().skip_while(|word| *word != name).nth(1);
        Ok(word.with_context(|| format!("no {name} in: {said}"))?.parse()?)
    };
    ensure!(
        number("available_kb")? <= FULL_KB
            && (number("stalls")? > 0 || number("files_kb")? <= FILES_KB),
        "memory was not full: {said}"
    );
    let killed = cluster.sh(1, KILLS)?;
    ensure!(killed == kills, "{kills} kills for want of memory before, {killed} after: {said}");
    lodged.is_intact(cluster)?;
    lodged.end(cluster)
}

/// Node1 has no memory left, and the others need theirs: nothing can go. Its kernel kills who
/// wanted all, as it does without Holon; what was accepted comes back right, and nothing hangs.
pub(crate) fn nowhere(cluster: &mut Cluster) -> Result<()> {
    lenders(cluster, &[2])?;
    let lodged = Lodged::begin(cluster, "/root/nowhere.out")?;
    lodged.evict(cluster)?;
    let keep = |cluster: &Cluster, node: usize, mb: &str| {
        cluster.sh(node, &format!("cat {LODGE}/lend_keep_mb; echo {mb} >{LODGE}/lend_keep_mb"))
    };
    let usual = [2, 3].map(|node| keep(cluster, node, &ALL_MB.to_string()));
    cluster.sh(1, &format!("echo 2 >{LODGE}/scope"))?;
    let total = total_mb(cluster)?;
    let ran = cluster.capture(1, &format!("choom -n 1000 -- {PROGRAMS}/workset random {total} 1"));
    for (node, usual) in [2, 3].into_iter().zip(usual) {
        keep(cluster, node, &usual?)?;
    }
    recall(cluster)?;
    let (ran, killed) = (ran?, cluster.sh(1, "dmesg | grep 'Killed process' | tail -n 1")?);
    ensure!(
        ran.status.code() == Some(KILLED) && killed.contains("(workset)"),
        "with memory nowhere it ended with {}, and killed was: {killed}",
        ran.status
    );
    lodged.is_intact(cluster)?;
    lodged.has_no_loss(cluster)?;
    lodged.end(cluster)?;
    (1..=cluster.len()).try_for_each(|node| cluster.sees_up(node, cluster.len()))
}

/// All of node1's memory.
fn total_mb(cluster: &Cluster) -> Result<u64> {
    let line = "awk '$1 == \"MemTotal:\" { print int($2 / 1024) }' /proc/meminfo";
    Ok(cluster.sh(1, line)?.parse()?)
}

/// What node1's part that sends pages away has counted, and who has them.
fn counters(cluster: &Cluster) -> Result<String> {
    cluster
        .sh(1, &format!("cd {LODGE}; grep . [a-k]* [m-z]*; cat ../memory/pool* 2>/dev/null; true"))
}

/// A program takes as much memory as its node has in all, changes it and finds it right.
pub(crate) fn memory(cluster: &mut Cluster) -> Result<()> {
    ensure!(cluster.sh(1, "tail -n +2 /proc/swaps")?.is_empty(), "node1 has swap");
    lend_much(cluster)?;
    let number =
        |cluster: &Cluster, line: &str| -> Result<u64> { Ok(cluster.sh(1, line)?.parse()?) };
    let locked = "awk '$1 == \"VmLck:\" { print $2 }' /proc/$(pgrep -o holond)/status";
    ensure!(number(cluster, locked)? > 0, "the daemon's memory may be taken from it");
    let evicted = format!("cat {LODGE}/pages_evicted");
    let total_mb = total_mb(cluster)?;
    let before = number(cluster, &evicted)?;
    let asked = format!("cat {LODGE}/reclaim_asked");
    let asked_before = number(cluster, &asked)?;
    cluster.sh(1, &format!("echo 2 >{LODGE}/scope"))?;
    let ran = cluster.capture(1, &format!("{PROGRAMS}/workset random {total_mb} {CHANGES}"));
    // What went of the system's own comes home.
    recall(cluster)?;
    let ran = ran?;
    let said = String::from_utf8_lossy(&ran.stdout);
    let killed = cluster.sh(1, "dmesg | grep -iE 'oom-kill|out of memory' | tail -n 3; true")?;
    ensure!(
        killed.is_empty(),
        "there was a kill for want of memory: {killed}{}",
        counters(cluster)?
    );
    ensure!(
        ran.status.success() && said.starts_with("done"),
        "{total_mb} MB on a node that has as much in all: {}: {said}",
        ran.status
    );
    let went_mb = (number(cluster, &evicted)? - before) * 4096 / 1_048_576;
    ensure!(went_mb >= GONE_MIN_MB, "only {went_mb} MB went elsewhere");
    let asked = number(cluster, &asked)? - asked_before;
    ensure!(asked > 0, "{went_mb} MB went, none because the kernel's reclaim asked");
    Ok(())
}
