//! What a command says to the supervisor and hears back: one JSON object a line each.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::place::Key;
use crate::switch::{Faults, LinkReport};

/// Most nodes of an instance; `/etc/hosts` in the guest names as many.
pub(crate) const NODES_MAX: usize = 16;

/// What an instance is made of. Written to its folder, so that every command finds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Config {
    /// The instance's folder.
    pub dir: PathBuf,
    /// Sockets, in a folder whose path is short enough for their addresses.
    pub sockets: PathBuf,
    /// How many nodes.
    pub nodes: usize,
    /// Memory of each in MiB.
    pub mem_mb: u32,
    /// Virtual CPUs of each.
    pub cpus: u32,
    /// What the switch's dice start from.
    pub seed: u64,
    /// The host's port of each node's sshd.
    pub ssh_ports: Vec<u16>,
    /// The template's folder.
    pub template: PathBuf,
    /// Whether nodes run Holon's daemon, and so form a cluster.
    pub has_holond: bool,
    /// What protects what they say to each other.
    pub encryption: Encryption,
}

/// What the nodes' `nodes.toml` chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encryption {
    /// Nothing. Encrypting takes much of an emulated CPU.
    Plain,
    /// The kernel's WireGuard.
    Wireguard,
}

impl Encryption {
    /// As `nodes.toml` writes it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Wireguard => "wireguard",
        }
    }
}

impl Config {
    /// Reads the instance in a folder.
    pub(crate) fn load(dir: &Path) -> Result<Self> {
        let path = dir.join("instance.json");
        let Ok(text) = fs::read(&path) else {
            bail!("no cluster is up in {} (`cargo testbed up` makes one)", dir.display());
        };
        serde_json::from_slice(&text).with_context(|| path.display().to_string())
    }

    /// Writes it to its folder.
    pub(crate) fn store(&self) -> Result<()> {
        let path = self.dir.join("instance.json");
        fs::write(&path, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("write {}", path.display()))
    }

    /// The supervisor's socket.
    pub(crate) fn control(&self) -> PathBuf {
        self.sockets.join("control")
    }

    /// A node's file in the instance's folder.
    pub(crate) fn file(&self, node: usize, suffix: &str) -> PathBuf {
        self.dir.join(format!("node{node}.{suffix}"))
    }

    /// A node's socket.
    pub(crate) fn socket(&self, node: usize, suffix: &str) -> PathBuf {
        self.sockets.join(format!("node{node}.{suffix}"))
    }
}

/// A folder for sockets: their addresses may have 107 bytes only, an instance's path any length.
pub(crate) fn socket_dir(dir: &Path) -> PathBuf {
    let mut key = Key::default();
    let name = format!("holon-{}", key.add(dir.as_os_str().as_bytes()).finish());
    let base = std::env::var_os("XDG_RUNTIME_DIR").filter(|base| Path::new(base).is_dir());
    base.map_or_else(|| PathBuf::from("/tmp"), PathBuf::from).join(name)
}

/// From what a node starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Boot {
    /// From the template's saved state, with a fresh disk.
    Warm,
    /// Through firmware and kernel, from the node's own disk if it has one.
    Cold,
}

/// What is asked of the supervisor. Nodes count from 1.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Keep the instance only as long as this connection stays open, until `Detach`.
    Tie,
    /// Let the instance outlive the connection that said `Tie`.
    Detach,
    /// Start a node's QEMU.
    Start { node: usize, boot: Boot },
    /// Cut a node's power.
    Kill { node: usize },
    /// Stop a node's clock and CPUs.
    Pause { node: usize },
    /// Let it run again.
    Resume { node: usize },
    /// Set the faults from one node to another.
    Link { from: usize, to: usize, faults: Faults },
    /// Take all faults away.
    LinkClear,
    /// Tell all.
    Status,
    /// End everything.
    Shutdown,
}

/// A node's state as the host sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NodeState {
    /// Its QEMU runs.
    Running,
    /// Its QEMU runs, stopped by `pause`.
    Paused,
    /// It has no QEMU.
    Off,
}

/// The answer to `Status`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Nodes in order.
    pub nodes: Vec<NodeState>,
    /// All directions.
    pub links: Vec<LinkReport>,
    /// The supervisor's process.
    pub supervisor_pid: u32,
}

/// What the supervisor answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// Done.
    Done,
    /// The state.
    Status(Status),
    /// Not done, and why.
    Failed(String),
}
