//! From what there is to what shall be: which commands make the interface. Nothing is run here.

use super::key::PrivateKey;
use super::network::Network;
use super::problem::Problem;
use super::run::Call;
use super::INTERFACE;
use crate::config::Config;
use serde::Deserialize;
use std::net::Ipv4Addr;

/// What WireGuard adds to a packet at most: IPv6, UDP and its own headers.
const OVERHEAD: u32 = 80;
/// Headers of a datagram within the tunnel: IPv4 and UDP.
const DATAGRAM_OVERHEAD: u32 = 28;
/// What the transport can use.
const PAYLOAD_MIN: u32 = 548;
const PAYLOAD_MAX: u32 = 8960;
/// Comes after all other routes.
const WALL: &str = "65535";
/// By which our route is known; a number that nobody else has taken.
pub(super) const PROTO: &str = "177";
/// Where no route tells.
const ETHERNET_MTU: u32 = 1500;

/// An interface as `ip -json -details address` tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Link {
    pub(super) ifindex: u32,
    pub(super) ifname: String,
    pub(super) mtu: u32,
    linkinfo: Kind,
    addr_info: Vec<Address>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Kind {
    info_kind: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Address {
    local: String,
    prefixlen: u8,
}

impl Link {
    pub(super) fn is_wireguard(&self) -> bool {
        self.linkinfo.info_kind == "wireguard"
    }

    /// Its addresses of IPv4.
    fn addresses(&self) -> impl Iterator<Item = (Ipv4Addr, u8)> + '_ {
        self.addr_info.iter().filter_map(|a| Some((a.local.parse().ok()?, a.prefixlen)))
    }
}

/// Our interface among all.
pub(super) fn ours(links: &[Link]) -> Option<&Link> {
    links.iter().find(|link| link.ifname == INTERFACE)
}

/// A route as `ip -json route get` tells.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Route {
    dev: String,
    metrics: Vec<Metrics>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metrics {
    mtu: Option<u32>,
}

/// What fits through the tunnel in one piece, by the routes to the peers.
pub(super) fn mtu(links: &[Link], routes: &[Route]) -> u32 {
    let of = |route: &Route| {
        let known = route.metrics.iter().find_map(|m| m.mtu);
        known.or_else(|| links.iter().find(|l| l.ifname == route.dev).map(|l| l.mtu))
    };
    let outer = routes.iter().filter_map(of).min().unwrap_or(ETHERNET_MTU);
    let (min, max) = (PAYLOAD_MIN + DATAGRAM_OVERHEAD, PAYLOAD_MAX + DATAGRAM_OVERHEAD);
    outer.saturating_sub(OVERHEAD).clamp(min, max)
}

/// The longest datagram's payload within the tunnel.
pub(super) fn payload(mtu: u32) -> u32 {
    mtu - DATAGRAM_OVERHEAD
}

/// The commands that make the interface out of what there is. If they were all carried out before,
/// they change nothing: sessions with peers last.
///
/// `index`: the number that the interface must get if it is made anew.
pub(super) fn commands(
    config: &Config,
    links: &[Link],
    mtu: u32,
    index: Option<u32>,
    key: &PrivateKey,
) -> Result<Vec<Call>, Problem> {
    let network = config.network;
    let taken = |link: &&Link| {
        link.ifname != INTERFACE
            && link.addresses().any(|(ip, len)| network.overlaps(Network::of(ip, len)))
    };
    if let Some(link) = links.iter().find(taken) {
        return Err(Problem::AddressTaken(link.ifname.clone(), network));
    }
    let (own, len) = (network.address(config.own), network.len());
    let there = ours(links);
    let mut calls = Vec::new();
    match there {
        Some(link) if !link.is_wireguard() => return Err(Problem::NotOurs),
        Some(_) => {}
        None => calls.push(add(index)),
    }
    // Should the interface go away, what is meant for it (of file systems, too) goes nowhere, not
    // in clear to whoever is next.
    let net = network.to_string();
    calls.push(ip_call(&["route", "replace", "blackhole", &net, "metric", WALL, "proto", PROTO]));
    let mut has_own = false;
    for (ip, prefix) in there.into_iter().flat_map(Link::addresses) {
        if (ip, prefix) == (own, len) {
            has_own = true;
        } else {
            calls.push(ip_call(&["address", "del", &format!("{ip}/{prefix}"), "dev", INTERFACE]));
        }
    }
    if !has_own {
        calls.push(ip_call(&["address", "add", &format!("{own}/{len}"), "dev", INTERFACE]));
    }
    calls.push(ip_call(&["link", "set", "dev", INTERFACE, "mtu", &mtu.to_string()]));
    // Unlike `setconf` it leaves the peers that are there already alone.
    let sync = Call::new("wg", &["syncconf", INTERFACE, "/dev/stdin"]);
    calls.push(sync.input(&settings(config, key)));
    calls.push(ip_call(&["link", "set", "dev", INTERFACE, "up"]));
    Ok(calls)
}

fn ip_call(args: &[&str]) -> Call {
    Call::new("ip", args)
}

fn add(index: Option<u32>) -> Call {
    let number = index.map(|index| index.to_string());
    let mut args = vec!["link", "add", "name", INTERFACE];
    args.extend(number.iter().flat_map(|number| ["index", number]));
    args.extend(["type", "wireguard"]);
    ip_call(&args)
}

/// Who may say what: each peer's own address within the tunnel, and nothing else.
fn settings(config: &Config, key: &PrivateKey) -> String {
    let own = config.own_node();
    let (secret, port) = (key.reveal(), own.outer.port());
    let mut text = format!("[Interface]\nPrivateKey = {secret}\nListenPort = {port}\n");
    for node in config.nodes.iter().filter(|node| node.slot != config.own) {
        let Some(public) = &node.key else { continue };
        let (ip, outer) = (node.addr.ip(), node.outer);
        text +=
            &format!("[Peer]\nPublicKey = {public}\nAllowedIPs = {ip}/32\nEndpoint = {outer}\n");
    }
    text
}

/// What a failed command means.
pub(super) fn explain(problem: Problem, port: u16) -> Problem {
    let Problem::Failed(command, said) = &problem else {
        return problem;
    };
    let has = |words: &str| said.contains(words);
    if command.contains(" type wireguard") && (has("Unknown device type") || has("not supported")) {
        return Problem::NoWireguard(said.clone());
    }
    if has("Address already in use") || has("Address in use") {
        return Problem::PortTaken(port);
    }
    problem
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
