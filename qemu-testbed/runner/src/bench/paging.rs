//! A fault on a page that is on another node, beside a UDP echo of 4 KiB between the same two.

use anyhow::{ensure, Context, Result};

use super::Bar;
use crate::scenario::cluster::{eventually, Cluster, PROGRAMS, SOON};

const PAGES: u32 = 4000;
const ECHOES: u32 = 2000;

/// Microseconds.
struct Latency {
    median: f64,
    p99: f64,
}

/// Measures and prints the table.
pub(super) fn run(cluster: &mut Cluster) -> Result<Vec<Bar>> {
    let echo = echo(cluster)?;
    let fault = faults(cluster)?;
    println!("{:24} {:>12} {:>12}", "", "median us", "p99 us");
    println!("{:24} {:12.1} {:12.1}", "remote fault", fault.median, fault.p99);
    println!("{:24} {:12.1} {:12.1}", "UDP echo of 4 KiB", echo.median, echo.p99);
    let what = "median: remote fault to UDP echo of 4 KiB".into();
    Ok(vec![Bar { what, ratio: fault.median / echo.median, at_most: 3.0 }])
}

fn echo(cluster: &mut Cluster) -> Result<Latency> {
    let server = cluster.begin(1, &format!("timeout 120 {PROGRAMS}/udpecho serve 7798"))?;
    eventually("the echo's server", SOON, || {
        Ok(cluster.sh(1, "ss -lun")?.contains(":7798").then_some(()))
    })?;
    let said = cluster.sh(
        2,
        &format!(
            "{PROGRAMS}/udpecho ask node1 7798 {ECHOES} || \
         {PROGRAMS}/udpecho ask 10.77.0.1 7798 {ECHOES}"
        ),
    )?;
    cluster.sh(1, "pkill -x udpecho")?;
    server.finish()?;
    latency(&said)
}

/// The process is moved with the background stream off, so that every page is a fault.
fn faults(cluster: &mut Cluster) -> Result<Latency> {
    const OUT: &str = "/root/faults.out";
    const STREAM: &str = "/proc/sys/holon/memory/stream";
    for node in 1..=2 {
        cluster.sh(node, &format!("echo 0 >{STREAM}"))?;
    }
    let job = cluster.run(1, &format!("-- sh -c 'exec {PROGRAMS}/faults {PAGES} >{OUT}'"))?;
    let id = cluster.find(1, job, "faults")?;
    eventually("the pages to be touched", SOON, || {
        Ok(cluster.sh(1, &format!("cat {OUT}"))?.contains("ready").then_some(()))
    })?;
    cluster.migrate(&id, 2)?;
    cluster.sh(1, "pkill -USR1 -x faults")?;
    cluster.ended(1, job, SOON)?;
    for node in 1..=2 {
        cluster.sh(node, &format!("echo 1 >{STREAM}"))?;
    }
    let said = cluster.sh(1, &format!("tail -n 1 {OUT}"))?;
    ensure!(said.contains("slow"), "the program ended with: {said}");
    latency(&said)
}

/// Reads `median_us 1.0 p99_us 2.0 …`.
fn latency(line: &str) -> Result<Latency> {
    let words: Vec<_> = line.split_whitespace().collect();
    let after = |name: &str| -> Result<f64> {
        let at = words.iter().position(|word| *word == name).with_context(|| line.to_owned())?;
        Ok(words.get(at + 1).with_context(|| line.to_owned())?.parse()?)
    };
    Ok(Latency { median: after("median_us")?, p99: after("p99_us")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_programs_print() {
        let read = latency("median_us 12.5 p99_us 80.0 slow 3 of 4").expect("latency");
        assert!((read.median - 12.5).abs() < 1e-9 && (read.p99 - 80.0).abs() < 1e-9);
        assert!(latency("bad page 3").is_err());
    }
}
