//! From "QEMU runs" to "a node of the cluster": identity, packages, membership.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{anyhow, bail, Context, Result};

use super::client::Instance;
use super::control::{Boot, Config, Encryption, NodeState};

/// A warm guest answers in a second; a cold one after its boot.
const ANSWER_MAX: Duration = Duration::from_secs(400);
/// How long nodes may take to see each other.
const JOIN_MAX_S: u32 = 60;

/// Makes all nodes ready, side by side. `boots` tells how each was started, for the first time.
pub(crate) fn all(instance: &Instance, boots: &[Boot]) -> Result<()> {
    let nodes: Vec<usize> = (1..=instance.config.nodes).collect();
    // All keys are there before the first node is told who the others are.
    side_by_side(instance, &nodes, |instance, node| {
        let boot = boots.get(node - 1).context("not started")?;
        identify(instance, node, *boot)?;
        give_key(instance, node)
    })?;
    side_by_side(instance, &nodes, |instance, node| {
        configure(instance, node)?;
        begin(instance, node)
    })?;
    if instance.config.has_holond {
        let seen = instance.config.nodes;
        side_by_side(instance, &nodes, |instance, node| await_members(instance, node, seen))?;
    }
    Ok(())
}

/// Makes one node ready after it was started again.
pub(crate) fn one(instance: &mut Instance, node: usize, boot: Boot) -> Result<()> {
    identify(instance, node, boot)?;
    if boot == Boot::Warm {
        give_key(instance, node)?;
        configure(instance, node)?;
    }
    begin(instance, node)?;
    if !instance.config.has_holond {
        return Ok(());
    }
    let status = instance.status()?;
    let seen = status.nodes.iter().filter(|state| **state == NodeState::Running).count();
    await_members(instance, node, seen)
}

fn side_by_side(
    instance: &Instance,
    nodes: &[usize],
    work: impl Fn(&mut Instance, usize) -> Result<()> + Sync,
) -> Result<()> {
    let results: Vec<Result<()>> = thread::scope(|scope| {
        let threads: Vec<_> = nodes
            .iter()
            .map(|node| {
                let work = &work;
                scope.spawn(move || {
                    let mut own = instance.again()?;
                    work(&mut own, *node).with_context(|| format!("node{node}"))
                })
            })
            .collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Result<()>>| {
            thread.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked")))
        };
        threads.into_iter().map(join).collect()
    });
    results.into_iter().collect()
}

/// Waits until the guest answers. One that was not booted is told who it is.
fn identify(instance: &mut Instance, node: usize, boot: Boot) -> Result<()> {
    let ssh = instance.ssh_unchecked(node)?;
    let mut watch = instance.again()?;
    ssh.await_banner(ANSWER_MAX, || {
        let status = watch.status();
        status.is_ok_and(|status| status.nodes[node - 1] != NodeState::Off)
    })?;
    ssh.open_shared()?;
    if boot == Boot::Warm {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
        let id = fs::read_to_string("/proc/sys/kernel/random/uuid")?.trim().replace('-', "");
        ssh.sh(&format!("/usr/local/lib/testbed/identity {node} {now:.3} {id}"))?;
    }
    Ok(())
}

/// A node's keys, in the instance's folder.
pub(super) const PRIVATE_KEY: &str = "key";
pub(super) const PUBLIC_KEY: &str = "pub";

/// The node makes its key; a fresh disk later on gets the same one again, for the others know it.
fn give_key(instance: &Instance, node: usize) -> Result<()> {
    let config = &instance.config;
    if !config.has_holond || config.encryption == Encryption::Plain {
        return Ok(());
    }
    let ssh = instance.ssh_unchecked(node)?;
    let (private, public) = (config.file(node, PRIVATE_KEY), config.file(node, PUBLIC_KEY));
    if let Ok(key) = fs::read(&private) {
        let line = format!("install -d -m 700 $(dirname {KEY}) && install -m 600 /dev/stdin {KEY}");
        let written = ssh.feed(&line, &key)?;
        if !written.success() {
            bail!("cannot write {KEY}: {written}");
        }
        return Ok(());
    }
    let line = ssh.sh("holond key")?;
    let key = ssh.sh(&format!("cat {KEY}"))?;
    let mut options = File::options();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&private)?;
    file.write_all(key.as_bytes())?;
    fs::write(&public, line)?;
    Ok(())
}

/// Where a node keeps its private key.
pub(crate) const KEY: &str = "/var/lib/holon/wireguard.key";

/// Tells a guest that was never started before of the cluster.
fn configure(instance: &Instance, node: usize) -> Result<()> {
    let config = &instance.config;
    if config.has_holond {
        let toml = nodes_toml(config)?;
        let ssh = instance.ssh_unchecked(node)?;
        let line = "mkdir -p /etc/holon && cat >/etc/holon/nodes.toml";
        let written = ssh.feed(line, toml.as_bytes())?;
        if !written.success() {
            bail!("cannot write /etc/holon/nodes.toml: {written}");
        }
    }
    Ok(())
}

fn begin(instance: &Instance, node: usize) -> Result<()> {
    if instance.config.has_holond {
        instance.ssh_unchecked(node)?.sh("systemctl start holond.service")?;
    }
    Ok(())
}

/// Emulated guests are slow, and compilers go where there is room.
const CLUSTER_TOML: &str = "[holon]\ntimescale = 4\nplace = [\"cc1\", \"cc1plus\", \"as\"]\n";

fn nodes_toml(config: &Config) -> Result<String> {
    let word = config.encryption.word();
    let mut toml = format!("{CLUSTER_TOML}encryption = \"{word}\"\n");
    for n in 1..=config.nodes {
        let slot = n - 1;
        toml += &format!("[[node]]\nslot = {slot}\nname = \"node{n}\"\naddr = \"10.77.0.{n}\"\n");
        if config.encryption == Encryption::Wireguard {
            toml += &format!("{}\n", fs::read_to_string(config.file(n, PUBLIC_KEY))?);
        }
    }
    Ok(toml)
}

/// Waits until a node's own `clusterctl status` counts `seen` members that are up.
fn await_members(instance: &mut Instance, node: usize, seen: usize) -> Result<()> {
    let ssh = instance.ssh_unchecked(node)?;
    // One connection asks again and again: a session for each try would cost more than the answer.
    let line = format!(
        "for try in $(seq {}); do \
           up=$(clusterctl status -o json 2>/run/testbed.err | \
                jq '[.nodes[] | select(.state == \"up\")] | length'); \
           [ \"${{up:-0}}\" -ge {seen} ] && exit 0; sleep 0.25; \
         done; clusterctl status; cat /run/testbed.err; \
         journalctl -b --no-pager -n 30 -u holond; dmesg | tail -n 30; exit 1",
        JOIN_MAX_S * 4
    );
    let output = ssh.capture(&line)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        bail!("does not see {seen} nodes up after {JOIN_MAX_S} s:\n{said}");
    }
    Ok(())
}
