//! What a target's kernel refuses, and states in which a process can't move: each by its name.

use anyhow::{ensure, Result};

use super::cluster::{eventually, Cluster, SOON};
use super::counters;

/// Asks the module itself to move a process, past what the daemon knows: job, pid, slot.
const ASK: &str = r#"
import fcntl, struct, sys
job, pid, slot = map(int, sys.argv[1:])
call = bytearray(struct.pack("<IiIIQII", job, pid, slot, 0, 0, 0, 0))
with open("/dev/holon", "r+b", buffering=0) as device:
    fcntl.ioctl(device, 3 << 30 | len(call) << 16 | 0x4844, call)
"#;

/// What the module says of its gate: flags and text.
const GATE: &str = r#"
import fcntl, struct
gate = bytearray(128)
with open("/dev/holon", "r+b", buffering=0) as device:
    fcntl.ioctl(device, 2 << 30 | len(gate) << 16 | 0x484f, gate)
print(struct.unpack("<I", gate[:4])[0], gate[16:].rstrip(b"\0").decode())
"#;

/// Holds something that a move would lose, then says so in a file.
const HOLD: &str = r#"
import ctypes, fcntl, os, struct, sys, time
what = sys.argv[1]
name = "/root/held." + what
file = open(name, "w+")
clone = lambda flag: ctypes.CDLL(None).syscall(56, flag | 17, 0, 0, 0, 0)
if what == "flock":
    fcntl.flock(file, fcntl.LOCK_SH)
elif what == "posix":
    fcntl.lockf(file, fcntl.LOCK_EX)
elif what == "ofd":
    fcntl.fcntl(file, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
elif what == "lease":
    file.close()
    file = open(name)
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
elif what == "files":
    clone(0x400)
elif what == "fs":
    clone(0x200)
elif what == "write":
    while True:
        with open("/mnt/frozen/file", "w") as out:
            out.write("x")
        time.sleep(0.01)
elif what == "memory":
    memory = bytearray(200 << 20)
    for at in range(0, len(memory), 4096):
        memory[at] = 1
open("/root/holds." + what, "w").close()
time.sleep(3600)
"#;

fn put(cluster: &Cluster, node: usize, name: &str, text: &str) -> Result<()> {
    cluster.sh(node, &format!("cat > /root/{name} <<'END'\n{text}END")).map(drop)
}

/// Starts `HOLD` on node1; the job, and its first process.
fn hold(cluster: &Cluster, what: &str) -> Result<(u32, String)> {
    cluster.sh(1, &format!("rm -f /root/holds.{what}"))?;
    let job = cluster.run(1, &format!("-- python3 /root/hold.py {what}"))?;
    let id = cluster.find(1, job, "python3")?;
    Ok((job, id))
}

fn holds(cluster: &Cluster, what: &str) -> Result<()> {
    eventually(&format!("{what} to be held"), SOON, || {
        let output = cluster.capture(1, &format!("test -e /root/holds.{what}"))?;
        Ok(output.status.success().then_some(()))
    })
}

/// `clusterctl migrate` must fail with code 5 and name `reason`; the process stays on node1.
fn stays(cluster: &Cluster, id: &str, to: usize, reason: &str) -> Result<()> {
    let output = cluster.capture(1, &format!("clusterctl migrate {id} --to node{to}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(5), "{id}: status {:?}: {said}", output.status);
    ensure!(said.contains(reason), "{id}: the refusal does not name {reason}: {said}");
    let process = cluster.alive(1, id)?;
    ensure!(process.node == "node1", "{id} is on {}", process.node);
    Ok(())
}

/// Has the module of node1 offer a process to node2, which must count one more refusal.
fn refused_by_kernel(cluster: &Cluster, id: &str) -> Result<()> {
    let before = counters::read(cluster, 2, "moves/refused_cordoned")?;
    let line =
        format!("clusterctl events | grep -c 'migrate-failed *{id} .*(target-cordoned)'; true");
    let told = || -> Result<u64> { Ok(cluster.sh(1, &line)?.parse()?) };
    let told_before = told()?;
    cluster.sh(1, &format!("python3 /root/ask.py {} 1", id.replace('.', " ")))?;
    eventually("the target's kernel to refuse", SOON, || {
        Ok((counters::read(cluster, 2, "moves/refused_cordoned")? == before + 1).then_some(()))
    })?;
    eventually("the refusal to be told by name", SOON, || {
        Ok((told()? == told_before + 1).then_some(()))
    })
}

/// A cordon holds in the target's kernel, also past its daemon's end; one without memory says so.
pub(crate) fn by_target(cluster: &mut Cluster) -> Result<()> {
    put(cluster, 1, "ask.py", ASK)?;
    put(cluster, 1, "hold.py", HOLD)?;
    put(cluster, 2, "gate.py", GATE)?;
    let (job, id) = hold(cluster, "nothing")?;
    holds(cluster, "nothing")?;
    cluster.sh(1, "clusterctl drain node2 --reason 'a loose fan'")?;
    stays(cluster, &id, 2, "target-cordoned")?;
    refused_by_kernel(cluster, &id)?;
    cluster.sh(2, "systemctl stop holond")?;
    let gate = cluster.sh(2, "python3 /root/gate.py")?;
    // Cordoned, and what lodges there is to leave.
    ensure!(gate == "3 a loose fan", "without its daemon, node2's gate is: {gate}");
    cluster.sh(2, "systemctl start holond")?;
    cluster.sees_up(2, cluster.len())?;
    refused_by_kernel(cluster, &id)?;
    cluster.sh(1, "clusterctl undrain node2")?;
    let gate = cluster.sh(2, "python3 /root/gate.py")?;
    ensure!(gate == "0", "after the undrain node2's gate is: {gate}");
    cluster.migrate(&id, 2)?;
    cluster.sh(1, &format!("clusterctl job kill {job}"))?;
    full(cluster)
}

fn full(cluster: &mut Cluster) -> Result<()> {
    let (job, id) = hold(cluster, "memory")?;
    holds(cluster, "memory")?;
    let fill = "awk '/MemAvailable/ { print int($2 / 1024) - 150 }' /proc/meminfo";
    cluster.sh(3, &format!("head -c $({fill})M /dev/zero > /dev/shm/fill"))?;
    let refused = stays(cluster, &id, 3, "target-full");
    cluster.sh(3, "rm /dev/shm/fill")?;
    refused?;
    cluster.migrate(&id, 3)?;
    cluster.sh(1, &format!("clusterctl job kill {job}"))?;
    Ok(())
}

/// Locks, shared tables, and a sleep that nothing may interrupt.
pub(crate) fn by_state(cluster: &mut Cluster) -> Result<()> {
    put(cluster, 1, "hold.py", HOLD)?;
    let cases = [
        ("flock", "file-lock"),
        ("posix", "file-lock"),
        ("ofd", "file-lock"),
        ("lease", "file-lock"),
        ("files", "files-shared"),
        ("fs", "files-shared"),
    ];
    for (what, reason) in cases {
        let (job, id) = hold(cluster, what)?;
        holds(cluster, what)?;
        stays(cluster, &id, 2, reason)?;
        cluster.sh(1, &format!("clusterctl job kill {job}"))?;
    }
    uninterruptible(cluster)
}

fn uninterruptible(cluster: &mut Cluster) -> Result<()> {
    let image = "/root/frozen.img";
    cluster.sh(1, &format!("truncate -s 16M {image} && mkfs.ext4 -q {image}"))?;
    cluster.sh(1, &format!("mkdir -p /mnt/frozen && mount -o loop {image} /mnt/frozen"))?;
    let (job, id) = hold(cluster, "write")?;
    eventually("the file to be written", SOON, || {
        Ok(cluster.capture(1, "test -s /mnt/frozen/file")?.status.success().then_some(()))
    })?;
    cluster.sh(1, "fsfreeze -f /mnt/frozen")?;
    let refused = eventually("the writer to wait", SOON, || {
        let process = cluster.alive(1, &id)?;
        Ok((process.state == "waiting").then_some(()))
    })
    .and_then(|()| stays(cluster, &id, 2, "uninterruptible"));
    cluster.sh(1, "fsfreeze -u /mnt/frozen")?;
    refused?;
    cluster.sh(1, &format!("clusterctl job kill {job}"))?;
    cluster.ended(1, job, SOON)?;
    cluster.sh(1, &format!("umount /mnt/frozen && rm {image}"))?;
    Ok(())
}
