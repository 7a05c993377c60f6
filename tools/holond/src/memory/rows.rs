//! Remote memory for users.

use crate::node::{Node, ANSWER_TIME};
use crate::peer::message::{PeerReply, PeerRequest};
use holon_api::rows::{Latencies, List, MemoryPeer, MemoryRow};
use holon_uapi::memory as uapi;
use std::sync::Arc;

const PAGE_BYTES: u64 = 4096;

fn bytes(pages: u64) -> u64 {
    pages.saturating_mul(PAGE_BYTES)
}

fn us(ns: u64) -> f64 {
    // Far below 2^53 for any fault that ends.
    ns as f64 / 1000.0
}

/// All nodes'.
pub(crate) fn all(node: &Arc<Node>) -> List<MemoryRow> {
    let mut list = List::new("MemoryList", Vec::new());
    let up = node.all_up();
    for (slot, reply) in node.ask_each(&up, &PeerRequest::Memory, ANSWER_TIME) {
        match reply {
            Ok(PeerReply::Memory(row)) => list.items.push(*row),
            _ => list.missing.push(node.config.name(slot)),
        }
    }
    list
}

/// This node's; without a module, none.
pub(crate) fn own(node: &Node) -> MemoryRow {
    let mut row = MemoryRow { node: node.name().into(), ..MemoryRow::default() };
    let Some(device) = &node.device else { return row };
    if let Ok(status) = device.memory() {
        fill(&mut row, &status);
        let [faults, evicted, fetched] = node.memory.inner().rates;
        row.faults_per_second = faults;
        (row.evicted_per_second, row.fetched_per_second) = (evicted, fetched);
    }
    let peers = device.memory_peers().unwrap_or_default();
    row.peers = peers.iter().map(|peer| shared(node.config.name(peer.slot), peer)).collect();
    row
}

fn fill(row: &mut MemoryRow, status: &uapi::MemStatus) {
    row.lend_max_bytes = bytes(status.lend_max);
    row.frames_bytes = bytes(status.frames);
    row.promised_bytes = bytes(status.promised);
    row.held_bytes = bytes(status.held);
    row.short = status.flags & uapi::MEM_SHORT != 0;
    row.leaving = status.flags & uapi::MEM_LEAVING != 0;
    row.lodged_bytes = bytes(status.lodged);
    row.to_mend_bytes = bytes(status.to_mend);
    row.evicted_pages = status.evicted;
    row.fetched_pages = status.fetched;
    row.ahead_pages = status.ahead;
    row.lost_pages = status.lost;
    row.mended_pages = status.mended;
    row.misread_pages = status.misread;
    row.faults = status.faults;
    row.fault_median_us = us(status.median_ns);
    row.fault_p99_us = us(status.p99_ns);
    row.fault_p999_us = us(status.p999_ns);
    row.fault_max_us = us(status.max_ns);
    row.fault_latencies = latencies(&status.latencies);
}

/// Those that there were. The last one has no bound.
fn latencies(counts: &[u64]) -> Vec<Latencies> {
    let bound = |at: usize| 1_u64.checked_shl(u32::try_from(at).unwrap_or(u32::MAX));
    let all = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    let last = counts.len().saturating_sub(1);
    all.map(|(at, count)| Latencies {
        below_ns: bound(at).filter(|_| at < last).unwrap_or(u64::MAX),
        count: *count,
    })
    .collect()
}

fn shared(node: String, peer: &uapi::MemPeer) -> MemoryPeer {
    let pages = |count: u32| bytes(u64::from(count));
    MemoryPeer {
        node,
        state: match peer.link {
            uapi::MEM_UP => "up",
            uapi::MEM_SILENT => "silent",
            _ if peer.given_up != [0; 16] => "given-up",
            _ => "dead",
        }
        .into(),
        promised_bytes: pages(peer.lent_limit),
        held_bytes: pages(peer.lent_held),
        limit_bytes: pages(peer.limit),
        used_bytes: pages(peer.used),
        spare_bytes: pages(peer.spare),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_that_were_met() {
        let mut counts = [0; uapi::MEM_LATENCIES];
        (counts[10], counts[17], counts[uapi::MEM_LATENCIES - 1]) = (2, 5, 1);
        let told = latencies(&counts);
        let told: Vec<_> = told.iter().map(|one| (one.below_ns, one.count)).collect();
        assert_eq!(told, [(1024, 2), (1 << 17, 5), (u64::MAX, 1)]);
    }
}
