//! Scenarios: stories on real guests that end in a look at what happened.
//!
//! `cluster` is what they are written in, `checks` proves guests clean, and each other module is
//! one area. A group shares one cluster, in order; a scenario leaves it as it found it (all nodes
//! up, nothing of its own running).

mod afar;
mod builds;
pub(crate) mod checks;
pub(crate) mod cluster;
mod counters;
mod counting;
mod deaths;
mod drains;
mod full;
mod holders;
mod hostile;
mod kills;
mod links;
mod lodges;
mod moves;
mod parts;
mod refusals;
mod rights;
mod sealed;
mod waits;

use anyhow::Result;
use cluster::Cluster;
pub(crate) use lodges::recall;

/// One scenario.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    /// What `cargo testbed test NAME` calls it.
    pub name: &'static str,
    /// The story.
    pub run: fn(&mut Cluster) -> Result<()>,
}

/// Those of a cluster whose traffic is encrypted.
pub(crate) const SEALED: &[Scenario] = &[Scenario { name: "wireguard", run: sealed::wireguard }];

/// Those of a cluster in clear, in the order in which they share it: those that kill nodes come
/// last.
pub(crate) const ALL: &[Scenario] = &[
    Scenario { name: "move-counter", run: moves::counter },
    Scenario { name: "move-pattern", run: moves::pattern },
    Scenario { name: "move-huge", run: moves::huge },
    Scenario { name: "move-vector", run: moves::vector },
    Scenario { name: "move-calls", run: waits::calls },
    Scenario { name: "move-signals", run: waits::signals },
    Scenario { name: "move-pipeline", run: waits::pipeline },
    Scenario { name: "move-refused", run: hostile::refused },
    Scenario { name: "refused-by-target", run: refusals::by_target },
    Scenario { name: "refused-by-state", run: refusals::by_state },
    Scenario { name: "rights-kept", run: rights::kept },
    Scenario { name: "kill-mid-move", run: kills::mid_move },
    Scenario { name: "failed-return", run: kills::failed_return },
    Scenario { name: "vfork-refused", run: kills::vfork },
    Scenario { name: "bad-input", run: hostile::bad_input },
    Scenario { name: "remote-files", run: parts::files },
    Scenario { name: "far-memory", run: parts::memory },
    Scenario { name: "hand-off-bad-link", run: links::bad },
    Scenario { name: "hand-off-cut-link", run: links::cut },
    Scenario { name: "build", run: builds::build },
    Scenario { name: "drain", run: drains::drain },
    Scenario { name: "lodge-round-trip", run: lodges::round_trip },
    Scenario { name: "lodge-job-limit", run: lodges::job_limit },
    Scenario { name: "lodge-moved", run: afar::moved },
    Scenario { name: "lodge-holder-short", run: holders::short },
    Scenario { name: "lodge-bad-link", run: afar::bad_link },
    Scenario { name: "lodge-cut-heals", run: afar::cut_heals },
    Scenario { name: "lodge-cut-stays", run: afar::cut_stays },
    Scenario { name: "lodge-given-up", run: holders::given_up },
    Scenario { name: "lodge-mtu", run: afar::widths },
    Scenario { name: "memory-full", run: full::memory },
    Scenario { name: "memory-exhausted", run: full::exhausted },
    Scenario { name: "memory-nowhere", run: full::nowhere },
    Scenario { name: "lodge-memory", run: parts::lodged },
    Scenario { name: "lodge-drained", run: lodges::drained },
    Scenario { name: "lodge-two-copies", run: lodges::two_copies },
    Scenario { name: "lodge-holder-killed", run: lodges::holder_killed },
    Scenario { name: "attacker", run: hostile::attacker },
    Scenario { name: "hand-off-target-killed", run: deaths::target_killed },
    Scenario { name: "source-killed", run: deaths::source_killed },
    Scenario { name: "node-killed", run: deaths::node_killed },
    Scenario { name: "build-node-killed", run: builds::node_killed },
];
