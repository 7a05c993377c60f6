//! Remote memory beside its peers: faults, throughput and the processor's time for them (`faults`),
//! programs with twice the memory that there is (`sets`), and what lending costs (`lender`).
//! Node 1 owns, node 2 holds; `peers` is what else there is on both.

mod faults;
mod lender;
mod moved;
mod output;
mod peers;
mod sets;
mod table;

use anyhow::Result;

use super::report::Report;
use crate::scenario::cluster::Cluster;

/// Rounds of all that is measured here; each round has all sides.
const ROUNDS: usize = 3;

/// One program's memory, page by page and in sequence.
pub(super) fn faults(cluster: &mut Cluster, report: &mut Report) -> Result<()> {
    beside_peers(cluster, report, faults::run)
}

/// Programs with twice their memory.
pub(super) fn programs(cluster: &mut Cluster, report: &mut Report) -> Result<()> {
    beside_peers(cluster, report, sets::run)
}

/// A program of the holder.
pub(super) fn lender(cluster: &mut Cluster, report: &mut Report) -> Result<()> {
    beside_peers(cluster, report, lender::run)
}

/// Whatever comes of it, the guests are as before.
fn beside_peers(
    cluster: &mut Cluster,
    report: &mut Report,
    run: fn(&mut Cluster, &mut Report) -> Result<()>,
) -> Result<()> {
    peers::up(cluster)?;
    let result = run(cluster, report);
    peers::down(cluster)?;
    result
}
