//! Moves over links that lose, repeat, overtake and damage, or that are cut for a moment.

use std::time::Duration;

use anyhow::{ensure, Result};

use super::cluster::{eventually, Cluster, PROGRAMS, SOON};
use super::counting::{self, finished};
use crate::switch::Faults;

/// Programs that go on over a bad link take their time.
const RUN: Duration = Duration::from_secs(400);

/// All that a link can do to what passes.
pub(super) const BAD: Faults = Faults {
    down: false,
    loss: 0.05,
    delay_ms: 3,
    dup: 0.05,
    reorder: 0.1,
    corrupt: 0.02,
    rate_mbit: 0,
};

/// A hand-off takes many messages each way, and as many of the file server.
const SLOW_MS: u64 = 150;

/// Sets what a link does, both ways.
pub(super) fn between(cluster: &mut Cluster, a: usize, b: usize, faults: Faults) -> Result<()> {
    cluster.instance().link(a, b, faults)?;
    cluster.instance().link(b, a, faults)
}

/// A pattern is moved there and back while the link does everything that a link can do.
pub(crate) fn bad(cluster: &mut Cluster) -> Result<()> {
    let command = format!("-- sh -c 'exec {PROGRAMS}/pattern 8 800 >/root/bad.out'");
    let job = cluster.run(1, &command)?;
    let id = cluster.find(1, job, "pattern")?;
    eventually("the first round", SOON, || {
        Ok(cluster.sh(1, "cat /root/bad.out")?.contains("round 0").then_some(()))
    })?;
    between(cluster, 1, 2, BAD)?;
    for to in [2, 1] {
        cluster.migrate(&id, to)?;
        eventually(&format!("all memory of {id}"), RUN, || {
            let process = cluster.alive(3, &id)?;
            Ok((process.remote_bytes == 0).then_some(()))
        })?;
    }
    cluster.instance().link_clear()?;
    cluster.ended(1, job, RUN)?;
    let said = cluster.sh(1, "cat /root/bad.out")?;
    ensure!(said.ends_with("ok"), "the program found: {said}");
    Ok(())
}

/// The link is cut during a hand-off, for less than a death takes to be noticed: whatever came of
/// the move, the process runs once, and its output has no hole.
pub(crate) fn cut(cluster: &mut Cluster) -> Result<()> {
    let job = cluster.run(1, &format!("-- {}", counting::command("/root/cut.out")))?;
    let id = cluster.find(1, job, "counter")?;
    for (to, blind) in [(2, [true, true]), (1, [true, false]), (2, [false, true])] {
        let from = cluster.alive(3, &id)?.node;
        let began = starts(cluster, &id)?;
        // So slow that it is under way when its begin was seen.
        between(cluster, 1, 2, Faults { delay_ms: SLOW_MS, ..Faults::default() })?;
        let moving = cluster.begin(3, &format!("clusterctl migrate {id} --to node{to}"))?;
        eventually("the hand-off to begin", SOON, || {
            Ok((starts(cluster, &id)? > began || from == format!("node{to}")).then_some(()))
        })?;
        let down = Faults { down: true, ..Faults::default() };
        for ((a, b), is_down) in [(1, 2), (2, 1)].into_iter().zip(blind) {
            cluster.instance().link(a, b, if is_down { down } else { Faults::default() })?;
        }
        let lines = |cluster: &Cluster| cluster.sh(1, "wc -l </root/cut.out");
        // Long enough for every first attempt to be lost: some retransmissions.
        cluster.sh(3, "sleep 2")?;
        cluster.instance().link_clear()?;
        let _either_way = moving.finish()?;
        let before = lines(cluster)?;
        eventually("the counter to go on", SOON, || {
            Ok((lines(cluster)? != before || cluster.process(3, &id)?.is_none()).then_some(()))
        })?;
    }
    finished(cluster, 1, job, "/root/cut.out")
}

/// How many moves of a process were begun, as all nodes tell.
fn starts(cluster: &Cluster, id: &str) -> Result<usize> {
    let about =
        |e: &super::cluster::Event| e.kind == "migrate-start" && e.process.as_deref() == Some(id);
    Ok(cluster.events(3)?.iter().filter(|event| about(event)).count())
}
