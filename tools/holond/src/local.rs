//! What this node can say and do about itself.

use crate::cgroup::Instance;
use crate::cordons::Word;
use crate::jobs::end;
use crate::node::Node;
use crate::nodes::{self, NodeInfo};
use crate::procs;
use holon_api::rows::{EventRow, Left, ProcessRow};
use holon_api::{ApiError, Code, ProcessId};
use holon_uapi::proc::ProcInfo;
use nix::errno::Errno;
use std::collections::HashMap;
use std::sync::Arc;

/// How it is doing.
pub(crate) fn info(node: &Node) -> NodeInfo {
    let counts = node.device.as_ref().and_then(|d| d.counts().ok()).unwrap_or_default();
    NodeInfo {
        jobs: nodes::count_jobs(node.state().jobs.all(), node.own()),
        bodies: counts.bodies,
        surrogates: counts.surrogates,
        version: node.module_version(),
        ..nodes::measure()
    }
}

/// Processes that run here. One of another node's that the module does not know is being made, or
/// has just left; an error if it does not tell which it knows.
pub(crate) fn rows(node: &Node) -> Result<Vec<ProcessRow>, ApiError> {
    let (rows, known) = look(node);
    let what = "can't list processes";
    let known = known.map_err(|errno| ApiError::new(Code::Failure, what, errno))?;
    let is_ours = |id: ProcessId| {
        id.origin_slot() == node.own()
            || known.iter().any(|it| it.job == id.job && it.pid.unsigned_abs() == id.pid)
    };
    let mut rows: Vec<ProcessRow> = rows.into_values().filter(|row| is_ours(row.id)).collect();
    rows.sort_by_key(|row| row.id);
    Ok(rows)
}

/// All that may run here, by their numbers here.
pub(crate) fn numbered_rows(node: &Node) -> HashMap<u32, ProcessRow> {
    look(node).0
}

/// The same, and what the module knows.
fn look(node: &Node) -> (HashMap<u32, ProcessRow>, nix::Result<Vec<ProcInfo>>) {
    let inits = node.inits.jobs().into_iter().filter_map(|job| node.inits.get(job));
    let instances: Vec<Instance> = inits.map(|init| init.instance).collect();
    let found = procs::find(&instances);
    let lodged = node.device.as_ref().and_then(|d| d.memory_of(None).ok()).unwrap_or_default();
    let known = match node.device.as_ref().map(|device| device.processes()) {
        // A module that moves none.
        None | Some(Err(Errno::ENOTTY)) => Ok(Vec::new()),
        Some(known) => known,
    };
    let home = |job| {
        let state = node.state();
        state.jobs.get(job).map(|r| procs::JobFacts {
            home: node.config.name(r.home),
            uid: r.account.uid,
            user: r.account.name.clone(),
        })
    };
    let told = known.as_deref().unwrap_or_default();
    let elsewhere = procs::Elsewhere { known: told, lodged: &lodged };
    let rows = procs::rows((node.name(), node.own()), found, &elsewhere, &node.commands, &home);
    (rows, known)
}

/// Hears whether a node is cordoned.
pub(crate) fn cordon(node: &Arc<Node>, slot: u32, word: Word) {
    let reason = word.reason.clone();
    if !node.state().cordons.hear(slot, word) {
        return;
    }
    if slot == node.own() {
        node.note(EventRow {
            kind: if reason.is_some() { "node-cordoned" } else { "node-uncordoned" }.into(),
            reason,
            ..EventRow::default()
        });
        tell_kernel(node);
    }
    crate::tick::refresh_placement(node);
}

/// The kernel refuses what comes to a cordoned node, and keeps the cordon when this daemon ends.
fn tell_kernel(node: &Node) {
    let Some(device) = &node.device else { return };
    let why = node.state().cordons.why(node.own()).cloned();
    if let Err(errno) = device.set_cordon(why.as_deref()) {
        log::error!("the module was not told of the cordon: {errno}");
    }
}

/// A cordon that an earlier daemon of this node left in the kernel.
pub(crate) fn read_cordon(node: &Node) {
    let Some(device) = &node.device else { return };
    match device.cordon() {
        Ok(Some(why)) => {
            let word = Word { revision: 0, reason: Some(why) };
            node.state().cordons.hear(node.own(), word);
        }
        Ok(None) => {}
        Err(errno) => log::error!("the module does not tell whether it is cordoned: {errno}"),
    }
}

/// What of Holon's is here; counted by the module, jobs and running processes by us.
pub(crate) fn left(node: &Node) -> Result<Left, ApiError> {
    let running = u32::try_from(numbered_rows(node).len()).unwrap_or(u32::MAX);
    let jobs = nodes::count_jobs(node.state().jobs.all(), node.own());
    let clients = u32::try_from(node.sessions.count_remotes()).unwrap_or(u32::MAX);
    let mut left = Left { jobs, running, clients, ..Left::default() };
    let Some(device) = &node.device else {
        return Ok(left);
    };
    let what = "can't count what is left";
    let counts = device.counts().map_err(|e| ApiError::new(Code::Failure, what, e))?;
    left.bodies = counts.bodies;
    left.surrogates = counts.surrogates;
    left.attempts = counts.restoring.saturating_add(counts.leaving);
    left.lodgers = device.memory().map_err(|e| ApiError::new(Code::Failure, what, e))?.held;
    for (name, count) in device.held().map_err(|e| ApiError::new(Code::Failure, what, e))? {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        match name.as_str() {
            name if name.contains("space") => left.spaces = left.spaces.saturating_add(count),
            name if name.contains("file") => left.files = left.files.saturating_add(count),
            _ => {}
        }
    }
    Ok(left)
}

/// Ends the inits of other homes' jobs that have no process here.
pub(crate) fn tidy(node: &Arc<Node>) {
    for job in node.inits.jobs() {
        let is_home = node.job(job).is_some_and(|r| r.home == node.own());
        if let Some(init) = node.inits.get(job).filter(|init| !is_home && init.is_empty()) {
            end::forget_logged(node, job, init.instance.restarts);
        }
    }
}
