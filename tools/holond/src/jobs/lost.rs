//! What becomes of jobs when nodes die.
//!
//! A home's death ends its jobs here at once; whether they run again elsewhere is decided later
//! ([`super::takeover`]). A node that was merely cut off from so many that these may be a majority
//! ends its own restartable jobs ([`fence_own`]), before the others start them again.

use super::end;
use super::record::JobState;
use super::start;
use crate::cgroup;
use crate::kernel::event::Down;
use crate::nfs;
use crate::node::Node;
use crate::peer::message::{PeerReply, PeerRequest};
use crate::tasks;
use holon_api::request::Restart;
use holon_api::rows::EventRow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The transport's: a peer not heard for so long is down, and how often each is heard.
const SILENCE_TIME: Duration = Duration::from_millis(4000);
const HEARTBEAT_TIME: Duration = Duration::from_millis(200);
/// How long a node takes to end what it must not run any longer, once it knows.
const KILL_TIME: Duration = Duration::from_millis(1800);
/// After so long a node that we see down has noticed that it does not see us, and acted on it: it
/// may have heard us until the moment when we gave it up.
pub(crate) const FENCE_TIME: Duration =
    SILENCE_TIME.saturating_add(HEARTBEAT_TIME).saturating_add(KILL_TIME);
/// Between two questions to a home that does not answer well.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// How often a peer's tree is tried to be mounted ahead, and after which pause.
const MOUNT_TRIES_MAX: u32 = 10;
const MOUNT_PAUSE: Duration = Duration::from_secs(2);
/// How long the module's word about a lost body may come after the surrogate's end.
const WORD_TIME: Duration = Duration::from_secs(1);
const WORD_PAUSE: Duration = Duration::from_millis(20);

/// A peer is gone.
pub(crate) fn on_peer_down(node: &Arc<Node>, slot: u32, reason: Down) {
    if !node.state().peer_down(slot, reason == Down::Left) {
        return;
    }
    node.rpc.peer_down(slot);
    expire_files(node, slot);
    node.note(EventRow {
        kind: "node-down".into(),
        from: Some(node.config.name(slot)),
        reason: Some(reason.text().into()),
        ..EventRow::default()
    });
    for client in node.sessions.take_remotes_of(slot) {
        let _ = client.connection.send(&holon_api::request::Reply::Exited {
            status: holon_api::EXIT_NODE_LOST,
            note: Some(format!("{}, the job's home, was lost", node.config.name(slot))),
        });
    }
    fence_own(node);
    let orphans = node.state().jobs.alive_at(slot);
    let leftovers: Vec<(u32, u32)> = orphans.iter().map(|r| (r.job, r.restarts)).collect();
    let cleaner = node.clone();
    node.homes.drop_home(slot, move || end_all(&cleaner, &leftovers));
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
        tasks::spawn(move || nfs::expire(address));
    }
}

/// Without a quorum the others may start our restartable jobs again: ends them here first, unless
/// the others are too few for that too.
pub(crate) fn fence_own(node: &Arc<Node>) {
    let (total, up, left) = (node.config.nodes.len(), node.all_up().len(), node.state().left.len());
    if !others_may_decide(total, up, left) {
        return;
    }
    let ours = node.state().jobs.alive_at(node.own());
    for record in ours.into_iter().filter(|record| record.restart == Restart::Exec) {
        log::warn!("no quorum: job {} may be started elsewhere, ended here", record.job);
        let node = node.clone();
        tasks::spawn(move || {
            let reason = "this node lost the quorum";
            end::over(&node, record.job, JobState::Fenced, Some(reason.into()));
            if let Some(session) = node.sessions.of_job(record.job) {
                let status = holon_api::EXIT_NODE_LOST;
                session.finish(&node, status, Some(reason.into()));
            }
        });
    }
}

/// Whether nodes that this one does not see may be a majority. Those that have said that they
/// leave are not there.
pub(crate) fn others_may_decide(total: usize, up: usize, left: usize) -> bool {
    total.saturating_sub(up).saturating_sub(left) * 2 > total
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
    let Some(record) = node.state().jobs.command_starts(node.own(), job) else {
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
    if !node.state().peer_up(slot) {
        return;
    }
    node.note(EventRow {
        kind: "node-up".into(),
        to: Some(node.config.name(slot)),
        ..EventRow::default()
    });
    let node = node.clone();
    tasks::spawn(move || say_hello(&node, slot));
}

/// Exchanges what both know; its daemon may need a while until it listens.
fn say_hello(node: &Arc<Node>, slot: u32) {
    while node.is_up(slot) {
        if exchange(node, slot) {
            return mount_ahead(node, slot);
        }
        // Some errors come at once.
        std::thread::sleep(RETRY_PAUSE);
    }
}

/// Tells a peer what we know and learns what it knows. False if it does not answer.
fn exchange(node: &Arc<Node>, slot: u32) -> bool {
    let hello = PeerRequest::Hello(Box::new(crate::peer::serve::own_hello(node, slot)));
    let Ok(PeerReply::Hello(theirs)) = node.ask(slot, hello, &[], ANSWER) else {
        return false;
    };
    crate::peer::serve::take_hello(node, slot, &theirs);
    node.state().greet(slot);
    true
}

/// Exchanges what is known with all peers: what one was told and did not hear is told by that.
pub(crate) fn exchange_all(node: &Arc<Node>) {
    let peers: Vec<u32> = node.state().up.iter().copied().collect();
    for slot in peers {
        let node = node.clone();
        tasks::spawn(move || {
            if !exchange(&node, slot) {
                log::info!("{} does not answer a hello", node.config.name(slot));
            }
        });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_ends_its_jobs_only_if_others_may_start_them() {
        assert!(others_may_decide(3, 1, 0));
        assert!(!others_may_decide(3, 2, 0), "it has the quorum itself");
        assert!(!others_may_decide(3, 1, 1), "one has left: the other alone decides nothing");
        assert!(!others_may_decide(2, 1, 0));
        assert!(!others_may_decide(4, 2, 0), "neither half decides");
        assert!(others_may_decide(5, 2, 0));
    }
}
