//! What is done at intervals: fresh loads for placement, a look at jobs that are about to end.

use crate::gather;
use crate::jobs::record::JobState;
use crate::jobs::{end, keep, lost, takeover};
use crate::memory;
use crate::node::{Node, ACTION_TIME};
use crate::nodes;
use crate::peer::message::PeerRequest;
use crate::tasks;
use holon_api::id::SLOTS_MAX;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

const TICK_TIME: Duration = Duration::from_secs(1);
/// How often all homes are asked whether they still have their jobs.
const DOUBT_TICKS: u64 = 60;
/// How often all peers are told all that is known here.
const HELLO_TICKS: u64 = 30;
/// How often it is asked with whom there is no handshake.
const WIRE_TICKS: u64 = 15;
/// How long an exec may wait for the node that was chosen, at timescale 1.
const PLACE_TIME: Duration = Duration::from_secs(2);

/// Runs for ever.
pub(crate) fn run(node: &Arc<Node>) {
    let mut finisher: Option<JoinHandle<()>> = None;
    for count in 1u64.. {
        std::thread::sleep(TICK_TIME);
        keep::write(node);
        gather::refresh_infos(node);
        refresh_placement(node);
        prepare_peers(node);
        if finisher.as_ref().is_none_or(JoinHandle::is_finished) {
            let node = node.clone();
            // Ending a job's processes may take long.
            finisher = std::thread::Builder::new().spawn(move || finish_jobs(&node)).ok();
        }
        end_leftovers(node);
        if count % DOUBT_TICKS == 0 {
            let mut state = node.state();
            let up = state.up.clone();
            state.doubtful.extend(up);
        }
        if count % HELLO_TICKS == 0 {
            lost::exchange_all(node);
        }
        takeover::look(node);
        memory::look(node);
        memory::verdict::look(node);
        if count % WIRE_TICKS == 0 {
            node.wire.watch(node);
        }
    }
}

/// An init that was made while the word of its job's end was under way is ended now.
fn end_leftovers(node: &Arc<Node>) {
    for job in node.inits.jobs() {
        let is_over = node.job(job).is_none_or(|record| record.state.is_over());
        if let Some(init) = node.inits.get(job).filter(|_| is_over) {
            let node = node.clone();
            tasks::spawn(move || end::forget_logged(&node, job, init.instance.restarts));
        }
    }
}

/// Has the other nodes make the namespaces of jobs that turn out not to be short: a first move, or
/// a first placed exec, then need not wait for them.
fn prepare_peers(node: &Arc<Node>) {
    let (jobs, peers) = {
        let mut state = node.state();
        let ours = state.jobs.all().filter(|r| r.home == node.own());
        let running = ours.filter(|r| r.state == JobState::Running).map(|r| r.job);
        let is_new = |job: &u32| !state.prepared.contains(job) && node.inits.get(*job).is_some();
        let jobs: Vec<u32> = running.filter(is_new).collect();
        state.prepared.extend(&jobs);
        let open = state.up.iter().filter(|slot| !state.cordons.has(**slot));
        (jobs, open.copied().collect::<Vec<u32>>())
    };
    if node.device.is_none() {
        return;
    }
    for job in jobs {
        let (node, peers) = (node.clone(), peers.clone());
        tasks::spawn(move || {
            drop(node.ask_each(&peers, &PeerRequest::Prepare { job }, ACTION_TIME))
        });
    }
}

fn finish_jobs(node: &Arc<Node>) {
    let finishing: Vec<u32> = {
        let state = node.state();
        let ours = state.jobs.all().filter(|r| r.home == node.own());
        ours.filter(|r| r.state == JobState::Finishing).map(|r| r.job).collect()
    };
    for job in finishing {
        end::finish_if_empty(node, job);
    }
}

/// Tells the module how execs are to be spread.
pub(crate) fn refresh_placement(node: &Arc<Node>) {
    let Some(device) = &node.device else { return };
    if node.config.place.is_empty() {
        return;
    }
    let mut weights = [0; SLOTS_MAX as usize];
    {
        let state = node.state();
        for (slot, info) in &state.infos {
            let up = *slot == node.own() || state.up.contains(slot);
            let index = usize::try_from(*slot).unwrap_or(usize::MAX);
            if let Some(weight) = weights.get_mut(index).filter(|_| up) {
                *weight = nodes::weight(info, state.cordons.has(*slot));
            }
        }
    }
    let result = device.place_set(&node.config.place, weights, node.time(PLACE_TIME));
    // Comes every second: told once, until it changes.
    let mut state = node.state();
    if state.place_problem != result.err() {
        state.place_problem = result.err();
        if let Err(errno) = result {
            log::warn!("the module refused the placement table: {errno}");
        }
    }
}
