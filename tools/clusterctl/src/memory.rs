//! Printing remote memory.

use crate::table::{render, size, Align};
use holon_api::rows::{Blast, Hurt, MemoryRow};
use std::collections::BTreeSet;

/// `mem status`: one table of the nodes, one of who has what of whom, one of how long faults took.
pub(crate) fn status(rows: &[MemoryRow]) -> String {
    let tables = [nodes(rows), shared(rows), latencies(rows)];
    tables.into_iter().filter(|table| !table.is_empty()).collect::<Vec<_>>().join("\n")
}

fn nodes(rows: &[MemoryRow]) -> String {
    let heads = [
        ("NODE", Align::Left),
        ("STATE", Align::Left),
        ("LENDS", Align::Right),
        ("HOLDS", Align::Right),
        ("AWAY", Align::Right),
        ("TO MEND", Align::Right),
        ("EVICTED", Align::Right),
        ("/S", Align::Right),
        ("FETCHED", Align::Right),
        ("/S", Align::Right),
        ("AHEAD", Align::Right),
        ("LOST", Align::Right),
        ("FAULTS/S", Align::Right),
        ("MEDIAN", Align::Right),
        ("P99", Align::Right),
    ];
    let cells = |r: &MemoryRow| {
        let state = match (r.leaving, r.short) {
            (true, _) => "leaving",
            (false, true) => "short",
            (false, false) => "ok",
        };
        let time = |us: f64| if r.faults == 0 { "-".into() } else { format!("{us:.0} us") };
        vec![
            r.node.clone(),
            state.into(),
            size(r.lend_max_bytes),
            size(r.held_bytes),
            size(r.lodged_bytes),
            size(r.to_mend_bytes),
            r.evicted_pages.to_string(),
            format!("{:.0}", r.evicted_per_second),
            r.fetched_pages.to_string(),
            format!("{:.0}", r.fetched_per_second),
            ahead(r),
            r.lost_pages.to_string(),
            format!("{:.1}", r.faults_per_second),
            time(r.fault_median_us),
            time(r.fault_p99_us),
        ]
    };
    render(&heads, &rows.iter().map(cells).collect::<Vec<_>>())
}

/// Which part of what came back was there before anybody touched it.
fn ahead(row: &MemoryRow) -> String {
    match row.ahead_pages.saturating_mul(100).checked_div(row.fetched_pages) {
        Some(share) => format!("{share} %"),
        None => "-".into(),
    }
}

/// How many faults of whose processes took how long.
fn latencies(rows: &[MemoryRow]) -> String {
    let rows: Vec<_> = rows.iter().filter(|row| !row.fault_latencies.is_empty()).collect();
    let all = rows.iter().flat_map(|row| &row.fault_latencies);
    let bounds: BTreeSet<u64> = all.map(|some| some.below_ns).collect();
    if bounds.is_empty() {
        return String::new();
    }
    let mut heads = vec![("FAULTS TOOK", Align::Right)];
    heads.extend(rows.iter().map(|row| (row.node.as_str(), Align::Right)));
    let cells = |bound: &u64| {
        let of = |row: &&MemoryRow| {
            let found = row.fault_latencies.iter().find(|some| some.below_ns == *bound);
            found.map_or("-".into(), |some| some.count.to_string())
        };
        std::iter::once(span(*bound)).chain(rows.iter().map(of)).collect()
    };
    render(&heads, &bounds.iter().map(cells).collect::<Vec<_>>())
}

/// From half of these nanoseconds on and below them, for people.
fn span(ns: u64) -> String {
    match ns {
        u64::MAX => "more".into(),
        1_000_000.. => format!("{:.2} .. {:.2} ms", ns as f64 / 2e6, ns as f64 / 1e6),
        _ => format!("{:.1} .. {:.1} us", ns as f64 / 2e3, ns as f64 / 1e3),
    }
}

fn shared(rows: &[MemoryRow]) -> String {
    let heads = [
        ("OWNER", Align::Left),
        ("HOLDER", Align::Left),
        ("STATE", Align::Left),
        ("USED", Align::Right),
        ("LIMIT", Align::Right),
        ("SPARE", Align::Right),
    ];
    let mut cells = Vec::new();
    for row in rows {
        for peer in row.peers.iter().filter(|peer| peer.limit_bytes > 0 || peer.used_bytes > 0) {
            let names = [row.node.clone(), peer.node.clone(), peer.state.clone()];
            let sizes = [peer.used_bytes, peer.limit_bytes, peer.spare_bytes].map(size);
            cells.push(names.into_iter().chain(sizes).collect());
        }
    }
    if cells.is_empty() {
        return String::new();
    }
    render(&heads, &cells)
}

/// `blast`.
pub(crate) fn blast(blast: &Blast) -> String {
    if blast.processes.is_empty() && blast.homes.is_empty() && blast.missing.is_empty() {
        return format!("nothing would be hurt by the loss of {}\n", blast.node);
    }
    let mut out = format!("by the loss of {} would be hurt:\n", blast.node);
    let heads = [
        ("PROCESS", Align::Left),
        ("NODE", Align::Left),
        ("WHY", Align::Left),
        ("MEMORY", Align::Right),
        ("COMMAND", Align::Left),
    ];
    let cells = |hurt: &Hurt| {
        let name = match (hurt.process, hurt.node_pid) {
            (Some(process), _) => process.to_string(),
            (None, Some(pid)) => format!("pid {pid}"),
            (None, None) => "-".into(),
        };
        let bytes = if hurt.bytes == 0 { "-".into() } else { size(hurt.bytes) };
        vec![name, hurt.node.clone(), hurt.why.clone(), bytes, hurt.command.clone()]
    };
    if !blast.processes.is_empty() {
        out += &render(&heads, &blast.processes.iter().map(cells).collect::<Vec<_>>());
    }
    for job in &blast.homes {
        out += &format!("job {} has its home there: {}\n", job.job, job.command);
    }
    for node in &blast.missing {
        out += &format!("! {node} did not answer: what it has there is not shown\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use holon_api::rows::{Latencies, MemoryPeer};
    use holon_api::ProcessId;

    #[test]
    fn who_has_what_of_whom() {
        let peer = |node: &str, used| MemoryPeer {
            node: node.into(),
            state: "up".into(),
            limit_bytes: used,
            used_bytes: used,
            ..MemoryPeer::default()
        };
        let row = MemoryRow {
            node: "node1".into(),
            lodged_bytes: 64 << 20,
            faults: 3,
            fault_median_us: 120.4,
            peers: vec![peer("node2", 64 << 20), peer("node3", 0)],
            ..MemoryRow::default()
        };
        let text = status(&[row]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("NODE   STATE  LENDS"), "{text}");
        assert!(lines[1].contains("64 MiB") && lines[1].contains("120 us"), "{text}");
        assert_eq!(lines[3], "OWNER  HOLDER  STATE    USED   LIMIT  SPARE");
        assert_eq!(lines[4], "node1  node2   up     64 MiB  64 MiB    0 B");
        assert_eq!(lines.len(), 5, "a node that has nothing is not told of");
    }

    #[test]
    fn how_long_faults_took() {
        let took = |below_ns, count| Latencies { below_ns, count };
        let row = |node: &str, fault_latencies| MemoryRow {
            node: node.into(),
            fault_latencies,
            ..MemoryRow::default()
        };
        let rows = [
            row("node1", vec![took(1 << 17, 8), took(1 << 21, 2)]),
            row("node2", vec![]),
            row("node3", vec![took(1 << 17, 1), took(u64::MAX, 4)]),
        ];
        assert_eq!(
            latencies(&rows),
            "     FAULTS TOOK  node1  node3\n\
             65.5 .. 131.1 us      8      1\n\
             \x201.05 .. 2.10 ms      2      -\n\
             \x20           more      -      4\n"
        );
        assert_eq!(latencies(&[]), "");
    }

    #[test]
    fn what_came_before_it_was_touched() {
        let row = |ahead_pages, fetched_pages| MemoryRow {
            ahead_pages,
            fetched_pages,
            ..MemoryRow::default()
        };
        assert_eq!(ahead(&row(30, 40)), "75 %");
        assert_eq!(ahead(&row(0, 0)), "-");
    }

    #[test]
    fn who_would_be_hurt() {
        let mut it = Blast {
            api_version: "clusterctl/v1".into(),
            kind: "Blast".into(),
            node: "node2".into(),
            processes: vec![],
            homes: vec![],
            missing: vec![],
        };
        assert_eq!(blast(&it), "nothing would be hurt by the loss of node2\n");
        it.processes.push(Hurt {
            process: Some(ProcessId { job: 3, pid: 17 }),
            node: "node1".into(),
            node_pid: None,
            command: "sort".into(),
            why: "memory".into(),
            bytes: 12 << 20,
        });
        assert_eq!(
            blast(&it),
            "by the loss of node2 would be hurt:\n\
             PROCESS  NODE   WHY     MEMORY  COMMAND\n\
             3.17     node1  memory  12 MiB  sort\n"
        );
    }
}
