//! Holders that do badly: one stands still and dies while it is asked for pages, one needs its
//! memory itself, one has memory that rots.

use anyhow::{bail, ensure, Context, Result};

use super::cluster::{eventually, Cluster, SOON};
use super::links::between;
use super::lodges::{blast_names, lenders, Lodged, BACK, GIVEN_UP, MIB};
use super::parts::reload;
use crate::switch::Faults;

/// More than a node has: what is lent is wanted back.
pub(super) const ALL_MB: u64 = 1 << 20;

/// A number of what node `owner` tells of its pages elsewhere.
pub(super) fn owned(cluster: &Cluster, owner: usize, name: &str) -> Result<u64> {
    let said = cluster.sh(owner, "cat /proc/sys/holon/lodge/owner")?;
    let word = said.split_whitespace().skip_while(|word| *word != name).nth(1);
    Ok(word.with_context(|| format!("no {name} in: {said}"))?.parse()?)
}

/// A holder stands still, and dies while it is asked for pages: the other has them as well. Gives
/// which of node2 and node3 it was.
pub(super) fn dies_midway(cluster: &mut Cluster, lodged: &Lodged) -> Result<usize> {
    for holder in [2, 3] {
        cluster.instance().pause(holder)?;
        let before = owned(cluster, 1, "other_copy")?;
        lodged.look(cluster)?;
        let is_asked = eventually("the pages, or one to be asked for in vain", BACK, || {
            if owned(cluster, 1, "other_copy")? > before {
                return Ok(Some(true));
            }
            let said = cluster.sh(1, &format!("cat {}", lodged.output))?;
            Ok(said.contains("intact").then_some(false))
        })?;
        if is_asked {
            cluster.kill(holder)?;
            lodged.said(cluster, "intact", BACK)?;
            lodged.has_no_loss(cluster)?;
            return Ok(holder);
        }
        // All were read from the other.
        cluster.instance().resume(holder)?;
        cluster.sees_up(1, cluster.len())?;
        lodged.evict(cluster)?;
    }
    bail!("neither holder was asked for a page")
}

/// A holder is cut off from all for so long that they give it up: who has its pages elsewhere too
/// is not hurt, and nothing of what it holds is used when it is back. It takes part again with its
/// module loaded anew.
pub(crate) fn given_up(cluster: &mut Cluster) -> Result<()> {
    lenders(cluster, &[2, 3])?;
    cluster.sh(1, "sysctl -qw holon.lodge.copies=2")?;
    let lodged = Lodged::begin(cluster, "/root/given-up.out")?;
    let over = lodged.evict(cluster).and_then(|()| cut_off(cluster, &lodged));
    let healed = cluster.instance().link_clear();
    let back = over.and(healed).and_then(|()| takes_part_again(cluster, &lodged));
    cluster.sh(1, "sysctl -qw holon.lodge.copies=1")?;
    back?;
    lodged.is_intact(cluster)?;
    lodged.has_no_loss(cluster)?;
    lodged.end(cluster)
}

/// How many verdicts of nodes that are given up a node knows of.
fn verdicts(cluster: &Cluster, node: usize) -> Result<usize> {
    let events = cluster.events(node)?;
    Ok(events.iter().filter(|event| event.kind == "node-given-up").count())
}

fn cut_off(cluster: &mut Cluster, lodged: &Lodged) -> Result<()> {
    let before = verdicts(cluster, 1)?;
    ensure!(cluster.memory(3, 2)?.held_bytes > 0, "node2 holds nothing");
    for other in [1, 3] {
        between(cluster, 2, other, Faults { down: true, ..Faults::default() })?;
    }
    eventually("node2 to be given up", GIVEN_UP, || {
        Ok((verdicts(cluster, 1)? > before).then_some(()))
    })?;
    lodged.is_intact(cluster)?;
    lodged.has_no_loss(cluster)
}

fn takes_part_again(cluster: &mut Cluster, lodged: &Lodged) -> Result<()> {
    let incarnation = |cluster: &Cluster| cluster.sh(2, "cat /proc/sys/holon/incarnation");
    let before = incarnation(cluster)?;
    // It is told, and lets go what it has of them.
    eventually("nothing to keep node2's module but its processes", SOON, || {
        let held = cluster.sh(2, "cat /proc/sys/holon/held")?;
        Ok((!held.contains("lodgers")).then_some(()))
    })?;
    reload(cluster, 2, "modprobe holon")?;
    ensure!(incarnation(cluster)? != before, "node2 is the same as before");
    lenders(cluster, &[2, 3])?;
    lodged.evict(cluster)?;
    eventually("node2 to hold pages again", SOON, || {
        Ok((cluster.memory(1, 2)?.held_bytes > 0).then_some(()))
    })
}

/// Node2 needs its memory itself: what it holds goes on to node3, and it says that it is short.
pub(crate) fn short(cluster: &mut Cluster) -> Result<()> {
    lenders(cluster, &[2])?;
    let lodged = Lodged::begin(cluster, "/root/holder-short.out")?;
    lodged.evict(cluster)?;
    lenders(cluster, &[2, 3])?;
    let knob = "/proc/sys/holon/lodge/lend_keep_mb";
    let usual = cluster.sh(2, &format!("cat {knob}; echo {ALL_MB} >{knob}"))?;
    let left = eventually("what node2 holds to leave it", SOON, || {
        let holder = cluster.memory(1, 2)?;
        Ok((holder.held_bytes == 0 && holder.short).then_some(()))
    });
    let on = cluster.memory(1, 3);
    let is_named = blast_names(cluster, 3, 2, &lodged.id);
    cluster.sh(2, &format!("echo {usual} >{knob}"))?;
    left?;
    let on = on?.held_bytes;
    ensure!(on > 0, "node3 took nothing over");
    ensure!(!is_named?, "blast node2 still names {}", lodged.id);
    lodged.is_intact(cluster)?;
    lodged.has_no_loss(cluster)?;
    lodged.end(cluster)
}

/// Node1 has the module with its self-tests, and holds pages of node2: their content is damaged
/// where they lie. With another copy on node3 nobody is hurt; without, who has them dies of it.
pub(super) fn rots(cluster: &mut Cluster) -> Result<()> {
    cluster.sh(2, "sysctl -qw holon.lodge.copies=2")?;
    let doubled = rot_of(cluster, &[3], "/root/rot-two.out");
    cluster.sh(2, "sysctl -qw holon.lodge.copies=1")?;
    let (lodged, misread) = doubled?;
    // Else all might be read from node3.
    between(cluster, 2, 3, Faults { down: true, ..Faults::default() })?;
    lodged.look(cluster)?;
    let seen = eventually("damaged content to be seen", SOON, || {
        Ok((owned(cluster, 2, "misread")? > misread).then_some(()))
    });
    cluster.instance().link_clear()?;
    seen?;
    lodged.said(cluster, "intact", BACK)?;
    lodged.has_no_loss(cluster)?;
    lodged.end(cluster)?;
    let (lodged, _) = rot_of(cluster, &[], "/root/rot-one.out")?;
    lodged.dies_of_loss(cluster)
}

/// A job of node2 has memory on node1, where it rots, and on these. Gives what was misread before.
fn rot_of(cluster: &Cluster, others: &[usize], output: &'static str) -> Result<(Lodged, u64)> {
    lenders(cluster, others)?;
    let lodged = Lodged::begin_on(cluster, 2, output, MIB)?;
    lodged.evict(cluster)?;
    let held = cluster.memory(3, 1)?.held_bytes;
    ensure!(held > 0, "node1 holds nothing");
    let misread = owned(cluster, 2, "misread")?;
    cluster.sh(1, "echo 1 >/proc/sys/holon/lodge/rot")?;
    Ok((lodged, misread))
}
