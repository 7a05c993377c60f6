//! What must be refused, counted, and leave nothing behind.

use anyhow::{ensure, Result};

use super::cluster::{Cluster, PROGRAMS};
use super::counting;

/// What can't move says why, by name, and runs on.
pub(crate) fn refused(cluster: &mut Cluster) -> Result<()> {
    let threads = "import threading,time; threading.Thread(target=time.sleep,args=(60,)).start()";
    let socket = "import socket,time; s=socket.socket(); time.sleep(60)";
    let shared = "import mmap,time; m=mmap.mmap(-1,4096); m[0]=1; time.sleep(60)";
    for (script, word) in [(threads, "threads"), (socket, "socket"), (shared, "shared")] {
        let job = cluster.run(1, &format!("-- python3 -c '{script}'"))?;
        let id = cluster.find(1, job, "python3")?;
        super::cluster::eventually(&format!("{word} to be named"), super::cluster::SOON, || {
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

/// Garbage at the port and at the device.
pub(crate) fn bad_input(cluster: &mut Cluster) -> Result<()> {
    let before = bad_datagrams(cluster)?;
    cluster.sh(2, &format!("{PROGRAMS}/garbage udp 10.77.0.1 7788 3000"))?;
    let after = bad_datagrams(cluster)?;
    ensure!(after >= before + 1000, "{before} bad datagrams before, {after} after");
    cluster.sh(1, &format!("{PROGRAMS}/garbage ioctl /dev/holon 20000"))?;
    for node in 1..=cluster.len() {
        cluster.sees_up(node, cluster.len())?;
    }
    let job = cluster.run(1, &format!("-- {}", counting::command("/root/after.out")))?;
    counting::finished(cluster, 1, job, "/root/after.out")
}

/// Datagrams that node1's module has taken and refused so far.
pub(super) fn refused_datagrams(cluster: &Cluster) -> Result<u64> {
    sum(&cluster.sh(1, "cd /proc/sys/holon/stats && cat *bad* rx_wrong_address")?)
}

fn bad_datagrams(cluster: &Cluster) -> Result<u64> {
    sum(&cluster.sh(1, "cat /proc/sys/holon/stats/*bad*")?)
}

fn sum(text: &str) -> Result<u64> {
    text.lines().map(|line| Ok(line.trim().parse::<u64>()?)).sum()
}
