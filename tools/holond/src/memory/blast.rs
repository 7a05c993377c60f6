//! What would be hurt by a node's loss.

use crate::gather;
use crate::local;
use crate::node::{Node, ANSWER_TIME};
use crate::peer::message::{PeerReply, PeerRequest};
use holon_api::rows::{Blast, Hurt, ProcessRow};
use holon_api::{ApiError, Code, ProcessId, API_VERSION};
use holon_uapi::proc::ProcInfo;
use std::collections::HashMap;
use std::fs;
use std::sync::Arc;

const PAGE_BYTES: u64 = 4096;

/// A process here, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// It, if it is of a job.
    pub(crate) process: Option<ProcessId>,
    /// Its command.
    pub(crate) command: String,
}

impl Named {
    /// In a sentence.
    pub(crate) fn text(&self, pid: u32) -> String {
        match self.process {
            Some(process) => format!("{process} {}", self.command),
            None => format!("pid {pid} {}", self.command),
        }
    }
}

/// Names a process by its number here.
pub(crate) fn name(node: &Node, pid: u32) -> Named {
    let row = local::numbered_rows(node).remove(&pid);
    of_row(row.as_ref(), pid)
}

fn of_row(row: Option<&ProcessRow>, pid: u32) -> Named {
    match row {
        Some(row) => Named { process: Some(row.id), command: row.command.clone() },
        None => {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            Named { process: None, command: format!("[{}]", name.trim()) }
        }
    }
}

/// Processes here with pages that are only at `slot`, or anywhere elsewhere: names and bytes.
pub(crate) fn names(node: &Node, slot: Option<u32>) -> HashMap<u32, (Named, u64)> {
    let Some(device) = &node.device else { return HashMap::new() };
    let pages = match device.memory_of(slot) {
        Ok(pages) if pages.is_empty() => return HashMap::new(),
        Ok(pages) => pages,
        Err(errno) => {
            log::warn!("the module does not tell whose pages are elsewhere: {errno}");
            return HashMap::new();
        }
    };
    let rows = local::numbered_rows(node);
    let named = |(pid, pages): (u32, u64)| {
        (pid, (of_row(rows.get(&pid), pid), pages.saturating_mul(PAGE_BYTES)))
    };
    pages.into_iter().map(named).collect()
}

/// Who of this node has memory that is nowhere but at `slot`: it lodges there, or stayed there when
/// the process moved.
pub(crate) fn own(node: &Node, slot: u32) -> Vec<Hurt> {
    let hurt = |(pid, (named, bytes)): (u32, (Named, u64))| Hurt {
        process: named.process,
        node: node.name().into(),
        node_pid: named.process.is_none().then_some(pid),
        command: named.command,
        why: "memory".into(),
        bytes,
    };
    let mut found = names(node, Some(slot));
    let mut others = Vec::new();
    let left = left_behind(&records(node), slot);
    if !left.is_empty() {
        let rows = local::numbered_rows(node);
        for (process, pages) in left {
            let bytes = pages.saturating_mul(PAGE_BYTES);
            match rows.iter().find(|(_, row)| row.id == process) {
                Some((pid, row)) => {
                    let (_, sum) =
                        found.entry(*pid).or_insert_with(|| (of_row(Some(row), *pid), 0));
                    *sum = sum.saturating_add(bytes);
                }
                // It has ended meanwhile, or is just being seen to.
                None => {
                    others.push((0, (Named { process: Some(process), ..Named::default() }, bytes)))
                }
            }
        }
    }
    found.into_iter().chain(others).map(hurt).collect()
}

fn records(node: &Node) -> Vec<ProcInfo> {
    let Some(device) = &node.device else { return Vec::new() };
    device.processes().unwrap_or_else(|errno| {
        log::warn!("the module does not tell whose memory was left behind: {errno}");
        Vec::new()
    })
}

/// Processes here with memory that was not fetched from `slot` yet, and how many pages.
fn left_behind(records: &[ProcInfo], slot: u32) -> Vec<(ProcessId, u64)> {
    let is_hurt = |it: &&ProcInfo| it.remote_slot == slot && it.remote_pages != 0;
    let id = |it: &ProcInfo| ProcessId { job: it.job, pid: it.pid.unsigned_abs() };
    records.iter().filter(is_hurt).map(|it| (id(it), it.remote_pages)).collect()
}

/// All that is known of it.
pub(crate) fn all(node: &Arc<Node>, name: &str) -> Result<Blast, ApiError> {
    let found = node.config.by_name(name).map(|config| config.slot);
    let slot = found.ok_or_else(|| {
        let what = "can't tell what would be hurt";
        ApiError::new(Code::NotFound, what, format!("no node is named \"{name}\""))
            .fix("see `clusterctl node list`")
    })?;
    let listed = gather::processes(node);
    let mut processes = by_place(&listed.items, name, slot);
    let mut missing = listed.missing;
    let up = node.all_up();
    for (peer, reply) in node.ask_each(&up, &PeerRequest::Hurt { slot }, ANSWER_TIME) {
        match reply {
            Ok(PeerReply::Hurt { hurt }) => processes.extend(hurt),
            _ => missing.push(node.config.name(peer)),
        }
    }
    processes.sort();
    missing.sort();
    missing.dedup();
    let homes =
        gather::jobs(node, false).items.into_iter().filter(|job| job.home == name).collect();
    let (api_version, kind) = (API_VERSION.into(), "Blast".into());
    Ok(Blast { api_version, kind, node: name.into(), processes, homes, missing })
}

/// Those that run there, and those whose origin is there.
fn by_place(rows: &[ProcessRow], name: &str, slot: u32) -> Vec<Hurt> {
    let why = |row: &ProcessRow| {
        if row.node == name {
            Some("body")
        } else {
            (row.id.origin_slot() == slot).then_some("surrogate")
        }
    };
    let hurt = |row: &ProcessRow| {
        Some(Hurt {
            process: Some(row.id),
            node: row.node.clone(),
            node_pid: None,
            command: row.command.clone(),
            why: why(row)?.into(),
            bytes: 0,
        })
    };
    rows.iter().filter_map(hurt).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_left_memory_behind() {
        let record = |pid, remote_slot, remote_pages| ProcInfo {
            job: 3,
            pid,
            remote_slot,
            remote_pages,
            ..ProcInfo::default()
        };
        let records = [record(7, 1, 300), record(8, 2, 5), record(9, 1, 0)];
        assert_eq!(left_behind(&records, 1), [(ProcessId { job: 3, pid: 7 }, 300)]);
    }

    #[test]
    fn who_runs_there_and_who_comes_from_there() {
        let row = |pid, node: &str| ProcessRow {
            id: ProcessId { job: 3, pid },
            job: 3,
            pid,
            user: "root".into(),
            home: "node1".into(),
            node: node.into(),
            state: "running".into(),
            local_bytes: 0,
            remote_bytes: 0,
            command: "counter".into(),
        };
        let rows = [row(17, "node1"), row(65_537, "node1"), row(18, "node2"), row(65_538, "node2")];
        let hurt = by_place(&rows, "node2", 1);
        let told: Vec<_> = hurt.iter().map(|h| (h.process.expect("one").pid, &h.why[..])).collect();
        assert_eq!(told, [(65_537, "surrogate"), (18, "body"), (65_538, "body")]);
    }
}
