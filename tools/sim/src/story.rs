//! One run: a storm of faults and moves, then calm, then the verdict.

use std::collections::BTreeMap;

use holon_simkit::Rng;
use netproto::RequestId;
use sched_migrate::{Request, Work};

use crate::cluster::Cluster;
use crate::node::slot;
use crate::options::{Options, MS};

/// How often something may go wrong.
const TICK_NS: u64 = 5 * MS;

/// Hand-offs that hang end by their own bounds in this time, and sessions begin anew.
const CALM_NS: u64 = 200_000 * MS;

/// What happened in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// A hash of all events; the same for each run of the seed.
    pub hash: u64,
    /// What was seen, and how often.
    pub seen: BTreeMap<String, u64>,
}

/// Lives through one seed.
///
/// # Panics
/// When a promise is broken, after the last events were printed.
#[must_use]
pub fn run(seed: u64) -> Outcome {
    let options = Options::draw(seed);
    let mut cluster = Cluster::new(seed, options);
    let mut rng = Rng::new(seed ^ 0x5707_0000);
    let end_ns = cluster.now_ns + cluster.options.storm_ns;
    while cluster.now_ns < end_ns {
        disturb(&mut cluster, &mut rng);
        cluster.run_to(cluster.now_ns + TICK_NS);
    }
    calm(&mut cluster);
    cluster.check_rest();
    Outcome { hash: cluster.trace.value(), seen: cluster.seen }
}

/// What goes wrong, or on, in this tick.
fn disturb(cluster: &mut Cluster, rng: &mut Rng) {
    let options = cluster.options.clone();
    let node = rng.index(options.nodes);
    let other = (node + 1 + rng.index(options.nodes - 1)) % options.nodes;
    if rng.chance(options.cut_ppm) {
        cluster.note(format!("cut from {node} to {other}"));
        cluster.network.path(node, other).is_cut = true;
        if !options.is_one_way {
            cluster.network.path(other, node).is_cut = true;
        }
    }
    if rng.chance(options.mend_ppm) {
        cluster.network.path(node, other).is_cut = false;
        cluster.network.path(other, node).is_cut = false;
    }
    let is_live = cluster.nodes[node].life.is_some();
    if is_live && rng.chance(options.crash_ppm) {
        cluster.crash(node);
    } else if !is_live && rng.chance(options.start_ppm) {
        cluster.start(node);
    } else if is_live && rng.chance(options.pause_ppm) {
        cluster.pause(node, rng.below(9_000 * MS));
    }
    let process = rng.index(options.processes);
    let target = rng.index(options.nodes);
    let Some((at, epoch)) = cluster.bodies(process).first().copied() else {
        return;
    };
    if !cluster.is_awake(at) {
        return;
    }
    if rng.chance(options.move_ppm) {
        start_move(cluster, at, process, target);
    }
    if rng.chance(options.abort_ppm) {
        let (now, name) = (cluster.now(), cluster.processes[process].name);
        cluster.life(at).mover.abort(now, name);
    }
    if rng.chance(options.kill_ppm) {
        cluster.note(format!("process {process} is killed at {at}"));
        cluster.body_exits(at, process, epoch);
    }
    cluster.drain(at);
}

fn start_move(cluster: &mut Cluster, at: usize, process: usize, target: usize) {
    cluster.requests += 1;
    let request = Request {
        request: RequestId(cluster.requests),
        process: cluster.processes[process].name,
        work: Work::Running,
        target: slot(target),
        fetching: false,
    };
    let now = cluster.now();
    let life = cluster.nodes[at].number;
    match cluster.life(at).mover.start(now, request) {
        Ok(_) => {
            cluster.note(format!("process {process} is to move from {at} to {target}"));
            cluster.open_requests.insert(request.request, (at, life));
        }
        Err(error) => cluster.saw(format!("not started: {error}")),
    }
    cluster.drain(at);
}

/// The faults end.
fn calm(cluster: &mut Cluster) {
    cluster.note("calm".to_string());
    cluster.network.heal(30_000);
    cluster.options.hang_ppm = 0;
    for node in 0..cluster.nodes.len() {
        cluster.nodes[node].paused_until_ns = cluster.now_ns;
        if cluster.nodes[node].life.is_none() {
            cluster.start(node);
        }
    }
    let end_ns = cluster.now_ns + CALM_NS;
    // Sessions that only one side still believes in take a silence timeout to end.
    cluster.run_to(cluster.now_ns + 12_000 * MS);
    while !cluster.is_at_rest() && cluster.now_ns < end_ns {
        cluster.run_to(cluster.now_ns + 1_000 * MS);
    }
}
