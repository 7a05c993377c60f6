//! Pages that lodge elsewhere while their process moves, while the link to their holder is bad, and
//! while there is none. Each time the process looks at all of its memory.

use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};

use super::cluster::{eventually, Cluster, SOON};
use super::counters;
use super::counting::{self, finished};
use super::holders::owned;
use super::links::{between, BAD};
use super::lodges::{blast_names, holds_nothing, lenders, Lodged, BACK, MIB};
use crate::switch::Faults;

/// The least MTU that a path may have, and that of jumbo frames.
const WIDTHS: [u64; 2] = [1280, 9000];
const ETHERNET_MTU: u64 = 1500;

/// What a fault waits for its page when the holder is not reached; the module takes it times 4.
const GIVE_UP_MS: u64 = 2_000;
/// Of the program whose link is bad: each page that gets lost is waited for.
const BAD_MIB: u64 = 1;
/// Until such a process is dead, and its job over.
const GIVEN_UP: Duration = Duration::from_secs(60);

/// A process with pages on node2 moves to node3, and home: each is fetched from where it is. Then
/// it moves to node2 itself, which is not sent what it has. On its way home it leaves memory
/// behind.
pub(crate) fn moved(cluster: &mut Cluster) -> Result<()> {
    lenders(cluster, &[2])?;
    let lodged = Lodged::begin(cluster, "/root/afar-moved.out")?;
    let held = |cluster: &Cluster| counters::read(cluster, 2, "memory/pages_held");
    for to in [3, 2] {
        lodged.evict(cluster)?;
        eventually("no more to be on its way", SOON, || {
            Ok((owned(cluster, 1, "batches")? == 0).then_some(()))
        })?;
        let (before, away) = (held(cluster)?, owned(cluster, 1, "far")?);
        cluster.migrate(&lodged.id, to)?;
        lodged.is_intact(cluster)?;
        let spared = held(cluster)? - before;
        // Some may have come home, of what it used last.
        let is_right = if to == 2 { spared > away - away / 8 } else { spared == 0 };
        ensure!(is_right, "node2 had {away} pages, and was not sent {spared} at a move to {to}");
        // At home it has nothing but what it fetches: the rest is still where it was.
        cluster.sh(1, "sysctl -qw holon.memory.stream=0")?;
        let named = cluster
            .migrate(&lodged.id, 1)
            .and_then(|()| blast_names(cluster, 4 - to + 1, to, &lodged.id));
        cluster.sh(1, "sysctl -qw holon.memory.stream=1")?;
        ensure!(named?, "blast node{to} does not name memory that {} left there", lodged.id);
        lodged.is_intact(cluster)?;
    }
    lodged.has_no_loss(cluster)?;
    lodged.end(cluster)?;
    holds_nothing(cluster, 2)
}

/// Pages go and come back over a link that loses, doubles, overtakes and damages.
pub(crate) fn bad_link(cluster: &mut Cluster) -> Result<()> {
    lenders(cluster, &[2])?;
    let lodged = Lodged::begin_of(cluster, "/root/afar-bad.out", BAD_MIB)?;
    between(cluster, 1, 2, BAD)?;
    lodged.evict(cluster)?;
    lodged.is_intact(cluster)?;
    cluster.instance().link_clear()?;
    lodged.has_no_loss(cluster)?;
    lodged.end(cluster)?;
    holds_nothing(cluster, 2)
}

/// Pages go and come where the path is as narrow and as wide as it may be, in datagrams that it
/// takes whole.
pub(crate) fn widths(cluster: &mut Cluster) -> Result<()> {
    lenders(cluster, &[2])?;
    let lodged = Lodged::begin(cluster, "/root/afar-widths.out")?;
    let went = WIDTHS.into_iter().try_for_each(|mtu| {
        set_mtu(cluster, mtu)?;
        // The module looks at its routes from time to time.
        eventually(&format!("pages to go by an MTU of {mtu}"), BACK, || {
            let before = Sent::by_node1(cluster)?;
            lodged.evict(cluster)?;
            let sent = Sent::by_node1(cluster)?;
            lodged.is_intact(cluster)?;
            Ok(sent.was_whole_since(&before, mtu).then_some(()))
        })
    });
    let usual = set_mtu(cluster, ETHERNET_MTU);
    went.and(usual)?;
    lodged.has_no_loss(cluster)?;
    lodged.end(cluster)?;
    holds_nothing(cluster, 2)
}

fn set_mtu(cluster: &Cluster, mtu: u64) -> Result<()> {
    let line = format!("ip link set dev eth1 mtu {mtu}");
    (1..=cluster.len()).try_for_each(|node| cluster.sh(node, &line).map(drop))
}

/// What node1 has sent to others so far.
struct Sent {
    packets: u64,
    bytes: u64,
    /// Datagrams that IP had to cut.
    cut: u64,
    /// Links whose long datagrams vanished.
    fallbacks: u64,
}

impl Sent {
    fn by_node1(cluster: &Cluster) -> Result<Self> {
        let cut = "/^Ip:/ { if (at) print $at; else for (at = NF; $at != \"FragCreates\"; at--); }";
        let line = format!(
            "cd /sys/class/net/eth1/statistics && cat tx_packets tx_bytes && \
             awk '{cut}' /proc/net/snmp"
        );
        let said = cluster.sh(1, &line)?;
        let numbers: Vec<u64> = said.lines().map(str::parse).collect::<Result<_, _>>()?;
        let [packets, bytes, cut] = numbers[..] else { bail!("node1 has sent: {said}") };
        let fallbacks = counters::read(cluster, 1, "stats/mtu_fallbacks")?;
        Ok(Self { packets, bytes, cut, fallbacks })
    }

    /// Nothing was cut, and if more than Ethernet's usual packets may pass they were longer.
    fn was_whole_since(&self, before: &Self, mtu: u64) -> bool {
        let is_whole = self.cut == before.cut && self.fallbacks == before.fallbacks;
        let mean = (self.bytes - before.bytes) / (self.packets - before.packets).max(1);
        is_whole && (mtu <= ETHERNET_MTU || mean > ETHERNET_MTU)
    }
}

/// The holder is heard no more, though it hears, for longer than a session lasts: the process
/// waits, and goes on.
pub(crate) fn cut_heals(cluster: &mut Cluster) -> Result<()> {
    lenders(cluster, &[2])?;
    let lodged = Lodged::begin(cluster, "/root/afar-heals.out")?;
    lodged.evict(cluster)?;
    cluster.instance().link(2, 1, Faults { down: true, ..Faults::default() })?;
    lists_processes(cluster)?;
    lodged.look(cluster)?;
    cluster.sees_up(1, 2)?;
    let said = cluster.sh(1, &format!("cat {}", lodged.output))?;
    ensure!(!said.contains("intact"), "it has its pages, though nobody could bring them");
    cluster.instance().link_clear()?;
    lodged.said(cluster, "intact", BACK)?;
    cluster.sees_up(1, 3)?;
    lodged.has_no_loss(cluster)?;
    lodged.end(cluster)?;
    holds_nothing(cluster, 2)
}

/// It stays cut off: whoever needs a page from there gets an error in time, others nothing. When it
/// is back it keeps nothing of theirs.
pub(crate) fn cut_stays(cluster: &mut Cluster) -> Result<()> {
    lenders(cluster, &[2])?;
    let lodged = Lodged::begin(cluster, "/root/afar-stays.out")?;
    lodged.evict(cluster)?;
    let bystander = cluster.run(1, &format!("-- {}", counting::command("/root/afar-by.out")))?;
    let knob = "/proc/sys/holon/lodge/give_up_ms";
    let usual = cluster.sh(1, &format!("cat {knob}; echo {GIVE_UP_MS} >{knob}"))?;
    cut(cluster)?;
    let read = read_by_another(cluster);
    // The daemon tells it when it has found out whose memory it is.
    let lost = eventually("an event of what another one could not read", SOON, || {
        cluster.event(1, "memory-lost", &lodged.id)
    });
    let is_here = cluster.process(1, &lodged.id)?.is_some();
    lodged.look(cluster)?;
    let ended = cluster.ended(1, lodged.job, GIVEN_UP);
    cluster.sh(1, &format!("echo {usual} >{knob}"))?;
    read?;
    lost?;
    ensure!(is_here, "it ended, though only another one has read its memory");
    ended?;
    cluster.instance().link_clear()?;
    cluster.event(1, "memory-lost", &lodged.id)?.context("no event says that it lost memory")?;
    cluster.sees_up(1, 3)?;
    holds_nothing(cluster, 2)?;
    finished(cluster, 1, bystander, "/root/afar-by.out")
}

/// Whoever looks through all processes waits for nothing: names, arguments and environments are
/// here, whatever else is not.
fn lists_processes(cluster: &Cluster) -> Result<()> {
    let line = format!("timeout 20 sh -c 'ps axeww | grep -c \"[t]ouch {MIB}\"'");
    let found = cluster.sh(1, &line)?;
    ensure!(found != "0", "ps does not show the program");
    Ok(())
}

/// Another process reads the memory of the one that waits for it, and gets an error for the first
/// page that can't be had.
fn read_by_another(cluster: &Cluster) -> Result<()> {
    let line = format!(
        "pid=$(pgrep -x touch) && while read -r range rights _ _ _ name; do \
             from=$((16#${{range%-*}})) to=$((16#${{range#*-}})); \
             if [ \"$rights\" = rw-p ] && [ -z \"$name\" ] && [ $((to - from)) -ge {bytes} ]; \
             then exec dd status=none if=/proc/$pid/mem of=/dev/null bs=4096 \
                 skip=$((from / 4096)) count=$(((to - from) / 4096)); fi; \
         done </proc/$pid/maps; exit 99",
        bytes = MIB << 20
    );
    let read = cluster.capture(1, &format!("bash -c '{line}'"))?;
    let said = String::from_utf8_lossy(&read.stderr);
    ensure!(
        read.status.code() == Some(1) && said.contains("Input/output error"),
        "reading it from outside ended with {}: {said}",
        read.status
    );
    Ok(())
}

/// Nothing passes between node1 and node2.
fn cut(cluster: &mut Cluster) -> Result<()> {
    between(cluster, 1, 2, Faults { down: true, ..Faults::default() })
}
