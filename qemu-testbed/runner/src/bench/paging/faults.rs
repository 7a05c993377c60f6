//! One program whose memory is taken away and comes back: by Holon, and by each kind of swap.

use anyhow::{Context, Result};

use super::moved::{self, Latency};
use super::output::Figures;
use super::peers::{Scope, Side, HOLDER, STAT_PORT};
use super::{table, ROUNDS};
use crate::bench::report::{median, Report};
use crate::scenario::cluster::{Cluster, PROGRAMS};

/// Pages that are fetched one by one.
const PAGES: u32 = 2048;
/// Memory that goes and comes in sequence.
const MEGABYTES: u32 = 48;
const SIDES: [Side; 5] = [Side::Lodge, Side::Nbd, Side::Zram, Side::Disk, Side::Whole];
/// Seconds of iperf3, each way.
const STREAM_S: u32 = 4;

/// A side's figures in each round, or why it has none.
pub(super) struct Series<T> {
    pub name: &'static str,
    rounds: Result<Vec<T>>,
}

impl<T> Series<T> {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, rounds: Ok(Vec::new()) }
    }

    /// Measures once more, unless it failed before.
    pub(super) fn round(&mut self, measure: impl FnOnce() -> Result<T>) {
        let Ok(rounds) = &mut self.rounds else { return };
        match measure() {
            Ok(figures) => rounds.push(figures),
            Err(error) => self.rounds = Err(error.context(self.name)),
        }
    }

    /// One figure of each round.
    pub(super) fn each(&self, of: impl Fn(&T) -> Result<f64>) -> Result<Vec<f64>> {
        let rounds = self.rounds.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))?;
        rounds.iter().map(of).collect()
    }

    /// The median of one figure over the rounds.
    pub(super) fn half(&self, of: impl Fn(&T) -> Result<f64>) -> Result<f64> {
        Ok(median(&self.each(of)?))
    }
}

/// All that is measured in a round.
pub(super) struct Measured {
    pub echo: Series<Latency>,
    pub moved: Series<Latency>,
    /// MB/s from owner to holder, and back.
    pub tcp: Series<(f64, f64)>,
    /// In the order of `SIDES`.
    pub sides: [Series<Figures>; 5],
}

/// Measures, prints the tables, and adds the ratios.
pub(super) fn run(cluster: &mut Cluster, report: &mut Report) -> Result<()> {
    let mut all = Measured {
        echo: Series::new("UDP echo of 4 KiB"),
        moved: Series::new("a moved process's fault"),
        tcp: Series::new("iperf3 TCP"),
        sides: SIDES.map(|side| Series::new(side.name())),
    };
    for _ in 0..ROUNDS {
        all.echo.round(|| moved::echo(cluster));
        all.moved.round(|| moved::faults(cluster));
        all.tcp.round(|| Ok((iperf(cluster, "")?, iperf(cluster, "-R")?)));
        for (side, series) in SIDES.into_iter().zip(&mut all.sides) {
            series.round(|| pageout(cluster, side));
        }
    }
    table::print(&all);
    table::ratios(&all, report);
    Ok(())
}

fn iperf(cluster: &Cluster, way: &str) -> Result<f64> {
    let line = format!("iperf3 -c {HOLDER} {way} -t {STREAM_S} -J");
    let said = cluster.sh(1, &format!("{line} | jq .end.sum_received.bits_per_second"))?;
    Ok(said.parse::<f64>().with_context(|| format!("iperf3 measured {said}"))? / 8e6)
}

fn pageout(cluster: &Cluster, side: Side) -> Result<Figures> {
    side.on(cluster, Scope::Jobs)?;
    let (runs, kind) = match side {
        Side::Lodge | Side::Whole => ("clusterctl run --", "lodge"),
        // In a group of its own, whose swap cache it can have dropped.
        Side::Nbd | Side::Zram | Side::Disk => ("systemd-run -q --scope", "swap"),
    };
    let program = format!("{PROGRAMS}/pageout {kind} {PAGES} {MEGABYTES} {HOLDER} {STAT_PORT}");
    let said = cluster.sh(1, &format!("timeout 300 {runs} {program}"))?;
    side.off(cluster)?;
    said.lines().for_each(|line| println!("{:12} {line}", side.name()));
    Ok(Figures::read(&said))
}
