//! How long a process stands still when it moves, by size, beside CRIU's dump, copy and restore.

use anyhow::{ensure, Context, Result};

use super::report::{median, Bar, Report};
use crate::scenario::cluster::{eventually, Cluster, PROGRAMS, SOON};

const SIZES_MB: [u32; 3] = [16, 64, 256];
/// Moves per size.
const ROUNDS: usize = 3;

/// Milliseconds of each round's move.
struct Moves {
    stopped: Vec<f64>,
    total: Vec<f64>,
}

/// Measures and prints the table.
pub(super) fn run(cluster: &mut Cluster, report: &mut Report) -> Result<()> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    println!("{:>6} {:>16} {:>16} {:>16}", "MB", "Holon stop ms", "Holon total ms", "CRIU stop ms");
    for size in SIZES_MB {
        let holon = holon(cluster, size)?;
        let criu = criu(cluster, size)?;
        println!(
            "{size:6} {:16.1} {:16.1} {:16.1}",
            median(&holon.stopped),
            median(&holon.total),
            median(&criu)
        );
        ours.push(holon.stopped);
        theirs.push(criu);
    }
    report.ratio("stop time: 256 MB to 16 MB", &ours[2], &ours[0], Bar::AtMost(4.0))?;
    report.ratio("stop time at 256 MB: Holon to CRIU", &ours[2], &theirs[2], Bar::AtMost(0.2))
}

fn holon(cluster: &mut Cluster, size: u32) -> Result<Moves> {
    let (mut stopped, mut total) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let out = "/root/bench.out";
        let command = format!("-- sh -c 'exec {PROGRAMS}/touch {size} >{out}'");
        let job = cluster.run(1, &command)?;
        let id = cluster.find(1, job, "touch")?;
        ready(cluster, out)?;
        cluster.migrate(&id, 2)?;
        cluster.fetched(1, &id)?;
        let event = cluster.event(1, "migrate-done", &id)?.context("no event tells of the move")?;
        stopped.push(event.freeze_us.context("no stop time")? as f64 / 1e3);
        total.push(event.total_us.context("no total time")? as f64 / 1e3);
        intact(cluster, out)?;
        cluster.sh(1, &format!("clusterctl job kill {job}"))?;
        cluster.ended(1, job, SOON)?;
    }
    Ok(Moves { stopped, total })
}

/// From the dump's start on one node to the end of the restore on the other.
fn criu(cluster: &mut Cluster, size: u32) -> Result<Vec<f64>> {
    let mut stopped = Vec::new();
    for _ in 0..ROUNDS {
        let out = "/root/criu.out";
        cluster.sh(2, &format!("touch {out}; mkdir -p /run/criu; rm -rf /run/criu/*"))?;
        cluster.sh(
            1,
            &format!(
                "mkdir -p /run/criu; rm -rf /run/criu/*; mountpoint -q /run/criu || \
             mount -t tmpfs -o size=90% criu /run/criu; : >{out}; \
             cd /root; setsid {PROGRAMS}/touch {size} </dev/null >{out} 2>&1 & \
             echo $! >/root/criu.pid"
            ),
        )?;
        cluster.sh(2, "mountpoint -q /run/criu || mount -t tmpfs -o size=90% criu /run/criu")?;
        ready(cluster, out)?;
        cluster.sh(1, &format!("cat {out} >/root/criu.copy"))?;
        let copy = cluster.sh(1, &format!("cat {out}"))?;
        cluster.sh(2, &format!("echo '{copy}' >{out}"))?;
        let listening = cluster.begin(
            2,
            "socat -u TCP-LISTEN:7799,reuseaddr - | tar -x -C /run/criu && \
             criu restore -D /run/criu -d --shell-job >/root/criu.log 2>&1; \
             echo $? $(cut -d' ' -f1 /proc/uptime)",
        )?;
        eventually("the listener", SOON, || {
            Ok(cluster.sh(2, "ss -ltn")?.contains(":7799").then_some(()))
        })?;
        let began = std::time::Instant::now();
        cluster.sh(
            1,
            "criu dump -t $(cat /root/criu.pid) -D /run/criu --shell-job >/root/criu.log 2>&1 && \
             tar -c -C /run/criu . | socat -u - TCP:node2:7799",
        )?;
        let restored = listening.finish()?;
        stopped.push(began.elapsed().as_secs_f64() * 1e3);
        let said = String::from_utf8_lossy(&restored.stdout).into_owned();
        ensure!(said.starts_with("0 "), "CRIU could not restore: {said}");
        cluster.sh(2, "pkill -KILL -x touch; rm -rf /run/criu/*")?;
        cluster.sh(1, "rm -rf /run/criu/*")?;
    }
    Ok(stopped)
}

fn ready(cluster: &Cluster, out: &str) -> Result<()> {
    eventually("the memory to be touched", SOON, || {
        Ok(cluster.sh(1, &format!("cat {out}"))?.contains("ready").then_some(()))
    })
}

/// The moved program itself says that its memory is right.
fn intact(cluster: &Cluster, out: &str) -> Result<()> {
    cluster.sh(1, "pkill -USR1 -x touch")?;
    let said = eventually("the program's own check", SOON, || {
        let said = cluster.sh(1, &format!("cat {out}"))?;
        Ok((said.contains("intact") || said.contains("bad")).then_some(said))
    })?;
    ensure!(said.contains("intact"), "after the move the program found: {said}");
    Ok(())
}
