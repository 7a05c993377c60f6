//! A booted guest's state, saved once per image and size, from which nodes start in a second.
//!
//! The template's memory is a file; each node maps it privately, so what nodes have in common is
//! in the host's memory once.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{bail, Context, Result};

use super::disk::{self, Image};
use crate::node::qemu::{self, Cluster, Guest, Memory};
use crate::node::qmp::Qmp;
use crate::node::ssh::Ssh;
use crate::place::{self, Key};
use crate::ui::Step;

/// A cold boot under emulation takes about a minute; a loaded host several times that.
const BOOT_MAX: Duration = Duration::from_secs(400);
/// Counts changes of this file that change the template.
const VERSION: &str = "1";

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
        Memory::Restore {
            memory: self.dir.join("memory"),
            state: self.dir.join("state"),
        }
    }
}

/// The template for guests of this size, made if it is not there.
pub(crate) fn ensure(image: &Image, mem_mb: u32, cpus: u32) -> Result<Template> {
    let mut key = Key::default();
    key.add(VERSION).add(&image.key).add(qemu::fingerprint()?);
    let key = key
        .add(mem_mb.to_le_bytes())
        .add(cpus.to_le_bytes())
        .finish();
    let dir = place::cache()?.join(format!("template-{key}"));
    let _lock = place::lock(&format!("template-{key}"))?;
    if !dir.exists() {
        make(image, mem_mb, cpus, &dir)?;
    }
    Ok(Template { dir })
}

fn make(image: &Image, mem_mb: u32, cpus: u32, dir: &PathBuf) -> Result<()> {
    let step = Step::start(format!(
        "boot a guest of {mem_mb} MB and {cpus} CPU to start nodes from (once)"
    ));
    let part = dir.with_extension("part");
    if part.exists() {
        fs::remove_dir_all(&part)?;
    }
    fs::create_dir_all(&part)?;
    let disk = part.join("disk.qcow2");
    qemu::overlay(&image.disk(), "raw", &disk)?;
    let guest = Guest {
        image: image.clone(),
        node: 0,
        mem_mb,
        cpus,
        disk,
        serial: part.join("serial.log"),
        log: part.join("qemu.log"),
        qmp: part.join("qmp"),
        ssh_port: qemu::free_port()?,
        memory: Memory::Template(part.join("memory")),
        cluster: Cluster::Unplugged,
    };
    let mut child = qemu::spawn(&guest)?;
    let made = settle_and_save(&guest, &part.join("state"));
    let _ = child.kill();
    let _ = child.wait();
    if let Err(error) = made {
        return Err(error).with_context(|| format!("see {}", guest.serial.display()));
    }
    for name in ["memory", "state", "disk.qcow2"] {
        let mut permissions = fs::metadata(part.join(name))?.permissions();
        permissions.set_readonly(true);
        fs::set_permissions(part.join(name), permissions)?;
    }
    fs::rename(&part, dir)?;
    step.done();
    Ok(())
}

fn settle_and_save(guest: &Guest, state: &PathBuf) -> Result<()> {
    let control = guest.qmp.with_file_name("ssh");
    let ssh = Ssh {
        key: disk::ssh_key()?,
        port: guest.ssh_port,
        control,
    };
    let qmp = || Qmp::connect(&guest.qmp);
    qmp()?;
    ssh.await_banner(BOOT_MAX, || qmp().is_ok())?;
    let running = ssh.capture("systemctl is-system-running --wait")?;
    let state_word = String::from_utf8_lossy(&running.stdout).trim().to_owned();
    if state_word != "running" {
        let failed = ssh
            .sh("systemctl list-units --failed --plain --no-legend")
            .unwrap_or_default();
        bail!("the guest boots into state {state_word:?}: {failed}");
    }
    ssh.sh("sync")?;
    let mut qmp = qmp()?;
    qmp.save(state)?;
    let _ = qmp.execute("quit", serde_json::json!({}));
    Ok(())
}
