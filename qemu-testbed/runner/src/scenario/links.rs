//! Moves over links that lose, repeat, overtake and damage, or that are cut for a moment.

use std::time::Duration;

use anyhow::{ensure, Result};

use super::cluster::{eventually, Cluster, SOON};
use super::counters::{self, until_changed, STARTED};
use super::counting::{self, finished};
use super::moves::Pattern;
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

/// Of the program that is moved.
const PATTERN_MIB: u64 = 8;

/// A hand-off takes many messages each way, and as many of the file server.
const SLOW_MS: u64 = 150;

/// Sets what a link does, both ways.
pub(super) fn between(cluster: &mut Cluster, a: usize, b: usize, faults: Faults) -> Result<()> {
    cluster.instance().link(a, b, faults)?;
    cluster.instance().link(b, a, faults)
}

/// A pattern is moved there and back while the link does everything that a link can do.
pub(crate) fn bad(cluster: &mut Cluster) -> Result<()> {
    let moved = Pattern::begin(cluster, PATTERN_MIB, "/root/bad.out")?;
    let id = &moved.id;
    between(cluster, 1, 2, BAD)?;
    for to in [2, 1] {
        cluster.migrate(id, to)?;
        eventually(&format!("all memory of {id}"), RUN, || {
            let process = cluster.alive(3, id)?;
            Ok((process.remote_bytes == 0).then_some(()))
        })?;
        moved.goes_on(cluster)?;
    }
    cluster.instance().link_clear()?;
    moved.is_right(cluster)
}

/// The link is cut during a hand-off, for less than a death takes to be noticed: whatever came of
/// the move, the process runs once, and its output has no hole.
pub(crate) fn cut(cluster: &mut Cluster) -> Result<()> {
    let job = cluster.run(1, &format!("-- {}", counting::command("/root/cut.out")))?;
    let id = cluster.find(1, job, "counter")?;
    let mut cuts = 0;
    for (to, blind) in [(2, [true, true]), (1, [true, false]), (2, [false, true])] {
        let from = if cluster.alive(3, &id)?.node == "node1" { 1 } else { 2 };
        let before = counters::read(cluster, from, STARTED)?;
        // So slow that it is under way when its begin was seen.
        between(cluster, 1, 2, Faults { delay_ms: SLOW_MS, ..Faults::default() })?;
        let mut moving = cluster.begin(3, &format!("clusterctl migrate {id} --to node{to}"))?;
        // After the one before it may be there already.
        if from != to {
            cluster.sh(from, &until_changed(STARTED, before))?;
        }
        let down = Faults { down: true, ..Faults::default() };
        for ((a, b), is_down) in [(1, 2), (2, 1)].into_iter().zip(blind) {
            cluster.instance().link(a, b, if is_down { down } else { Faults::default() })?;
        }
        cuts += usize::from(from != to && !moving.has_ended()?);
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
    ensure!(cuts > 0, "each hand-off was over before its link was cut");
    finished(cluster, 1, job, "/root/cut.out")
}
