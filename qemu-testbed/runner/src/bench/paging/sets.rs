//! Programs with a working set of twice the memory that node 1 has for them: with Holon, and with
//! swap on nbd. The memory is taken from both: blocks of it are taken offline, so that the guest is
//! a small machine for whoever looks, and a file in a tmpfs that may not be swapped takes the rest.
//! What there is for them is measured: it is what a far larger one has in memory at its end,
//! with nbd.

use std::time::Duration;

use anyhow::{anyhow, bail, ensure, Context, Result};

use super::faults::Series;
use super::output::Figures;
use super::peers::{Scope, Side};
use super::ROUNDS;
use crate::bench::report::{Bar, Report};
use crate::scenario::cluster::{eventually, Cluster, PROGRAMS};

/// What is to be left by the kernel's estimate: what is available, and the memory of the system's
/// own processes, which either side may send away as well. It is less than what a program gets:
/// files make room, and the kernel does not keep free all that it counts as kept. The compiler
/// needs about one and a half times what it gets; the others are told to use twice that.
const RAM_MB: i64 = 40;
/// Longer than any of them; what hangs is a failure.
const RUN_MAX: Duration = Duration::from_secs(600);

/// A program, and the shell line that runs it and prints `done us N` if all was right.
struct Program {
    name: &'static str,
    line: String,
}

/// Each uses its memory after it filled it: else the time is that of filling it.
fn programs(size_mb: i64) -> Vec<Program> {
    let workset = |what: &str, times: &str| format!("{PROGRAMS}/workset {what} {size_mb} {times}");
    let pages = size_mb * 256;
    let keys = size_mb * 1024 * 1024 / KEY_BYTES;
    // The time of commands, told as the other programs do.
    let timed = |commands: &str| {
        format!(
            "began=$(date +%s%N) && {{ {commands}; }} >/root/timed.log 2>&1 && \
             echo done us $((($(date +%s%N) - began) / 1000))"
        )
    };
    let redis = timed(&format!(
        "{REDIS} && redis-cli -s /run/redis.sock eval \"{FILL}\" 0 {keys} && \
         redis-benchmark -s /run/redis.sock -c 4 -n 5000 -r {keys} get key:__rand_int__ && \
         test $(redis-cli -s /run/redis.sock dbsize) = {keys} && \
         redis-cli -s /run/redis.sock shutdown nosave"
    ));
    vec![
        Program { name: "random access", line: workset("random", &pages.to_string()) },
        Program { name: "sequential scan", line: workset("scan", "1") },
        Program { name: "sort", line: workset("sort", "") },
        Program { name: "redis-server under load", line: redis },
        Program { name: "C++ compile", line: timed("g++ -O0 -c /root/compile.cc -o /dev/null") },
    ]
}

/// What a key and its value take of redis-server's memory.
const KEY_BYTES: i64 = 1200;
const REDIS: &str = "redis-server --port 0 --unixsocket /run/redis.sock --save '' --daemonize yes \
                     && until redis-cli -s /run/redis.sock ping | grep -q PONG; do sleep 0.1; done";
const FILL: &str = "for i = 0, ARGV[1] - 1 do redis.call('set', string.format('key:%012d', i), \
                    string.rep('v', 1000) .. i) end";

/// Measures, prints the table, and adds the ratios.
pub(super) fn run(cluster: &mut Cluster, report: &mut Report) -> Result<()> {
    let source = include_str!("../../../../scenario/programs/compile.cc");
    cluster.sh(1, &format!("cat >/root/compile.cc <<'END'\n{source}\nEND"))?;
    let made = tables(cluster);
    let left = shrink(cluster)?;
    let room = room(cluster, left)?;
    println!("\nnode1 has {room} MB for programs, {left} by its estimate; they use {}.", 2 * room);
    println!("\n{:26} {:>12} {:>12}", "s, median", "Holon", "nbd swap");
    for program in programs(2 * room) {
        let (mut ours, mut nbd) = (Series::new("Holon"), Series::new("nbd swap"));
        for _ in 0..ROUNDS {
            nbd.round(|| once(cluster, &program, Side::Nbd));
            ours.round(|| {
                made.as_ref().map_err(|error| anyhow!("{error:#}"))?;
                once(cluster, &program, Side::Lodge)
            });
        }
        let half =
            |side: &Series<f64>| side.half(|s| Ok(*s)).map_or("-".into(), |s| format!("{s:.2}"));
        println!("{:26} {:>12} {:>12}", program.name, half(&ours), half(&nbd));
        let what = format!("{}: to nbd swap, time", program.name);
        let each = |side: &Series<f64>| side.each(|seconds| Ok(*seconds));
        let both = each(&ours).and_then(|ours| Ok((ours, each(&nbd)?)));
        let added = both.and_then(|(ours, nbd)| report.ratio(&what, &ours, &nbd, Bar::AtMost(0.6)));
        if let Err(error) = added {
            report.missing(&what, &error);
        }
    }
    Ok(())
}

/// How much of a program is in memory, in MB, if it uses far more than there is.
fn room(cluster: &Cluster, left: i64) -> Result<i64> {
    let line = format!("{PROGRAMS}/workset scan {} 1", 4 * left);
    let said = run_with(cluster, &Program { name: "trial", line }, Side::Nbd)?;
    Ok(Figures::read(&said).get("done", "resident_kb").context(said)? as i64 / 1024)
}

/// Seconds.
fn once(cluster: &Cluster, program: &Program, side: Side) -> Result<f64> {
    let said = run_with(cluster, program, side)?;
    Ok(Figures::read(&said).get("done", "us").context(said)? / 1e6)
}

/// Runs it with swap or with Holon. What it printed.
fn run_with(cluster: &Cluster, program: &Program, side: Side) -> Result<String> {
    side.on(cluster, Scope::All)?;
    let line = format!(
        "sync; echo 3 >/proc/sys/vm/drop_caches; timeout {} sh -c {}",
        RUN_MAX.as_secs(),
        crate::process::quote(&program.line)
    );
    let ran = cluster.capture(1, &line)?;
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    if !ran.status.success() {
        let log = cluster.capture(1, "tail -n 5 /root/timed.log; dmesg | tail -n 5")?;
        super::peers::end_programs(cluster)?;
        side.off(cluster)?;
        let (name, how, log) = (program.name, side.name(), String::from_utf8_lossy(&log.stdout));
        bail!("{name} with {how}: {}: {said}{log}", ran.status);
    }
    side.off(cluster)?;
    Ok(said)
}

/// Has Holon make its tables: those of what is watched are as large as node 1 is, not as what will
/// be left of it.
fn tables(cluster: &Cluster) -> Result<()> {
    Side::Lodge.on(cluster, Scope::All)?;
    eventually("Holon's tables", RUN_MAX, || {
        let owner = cluster.sh(1, "cat /proc/sys/holon/lodge/owner")?;
        Ok((!owner.trim().is_empty()).then_some(()))
    })?;
    Side::Lodge.off(cluster)
}

/// Takes away all memory but `RAM_MB`; what is left then.
fn shrink(cluster: &Cluster) -> Result<i64> {
    // A block that can't be emptied stays.
    let line = format!(
        "cd /sys/devices/system/memory && for block in $(ls -d memory* | sort -rV); do \
         test $({LEFT}) -gt $(({RAM_MB} + ($((0x$(cat block_size_bytes))) >> 20))) || break; \
         echo 3 >/proc/sys/vm/drop_caches; \
         timeout 10 sh -c \"echo offline >$block/state\" 2>/dev/null || true; done"
    );
    cluster.sh(1, &line)?;
    cluster.sh(
        1,
        "mkdir -p /run/ballast && mount -t tmpfs -o noswap,size=100% ballast /run/ballast",
    )?;
    let mut held = 0;
    // In steps, up and down: what is available is an estimate.
    for _ in 0..4 {
        held = (held + left_mb(cluster)? - RAM_MB).max(0);
        cluster.sh(
            1,
            &format!(
                "cd /run/ballast && touch all && has=$(($(stat -c %s all) >> 20)) && \
                 if [ $has -gt {held} ]; then truncate -s {held}M all; \
                 else head -c $(({held} - has))M /dev/zero >>all; fi && \
                 echo 3 >/proc/sys/vm/drop_caches"
            ),
        )?;
        // What it had set aside to lend goes when it is that small itself.
        eventually("no frames of node1 to lend", RUN_MAX, || {
            let frames = cluster.sh(1, "cat /proc/sys/holon/lodge/lend_frames")?;
            Ok(frames.starts_with("frames 0 ").then_some(()))
        })?;
    }
    let left = left_mb(cluster)?;
    println!("\n{}", cluster.sh(1, "head -n 3 /proc/meminfo; du -m /run/ballast/all")?);
    ensure!((left - RAM_MB).abs() <= RAM_MB / 4, "{left} MB are left instead of {RAM_MB}");
    Ok(left)
}

/// Prints what there is for a program, in MB.
const LEFT: &str =
    "awk '/^(MemAvailable|AnonPages):/ { sum += $2 } END { print int(sum / 1024) }' \
                    /proc/meminfo";

fn left_mb(cluster: &Cluster) -> Result<i64> {
    Ok(cluster.sh(1, LEFT)?.parse()?)
}
