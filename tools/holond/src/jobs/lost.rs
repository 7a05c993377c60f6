//! What becomes of jobs when nodes die.
//!
//! A home's death ends its jobs. Those with `--restart exec` run again elsewhere: the lowest node
//! that is up decides, only with a quorum, and only after a delay in which a home that was merely
//! cut off has noticed that it has no quorum and has ended them itself ([`on_peer_down`]). A home
//! that comes back earlier is asked: it may have been cut off for a moment only, or have begun a
//! new life that knows nothing of them.

use super::end;
use super::record::{JobRecord, JobState};
use super::start;
use crate::cgroup;
use crate::nfs;
use crate::node::{Node, ACTION_TIME};
use crate::nodes;
use crate::peer::message::{PeerReply, PeerRequest};
use holon_api::request::Restart;
use holon_api::rows::EventRow;
use holon_api::Code;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The transport's: a peer not heard for so long is down, and how often each is heard.
const SILENCE_TIME: Duration = Duration::from_millis(4000);
const HEARTBEAT_TIME: Duration = Duration::from_millis(200);
/// How long a node takes to end what it must not run any longer, once it knows.
const KILL_TIME: Duration = Duration::from_millis(1800);
/// After so long a node that we see down has noticed that it does not see us, and acted on it: it
/// may have heard us until the moment when we gave it up.
const FENCE_TIME: Duration = SILENCE_TIME.saturating_add(HEARTBEAT_TIME).saturating_add(KILL_TIME);
/// Between two questions to a home that does not answer well.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// How often a peer's tree is tried to be mounted ahead, and after which pause.
const MOUNT_TRIES_MAX: u32 = 10;
const MOUNT_PAUSE: Duration = Duration::from_secs(2);
/// How long the module's word about a lost body may come after the surrogate's end.
const WORD_TIME: Duration = Duration::from_secs(1);
const WORD_PAUSE: Duration = Duration::from_millis(20);

/// A peer is gone.
pub(crate) fn on_peer_down(node: &Arc<Node>, slot: u32, reason: &str) {
    if !node.state().up.remove(&slot) {
        return;
    }
    node.rpc.peer_down(slot);
    expire_files(node, slot);
    {
        let mut state = node.state();
        state.infos.remove(&slot);
        state.greeted.remove(&slot);
    }
    node.note(EventRow {
        kind: "node-down".into(),
        from: Some(node.config.name(slot)),
        reason: Some(reason.into()),
        ..EventRow::default()
    });
    for client in node.sessions.take_remotes_of(slot) {
        let _ = client.connection.send(&holon_api::request::Reply::Exited {
            status: holon_api::EXIT_NODE_LOST,
            note: Some(format!("{}, the job's home, was lost", node.config.name(slot))),
        });
    }
    if !node.has_quorum() {
        fence_own(node);
    }
    let orphans = node.state().jobs.alive_at(slot);
    let leftovers: Vec<(u32, u32)> = orphans.iter().map(|r| (r.job, r.restarts)).collect();
    let cleaner = node.clone();
    node.homes.drop_home(slot, move || end_all(&cleaner, &leftovers));
    if !orphans.is_empty() {
        let node = node.clone();
        std::thread::spawn(move || resolve(&node, slot, &orphans));
    }
}

/// Ends runs of jobs here: all at once, then each is waited for.
fn end_all(node: &Arc<Node>, runs: &[(u32, u32)]) {
    for (job, upto) in runs {
        end::kill_all(&cgroup::instances_of(*job, *upto));
    }
    std::thread::scope(|scope| {
        for (job, upto) in runs {
            scope.spawn(|| end::forget_logged(node, *job, *upto));
        }
    });
}

/// What the lost node had open of our files must not make anybody wait.
fn expire_files(node: &Arc<Node>, slot: u32) {
    if let Some(peer) = node.config.node(slot) {
        let address = peer.addr.ip();
        std::thread::spawn(move || nfs::expire(address));
    }
}

/// Without a quorum the others may start our restartable jobs again: end them here first.
fn fence_own(node: &Arc<Node>) {
    let ours = node.state().jobs.alive_at(node.own());
    for record in ours {
        if record.restart == Restart::Exec {
            log::warn!("no quorum: job {} may be started elsewhere, ended here", record.job);
            let node = node.clone();
            std::thread::spawn(move || {
                let reason = "this node lost the quorum";
                end::over(&node, record.job, JobState::Lost, Some(reason.into()));
                if let Some(session) = node.sessions.of_job(record.job) {
                    let status = holon_api::EXIT_NODE_LOST;
                    session.finish(&node, status, Some(reason.into()));
                }
            });
        }
    }
}

/// Jobs of a dead home: some run again.
fn resolve(node: &Arc<Node>, dead: u32, orphans: &[JobRecord]) {
    let delay = node.time(FENCE_TIME);
    let end = Instant::now() + delay;
    while Instant::now() < end && !node.is_up(dead) {
        std::thread::sleep(Duration::from_millis(100).min(delay));
    }
    // Not the dead one itself, should it be back: it has not seen its own end.
    let decider = node.all_up().into_iter().find(|slot| *slot != dead);
    if decider != Some(node.own()) || !node.has_quorum() {
        return;
    }
    for orphan in orphans {
        let Some(now) = node.job(orphan.job) else {
            continue;
        };
        // A home that gave a job up has not run it again: that is left to whoever decides.
        let is_given_up = now.state == JobState::Lost && now.restart == Restart::Exec;
        if now.home != dead || (now.state.is_over() && !is_given_up) {
            continue;
        }
        if node.is_up(dead) && goes_on(node, dead, now.job, now.restarts) {
            continue;
        }
        if now.restart == Restart::Exec {
            take_over(node, &now);
        } else {
            give_up(node, dead, now);
        }
    }
}

/// Whether a home that is back still has the job. If it says no, nothing of the job runs there.
fn goes_on(node: &Arc<Node>, home: u32, job: u32, restarts: u32) -> bool {
    while node.is_up(home) {
        match node.ask(home, PeerRequest::Job { job }, &[], ANSWER) {
            Ok(PeerReply::Job { record }) => {
                let alive = |r: &JobRecord| r.home == home && !r.state.is_over();
                if record.is_some_and(|record| alive(&record)) {
                    return true;
                }
                match node.ask(home, PeerRequest::Forget { job, restarts }, &[], ACTION_TIME) {
                    Ok(_) => return false,
                    Err(error) => log::warn!("job {job} is not known to have ended: {error}"),
                }
            }
            Ok(_) => return true,
            Err(error) => log::info!("job {job}: its home does not say: {error}"),
        }
        std::thread::sleep(RETRY_PAUSE);
    }
    // Down again: that is resolved by itself, with its own delay.
    true
}

/// Tells everybody that a job is lost for good.
fn give_up(node: &Arc<Node>, dead: u32, mut record: JobRecord) {
    let job = record.job;
    record.state = JobState::Lost;
    record.revision += 1;
    record.status = Some(holon_api::EXIT_NODE_LOST);
    node.state().jobs.merge(record.clone());
    node.tell_peers(PeerRequest::Jobs { records: vec![record] });
    node.note(EventRow {
        kind: "job-lost".into(),
        job: Some(job),
        from: Some(node.config.name(dead)),
        reason: Some("its home was lost".into()),
        ..EventRow::default()
    });
}

fn take_over(node: &Arc<Node>, record: &JobRecord) {
    let state = node.state();
    let candidates: Vec<_> = state
        .infos
        .iter()
        .filter(|(slot, _)| !state.cordons.contains_key(slot))
        .map(|(slot, info)| (*slot, info.clone(), info.jobs))
        .collect();
    drop(state);
    let home = nodes::best(&candidates, 0).unwrap_or(node.own());
    let mut record = record.clone();
    record.home = home;
    record.restarts += 1;
    record.revision += 1;
    record.state = JobState::Starting;
    record.main_pid = 0;
    let request = PeerRequest::TakeOver { record: Box::new(record.clone()) };
    let job = record.job;
    match node.ask(home, request, &[], ACTION_TIME) {
        Ok(PeerReply::Done) => {}
        Ok(_) => log::warn!("job {job} was not taken over: nonsense for an answer"),
        Err(error) => log::warn!("job {job} was not taken over: {error}"),
    }
}

/// This node is a job's new home.
pub(crate) fn taken_over(node: &Arc<Node>, record: JobRecord) -> Result<(), holon_api::ApiError> {
    end::forget(node, record.job, record.restarts.saturating_sub(1))
        .map_err(|e| holon_api::ApiError::new(Code::Failure, "can't run it again", e))?;
    if !node.state().jobs.merge(record.clone()) {
        return Ok(());
    }
    node.tell_peers(PeerRequest::Jobs { records: vec![record.clone()] });
    let Some(mut spec) = record.spec.as_deref().cloned() else {
        return Ok(());
    };
    // The terminal and the client went down with the old home.
    spec.terminal = None;
    let result = start::start_record(node, &record, spec, None, Vec::new());
    if let Err(error) = &result {
        end::over(node, record.job, JobState::Lost, Some(error.to_string()));
    }
    result.map(drop)
}

/// Whether a first process that ended with the status of a lost node was lost with one: the module
/// says so, soon. Otherwise the program itself has chosen this status.
pub(crate) fn was_lost(node: &Arc<Node>, job: u32, pid: u32) -> bool {
    let end = Instant::now() + node.time(WORD_TIME);
    while !node.state().lost.remove(&(job, pid)) {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(WORD_PAUSE);
    }
    true
}

/// A first process was lost with the node that it ran on: runs it again if its job wants that.
pub(crate) fn run_again_here(node: &Arc<Node>, job: u32) -> bool {
    if node.job(job).is_none_or(|record| record.restart != Restart::Exec) {
        return false;
    }
    let Some(record) = node.state().jobs.command_starts(job) else {
        return false;
    };
    node.tell_peers(PeerRequest::Jobs { records: vec![record.clone()] });
    // A node that was merely cut off may still run it. It notices that as we do, and ends it.
    std::thread::sleep(node.time(FENCE_TIME));
    if !node.has_quorum() {
        log::warn!("no quorum: job {job} is not run again");
        return false;
    }
    match start::respawn(node, &record) {
        Ok(()) => true,
        Err(error) => {
            log::warn!("job {job} can't be run again: {error}");
            false
        }
    }
}

/// A peer is there: tell it all that we know.
pub(crate) fn on_peer_up(node: &Arc<Node>, slot: u32) {
    if !node.state().up.insert(slot) {
        return;
    }
    node.note(EventRow {
        kind: "node-up".into(),
        to: Some(node.config.name(slot)),
        ..EventRow::default()
    });
    let node = node.clone();
    std::thread::spawn(move || say_hello(&node, slot));
}

/// Exchanges what both know; its daemon may need a while until it listens.
fn say_hello(node: &Arc<Node>, slot: u32) {
    while node.is_up(slot) {
        let hello = PeerRequest::Hello(Box::new(crate::peer::serve::own_hello(node)));
        if let Ok(PeerReply::Hello(theirs)) = node.ask(slot, hello, &[], ANSWER) {
            crate::peer::serve::take_hello(node, &theirs);
            node.state().greeted.insert(slot);
            mount_ahead(node, slot);
            return;
        }
        // Some errors come at once.
        std::thread::sleep(RETRY_PAUSE);
    }
}

/// Mounts a peer's tree before the first process comes from there. Its file server may still be on
/// its way up; a restore tries again itself.
fn mount_ahead(node: &Arc<Node>, slot: u32) {
    for _ in 0..MOUNT_TRIES_MAX {
        match node.homes.get(node, slot) {
            Ok(_) => return,
            Err(error) => log::info!("not yet: {error:#}"),
        }
        std::thread::sleep(node.time(MOUNT_PAUSE));
        if !node.is_up(slot) {
            return;
        }
    }
}

const ANSWER: Duration = crate::node::ANSWER_TIME;
