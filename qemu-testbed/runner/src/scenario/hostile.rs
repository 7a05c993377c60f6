//! What must be refused, counted, and leave nothing behind.

use std::time::Duration;

use anyhow::{ensure, Result};

use super::cluster::{eventually, Cluster, PROGRAMS, SOON};
use super::counters;
use super::counting;
use super::lodges::{lenders, Lodged, BACK, LOOK, MIB};

/// Holon's; the next is for what is urgent.
const PORT: u16 = 7788;
/// Datagrams of a flood.
const FLOOD: u64 = 100_000;
/// Datagrams that the hostile node says, and until it has.
const ATTACKS: u64 = 3_000;
const RUN: Duration = Duration::from_secs(300);

/// What can't move says why, by name, and runs on.
pub(crate) fn refused(cluster: &mut Cluster) -> Result<()> {
    let threads = "import threading,time; threading.Thread(target=time.sleep,args=(60,)).start()";
    let socket = "import socket,time; s=socket.socket(); time.sleep(60)";
    let shared = "import mmap,time; m=mmap.mmap(-1,4096); m[0]=1; time.sleep(60)";
    for (script, word) in [(threads, "threads"), (socket, "socket"), (shared, "shared")] {
        let job = cluster.run(1, &format!("-- python3 -c '{script}'"))?;
        let id = cluster.find(1, job, "python3")?;
        eventually(&format!("{word} to be named"), SOON, || {
            let said = cluster.capture(2, &format!("clusterctl explain {id}"))?;
            let text = String::from_utf8_lossy(&said.stdout).to_lowercase();
            Ok(text.contains(word).then_some(()))
        })?;
        let output = cluster.capture(2, &format!("clusterctl migrate {id} --to node3"))?;
        let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
        ensure!(output.status.code() == Some(5), "status {:?}: {said}", output.status);
        ensure!(said.contains(word), "the refusal does not name {word}: {said}");
        let process = cluster.alive(1, &id)?;
        ensure!(process.node == "node1", "{id} is on {}", process.node);
        cluster.sh(1, &format!("clusterctl job kill {job}"))?;
    }
    to_where_it_cannot(cluster)
}

fn to_where_it_cannot(cluster: &mut Cluster) -> Result<()> {
    let job = cluster.run(1, &format!("-- {PROGRAMS}/counter /root/stay.out 100000 300000"))?;
    let id = cluster.find(1, job, "counter")?;
    for (target, code) in [("node9", 3), ("node1", 5)] {
        let output = cluster.capture(1, &format!("clusterctl migrate {id} --to {target}"))?;
        ensure!(
            output.status.code() == Some(code),
            "a move to {target} ended with {:?}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let line = format!("clusterctl migrate {id} --to node2");
    let twice = [cluster.begin(1, &line)?, cluster.begin(3, &line)?];
    let mut done = 0;
    for moving in twice {
        done += i32::from(moving.finish()?.status.success());
    }
    ensure!(done >= 1, "of two moves at once none was done");
    let process = cluster.alive(1, &id)?;
    ensure!(process.node == "node2", "{id} is on {}", process.node);
    cluster.sh(1, &format!("clusterctl job kill {job}"))?;
    Ok(())
}

/// Garbage at the port, slowly and as a flood, and at the device.
pub(crate) fn bad_input(cluster: &mut Cluster) -> Result<()> {
    let deeper = || -> Result<u64> {
        let read = |name: &str| counters::read(cluster, 1, &format!("stats/rx_bad_{name}"));
        Ok(read("length")? + read("checksum")?)
    };
    let looked_right = deeper()?;
    for port in [PORT, PORT + 1] {
        let before = bad_datagrams(cluster)?;
        cluster.sh(2, &format!("{PROGRAMS}/garbage udp 10.77.0.1 {port} 3000"))?;
        let after = bad_datagrams(cluster)?;
        ensure!(after >= before + 1000, "{before} bad datagrams before, {after} after");
    }
    let looked_right = deeper()? - looked_right;
    ensure!(looked_right >= 100, "only {looked_right} datagrams had a version that is spoken");
    cluster.sh(1, &format!("{PROGRAMS}/garbage ioctl /dev/holon 20000"))?;
    flood(cluster)?;
    for node in 1..=cluster.len() {
        cluster.sees_up(node, cluster.len())?;
    }
    let job = cluster.run(1, &format!("-- {}", counting::command("/root/after.out")))?;
    counting::finished(cluster, 1, job, "/root/after.out")
}

/// Garbage as fast as two nodes can send it: no session of node1's ends of it.
fn flood(cluster: &Cluster) -> Result<()> {
    let down = || counters::read(cluster, 1, "stats/peer_down");
    let (before, refused) = (down()?, bad_datagrams(cluster)?);
    let line = |port| format!("{PROGRAMS}/garbage flood 10.77.0.1 {port} {FLOOD}");
    let floods = [cluster.begin(2, &line(PORT))?, cluster.begin(3, &line(PORT + 1))?];
    for flood in floods {
        let ended = flood.finish()?;
        ensure!(ended.status.success(), "the flood ended with {}", ended.status);
    }
    let refused = bad_datagrams(cluster)? - refused;
    ensure!(refused > FLOOD / 20, "of {FLOOD} datagrams each only {refused} were refused");
    let after = down()?;
    ensure!(after == before, "sessions ended: {before} before the flood, {after} after");
    Ok(())
}

/// Node3 turns hostile: it has a session with node1 and says all that it has to say with one thing
/// changed and the checksum right, while each holds pages of the other and is asked for them. Who
/// has to do with it may be hurt, and nobody else.
pub(crate) fn attacker(cluster: &mut Cluster) -> Result<()> {
    lenders(cluster, &[])?;
    let other = Lodged::begin_on(cluster, 2, "/root/attacked-other.out", MIB)?;
    let own = Lodged::begin_on(cluster, 3, "/root/attacked-own.out", MIB)?;
    [&other, &own].into_iter().try_for_each(|lodged| lodged.evict(cluster))?;
    let counting = cluster.run(2, &format!("-- {}", counting::command("/root/attacked.out")))?;
    lenders(cluster, &[3])?;
    let hurt = Lodged::begin(cluster, "/root/attacked-hurt.out")?;
    hurt.evict(cluster)?;
    attack(cluster, [&hurt, &own])?;
    other.look(cluster)?;
    other.said(cluster, "intact", BACK)?;
    // What is left of the sessions with such a node is of no use to anybody: its power is cut.
    cluster.kill(3)?;
    cluster.sees_up(1, 2)?;
    counting::finished(cluster, 2, counting, "/root/attacked.out")?;
    other.has_no_loss(cluster)?;
    other.end(cluster)?;
    // It may have died of what node3 said of its pages.
    cluster.capture(1, &format!("clusterctl job kill {} -s KILL", hurt.job))?;
    cluster.ended(1, hurt.job, SOON)?;
    cluster.start(3)
}

/// The attack itself, while the pages of these two go and come.
fn attack(cluster: &Cluster, moving: [&Lodged; 2]) -> Result<()> {
    let refused = || counters::read(cluster, 1, "lodge/refused_messages");
    let (before, messages) = (bad_datagrams(cluster)?, refused()?);
    let line = format!("{PROGRAMS}/holon-attack 10.77.0.3 10.77.0.1 {PORT} {ATTACKS}");
    let mut attack = cluster.begin(3, &format!("timeout {} {line}", 10 * RUN.as_secs()))?;
    eventually("the attack to end", RUN, || {
        for lodged in moving {
            lodged.force(cluster)?;
            // It may have died of what node3 said of its pages.
            let _ = cluster.capture(lodged.owner, LOOK)?;
        }
        Ok(attack.has_ended()?.then_some(()))
    })?;
    moving.into_iter().try_for_each(|lodged| lodged.rest(cluster))?;
    let ended = attack.finish()?;
    let said = String::from_utf8_lossy(&ended.stdout);
    ensure!(ended.status.success(), "{}: {said}", ended.status);
    // Frames of the session; requests for pages or parts of them, whichever came first.
    let is_both =
        said.contains("kind 2 ") && (said.contains("kind 6 ") || said.contains("kind 7 "));
    ensure!(is_both, "not enough was said: {said}");
    let bad = bad_datagrams(cluster)? - before;
    ensure!(bad >= ATTACKS / 8, "of {ATTACKS} datagrams only {bad} were refused: {said}");
    ensure!(refused()? > messages, "no message was refused: {said}");
    Ok(())
}

/// Datagrams that node1's module has taken and refused so far.
pub(super) fn refused_datagrams(cluster: &Cluster) -> Result<u64> {
    sum(&cluster.sh(1, "cd /proc/sys/holon/stats && cat *bad* rx_wrong_address")?)
}

fn bad_datagrams(cluster: &Cluster) -> Result<u64> {
    sum(&cluster.sh(1, "cd /proc/sys/holon/stats && cat rx_bad rx_page_bad")?)
}

fn sum(text: &str) -> Result<u64> {
    text.lines().map(|line| Ok(line.trim().parse::<u64>()?)).sum()
}
