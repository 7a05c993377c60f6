//! A booted guest's state, saved once per image and size, from which nodes start in a second.
//!
//! The template's memory is a file; each node maps it privately, so what nodes have in common is
//! in the host's memory once. Packages are installed in a template made of the plain one, so that
//! it happens once per build instead of once per node.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{bail, Context, Result};

use super::disk::{self, Image};
use crate::node::qemu::{self, Cluster, Guest, Memory};
use crate::node::qmp::Qmp;
use crate::node::ssh::Ssh;
use crate::place::{self, Key};
use crate::process;
use crate::ui::Step;

/// A cold boot under emulation takes about a minute; a loaded host several times that.
const BOOT_MAX: Duration = Duration::from_secs(400);
/// Counts changes of this file that change the template.
const VERSION: &str = "1";
/// Templates with packages that are kept for the next `up`.
const KEPT: usize = 4;
/// Between a plain template's key and that of the packages.
const WITH: char = '+';
/// Locked by instances that use the template; its time is that of the last use.
const IN_USE: &str = "in-use";

/// A guest's size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Memory in MiB.
    pub mem_mb: u32,
    /// Virtual CPUs.
    pub cpus: u32,
}

/// A saved guest.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    /// Its folder.
    pub dir: PathBuf,
}

impl Template {
    /// The base of nodes' disks.
    pub(crate) fn disk(&self) -> PathBuf {
        self.dir.join("disk.qcow2")
    }

    /// What nodes start from.
    pub(crate) fn memory(&self) -> Memory {
        Memory::Restore { memory: self.dir.join("memory"), state: self.state() }
    }

    /// Keeps it from being cleared away as long as the file is open.
    pub(crate) fn hold(&self) -> Result<File> {
        let path = self.dir.join(IN_USE);
        let file = File::options().write(true).create(true).truncate(false).open(&path)?;
        file.lock_shared()?;
        file.set_modified(SystemTime::now())?;
        Ok(file)
    }

    fn state(&self) -> PathBuf {
        self.dir.join("state")
    }
}

/// The plain template for guests of this size, made if it is not there.
pub(crate) fn plain(image: &Image, shape: Shape) -> Result<Template> {
    let mut key = Key::default();
    key.add(VERSION).add(&image.key).add(qemu::fingerprint()?);
    let key = key.add(shape.mem_mb.to_le_bytes()).add(shape.cpus.to_le_bytes()).finish();
    let what = format!(
        "boot a guest of {} MB and {} CPU to start nodes from (once)",
        shape.mem_mb, shape.cpus
    );
    ensure(&key, &what, |part| {
        qemu::overlay(&image.disk(), "raw", &part.join("disk.qcow2"))?;
        let memory = Memory::Template(part.join("memory"));
        make(&guest(image, shape, part, memory)?, settle)
    })
}

/// A template with packages installed, made if it is not there.
pub(crate) fn with_packages(image: &Image, shape: Shape, packages: &[PathBuf]) -> Result<Template> {
    let plain = plain(image, shape)?;
    if packages.is_empty() {
        return Ok(plain);
    }
    let mut key = Key::default();
    for package in packages {
        key.add_tree(package)?;
    }
    let base = plain.dir.file_name().context("a template without a name")?.to_string_lossy();
    let base = base.trim_start_matches("template-");
    let key = format!("{base}{WITH}{}", key.finish());
    prune()?;
    ensure(&key, "install the packages in a guest to start nodes from", |part| {
        qemu::overlay(&plain.disk(), "qcow2", &part.join("disk.qcow2"))?;
        let memory = part.join("memory");
        let mut copy = Command::new("cp");
        copy.args(["--sparse=always", "--no-preserve=mode"]).arg(plain.dir.join("memory"));
        process::output(copy.arg(&memory))?;
        let memory = Memory::Derive { memory, state: plain.state() };
        make(&guest(image, shape, part, memory)?, |ssh| install(ssh, packages))
    })
}

fn ensure(key: &str, what: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<Template> {
    let dir = place::cache()?.join(format!("template-{key}"));
    let _lock = place::lock(&format!("template-{key}"))?;
    let template = Template { dir };
    if template.dir.exists() {
        return Ok(template);
    }
    let step = Step::start(what);
    // No extension: `with_extension` would cut the key.
    let part = place::cache()?.join(format!("part-template-{key}"));
    if part.exists() {
        fs::remove_dir_all(&part)?;
    }
    fs::create_dir_all(&part)?;
    fill(&part).with_context(|| format!("see {}", part.join("serial.log").display()))?;
    for name in ["memory", "state", "disk.qcow2"] {
        let mut permissions = fs::metadata(part.join(name))?.permissions();
        permissions.set_readonly(true);
        fs::set_permissions(part.join(name), permissions)?;
    }
    fs::rename(&part, &template.dir)?;
    template.hold()?;
    step.done();
    Ok(template)
}

fn guest(image: &Image, shape: Shape, part: &Path, memory: Memory) -> Result<Guest> {
    Ok(Guest {
        image: image.clone(),
        node: 0,
        mem_mb: shape.mem_mb,
        cpus: shape.cpus,
        disk: part.join("disk.qcow2"),
        serial: part.join("serial.log"),
        log: part.join("qemu.log"),
        qmp: part.join("qmp"),
        ssh_port: qemu::free_port()?,
        memory,
        cluster: Cluster::Unplugged,
    })
}

/// Starts a guest, lets `work` bring it where nodes shall start, and saves it.
fn make(guest: &Guest, work: impl Fn(&Ssh) -> Result<()>) -> Result<()> {
    let (mut child, qmp) = qemu::launch(guest)?;
    let control = guest.qmp.with_file_name("ssh");
    let ssh = Ssh { key: disk::ssh_key()?, port: guest.ssh_port, control };
    let mut save = |mut qmp: Qmp| -> Result<()> {
        ssh.await_banner(BOOT_MAX, || matches!(child.try_wait(), Ok(None)))?;
        ssh.open_shared()?;
        work(&ssh)?;
        ssh.sh("sync")?;
        qmp.save(&guest.qmp.with_file_name("state"))?;
        qmp.execute("quit", serde_json::json!({}))?;
        Ok(())
    };
    let saved = save(qmp);
    if saved.is_err() {
        let _ = child.kill();
    }
    child.wait()?;
    saved
}

/// Waits until the boot has ended, and checks that all of it went well.
fn settle(ssh: &Ssh) -> Result<()> {
    let running = ssh.capture("systemctl is-system-running --wait")?;
    let state = String::from_utf8_lossy(&running.stdout).trim().to_owned();
    if state != "running" {
        let failed = ssh.sh("systemctl list-units --failed --plain --no-legend");
        bail!("the guest boots into state {state:?}: {}", failed.unwrap_or_default());
    }
    Ok(())
}

fn install(ssh: &Ssh, packages: &[PathBuf]) -> Result<()> {
    ssh.sh("mkdir -p /var/tmp/holon")?;
    for package in packages {
        ssh.push(package, "/var/tmp/holon/")?;
    }
    ssh.sh("dpkg --force-unsafe-io -i /var/tmp/holon/*.deb && rm -r /var/tmp/holon")?;
    // As `systemctl enable` does, but for the reload of all units. It starts when the nodes of the
    // cluster are known.
    let unit = "/usr/lib/systemd/system/holond.service";
    let wants = "/etc/systemd/system/multi-user.target.wants/";
    ssh.sh(&format!("if [ -e {unit} ]; then ln -s {unit} {wants}; fi"))?;
    Ok(())
}

/// Clears away the templates with packages that were used least recently and are not in use.
fn prune() -> Result<()> {
    let mut known = Vec::new();
    for entry in fs::read_dir(place::cache()?)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("template-") && name.contains(WITH) && entry.path().is_dir() {
            let used = fs::metadata(entry.path().join(IN_USE)).and_then(|meta| meta.modified());
            known.push((used.unwrap_or(SystemTime::UNIX_EPOCH), entry.path()));
        }
    }
    known.sort();
    let surplus = known.len().saturating_sub(KEPT);
    for (_, dir) in known.into_iter().take(surplus) {
        let Ok(file) = File::open(dir.join(IN_USE)) else {
            continue;
        };
        if file.try_lock().is_ok() {
            fs::remove_dir_all(&dir)?;
        }
    }
    Ok(())
}
