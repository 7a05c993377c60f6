//! The transport by itself, kernel to kernel, beside TCP and a UDP echo between the same two
//! guests: in turns, so that whatever else the host does meets both alike.

use anyhow::{ensure, Context, Result};
use serde_json::Value;

use super::report::{median, Bar, Report};
use crate::build;
use crate::scenario::cluster::{eventually, Cluster, Running, PROGRAMS, SOON};
use crate::scenario::recall;
use crate::switch::Faults;

/// Where the module that can measure is put.
const MODULE: &str = "/root/holon-selftest.ko";
const ROUNDS: usize = 5;
/// How long TCP is measured, and about how long we are.
const SECONDS: f64 = 6.0;
const ECHO_PORT: u16 = 7797;
const ECHOES: u32 = 2000;
/// A message of a stream: what an image is sent in.
const MESSAGE_LEN: u64 = 60 * 1024;
/// Bytes of a small question, and of its answer.
const SMALL: u32 = 64;

/// The link as it is, and the one that loses.
const BAD: Faults = Faults {
    down: false,
    loss: 0.01,
    delay_ms: 20,
    dup: 0.0,
    reorder: 0.0,
    corrupt: 0.0,
    rate_mbit: 0,
};

/// Measures with another module than the shipped one, which is put back at the end.
pub(super) fn run(cluster: &mut Cluster, report: &mut Report) -> Result<()> {
    let module = build::selftest_module()?;
    // What other benchmarks sent away keeps the module.
    recall(cluster)?;
    for node in 1..=2 {
        cluster.push(node, &module, MODULE)?;
        load(cluster, node, &format!("insmod {MODULE}"))?;
    }
    joined(cluster)?;
    let tcp = cluster.begin(1, "iperf3 --server --bind 10.77.0.1")?;
    let echo = format!("exec {PROGRAMS}/udpecho serve {ECHO_PORT} {SMALL}");
    let echo = cluster.begin(1, &echo)?;
    eventually("the peers' servers", SOON, || {
        let listens = cluster.sh(1, "ss -Hln")?;
        let both = listens.contains(":5201") && listens.contains(&format!(":{ECHO_PORT}"));
        Ok(both.then_some(()))
    })?;
    let measured = measure(cluster, report);
    put_back(cluster, [tcp, echo])?;
    measured
}

fn measure(cluster: &mut Cluster, report: &mut Report) -> Result<()> {
    questions(cluster, report)?;
    streams(cluster, report, "goodput, a stream to TCP cubic", Bar::AtLeast(0.95))?;
    for (a, b) in [(1, 2), (2, 1)] {
        cluster.instance().link(a, b, BAD)?;
    }
    let what = "goodput at 1 % loss and 20 ms delay, a stream to TCP cubic";
    let outcome = streams(cluster, report, what, Bar::AtLeast(5.0));
    for (a, b) in [(1, 2), (2, 1)] {
        cluster.instance().link(a, b, Faults::default())?;
    }
    outcome
}

fn put_back(cluster: &mut Cluster, servers: [Running; 2]) -> Result<()> {
    cluster.sh(1, "pkill -x iperf3; pkill -x udpecho; true")?;
    for server in servers {
        server.finish()?;
    }
    for node in 1..=2 {
        load(cluster, node, "modprobe holon")?;
    }
    joined(cluster)
}

fn load(cluster: &Cluster, node: usize, how: &str) -> Result<()> {
    let line = format!("systemctl stop holond && rmmod holon && {how} && systemctl start holond");
    cluster.sh(node, &line).map(drop)
}

fn joined(cluster: &Cluster) -> Result<()> {
    (1..=2).try_for_each(|node| cluster.sees_up(node, 2))
}

/// Streams from node 2 to node 1, in Mbit/s.
fn streams(cluster: &Cluster, report: &mut Report, what: &str, bar: Bar) -> Result<()> {
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    let mut count = 64;
    // The first is a trial: it says how many messages take the time.
    for round in 0..=ROUNDS {
        let took = stream(cluster, count)?;
        count = ((took * SECONDS * 1e6 / 8.0) as u64 / MESSAGE_LEN).max(64);
        if round > 0 {
            ours.push(took);
            peer.push(tcp(cluster)?);
            println!("{what}: {:.1} and {:.1} Mbit/s", ours[round - 1], peer[round - 1]);
        }
    }
    let counters =
        cluster.sh(2, "grep -r . /proc/sys/holon/stats | sed 's|.*/||' | tr '\\n' ' '")?;
    println!("{what}: {:.1} beside {:.1} Mbit/s; sender: {counters}", median(&ours), median(&peer));
    report.ratio(what, &ours, &peer, bar)
}

fn stream(cluster: &Cluster, count: u64) -> Result<f64> {
    let line = format!("{PROGRAMS}/holon-devtest flow 0 {count} {MESSAGE_LEN}");
    figure(&cluster.sh(2, &line)?, "mbit_s")
}

fn tcp(cluster: &Cluster) -> Result<f64> {
    let line = format!("iperf3 --client 10.77.0.1 --time {SECONDS} --congestion cubic --json");
    let said: Value = serde_json::from_str(&cluster.sh(2, &line)?)?;
    let rate = said.pointer("/end/sum_received/bits_per_second").and_then(Value::as_f64);
    Ok(rate.with_context(|| said.to_string())? / 1e6)
}

/// Small questions, alone and while a stream is under way.
fn questions(cluster: &Cluster, report: &mut Report) -> Result<()> {
    let (mut ours, mut peer, mut busy) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let said =
            cluster.sh(2, &format!("{PROGRAMS}/holon-devtest ask 0 {ECHOES} {SMALL} {SMALL}"))?;
        ours.push(figure(&said, "median_us")?);
        println!("small questions: {}", said.trim());
        let line = format!("{PROGRAMS}/udpecho ask 10.77.0.1 {ECHO_PORT} {ECHOES} {SMALL}");
        let said = cluster.sh(2, &line)?;
        peer.push(figure(&said, "median_us")?);
        println!("UDP echo: {}", said.trim());
    }
    let what = "small question and answer to UDP echo, median";
    println!("{what}: {:.1} beside {:.1} us", median(&ours), median(&peer));
    report.ratio(what, &ours, &peer, Bar::AtMost(1.1))?;
    for _ in 0..ROUNDS {
        let line = format!("{PROGRAMS}/holon-devtest flow 0 4000 {MESSAGE_LEN}");
        let stream = cluster.begin(2, &line)?;
        let said = cluster.sh(2, &format!("{PROGRAMS}/holon-devtest ask 0 300 {SMALL} {SMALL}"))?;
        cluster.sh(2, "pkill -x holon-devtest; true")?;
        ensure!(stream.finish()?.status.code() != Some(1), "the stream failed");
        println!("small questions beside a stream: {}", said.trim());
        busy.push(figure(&said, "median_us")?);
    }
    report.ratio("small question beside a stream to one alone, median", &busy, &ours, Bar::Shown)
}

/// Reads `name 1.0 other 2.0 …`.
fn figure(line: &str, name: &str) -> Result<f64> {
    let mut words = line.split_whitespace().skip_while(|word| *word != name);
    let value = words.nth(1).with_context(|| format!("no {name} in: {line}"))?;
    Ok(value.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_programs_print() {
        let line = "median_us 12.5 p99_us 80.0 lost 0";
        assert!((figure(line, "p99_us").expect("figure") - 80.0).abs() < 1e-9);
        assert!(figure(line, "mbit_s").is_err());
    }
}
