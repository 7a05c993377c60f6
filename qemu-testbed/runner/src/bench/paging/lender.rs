//! What a program of the holder loses while its node keeps pages of another: a redis-server's
//! answers per second on node 2, under redis-benchmark there.

use anyhow::{ensure, Context, Result};

use super::peers::{self, Scope, Side, HOLDER, STAT_PORT};
use super::ROUNDS;
use crate::bench::report::{median, Bar, Report};
use crate::scenario::cluster::{eventually, Cluster, PROGRAMS, SOON};

/// What node 1 lodges there.
const MEGABYTES: u32 = 128;
const REQUESTS: u32 = 15_000;

/// Measures, prints the table, and adds the ratios.
pub(super) fn run(cluster: &mut Cluster, report: &mut Report) -> Result<()> {
    cluster.sh(
        2,
        "redis-server --port 0 --unixsocket /run/redis.sock --save '' --daemonize yes >/dev/null",
    )?;
    eventually("the redis-server", SOON, || {
        let said = cluster.capture(2, "redis-cli -s /run/redis.sock ping")?;
        Ok(said.stdout.starts_with(b"PONG").then_some(()))
    })?;
    let (mut alone, mut lends, mut ours, mut nbd) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        alone.push(answers(cluster)?);
        lends.push(while_it_keeps(cluster)?);
        ours.push(while_paging(cluster, Side::Lodge)?);
        nbd.push(while_paging(cluster, Side::Nbd)?);
    }
    println!("\n{:52} {:>10}", "redis-server of the holder, answers/s", "median");
    let rows = [
        ("alone", &alone),
        ("while its node keeps pages", &lends),
        ("while node 1 pages to it without a pause", &ours),
        ("while node 1 swaps to its nbd-server without a pause", &nbd),
    ];
    for (what, series) in rows {
        println!("{what:52} {:10.0}", median(series));
    }
    let keeps = "redis-server of the holder, keeping pages: to alone";
    report.ratio(keeps, &lends, &alone, Bar::AtLeast(0.95))?;
    report.ratio("same, while the owner pages without a pause", &ours, &alone, Bar::Shown)?;
    report.ratio("same, while it swaps by nbd without a pause", &nbd, &alone, Bar::Shown)
}

fn answers(cluster: &Cluster) -> Result<f64> {
    let line = format!(
        "redis-benchmark -s /run/redis.sock -c 4 -n {REQUESTS} -r 10000 -d 100 --csv -t set | \
         tail -n 1 | cut -d'\"' -f4"
    );
    let said = cluster.sh(2, &line)?;
    said.parse().with_context(|| format!("redis-benchmark said {said:?}"))
}

fn while_it_keeps(cluster: &Cluster) -> Result<f64> {
    Side::Lodge.on(cluster, Scope::Jobs)?;
    let out = "/root/keeps.out";
    let line = format!("-- sh -c 'exec {PROGRAMS}/pageout away {MEGABYTES} >{out}'");
    let job = cluster.run(1, &line)?;
    eventually("the pages to go", SOON, || {
        let said = cluster.sh(1, &format!("cat {out}"))?;
        ensure!(!said.contains("failed"), "{said}");
        Ok(said.contains("away").then_some(()))
    })?;
    let answers = answers(cluster);
    cluster.sh(1, &format!("clusterctl job kill {job}"))?;
    cluster.ended(1, job, SOON)?;
    Side::Lodge.off(cluster)?;
    answers
}

fn while_paging(cluster: &Cluster, side: Side) -> Result<f64> {
    side.on(cluster, Scope::Jobs)?;
    let (runs, kind) = match side {
        Side::Lodge | Side::Whole => ("clusterctl run --", "lodge"),
        Side::Nbd | Side::Zram | Side::Disk => ("systemd-run -q --scope", "swap"),
    };
    let program = format!("{PROGRAMS}/pageout {kind} 1 {MEGABYTES} {HOLDER} {STAT_PORT}");
    let out = "/root/paging.out";
    cluster.sh(1, &format!(": >{out}"))?;
    let paging = cluster.begin(1, &format!("while {runs} {program} >>{out}; do :; done"))?;
    // The first pages have gone and come.
    eventually("node1 to page", SOON, || {
        Ok(cluster.sh(1, &format!("cat {out}"))?.contains("random-fetch").then_some(()))
    })?;
    let answers = answers(cluster);
    peers::end_programs(cluster)?;
    paging.finish()?;
    side.off(cluster)?;
    answers
}
