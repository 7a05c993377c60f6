//! What would be hurt by a node's loss.

use crate::gather;
use crate::local;
use crate::node::{Node, ANSWER_TIME};
use crate::peer::message::{PeerReply, PeerRequest};
use holon_api::rows::{Blast, Hurt, ProcessRow};
use holon_api::{ApiError, Code, ProcessId, API_VERSION};
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

/// Who of this node has memory that is nowhere but at `slot`.
pub(crate) fn own(node: &Node, slot: u32) -> Vec<Hurt> {
    let hurt = |(pid, (named, bytes)): (u32, (Named, u64))| Hurt {
        process: named.process,
        node: node.name().into(),
        node_pid: named.process.is_none().then_some(pid),
        command: named.command,
        why: "memory".into(),
        bytes,
    };
    names(node, Some(slot)).into_iter().map(hurt).collect()
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
