//! What an earlier daemon of this node left: inits that run on, and jobs that have ended with it.

use super::handle::InitHandle;
use super::record::{JobRecord, JobState};
use super::{end, inits, keep, start};
use crate::cgroup::Instance;
use crate::init::proto::{InitReply, InitRequest};
use crate::node::{Node, ANSWER_TIME};
use crate::peer::message::PeerRequest;
use crate::tasks;
use anyhow::Result;
use holon_api::request::Restart;
use holon_api::rows::EventRow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the other nodes may take to say what they know, at timescale 1.
const HEARING_TIME: Duration = Duration::from_secs(5);
const HEARING_PAUSE: Duration = Duration::from_millis(100);

/// Takes over the inits, and clears up after those that died.
pub(crate) fn run(node: &Arc<Node>) {
    for record in keep::read() {
        node.state().jobs.merge(record);
    }
    for instance in inits::left_behind() {
        match node.job(instance.job) {
            Some(record) if !record.state.is_over() => adopt_one(node, instance, &record),
            Some(_) => end::forget_logged(node, instance.job, instance.restarts),
            // Nobody has said that its job is over: the other nodes may know it.
            None => drop(node.state().unclaimed.insert(instance)),
        }
    }
    let ours = node.state().jobs.alive_at(node.own());
    let gone: Vec<u32> =
        ours.iter().map(|r| r.job).filter(|job| node.inits.get(*job).is_none()).collect();
    for job in &gone {
        // At once, for peers ask what goes on here before they decide who runs a job again.
        node.state().jobs.change(*job, |r| {
            r.state = ended_state(r.restart);
            r.status = Some(holon_api::EXIT_NODE_LOST);
        });
    }
    let node = node.clone();
    tasks::spawn(move || {
        hear(&node);
        let unclaimed = std::mem::take(&mut node.state().unclaimed);
        for instance in unclaimed {
            log::warn!("nobody knows job {instance}: it is ended");
            end::forget_logged(&node, instance.job, instance.restarts);
        }
        give_up(&node, &gone);
    });
}

fn ended_state(restart: Restart) -> JobState {
    match restart {
        Restart::Exec => JobState::Fenced,
        Restart::Never => JobState::Lost,
    }
}

/// A record came: takes over the job's init if it waited for that. False if it did not.
pub(crate) fn claim(node: &Arc<Node>, record: &JobRecord) -> bool {
    let is_it = |i: &Instance| i.job == record.job && i.restarts <= record.restarts;
    let instance = {
        let mut state = node.state();
        let found = state.unclaimed.iter().copied().find(is_it);
        let Some(instance) = found else { return false };
        state.unclaimed.remove(&instance);
        state.jobs.merge(record.clone());
        instance
    };
    if record.state.is_over() {
        end::forget_logged(node, instance.job, instance.restarts);
    } else {
        adopt_one(node, instance, record);
    }
    true
}

/// Takes over an init whose job goes on.
fn adopt_one(node: &Arc<Node>, instance: Instance, record: &JobRecord) {
    let job = instance.job;
    let listener = node.clone();
    let news = move |init: &InitHandle, news| end::on_news(&listener, init, news);
    let adopted = node.inits.get_or_make(job, || inits::adopt(instance, record.home, news));
    match adopted {
        Ok(init) => {
            // EEXIST: the module has not forgotten it.
            if let Err(error) = start::register(node, &init) {
                log::info!("job {instance}: {error:#}");
            }
            if record.home == node.own() && record.state == JobState::Starting {
                let node = node.clone();
                tasks::spawn(move || resume(&node, &init));
            }
        }
        Err(error) => {
            log::info!("job {instance}: {error:#}");
            end::forget_logged(node, job, instance.restarts);
        }
    }
}

/// The earlier daemon ended while it started the job: its init tells how far that came.
fn resume(node: &Arc<Node>, init: &InitHandle) {
    let job = init.instance.job;
    let commands = || -> Result<Vec<i32>> {
        match init.call(&InitRequest::Commands, &[], node.time(ANSWER_TIME))? {
            InitReply::Commands { pids } => Ok(pids),
            _ => anyhow::bail!("nonsense for an answer"),
        }
    };
    let runs = commands().unwrap_or_else(|error| {
        log::warn!("job {job}: {error:#}");
        Vec::new()
    });
    // It may have ended already: the init has told that before its answer.
    let early = node.state().jobs.early_exit(job);
    match runs.first().map(|pid| pid.unsigned_abs()).or(early) {
        Some(pid) => drop(start::note_started(node, job, pid)),
        None => {
            let restart = node.job(job).map_or(Restart::Never, |record| record.restart);
            let reason = "holond was restarted while it was started";
            end::over(node, job, ended_state(restart), Some(reason.into()));
        }
    }
}

/// Waits until all others have said what they know, if they are there.
fn hear(node: &Arc<Node>) {
    let end = Instant::now() + node.time(HEARING_TIME);
    let all = node.config.nodes.len() - 1;
    while node.state().greeted.len() < all && Instant::now() < end {
        std::thread::sleep(HEARING_PAUSE);
    }
}

/// Tells that our jobs that died with this node are over, unless another has taken them over
/// meanwhile.
fn give_up(node: &Arc<Node>, gone: &[u32]) {
    for job in gone {
        let Some(record) = node.job(*job).filter(|r| r.home == node.own()) else {
            continue;
        };
        let restarts = record.restarts;
        node.tell_peers(PeerRequest::Jobs { records: vec![record] });
        node.tell_peers(PeerRequest::Forget { job: *job, restarts });
        node.note(EventRow {
            kind: "job-lost".into(),
            job: Some(*job),
            reason: Some("its home was started anew".into()),
            ..EventRow::default()
        });
    }
}
