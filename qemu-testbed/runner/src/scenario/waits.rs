//! Processes that wait, are signalled, or talk through pipes while they are moved.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};

use super::cluster::{eventually, Cluster, PROGRAMS, SOON};

/// So long the calls sleep.
const SLEEP_S: f64 = 60.0;
/// So much earlier they may be seen to end, by a clock of hundredths.
const EARLY_S: f64 = 0.05;
/// So much later: the program starts, is stopped, and its shell has to hear of its end. One that
/// began anew at the target would be later.
const LATE_S: f64 = 8.0;
/// At least so long it has slept before it is moved.
const BEFORE: Duration = Duration::from_secs(10);

/// Sleeping system calls end on time and right after a move.
pub(crate) fn calls(cluster: &mut Cluster) -> Result<()> {
    let output = |kind: &str| format!("/root/calls-{kind}.out");
    let mut begun = Vec::new();
    for kind in ["nanosleep", "poll", "futex"] {
        let output = output(kind);
        // The shell stays at home: its clock is one and the same at both ends.
        let command = format!(
            "-- sh -c 'read a x </proc/uptime; {PROGRAMS}/calls {kind} {SLEEP_S} >{output}; s=$?; \
             read b x </proc/uptime; echo status $s from $a to $b >>{output}'"
        );
        begun.push((kind, cluster.run(1, &command)?));
    }
    let all_begun = Instant::now();
    let found = |(kind, job)| Ok((kind, job, cluster.find(1, job, &format!("calls {kind}"))?));
    let begun = begun.into_iter().map(found).collect::<Result<Vec<_>>>()?;
    thread::sleep(BEFORE.saturating_sub(all_begun.elapsed()));
    // Nothing but the moves: where the others are looked at meanwhile, the first one is over.
    let moves = begun.iter().map(|(_, _, id)| format!("clusterctl migrate {id} --to node2"));
    cluster.sh(1, &moves.collect::<Vec<_>>().join(" && "))?;
    for (kind, job, _) in begun {
        cluster.ended(1, job, SOON)?;
        let said = cluster.sh(1, &format!("cat {}", output(kind)))?;
        let took = took(&said).with_context(|| format!("{kind}: {said}"))?;
        ensure!(
            (SLEEP_S - EARLY_S..SLEEP_S + LATE_S).contains(&took),
            "{kind} ended after {took:.2} s: {said}"
        );
    }
    read_on_a_pipe(cluster)
}

/// The time from begin to end in what the shell wrote, if the program ended well.
fn took(said: &str) -> Option<f64> {
    let (from, to) = said.rsplit_once("status 0 from ")?.1.split_once(" to ")?;
    Some(to.parse::<f64>().ok()? - from.parse::<f64>().ok()?)
}

fn read_on_a_pipe(cluster: &mut Cluster) -> Result<()> {
    cluster.sh(1, "rm -f /root/line && mkfifo /root/line")?;
    let job = cluster
        .run(1, &format!("-- sh -c 'cat /root/line | {PROGRAMS}/calls read 0 >/root/read.out'"))?;
    let id = cluster.find(1, job, "calls read")?;
    cluster.migrate(&id, 3)?;
    cluster.sh(1, "echo hello >/root/line")?;
    cluster.ended(1, job, SOON)?;
    let said = cluster.sh(1, "cat /root/read.out")?;
    ensure!(said.starts_with("got 6 hello"), "the reader said: {said}");
    Ok(())
}

/// Signals, stop and continue reach a body through its surrogate; the parent's wait sees its end.
pub(crate) fn signals(cluster: &mut Cluster) -> Result<()> {
    cluster.sh(1, "cd /root && rm -f go sig.out sig.status sig.state && mkfifo go")?;
    let script = format!(
        "cd /root; {PROGRAMS}/signals >sig.out & p=$!; exec 3<>go; \
         read x <&3; kill -USR1 $p; \
         read x <&3; kill -STOP $p; \
         read x <&3; kill -USR1 $p; kill -CONT $p; \
         read x <&3; kill -TERM $p; wait $p; echo $? >sig.status"
    );
    let job = cluster.run(1, &format!("-- sh -c '{script}'"))?;
    let id = cluster.find(1, job, "signals")?;
    said(cluster, "ready")?;
    cluster.migrate(&id, 2)?;
    cluster.sh(1, "echo go >/root/go")?;
    said(cluster, "usr1 1")?;
    cluster.sh(1, "echo go >/root/go")?;
    state(cluster, &id, true)?;
    cluster.sh(1, "echo go >/root/go")?;
    said(cluster, "usr1 2")?;
    state(cluster, &id, false)?;
    cluster.sh(1, "echo go >/root/go")?;
    cluster.ended(1, job, SOON)?;
    let status = cluster.sh(1, "cat /root/sig.status")?;
    ensure!(status == "7", "the shell's wait saw status {status}, not 7");
    Ok(())
}

fn said(cluster: &Cluster, word: &str) -> Result<()> {
    eventually(&format!("{word:?} from the program"), SOON, || {
        Ok(cluster.sh(1, "cat /root/sig.out")?.contains(word).then_some(()))
    })
}

fn state(cluster: &Cluster, id: &str, stopped: bool) -> Result<()> {
    eventually(&format!("{id} to be stopped: {stopped}"), SOON, || {
        let process = cluster.process(3, id)?;
        let is = process.is_some_and(|p| {
            p.state.to_lowercase().starts_with('t') || p.state.contains("stopped")
        });
        Ok((is == stopped).then_some(()))
    })
}

/// The middle of a shell pipeline is moved while data flows through it.
pub(crate) fn pipeline(cluster: &mut Cluster) -> Result<()> {
    let count = 150_000;
    let wanted = cluster.sh(1, &format!("seq 1 {count} | sha256sum"))?;
    let script = format!(
        "seq 1 {count} | while read -r n; do echo $n; done | cat -u | sha256sum >/root/pipe.out"
    );
    let job = cluster.run(1, &format!("-- sh -c '{script}'"))?;
    let id = cluster.find(1, job, "cat -u")?;
    cluster.migrate(&id, 2)?;
    cluster.migrate(&id, 1)?;
    cluster.migrate(&id, 3)?;
    cluster.ended(1, job, Duration::from_secs(300))?;
    let got = cluster.sh(1, "cat /root/pipe.out")?;
    ensure!(got == wanted, "the pipeline gave {got}, not {wanted}");
    Ok(())
}
