//! Scenarios on guests: one cluster after the other, a new one after each failure, and each proved
//! clean before it goes.

use std::fs;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Tally;
use crate::given::Stopwatch;
use crate::instance::control::Encryption;
use crate::instance::up::{self, Size};
use crate::scenario::cluster::Cluster;
use crate::scenario::{checks, Scenario, ALL, SEALED};
use crate::ui;

/// No scenario takes longer; one that does hangs. Its guests' power is cut, which ends it.
const SCENARIO_MAX: Duration = Duration::from_secs(20 * 60);
/// Between two looks at the clock.
const LOOK: Duration = Duration::from_secs(1);
const SIZE: Size = Size { nodes: 3, mem_mb: 768, cpus: 1 };
const SEED: u64 = 1;
/// The last test of each cluster, always run.
const CLEAN: &str = "guests-clean";

/// All names.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().chain(SEALED).map(|scenario| scenario.name).chain([CLEAN])
}

/// Runs those that are wanted.
pub(super) fn run(tally: &mut Tally, dir: &Path, wanted: impl Fn(&str) -> bool) -> Result<()> {
    let mut round = 0;
    for (group, encryption) in [(ALL, Encryption::Plain), (SEALED, Encryption::Wireguard)] {
        let group = group.iter().filter(|scenario| wanted(scenario.name));
        run_group(tally, dir, group, encryption, &mut round)?;
    }
    Ok(())
}

/// Runs those that share a kind of cluster.
fn run_group<'a>(
    tally: &mut Tally,
    dir: &Path,
    group: impl Iterator<Item = &'a Scenario>,
    encryption: Encryption,
    round: &mut u32,
) -> Result<()> {
    let mut left = group.peekable();
    while left.peek().is_some() {
        let started = Instant::now();
        let mut cluster = match Cluster::up_with(dir, SIZE, SEED, encryption) {
            Ok(cluster) => cluster,
            Err(error) => {
                tally.note("cluster-up", started, Err(error));
                return Ok(());
            }
        };
        tally.note("cluster-up", started, Ok(()));
        let mut failed = false;
        while let Some(scenario) = left.next_if(|_| !failed) {
            let started = Instant::now();
            let result = watched(dir, &mut cluster, scenario);
            failed = result.is_err();
            tally.note(scenario.name, started, result);
        }
        if !failed {
            let started = Instant::now();
            let clean = checks::clean(&mut cluster);
            failed = clean.is_err();
            tally.note(CLEAN, started, clean);
        }
        if failed {
            *round += 1;
            keep_evidence(&cluster, dir, *round);
        }
        cluster.down()?;
    }
    Ok(())
}

/// Runs a scenario, and cuts all power if it does not end.
fn watched(dir: &Path, cluster: &mut Cluster, scenario: &Scenario) -> Result<()> {
    let (end, ended) = mpsc::channel::<()>();
    let place = dir.to_owned();
    let watch = thread::spawn(move || {
        let mut watch = Stopwatch::start();
        let mut late = false;
        while !late && ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            late = watch.elapsed() > SCENARIO_MAX;
        }
        if late {
            let _ = up::down(&place);
        }
        late
    });
    let result = (scenario.run)(cluster);
    drop(end);
    if watch.join().unwrap_or(false) {
        return result.context("hung, so the guests' power was cut");
    }
    result
}

/// Journals, consoles and captures of a failed cluster, out of the way of the next one.
fn keep_evidence(cluster: &Cluster, dir: &Path, round: u32) {
    let to = dir.join(format!("failed-{round}"));
    let _ = fs::remove_dir_all(&to);
    let moved = fs::create_dir_all(&to).and_then(|()| {
        for node in 1..=cluster.len() {
            // Who has no power has no journal to give.
            if let Ok(output) = cluster.capture(node, "journalctl -b -o short-monotonic") {
                fs::write(to.join(format!("node{node}.journal.log")), output.stdout)?;
            }
        }
        for entry in fs::read_dir(dir)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".log") || name == "capture" {
                fs::rename(entry.path(), to.join(name))?;
            }
        }
        Ok(())
    });
    if moved.is_ok() {
        ui::note(format!(
            "journals, consoles and captures of this cluster are in {}",
            to.display()
        ));
    }
}
