//! `/etc/holon/nodes.toml`: which nodes there are, and a few numbers.

use crate::wire::{Network, PublicKey};
use anyhow::{bail, Context, Result};
use holon_api::id::SLOTS_MAX;
use serde::Deserialize;
use std::fs;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// Where the file is.
pub(crate) const PATH: &str = "/etc/holon/nodes.toml";
const PORT: u16 = 7788;
const TIMESCALE_MAX: u32 = 1000;
const NAME_LEN_MAX: usize = 63;
/// Long enough for a node that stood still, short against a job's patience.
const LOST_AFTER_MS: u64 = 15_000;
const LOST_AFTER_MIN_MS: u64 = 5_000;
/// The permission bit for everybody's writing.
const OTHERS_WRITE: u32 = 0o002;

/// The cluster as configured, with this node found in it.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// All time-outs are multiplied by it.
    pub(crate) timescale: u32,
    /// Payload bytes per datagram; 0: the module's default, or what fits the tunnel.
    pub(crate) mtu: u32,
    /// What protects traffic between nodes.
    pub(crate) encryption: Encryption,
    /// Addresses within the tunnel, if there is one.
    pub(crate) network: Network,
    /// Basenames of programs that exec placement may send elsewhere.
    pub(crate) place: Vec<String>,
    /// Remote memory.
    pub(crate) memory: MemoryConfig,
    /// All nodes, by slot.
    pub(crate) nodes: Vec<NodeConfig>,
    /// This node's slot.
    pub(crate) own: u32,
}

/// `[memory]`: remote memory. What is not given stays as the module has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryConfig {
    /// Whose pages may go.
    pub(crate) scope: Option<Scope>,
    /// On how many nodes each page is kept.
    pub(crate) copies: Option<u64>,
    /// What one job may have on other nodes.
    pub(crate) job_max_mb: Option<u64>,
    /// What this node lends at most.
    pub(crate) lend_max_mb: Option<u64>,
    /// What stays available to it.
    pub(crate) lend_keep_mb: Option<u64>,
    /// What it lends to one other node at most.
    pub(crate) lend_owner_max_mb: Option<u64>,
    /// After how long a node that most others miss is given up, at timescale 1.
    pub(crate) lost_after: Duration,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self {
            scope: None,
            copies: None,
            job_max_mb: None,
            lend_max_mb: None,
            lend_keep_mb: None,
            lend_owner_max_mb: None,
            lost_after: Duration::from_millis(LOST_AFTER_MS),
        }
    }
}

/// Whose pages may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scope {
    /// Nobody's.
    None,
    /// Those of jobs.
    Jobs,
    /// All of this node.
    All,
}

impl Scope {
    /// As the module has it.
    pub(crate) fn number(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Jobs => 1,
            Self::All => 2,
        }
    }
}

/// What protects traffic between nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encryption {
    /// The kernel's WireGuard encrypts and authenticates all of it.
    #[default]
    Wireguard,
    /// Nothing does: the wire is trusted.
    Plain,
}

/// One `[[node]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeConfig {
    /// Slot, 0..=63.
    pub(crate) slot: u32,
    /// Name, equal to its hostname.
    pub(crate) name: String,
    /// Address of the node-to-node protocol: within the tunnel if there is one.
    pub(crate) addr: SocketAddr,
    /// The configured address: of the tunnel's end, if there is one, else the same.
    pub(crate) outer: SocketAddr,
    /// Its public key; always there if there is a tunnel.
    pub(crate) key: Option<PublicKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    holon: Numbers,
    #[serde(default)]
    memory: MemoryNumbers,
    #[serde(default)]
    node: Vec<NodeEntry>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Numbers {
    port: Option<u16>,
    timescale: Option<u32>,
    mtu: Option<u32>,
    place: Option<Vec<String>>,
    encryption: Option<Encryption>,
    network: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct MemoryNumbers {
    scope: Option<Scope>,
    copies: Option<u64>,
    job_max_mb: Option<u64>,
    lend_max_mb: Option<u64>,
    lend_keep_mb: Option<u64>,
    lend_owner_max_mb: Option<u64>,
    lost_after_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeEntry {
    slot: u32,
    name: String,
    addr: String,
    key: Option<String>,
}

impl Config {
    /// Reads the file and finds this node by its hostname.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("can't read {}: list the nodes there", path.display()))?;
        // It says whom this node trusts.
        if fs::metadata(path)?.mode() & OTHERS_WRITE != 0 {
            bail!("everybody may write {}: chmod o-w it", path.display());
        }
        let host = nix::unistd::gethostname().context("no hostname")?;
        Self::parse(&text, &host.to_string_lossy())
            .with_context(|| format!("{} makes no sense", path.display()))
    }

    /// The same from text.
    pub(crate) fn parse(text: &str, hostname: &str) -> Result<Self> {
        let file: File = toml::from_str(text)?;
        let port = file.holon.port.unwrap_or(PORT);
        let mut nodes = Vec::new();
        for entry in file.node {
            nodes.push(node(entry, port)?);
        }
        nodes.sort_by_key(|node| node.slot);
        check_distinct(&nodes)?;
        let network = match &file.holon.network {
            Some(text) => text.parse()?,
            None => Network::default(),
        };
        let encryption = file.holon.encryption.unwrap_or_default();
        if encryption == Encryption::Wireguard {
            enter_tunnel(&mut nodes, network)?;
        }
        let short = hostname.split('.').next().unwrap_or(hostname);
        let own = nodes.iter().find(|n| n.name == hostname || n.name == short);
        let Some(own) = own else {
            bail!("no [[node]] is named \"{short}\", which is this machine's hostname");
        };
        let timescale = file.holon.timescale.unwrap_or(1);
        if !(1..=TIMESCALE_MAX).contains(&timescale) {
            bail!("timescale must be 1..={TIMESCALE_MAX}");
        }
        Ok(Self {
            timescale,
            mtu: file.holon.mtu.unwrap_or(0),
            encryption,
            network,
            place: file.holon.place.unwrap_or_default(),
            memory: memory(&file.memory)?,
            own: own.slot,
            nodes,
        })
    }

    /// A time-out, scaled.
    pub(crate) fn scaled(&self, time: Duration) -> Duration {
        time * self.timescale
    }

    /// A node by slot.
    pub(crate) fn node(&self, slot: u32) -> Option<&NodeConfig> {
        self.nodes.iter().find(|node| node.slot == slot)
    }

    /// A node by name.
    pub(crate) fn by_name(&self, name: &str) -> Option<&NodeConfig> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// A node's name, or its slot as text.
    pub(crate) fn name(&self, slot: u32) -> String {
        self.node(slot).map_or_else(|| format!("slot {slot}"), |node| node.name.clone())
    }

    /// This node.
    pub(crate) fn own_node(&self) -> &NodeConfig {
        // `parse` found it, and nothing changes `nodes` later.
        self.node(self.own).unwrap_or(&self.nodes[0])
    }

    /// Whether `up` nodes are more than half.
    pub(crate) fn is_majority(&self, up: usize) -> bool {
        up * 2 > self.nodes.len()
    }
}

fn memory(numbers: &MemoryNumbers) -> Result<MemoryConfig> {
    let lost_after_ms = numbers.lost_after_ms.unwrap_or(LOST_AFTER_MS);
    if lost_after_ms < LOST_AFTER_MIN_MS {
        bail!("lost_after_ms must be {LOST_AFTER_MIN_MS} at least");
    }
    if numbers.copies.is_some_and(|copies| !(1..=2).contains(&copies)) {
        bail!("copies must be 1 or 2");
    }
    Ok(MemoryConfig {
        scope: numbers.scope,
        copies: numbers.copies,
        job_max_mb: numbers.job_max_mb,
        lend_max_mb: numbers.lend_max_mb,
        lend_keep_mb: numbers.lend_keep_mb,
        lend_owner_max_mb: numbers.lend_owner_max_mb,
        lost_after: Duration::from_millis(lost_after_ms),
    })
}

fn node(entry: NodeEntry, port: u16) -> Result<NodeConfig> {
    if entry.slot >= SLOTS_MAX {
        bail!("slot {} of {} is not below {SLOTS_MAX}", entry.slot, entry.name);
    }
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_';
    let len = entry.name.len();
    if len == 0 || len > NAME_LEN_MAX || !entry.name.chars().all(good) {
        bail!("\"{}\" is no node name", entry.name);
    }
    let addr = address(&entry.addr, port)
        .with_context(|| format!("\"{}\" of {} is no address", entry.addr, entry.name))?;
    let key = entry.key.map(|text| text.parse::<PublicKey>()).transpose();
    let key = key.with_context(|| format!("the key of {}", entry.name))?;
    Ok(NodeConfig { slot: entry.slot, name: entry.name, addr, outer: addr, key })
}

fn check_distinct(nodes: &[NodeConfig]) -> Result<()> {
    for (i, node) in nodes.iter().enumerate() {
        let (name, before) = (&node.name, &nodes[..i]);
        if before.iter().any(|n| n.slot == node.slot) {
            bail!("slot {} is given twice", node.slot);
        }
        if before.iter().any(|n| n.name == *name || n.addr == node.addr) {
            bail!("{name} has a name or an address that another node has");
        }
        if let Some(same) = before.iter().find(|n| n.key.is_some() && n.key == node.key) {
            bail!("{name} has the key of {}: each node makes its own", same.name);
        }
    }
    Ok(())
}

/// Gives all nodes their addresses within the tunnel.
fn enter_tunnel(nodes: &mut [NodeConfig], network: Network) -> Result<()> {
    let keyless: Vec<&str> =
        nodes.iter().filter(|n| n.key.is_none()).map(|n| n.name.as_str()).collect();
    if !keyless.is_empty() {
        bail!(
            "no key for {}: put the line that `holond key` prints on the node under its name, or \
             choose encryption = \"plain\" if you trust the wire",
            keyless.join(", ")
        );
    }
    for node in nodes {
        if network.contains(node.outer.ip()) {
            bail!("{} is at {}, within the tunnel's own {network}", node.name, node.outer.ip());
        }
        // Beside the tunnel's own port, which is bound on all addresses.
        let port = node.outer.port().checked_add(1).unwrap_or(u16::MAX - 1);
        node.addr = SocketAddr::new(network.address(node.slot).into(), port);
    }
    Ok(())
}

fn address(text: &str, port: u16) -> Result<SocketAddr> {
    if let Ok(addr) = text.parse::<SocketAddr>() {
        return Ok(addr);
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port));
    }
    (text, port).to_socket_addrs()?.next().context("it has no address")
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
