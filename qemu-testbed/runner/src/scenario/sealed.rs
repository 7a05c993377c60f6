//! Traffic that WireGuard protects: what the wire shows, who is not listened to, what is said of
//! keys that do not fit.

use std::fs;
use std::path::Path;

use anyhow::{ensure, Context, Result};

use super::cluster::{eventually, Cluster, Event, PROGRAMS, SOON};
use super::{counting, hostile};
use crate::instance::ready::KEY;
use crate::switch::pcap;

/// WireGuard's port, and the module's within the tunnel, as `holond` gives them.
const OUTER_PORT: u16 = 7788;
const INNER_PORT: u16 = 7789;
/// node1 outside and inside.
const OUTER: &str = "10.77.0.1";
const INNER: &str = "10.213.77.1";
const TOML: &str = "/etc/holon/nodes.toml";
/// Encrypted data that a move makes at the very least.
const DATA_MIN: u64 = 100;
const GARBAGE: u64 = 2000;

/// The whole story.
pub(crate) fn wireguard(cluster: &mut Cluster) -> Result<()> {
    for node in 1..=cluster.len() {
        says(cluster, node, "encryption: wireguard (2 of 2 peers with a handshake in the last 3")?;
        let mode = "clusterctl status -o json | jq -r '.encryption | .mode, .chosen'";
        let said = cluster.sh(node, mode)?;
        ensure!(said == "wireguard\nwireguard", "node{node} says {said:?}");
    }
    move_and_return(cluster)?;
    only_sealed_frames(cluster)?;
    strangers_are_not_heard(cluster)?;
    restarts_keep_sessions(cluster)?;
    keys_that_do_not_fit(cluster)
}

/// Waits until a node's `status` says something.
fn says(cluster: &Cluster, node: usize, words: &str) -> Result<()> {
    eventually(&format!("node{node} to say {words:?}"), SOON, || {
        let said = cluster.capture(node, "clusterctl status")?;
        Ok(String::from_utf8_lossy(&said.stdout).contains(words).then_some(()))
    })
}

fn move_and_return(cluster: &mut Cluster) -> Result<()> {
    let job = cluster.run(1, &format!("-- {}", counting::command("/root/sealed.out")))?;
    let id = cluster.find(1, job, "counter")?;
    for node in [2, 3, 1] {
        cluster.migrate(&id, node)?;
    }
    counting::finished(cluster, 1, job, "/root/sealed.out")
}

/// Nothing on the wire but WireGuard, and what neighbours need to find each other.
fn only_sealed_frames(cluster: &mut Cluster) -> Result<()> {
    let dir = cluster.instance().config.dir.join("capture");
    let mut data = 0;
    for entry in fs::read_dir(&dir)?.flatten() {
        data += sealed_frames(&entry.path())?;
    }
    ensure!(data >= DATA_MIN, "the captures have {data} encrypted packets only");
    Ok(())
}

/// How many encrypted packets a capture has; an error if it has anything in clear.
fn sealed_frames(path: &Path) -> Result<u64> {
    let mut data = 0;
    for frame in pcap::frames(&fs::read(path)?) {
        match kind(frame) {
            Kind::Neighbours | Kind::Handshake => {}
            Kind::Data => data += 1,
            Kind::Clear => {
                let shown = &frame[..frame.len().min(64)];
                anyhow::bail!("{} has a frame in clear: {shown:02x?}", path.display());
            }
        }
    }
    Ok(data)
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// ARP, and the like of IPv6.
    Neighbours,
    /// WireGuard's handshakes and cookies.
    Handshake,
    /// Something encrypted.
    Data,
    /// All else.
    Clear,
}

fn kind(frame: &[u8]) -> Kind {
    match (frame.get(12..14), frame.get(20)) {
        // ARP, and the RARP by which a restored QEMU tells switches where it is now.
        (Some([8, 6] | [0x80, 0x35]), _) => Kind::Neighbours,
        // ICMPv6, with or without a header for routers before it.
        (Some([0x86, 0xdd]), Some(0 | 58)) => Kind::Neighbours,
        (Some([8, 0]), _) => frame.get(14..).and_then(ipv4).unwrap_or(Kind::Clear),
        _ => Kind::Clear,
    }
}

fn ipv4(packet: &[u8]) -> Option<Kind> {
    const ICMP: u8 = 1;
    const UDP: u8 = 17;
    let payload = packet.get(usize::from(packet.first()? & 15) * 4..)?;
    match (packet.get(9)?, payload.first()?) {
        (&UDP, _) => datagram(payload),
        // A node whose tunnel is not up yet refuses another's handshake, which it quotes.
        (&ICMP, 3) => ipv4(payload.get(8..)?).filter(|kind| *kind == Kind::Handshake),
        _ => None,
    }
}

fn datagram(udp: &[u8]) -> Option<Kind> {
    let port = |at: usize| Some(u16::from_be_bytes([*udp.get(at)?, *udp.get(at + 1)?]));
    let is_ours = port(0)? == OUTER_PORT && port(2)? == OUTER_PORT;
    match udp.get(8..12)? {
        [1..=3, 0, 0, 0] if is_ours => Some(Kind::Handshake),
        [4, 0, 0, 0] if is_ours => Some(Kind::Data),
        _ => None,
    }
}

/// Datagrams that node1's kernel had no socket for.
fn nobodys(cluster: &Cluster) -> Result<u64> {
    let text = cluster.sh(1, "awk '/^Udp:/ { count = $3 } END { print count }' /proc/net/snmp")?;
    text.parse().with_context(|| format!("no count of datagrams: {text}"))
}

/// What comes from outside the tunnel is not even taken, whomever it is addressed to and whoever it
/// claims to be from. What comes through it, but not from a module, is taken and refused.
fn strangers_are_not_heard(cluster: &mut Cluster) -> Result<()> {
    let way_in_clear = format!("{INNER}/32 via {OUTER} dev eth1 src 10.213.77.2");
    for (to, way) in [(OUTER, None), (INNER, Some(way_in_clear))] {
        let (refused, unwanted) = (hostile::refused_datagrams(cluster)?, nobodys(cluster)?);
        let mut line = format!("{PROGRAMS}/garbage udp {to} {INNER_PORT} {GARBAGE}");
        if let Some(way) = way {
            line = format!("ip route add {way} && {line}; ip route del {way}");
        }
        cluster.sh(2, &line)?;
        let now = eventually("garbage to arrive", SOON, || {
            let now = nobodys(cluster)?;
            Ok((now >= unwanted + GARBAGE / 2).then_some(now))
        })?;
        let taken = hostile::refused_datagrams(cluster)? - refused;
        ensure!(taken == 0, "{taken} datagrams to {to} were taken, {} not", now - unwanted);
    }
    let before = hostile::refused_datagrams(cluster)?;
    cluster.sh(2, &format!("{PROGRAMS}/garbage udp {INNER} {INNER_PORT} {GARBAGE}"))?;
    eventually("garbage through the tunnel to be refused", SOON, || {
        Ok((hostile::refused_datagrams(cluster)? >= before + GARBAGE / 4).then_some(()))
    })?;
    cluster.sees_up(1, cluster.len())
}

/// A daemon's restart changes nothing for the module; an interface that went away comes back as the
/// one that the module knows.
fn restarts_keep_sessions(cluster: &mut Cluster) -> Result<()> {
    let wire = "cat /proc/sys/holon/wire && cat /sys/class/net/holon0/ifindex";
    let before = cluster.sh(2, wire)?;
    let incarnation = cluster.sh(2, "cat /proc/sys/holon/incarnation")?;
    cluster.sh(2, "systemctl restart holond")?;
    cluster.sh(2, "systemctl stop holond && ip link del holon0 && systemctl start holond")?;
    ensure!(cluster.sh(2, wire)? == before, "node2's module lost its interface: {before}");
    for node in 1..=cluster.len() {
        cluster.sees_up(node, cluster.len())?;
    }
    let now = cluster.sh(2, "cat /proc/sys/holon/incarnation")?;
    ensure!(now == incarnation, "node2's module was loaded again");
    Ok(())
}

/// A key that is not the one in `nodes.toml`, on the node itself and on the others.
fn keys_that_do_not_fit(cluster: &mut Cluster) -> Result<()> {
    let stop = "systemctl stop holond && rmmod holon && holond take-down";
    cluster.sh(3, &format!("{stop} && ! ip link show holon0 2>/dev/null"))?;
    cluster.sh(3, &format!("cp -p {TOML} /root/nodes.toml && mv {KEY} /root/kept.key"))?;
    cluster.sh(3, "systemctl start holond")?;
    says(cluster, 3, "encryption: NOT UP (wireguard chosen): nodes.toml gives this node the key")?;
    let name = "clusterctl status -o json | jq -r .encryption.problem.name";
    let said = cluster.sh(3, name)?;
    ensure!(said == "other-key", "the problem is called {said}");
    cluster.sees_up(1, 2)?;

    // Now it believes in its new key, and the others in the old one.
    let own_key = "/name = \"node3\"/,$ s|^key = .*|'\"$(holond key)\"'|";
    cluster.sh(3, &format!("systemctl stop holond && sed -i '{own_key}' {TOML}"))?;
    cluster.sh(3, "systemctl start holond")?;
    says(cluster, 3, "encryption: wireguard (0 of 2 peers with a handshake")?;
    says(cluster, 3, "! node1 is down: no WireGuard handshake so far")?;
    // An interface made anew has no handshake of the old key to remember.
    cluster.sh(1, "systemctl stop holond && ip link del holon0 && systemctl start holond")?;
    says(cluster, 1, "encryption: wireguard (1 of 2 peers with a handshake")?;
    says(cluster, 1, "! node3 is down: no WireGuard handshake so far")?;
    eventually("an event that names the missing handshake", SOON, || {
        let events = cluster.events(1)?;
        let named = |e: &Event| e.kind == "no-handshake" && e.to.as_deref() == Some("node3");
        Ok(events.iter().any(named).then_some(()))
    })?;

    cluster.sh(3, &format!("systemctl stop holond && mv /root/kept.key {KEY}"))?;
    cluster.sh(3, &format!("mv /root/nodes.toml {TOML} && systemctl start holond"))?;
    for node in 1..=cluster.len() {
        cluster.sees_up(node, cluster.len())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 42];
        (frame[12], frame[14], frame[23]) = (8, 0x45, 17);
        frame[34..36].copy_from_slice(&from.to_be_bytes());
        frame[36..38].copy_from_slice(&to.to_be_bytes());
        frame.extend_from_slice(payload);
        frame
    }

    #[test]
    fn only_wireguard_counts_as_sealed() {
        assert_eq!(kind(&udp(7788, 7788, &[4, 0, 0, 0, 9])), Kind::Data);
        assert_eq!(kind(&udp(7788, 7788, &[1, 0, 0, 0, 9])), Kind::Handshake);
        // The module's own datagrams at the same port.
        assert_eq!(kind(&udp(7788, 7788, b"HOLN")), Kind::Clear);
        assert_eq!(kind(&udp(7788, 7789, &[4, 0, 0, 0])), Kind::Clear);
        assert_eq!(kind(&udp(7788, 7788, &[])), Kind::Clear);
        let refused = |quoted: &[u8]| {
            let mut frame = udp(0, 0, &quoted[14..]);
            frame[23] = 1;
            frame[34] = 3;
            frame
        };
        assert_eq!(kind(&refused(&udp(7788, 7788, &[1, 0, 0, 0]))), Kind::Handshake);
        assert_eq!(kind(&refused(&udp(7788, 7789, &[1, 0, 0, 0]))), Kind::Clear);
        let mut tcp = udp(7788, 7788, &[4, 0, 0, 0]);
        tcp[23] = 6;
        assert_eq!(kind(&tcp), Kind::Clear);
        let mut other = vec![0; 60];
        for (word, expected) in [
            ([8, 6], Kind::Neighbours),
            ([0x86, 0xdd], Kind::Neighbours),
            ([0x88, 0xcc], Kind::Clear),
        ] {
            other[12..14].copy_from_slice(&word);
            assert_eq!(kind(&other), expected, "{word:?}");
        }
        other[12..14].copy_from_slice(&[0x86, 0xdd]);
        other[20] = 17;
        assert_eq!(kind(&other), Kind::Clear, "UDP over IPv6");
        assert_eq!(kind(&[]), Kind::Clear);
    }
}
