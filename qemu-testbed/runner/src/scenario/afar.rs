//! Pages that lodge elsewhere while their process moves, while the link to their holder is bad, and
//! while there is none. Each time the process looks at all of its memory.

use std::time::Duration;

use anyhow::{ensure, Context, Result};

use super::cluster::{eventually, Cluster, SOON};
use super::counting::{self, finished};
use super::links::{between, BAD};
use super::lodges::{holds_nothing, lenders, Lodged, BACK, MIB};
use crate::switch::Faults;

/// What a fault waits for its page when the holder is not reached; the module takes it times 4.
const GIVE_UP_MS: u64 = 2_000;
/// What has the process look at all of its memory.
const LOOK: &str = "pkill -USR1 -x touch";
/// Of the program whose link is bad: each page that gets lost is waited for.
const BAD_MIB: u64 = 1;
/// Until such a process is dead, and its job over.
const GIVEN_UP: Duration = Duration::from_secs(60);

/// A process with pages on node2 moves to node3, and home: each is fetched from where it is. Then
/// it moves to node2 itself.
pub(crate) fn moved(cluster: &mut Cluster) -> Result<()> {
    lenders(cluster, &[2])?;
    let lodged = Lodged::begin(cluster, "/root/afar-moved.out")?;
    for to in [3, 2] {
        lodged.evict(cluster)?;
        cluster.migrate(&lodged.id, to)?;
        lodged.is_intact(cluster)?;
        cluster.migrate(&lodged.id, 1)?;
        lodged.is_intact(cluster)?;
    }
    let held = cluster.sh(2, "cat /proc/sys/holon/memory/pages_held")?;
    ensure!(held.parse::<u64>()? > 0, "node2 was sent what it held: pages_held is {held}");
    no_loss(cluster, &lodged)?;
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
    no_loss(cluster, &lodged)?;
    lodged.end(cluster)?;
    holds_nothing(cluster, 2)
}

/// The holder is cut off for longer than a session lasts: the process waits, and goes on.
pub(crate) fn cut_heals(cluster: &mut Cluster) -> Result<()> {
    lenders(cluster, &[2])?;
    let lodged = Lodged::begin(cluster, "/root/afar-heals.out")?;
    lodged.evict(cluster)?;
    cut(cluster)?;
    lists_processes(cluster)?;
    cluster.sh(1, &format!(": >{}; {LOOK}", lodged.output))?;
    cluster.sees_up(1, 2)?;
    let said = cluster.sh(1, &format!("cat {}", lodged.output))?;
    ensure!(!said.contains("intact"), "it has its pages, though nobody could bring them");
    cluster.instance().link_clear()?;
    lodged.said(cluster, "intact", BACK)?;
    cluster.sees_up(1, 3)?;
    no_loss(cluster, &lodged)?;
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
    cluster.sh(1, LOOK)?;
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

fn no_loss(cluster: &Cluster, lodged: &Lodged) -> Result<()> {
    let lost = cluster.event(1, "memory-lost", &lodged.id)?;
    ensure!(lost.is_none(), "it has lost memory: {lost:?}");
    let killed = eventually("the process in ps", SOON, || cluster.process(1, &lodged.id));
    killed.map(drop)
}
