//! Putting together what all nodes know.

use crate::cordons::Word;
use crate::jobs::record::JobState;
use crate::node::{Node, ANSWER_TIME};
use crate::nodes::NodeInfo;
use crate::peer::message::{PeerReply, PeerRequest};
use crate::wire::Handshake;
use holon_api::rows::{EncryptionRow, JobRow, List, ModuleRow, NodeRow, ProcessRow, Status};
use holon_api::{ApiError, Code, ProcessId, API_VERSION};
use holon_uapi::proc::ROLE_SURROGATE;
use std::collections::HashMap;
use std::sync::Arc;

/// All processes of all jobs.
pub(crate) fn processes(node: &Arc<Node>) -> List<ProcessRow> {
    let mut list = List::new("ProcessList", Vec::new());
    let up = node.all_up();
    for (slot, reply) in node.ask_each(&up, &PeerRequest::Rows, ANSWER_TIME) {
        match reply {
            Ok(PeerReply::Rows { rows }) => list.items.extend(rows),
            _ => list.missing.push(node.config.name(slot)),
        }
    }
    list.items = merge(list.items);
    list
}

/// One row for each process. In the moment of a commit both nodes may show it: the source as moving
/// still, the target as what it is.
fn merge(mut rows: Vec<ProcessRow>) -> Vec<ProcessRow> {
    rows.sort_by_key(|row| (row.id, row.state == "moving"));
    rows.dedup_by_key(|row| row.id);
    rows
}

/// The node where a process runs.
pub(crate) fn where_is(node: &Arc<Node>, process: ProcessId) -> Result<u32, ApiError> {
    let rows = processes(node);
    if let Some(row) = rows.items.iter().find(|row| row.id == process) {
        if let Some(found) = node.config.by_name(&row.node) {
            return Ok(found.slot);
        }
    }
    if !rows.missing.is_empty() {
        let why = format!("it was not found, and {} did not answer", rows.missing.join(", "));
        return Err(ApiError::new(Code::TimedOut, "", why).fix("try again"));
    }
    let surrogate = node.device.as_ref().and_then(|d| d.processes().ok()).unwrap_or_default();
    let is_it = |p: &holon_uapi::proc::ProcInfo| {
        p.job == process.job && p.pid.unsigned_abs() == process.pid && p.role == ROLE_SURROGATE
    };
    let why = match surrogate.iter().find(|p| is_it(p)) {
        Some(p) => format!("its body is on {}, which does not show it", node.config.name(p.slot)),
        None => "no such process runs".into(),
    };
    Err(ApiError::new(Code::NotFound, "", why).fix("see `clusterctl ps`"))
}

/// All nodes, down ones too.
pub(crate) fn nodes(node: &Arc<Node>) -> Vec<NodeRow> {
    let up = node.all_up();
    let mut infos = HashMap::new();
    for (slot, reply) in node.ask_each(&up, &PeerRequest::Info, ANSWER_TIME) {
        if let Ok(PeerReply::Info(info)) = reply {
            infos.insert(slot, *info);
        }
    }
    let cordons: HashMap<u32, Word> = node.state().cordons.words().into_iter().collect();
    let rows = node.config.nodes.iter().map(|config| {
        let info = infos.remove(&config.slot);
        let state = match (&info, up.contains(&config.slot)) {
            (Some(_), _) => "up",
            (None, true) => "unknown",
            (None, false) => "down",
        };
        let info = info.unwrap_or_default();
        let reason = cordons.get(&config.slot).and_then(|word| word.reason.as_ref());
        NodeRow {
            name: config.name.clone(),
            slot: config.slot,
            addr: config.outer.to_string(),
            state: state.into(),
            cordoned: reason.is_some(),
            cordon_reason: reason.cloned().unwrap_or_default(),
            cpus: info.cpus,
            load: info.load,
            mem_total: info.mem_total,
            mem_free: info.mem_free,
            jobs: info.jobs,
            bodies: info.bodies,
            surrogates: info.surrogates,
            version: info.version,
        }
    });
    rows.collect()
}

/// Jobs.
pub(crate) fn jobs(node: &Arc<Node>, all: bool) -> List<JobRow> {
    let processes = processes(node);
    let mut counts: HashMap<u32, u32> = HashMap::new();
    for row in &processes.items {
        *counts.entry(row.job).or_default() += 1;
    }
    let state = node.state();
    let mut list = List::new("JobList", Vec::new());
    list.missing = processes.missing;
    for record in
        state.jobs.all().filter(|r| all || !r.state.is_over() || r.state == JobState::Fenced)
    {
        let count = counts.get(&record.job).copied().unwrap_or(0);
        let mut row = record.row(node.config.name(record.home), count);
        let home_is_up = record.home == node.own() || state.up.contains(&record.home);
        if !home_is_up && !record.state.is_over() {
            row.state = "home-down".into();
        }
        list.items.push(row);
    }
    list
}

/// All in short.
pub(crate) fn status(node: &Arc<Node>) -> Status {
    let nodes = nodes(node);
    let processes = processes(node);
    let (encryption, handshakes) = node.wire.status(&node.config);
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let nodes_up = count(nodes.iter().filter(|n| n.state == "up").count());
    let jobs = node.state().jobs.all().filter(|r| !r.state.is_over()).count();
    Status {
        api_version: API_VERSION.into(),
        kind: "Status".into(),
        node: node.name().into(),
        quorum: node.has_quorum(),
        nodes_up,
        nodes_total: count(nodes.len()),
        jobs: count(jobs),
        processes: count(processes.items.len()),
        module: module_row(node),
        alarms: alarms(node, &nodes, &encryption, &handshakes),
        encryption,
        nodes,
    }
}

fn module_row(node: &Node) -> ModuleRow {
    ModuleRow {
        loaded: node.device.is_some(),
        version: node.module_version(),
        problem: node.module_problem.clone(),
    }
}

fn alarms(
    node: &Node,
    nodes: &[NodeRow],
    encryption: &EncryptionRow,
    handshakes: &[(u32, Handshake)],
) -> Vec<String> {
    let mut alarms = Vec::new();
    if node.device.is_none() {
        alarms.push(format!("{}: {}", node.name(), node.module_problem));
    }
    let problem = encryption.problem.as_ref().filter(|_| node.device.is_some());
    if let Some(problem) = problem {
        alarms.push(format!("{} talks to no other node: {}", node.name(), problem.text));
    }
    if !node.has_quorum() {
        alarms
            .push("no quorum: fewer than half of the nodes are up; jobs are not restarted".into());
    }
    for row in nodes {
        match row.state.as_str() {
            "down" => alarms.push(match complaint(node, row.slot, handshakes) {
                Some(why) => format!("{} is down: {why}", row.name),
                None => format!("{} is down", row.name),
            }),
            "unknown" => alarms.push(format!("{} is up, but its holond does not answer", row.name)),
            _ => {}
        }
    }
    let own = node.module_version();
    let differs = |row: &&NodeRow| row.state == "up" && row.version != own;
    for row in nodes.iter().filter(differs) {
        alarms.push(format!("{} has module version \"{}\"", row.name, row.version));
    }
    alarms
}

/// What its handshakes say about a node that is down.
fn complaint(node: &Node, slot: u32, handshakes: &[(u32, Handshake)]) -> Option<String> {
    let (_, handshake) = handshakes.iter().find(|(of, _)| *of == slot)?;
    handshake.complaint(node.config.node(slot)?)
}

/// What a daemon last told about each node that may get work, for placement.
pub(crate) fn refresh_infos(node: &Arc<Node>) {
    let up = node.all_up();
    let mut infos: Vec<(u32, NodeInfo)> = Vec::new();
    for (slot, reply) in node.ask_each(&up, &PeerRequest::Info, ANSWER_TIME) {
        if let Ok(PeerReply::Info(info)) = reply {
            infos.push((slot, *info));
        }
    }
    node.state().infos = infos.into_iter().collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_that_is_not_moving_is_the_bodys() {
        let row = |pid, node: &str, state: &str| ProcessRow {
            id: ProcessId { job: 3, pid },
            job: 3,
            pid,
            user: "root".into(),
            home: "node1".into(),
            node: node.into(),
            state: state.into(),
            local_bytes: 0,
            remote_bytes: 0,
            command: "counter".into(),
        };
        let rows = vec![
            row(17, "node1", "moving"),
            row(17, "node2", "running"),
            row(18, "node1", "moving"),
        ];
        let shown: Vec<_> = merge(rows).into_iter().map(|r| (r.pid, r.node)).collect();
        assert_eq!(shown, [(17, "node2".to_owned()), (18, "node1".to_owned())]);
    }
}
