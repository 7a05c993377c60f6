//! Exporting this node's tree to the others, for jobs whose home it is.
//!
//! The export is asynchronous: the server answers from memory. A home's death ends its jobs anyway,
//! so nothing that survives it can have relied on more.

use crate::config::Config;
use anyhow::{bail, Context, Result};
use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};

const EXPORTS: &str = "/etc/exports.d/holon.exports";
const SETTINGS: &str = "/etc/nfs.conf.d/holon.conf";
/// What the server knows of its clients.
const CLIENTS: &str = "/proc/fs/nfsd/clients";
/// After a restart the server keeps clients waiting for so long, lest others take their locks. Jobs
/// of a home that restarted have ended, so it can be short.
const GRACE: &str = "[nfsd]\ngrace-time=10\nlease-time=10\n";
/// Servers of one scope that give a client the same number are one server to it, by several ways
/// (RFC 8881 section 2.10.5). Machines that were copied while a server ran are just that: a client
/// then saw one node's tree in place of another's. So the scope bears the node's name.
const SCOPE: &str = "scope=holon-";
/// File systems in memory have no identity that survives: they get numbers, from here.
const FSID_FIRST: u32 = 7700;
const OPTIONS: &str = "rw,async,no_root_squash,no_subtree_check,crossmnt";

/// Makes the exports and starts the server.
pub(crate) fn export(config: &Config) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("no mount table")?;
    let text = exports(config, &mounts);
    let exported = put(Path::new(EXPORTS), &text)?;
    let set = put(Path::new(SETTINGS), &settings(&config.own_node().name))?;
    if set || !command("systemctl", &["--quiet", "is-active", "nfs-server.service"]) {
        if !command("systemctl", &["restart", "nfs-server.service"]) {
            bail!("nfs-server.service does not start (package nfs-kernel-server)");
        }
    } else if exported && !command("exportfs", &["-ra"]) {
        bail!("exportfs -ra failed");
    }
    // Only ours use it in the first moments of a boot; nobody has a lock to reclaim.
    let _ = fs::write("/proc/fs/nfsd/v4_end_grace", "Y");
    Ok(())
}

/// Has the server forget a node that is down: what it had open, locked or delegated no longer makes
/// anybody here wait, and what it still sends is refused until it has mounted anew.
pub(crate) fn expire(address: IpAddr) {
    let clients = match fs::read_dir(CLIENTS) {
        Ok(clients) => clients,
        // No server runs: nothing is held.
        Err(error) if error.kind() == ErrorKind::NotFound => return,
        Err(error) => return log::warn!("{CLIENTS}: {error}"),
    };
    for dir in clients.flatten().map(|entry| entry.path()) {
        let Ok(info) = fs::read_to_string(dir.join("info")) else {
            continue;
        };
        if client_address(&info) != Some(address) {
            continue;
        }
        if let Err(error) = fs::write(dir.join("ctl"), "expire\n") {
            log::warn!("{}: {error}: files that {address} had open may be blocked", dir.display());
        }
    }
}

/// The address in the server's description of a client.
fn client_address(info: &str) -> Option<IpAddr> {
    let quoted = info.lines().find_map(|line| line.strip_prefix("address: "))?;
    let address: SocketAddr = quoted.trim().trim_matches('"').parse().ok()?;
    Some(address.ip())
}

/// The server's settings on a node.
fn settings(name: &str) -> String {
    format!("{GRACE}{SCOPE}{name}\n")
}

fn put(path: &Path, text: &str) -> Result<bool> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(false);
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(|| format!("can't make {}", dir.display()))?;
    }
    fs::write(path, text).with_context(|| format!("can't write {}", path.display()))?;
    Ok(true)
}

fn command(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The exports file: the root, and mounted tmpfs that programs keep data in.
fn exports(config: &Config, mounts: &str) -> String {
    let peers: Vec<String> = config
        .nodes
        .iter()
        .filter(|node| node.slot != config.own)
        .map(|node| node.addr.ip().to_string())
        .collect();
    let mut text = String::from("# Written by holond at each start.\n");
    let mut line = |path: &str, fsid: u32| {
        let clients: Vec<String> =
            peers.iter().map(|ip| format!("{ip}({OPTIONS},fsid={fsid})")).collect();
        if !clients.is_empty() {
            text += &format!("{path} {}\n", clients.join(" "));
        }
    };
    line("/", 0);
    for (number, path) in (FSID_FIRST..).zip(memory_mounts(mounts)) {
        line(path, number);
    }
    text
}

fn memory_mounts(mounts: &str) -> Vec<&str> {
    let mut found: Vec<&str> = Vec::new();
    for line in mounts.lines() {
        let mut words = line.split(' ');
        let (path, kind) = (words.nth(1).unwrap_or(""), words.next().unwrap_or(""));
        let hidden = ["/dev", "/run", "/proc", "/sys"];
        let is_hidden =
            hidden.iter().any(|dir| path == *dir || path.starts_with(&format!("{dir}/")));
        if kind == "tmpfs" && !is_hidden && !path.contains('\\') && !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_nodes_are_one_server() {
        assert!(settings("node1").contains("\nscope=holon-node1\n"));
        assert_ne!(settings("node1"), settings("node2"));
    }

    const NODES: &str =
        "[holon]\nencryption=\"plain\"\n[[node]]\nslot=0\nname=\"a\"\naddr=\"10.0.0.1\"\n\
        [[node]]\nslot=1\nname=\"b\"\naddr=\"10.0.0.2\"\n";

    #[test]
    fn root_and_tmp_go_to_the_peers_alone() {
        let config = Config::parse(NODES, "a").expect("good");
        let mounts = "/dev/vda1 / ext4 rw 0 0\ntmpfs /run tmpfs rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n\
            tmpfs /dev/shm tmpfs rw 0 0\ntmpfs /run/user/0 tmpfs rw 0 0\n";
        let text = exports(&config, mounts);
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "/ 10.0.0.2(rw,async,no_root_squash,no_subtree_check,crossmnt,fsid=0)",
                "/tmp 10.0.0.2(rw,async,no_root_squash,no_subtree_check,crossmnt,fsid=7700)",
            ]
        );
    }

    #[test]
    fn a_client_is_known_by_its_address() {
        let info = "clientid: 0xe5210af86b011dab\naddress: \"10.0.0.2:916\"\nstatus: confirmed\n";
        assert_eq!(client_address(info), "10.0.0.2".parse().ok());
        assert_eq!(client_address("status: confirmed\n"), None);
    }

    #[test]
    fn a_lone_node_exports_nothing() {
        let config = Config::parse(&NODES[..NODES.rfind("[[").expect("two")], "a").expect("good");
        assert_eq!(exports(&config, "").lines().count(), 1);
    }
}
