//! `/etc/holon/nodes.toml`: which nodes there are, and a few numbers.

use anyhow::{bail, Context, Result};
use holon_api::id::SLOTS_MAX;
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
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

/// The cluster as configured, with this node found in it.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// All time-outs are multiplied by it.
    pub(crate) timescale: u32,
    /// Payload bytes per datagram; 0: the module's default.
    pub(crate) mtu: u32,
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
    /// What this node lends at most.
    pub(crate) lend_max_mb: Option<u64>,
    /// What stays available to it.
    pub(crate) lend_keep_mb: Option<u64>,
    /// After how long a node that most others miss is given up, at timescale 1.
    pub(crate) lost_after: Duration,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self {
            scope: None,
            copies: None,
            lend_max_mb: None,
            lend_keep_mb: None,
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

/// One `[[node]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeConfig {
    /// Slot, 0..=63.
    pub(crate) slot: u32,
    /// Name, equal to its hostname.
    pub(crate) name: String,
    /// Address of the node-to-node protocol.
    pub(crate) addr: SocketAddr,
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
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct MemoryNumbers {
    scope: Option<Scope>,
    copies: Option<u64>,
    lend_max_mb: Option<u64>,
    lend_keep_mb: Option<u64>,
    lost_after_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeEntry {
    slot: u32,
    name: String,
    addr: String,
}

impl Config {
    /// Reads the file and finds this node by its hostname.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("can't read {}: list the nodes there", path.display()))?;
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
        for pair in nodes.windows(2) {
            if pair[0].slot == pair[1].slot {
                bail!("slot {} is given twice", pair[0].slot);
            }
        }
        for (i, node) in nodes.iter().enumerate() {
            if nodes[..i].iter().any(|n| n.name == node.name || n.addr == node.addr) {
                bail!("{} has a name or an address that another node has", node.name);
            }
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
        lend_max_mb: numbers.lend_max_mb,
        lend_keep_mb: numbers.lend_keep_mb,
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
    Ok(NodeConfig { slot: entry.slot, name: entry.name, addr })
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
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [holon]
        port = 7789
        timescale = 4
        place = ["cc1"]
        [[node]]
        slot = 1
        name = "node2"
        addr = "10.1.0.2:9"
        [[node]]
        slot = 0
        name = "node1"
        addr = "10.1.0.1"
    "#;

    #[test]
    fn finds_itself() {
        let config = Config::parse(GOOD, "node2.example.org").expect("good");
        assert_eq!((config.own, config.timescale, config.nodes.len()), (1, 4, 2));
        assert_eq!(config.nodes[0].addr, "10.1.0.1:7789".parse().expect("an address"));
        assert_eq!(config.own_node().addr.port(), 9);
        assert_eq!(config.scaled(Duration::from_secs(1)), Duration::from_secs(4));
    }

    #[test]
    fn says_what_is_wrong() {
        let wrong = |text: &str, host: &str, what: &str| {
            let error = Config::parse(text, host).expect_err("bad").to_string();
            assert!(error.contains(what), "{error}");
        };
        wrong(GOOD, "node7", "node7");
        wrong(&GOOD.replace("slot = 1", "slot = 0"), "node1", "twice");
        wrong(&GOOD.replace("slot = 1", "slot = 64"), "node1", "64");
        wrong(&GOOD.replace("node2", "node1"), "node1", "another");
        wrong(&GOOD.replace("timescale = 4", "timescale = 0"), "node1", "timescale");
        wrong(&GOOD.replace("timescale", "timescales"), "node1", "timescales");
        wrong(&GOOD.replace("node2", "a b"), "node1", "name");
        wrong("", "node1", "node1");
    }

    #[test]
    fn majority_of_the_configured() {
        let config = Config::parse(GOOD, "node1").expect("good");
        assert!(!config.is_majority(1));
        assert!(config.is_majority(2));
    }
}
