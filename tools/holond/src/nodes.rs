//! How a node is doing.

use crate::jobs::record::JobRecord;
use serde::{Deserialize, Serialize};
use std::fs;

/// What a daemon tells about its own node.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct NodeInfo {
    /// Processors.
    pub(crate) cpus: u32,
    /// Load average of the last minute.
    pub(crate) load: f64,
    /// Memory, in bytes.
    pub(crate) mem_total: u64,
    /// Of that, what new work can have.
    pub(crate) mem_free: u64,
    /// Jobs whose home it is.
    pub(crate) jobs: u32,
    /// Bodies from elsewhere.
    pub(crate) bodies: u32,
    /// Surrogates for elsewhere.
    pub(crate) surrogates: u32,
    /// The module's version.
    pub(crate) version: String,
    /// Processes that run now, here.
    pub(crate) running: u32,
}

/// Reads what `/proc` tells.
pub(crate) fn measure() -> NodeInfo {
    let loadavg = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let (load, running) = parse_loadavg(&loadavg);
    NodeInfo {
        cpus: u32::try_from(cpus).unwrap_or(1),
        load,
        running,
        mem_total: meminfo_bytes(&meminfo, "MemTotal:"),
        mem_free: meminfo_bytes(&meminfo, "MemAvailable:"),
        ..NodeInfo::default()
    }
}

fn parse_loadavg(text: &str) -> (f64, u32) {
    let mut words = text.split_ascii_whitespace();
    let load = words.next().and_then(|w| w.parse().ok()).unwrap_or(0.0);
    let running = words.nth(2).and_then(|w| w.split_once('/')?.0.parse::<u32>().ok());
    // The reader itself runs while it reads.
    (load, running.unwrap_or(1).saturating_sub(1))
}

fn meminfo_bytes(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Share of placed execs that a node should get: its processors, less what keeps them busy.
///
/// At least 1 for a node that may be used at all, so that a busy cluster still uses all of it.
pub(crate) fn weight(info: &NodeInfo, cordoned: bool) -> u16 {
    if cordoned {
        return 0;
    }
    let idle = f64::from(info.cpus) * 100.0 - f64::from(info.running.min(info.cpus)) * 50.0;
    // In 1..=6400 by the clamp, so the cast keeps the value.
    idle.clamp(1.0, 6400.0) as u16
}

/// The node to move a process to: among the candidates the one with most room per processor, if it
/// has the memory.
pub(crate) fn best(candidates: &[(u32, NodeInfo, u32)], bytes: u64) -> Option<u32> {
    let room = |info: &NodeInfo, coming: u32| {
        (info.load + f64::from(coming)) / f64::from(info.cpus.max(1))
    };
    let fits = candidates.iter().filter(|(_, info, _)| info.mem_free > bytes);
    fits.min_by(|a, b| room(&a.1, a.2).total_cmp(&room(&b.1, b.2))).map(|(slot, ..)| *slot)
}

/// Jobs of a home that are not over.
pub(crate) fn count_jobs<'a>(records: impl Iterator<Item = &'a JobRecord>, home: u32) -> u32 {
    let count = records.filter(|r| r.home == home && !r.state.is_over()).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_proc() {
        assert_eq!(parse_loadavg("0.50 0.40 0.30 3/123 4567\n"), (0.5, 2));
        let text = "MemTotal:       100 kB\nMemFree: 1 kB\nMemAvailable:   50 kB\n";
        assert_eq!(meminfo_bytes(text, "MemAvailable:"), 51_200);
        let own = measure();
        assert!(own.cpus > 0 && own.mem_total > own.mem_free && own.mem_free > 0);
    }

    fn node(cpus: u32, load: f64, mem_free: u64) -> NodeInfo {
        NodeInfo { cpus, load, mem_free, ..NodeInfo::default() }
    }

    #[test]
    fn work_goes_where_there_is_room() {
        let nodes = [(0, node(2, 2.0, 100), 0), (1, node(4, 2.0, 100), 0), (2, node(1, 0.0, 9), 0)];
        assert_eq!(best(&nodes, 50), Some(1), "slot 2 lacks the memory");
        assert_eq!(best(&nodes, 5), Some(2));
        assert_eq!(best(&nodes, 100), None);
        let busy = [(0, node(1, 0.0, 100), 2), (1, node(1, 0.5, 100), 0)];
        assert_eq!(best(&busy, 1), Some(1), "what is on its way counts");
    }

    #[test]
    fn cordoned_nodes_get_nothing() {
        assert_eq!(weight(&node(2, 0.0, 1), true), 0);
        assert_eq!(weight(&node(2, 0.0, 1), false), 200);
        let busy = NodeInfo { running: 9, ..node(2, 9.0, 1) };
        assert_eq!(weight(&busy, false), 100);
    }
}
