//! What is done at intervals: fresh loads for placement, a look at jobs that are about to end.

use crate::gather;
use crate::jobs::end;
use crate::jobs::record::JobState;
use crate::node::Node;
use crate::nodes;
use holon_api::id::SLOTS_MAX;
use std::sync::Arc;
use std::time::Duration;

const TICK_TIME: Duration = Duration::from_secs(1);
/// How long an exec may wait for the node that was chosen, at timescale 1.
const PLACE_TIME: Duration = Duration::from_secs(2);

/// Runs for ever.
pub(crate) fn run(node: &Arc<Node>) {
    let mut written = Vec::new();
    loop {
        std::thread::sleep(TICK_TIME);
        crate::daemon::write_records(node, &mut written);
        gather::refresh_infos(node);
        refresh_placement(node);
        finish_jobs(node);
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
                *weight = nodes::weight(info, state.cordons.contains_key(slot));
            }
        }
    }
    if let Err(errno) = device.place_set(&node.config.place, weights, node.time(PLACE_TIME)) {
        log::warn!("the module refused the placement table: {errno}");
    }
}
