//! Processes that compute are moved, and tell by themselves whether anything went wrong.

use std::time::Duration;

use anyhow::{ensure, Context, Result};

use super::cluster::{eventually, Cluster, PROGRAMS, SOON};
use super::counters;
use super::counting;
use super::lodges::Lodged;

/// A program's run under emulation, with moves in it.
const RUN: Duration = Duration::from_secs(240);

/// Of a program that checks and changes it, and more rounds of that than it is left to make.
const PATTERN_MIB: u64 = 200;
const ROUNDS: u64 = 1_000_000;

/// A huge page, and memory in such ones.
const HUGE_PAGE_MIB: u64 = 2;
const HUGE_MIB: u64 = 64;

/// A busy counter goes to two other nodes and home; its file is complete, in order, by one PID.
pub(crate) fn counter(cluster: &mut Cluster) -> Result<()> {
    let job = cluster.run(1, &format!("-- {}", counting::command("/root/counter.out")))?;
    let id = cluster.find(2, job, "counter")?;
    for to in [2, 3, 1] {
        cluster.migrate(&id, to)?;
        (1..=cluster.len()).try_for_each(|node| cluster.sees_on(node, &id, to))?;
        let event = cluster.event(1, "migrate-done", &id)?.context("no event tells of the move")?;
        ensure!(event.freeze_us.is_some_and(|us| us > 0), "the event has no stop time");
        let before = counting::last_line(cluster, "/root/counter.out")?;
        eventually("the counter to go on", SOON, || {
            Ok((counting::last_line(cluster, "/root/counter.out")? > before).then_some(()))
        })?;
    }
    counting::finished(cluster, 1, job, "/root/counter.out")?;
    let pid = id.split('.').nth(1).context("an id without a pid")?;
    let others = format!("awk '$2 != {pid} {{ print NR\": \"$0; exit }}' /root/counter.out");
    let bad = cluster.sh(1, &others)?;
    ensure!(bad.is_empty(), "the file has a line of another process: {bad}");
    Ok(())
}

/// 200 MB that follow a pattern are moved twice while the program checks and rewrites them.
pub(crate) fn pattern(cluster: &mut Cluster) -> Result<()> {
    let moved = Pattern::begin(cluster, PATTERN_MIB, "/root/pattern.out")?;
    let id = &moved.id;
    let before = Served::by(cluster, 1)?;
    cluster.migrate(id, 2)?;
    cluster.fetched(1, id)?;
    eventually("node1 to keep nothing of it", SOON, || {
        let kept = cluster.sh(1, "cat /proc/sys/holon/memory/spaces")?;
        Ok(kept.contains("sources 0").then_some(()))
    })?;
    before.went_in_place(cluster, 1)?;
    cluster.migrate(id, 3)?;
    moved.goes_on(cluster)?;
    moved.is_right(cluster)
}

/// A program that checks all of its memory and changes it, round after round, on node1 at first.
pub(super) struct Pattern {
    pub(super) id: String,
    job: u32,
    output: &'static str,
}

impl Pattern {
    /// With so much memory, filled once.
    pub(super) fn begin(cluster: &Cluster, mib: u64, output: &'static str) -> Result<Self> {
        let command = format!("-- sh -c 'exec {PROGRAMS}/pattern {mib} {ROUNDS} >{output}'");
        let job = cluster.run(1, &command)?;
        let pattern = Self { id: cluster.find(1, job, "pattern")?, job, output };
        eventually("the first round", SOON, || {
            Ok(pattern.said(cluster)?.contains("round 0").then_some(()))
        })?;
        Ok(pattern)
    }

    fn said(&self, cluster: &Cluster) -> Result<String> {
        cluster.sh(1, &format!("cat {}", self.output))
    }

    /// It goes through all of its memory where it is now.
    pub(super) fn goes_on(&self, cluster: &Cluster) -> Result<()> {
        let rounds = || -> Result<usize> {
            let said = self.said(cluster)?;
            ensure!(!said.contains("bad"), "the program found: {said}");
            Ok(said.lines().count())
        };
        // The one that it is in began elsewhere.
        let whole = rounds()? + 2;
        eventually("a whole round", RUN, || Ok((rounds()? >= whole).then_some(())))
    }

    /// It is told to end, and has found nothing wrong.
    pub(super) fn is_right(&self, cluster: &Cluster) -> Result<()> {
        // If it has ended by itself, what it said tells.
        cluster.sh(1, &format!("clusterctl job kill {} -s USR1; true", self.job))?;
        cluster.ended(1, self.job, RUN)?;
        let said = self.said(cluster)?;
        ensure!(said.ends_with("ok"), "the program found: {said}");
        Ok(())
    }
}

/// How pages of processes that left a node were sent, so far.
struct Served {
    all: u64,
    in_place: u64,
    held: u64,
}

impl Served {
    fn by(cluster: &Cluster, node: usize) -> Result<Self> {
        Ok(Self {
            all: counters::read(cluster, node, "memory/served_data")?,
            in_place: counters::read(cluster, node, "memory/served_in_place")?,
            held: counters::read(cluster, node, "stats/tx_contents_held")?,
        })
    }

    /// Since then nearly all went from where they were, not by copies, and nothing refers to them
    /// any more.
    fn went_in_place(&self, cluster: &Cluster, node: usize) -> Result<()> {
        let now = Self::by(cluster, node)?;
        let (all, in_place) = (now.all - self.all, now.in_place - self.in_place);
        let held = now.held - self.held;
        ensure!(
            in_place > all / 10 * 9 && held > all / 2,
            "of {all} pages {in_place} were sent in place, {held} of them not to faults"
        );
        eventually("no page to be referred to", SOON, || {
            Ok((counters::read(cluster, node, "stats/pages_referred_to")? == 0).then_some(()))
        })
    }
}

/// Memory in pages of 2 MiB comes in such: elsewhere, and at home again.
pub(crate) fn huge(cluster: &mut Cluster) -> Result<()> {
    let moved = Lodged::begin_of(cluster, "/root/huge.out", HUGE_MIB)?;
    let before = huge_mib(cluster, 1)?;
    ensure!(before >= HUGE_MIB / 2, "of {HUGE_MIB} MiB only {before} are huge pages at first");
    for (from, to) in [(1, 2), (2, 1)] {
        cluster.migrate(&moved.id, to)?;
        cluster.fetched(from, &moved.id)?;
        let after = huge_mib(cluster, to)?;
        let whole = cluster.sh(to, "cat /proc/sys/holon/memory/huge_home")?;
        // One may be under way, and asked for by a fault, when it is counted.
        ensure!(
            after + 2 * HUGE_PAGE_MIB >= before,
            "{before} MiB of huge pages became {after} on node{to}; {whole} came whole"
        );
        moved.is_intact(cluster)?;
    }
    moved.end(cluster)
}

/// How much of the program's memory is in huge pages.
fn huge_mib(cluster: &Cluster, node: usize) -> Result<u64> {
    let sum = "awk '/^AnonHugePages/ { kb += $2 } END { print int(kb / 1024) }'";
    Ok(cluster.sh(node, &format!("{sum} /proc/$(pgrep -x touch)/smaps"))?.parse()?)
}

/// Vector, x87 and SSE registers: a moved run prints the digest of one that stayed.
pub(crate) fn vector(cluster: &mut Cluster) -> Result<()> {
    let rounds = 3000;
    let stayed = cluster.sh(1, &format!("{PROGRAMS}/vector {rounds}"))?;
    let command = format!("-- sh -c 'exec {PROGRAMS}/vector {rounds} >/root/vector.out'");
    let job = cluster.run(1, &command)?;
    let id = cluster.find(1, job, "vector")?;
    cluster.migrate(&id, 3)?;
    cluster.migrate(&id, 2)?;
    cluster.ended(1, job, RUN)?;
    let moved = cluster.sh(1, "cat /root/vector.out")?;
    ensure!(moved == stayed, "moved: {moved}\nstayed: {stayed}");
    Ok(())
}
