//! The four uses.

use std::time::Duration;

use anyhow::{Context, Result};

use super::story::Story;
use crate::scenario::cluster::{eventually, Event, PROGRAMS, SOON};

/// A program's run under emulation, with moves in it.
const RUN: Duration = Duration::from_secs(300);

/// Starts a job on a node and gives its number.
fn start(story: &mut Story, node: usize, words: &str) -> Result<u32> {
    let text = story.types(node, &format!("clusterctl run -d {words}"))?;
    text.trim().parse().with_context(|| format!("`clusterctl run -d` printed {text:?}"))
}

/// Moves a process, and looks from a third node whether it is there, under the same PID.
fn migrate(story: &mut Story, id: &str, to: usize) -> Result<()> {
    story.types(1, &format!("clusterctl migrate {id} --to node{to}"))?;
    let watcher = if to == 3 { 2 } else { 3 };
    let seen = story.cluster().process(watcher, id)?;
    let there = seen.is_some_and(|process| process.node == format!("node{to}"));
    story.verify(&format!("node{watcher} sees {id} on node{to}"), there)
}

/// Whether a counter's file is complete, in order, and written under one PID.
fn counted(story: &mut Story, node: usize, file: &str, lines: u32) -> Result<()> {
    let check = format!(
        "awk 'NR == 1 {{ pid = $2 }} $1 != NR || $2 != pid {{ bad++ }} \
         END {{ print NR, bad + 0 }}' {file}"
    );
    let found = story.types(node, &check)?;
    let what = format!("{file} has {lines} lines, in order, all written under one PID");
    story.verify(&what, found.trim() == format!("{lines} 0"))
}

/// One cluster is seen from each node; a counter makes the round; 200 MB are moved while their
/// program checks them.
pub(super) fn moves(story: &mut Story) -> Result<()> {
    let first = story.types(1, "clusterctl status")?;
    story.verify("node1 sees three nodes up", first.starts_with("3 of 3 nodes up"))?;
    for node in 2..=story.cluster().len() {
        let seen = story.cluster().sh(node, "clusterctl status")?;
        story.verify(&format!("so does node{node}"), seen.starts_with("3 of 3 nodes up"))?;
    }
    let counter =
        start(story, 1, &format!("-- {PROGRAMS}/counter /root/counter.out 15000 300000"))?;
    let id = story.cluster().find(1, counter, "counter")?;
    story.types(2, "clusterctl ps")?;
    for to in [2, 3, 1] {
        migrate(story, &id, to)?;
    }
    story.cluster().ended(1, counter, RUN)?;
    counted(story, 1, "/root/counter.out", 15_000)?;

    story.say(
        "Now one with 200 MB, filled with a pattern that it checks and rewrites all the time:",
    );
    let command = format!("-- sh -c 'exec {PROGRAMS}/pattern 200 12 >/root/pattern.out'");
    let job = start(story, 1, &command)?;
    let id = story.cluster().find(1, job, "pattern")?;
    eventually("the first round", RUN, || {
        Ok(story.cluster().sh(1, "cat /root/pattern.out")?.contains("round 0").then_some(()))
    })?;
    migrate(story, &id, 2)?;
    story.types(1, "clusterctl ps")?;
    story.cluster().ended(1, job, RUN)?;
    let said = story.types(1, "tail -n 1 /root/pattern.out")?;
    story.verify("every word of the 200 MB was right, in each round", said.trim() == "ok")?;
    story.types(1, "clusterctl events | tail -n 4")?;
    Ok(())
}

/// zlib of Debian's source package, built on one node, then on all, one of which dies in the
/// middle; the bytes are compared.
pub(super) fn build(story: &mut Story) -> Result<()> {
    const DIGEST: &str =
        "cd /root/build && sha256sum $(find . -name '*.o' | sort) libz.a | sha256sum";
    let unpack = "cp -r $(ls -d /usr/src/zlib-*/) /root/zlib && \
                  cd /root/zlib && ./configure --static >/dev/null";
    let fresh = "rm -rf /root/build && cp -a /root/zlib /root/build";
    story.types(1, unpack)?;
    story.types(1, fresh)?;
    story.types(1, "cd /root/build && time make -j2 libz.a >/dev/null")?;
    let alone = story.types(1, DIGEST)?;
    story.types(1, fresh)?;

    let nodes = story.cluster().len();
    let before = ran(story, nodes)?;
    story.say(
        "Now on all nodes; the testbed will cut node3's power as soon as compilers run there.",
    );
    let build =
        story.begins(1, "cd /root/build && time clusterctl run -- make -j6 libz.a >/dev/null")?;
    eventually("a compiler on node3", SOON, || {
        let mut all = story.cluster().processes(2)?.into_iter();
        Ok(all.find(|process| process.node == "node3"))
    })?;
    let there = story.types(2, "clusterctl ps | grep -w node3")?;
    story.cluster().kill(3)?;
    story.say("node3 has no power any more.");
    story.ends(build)?;
    let together = story.types(1, DIGEST)?;
    story.verify("compilers ran on node3 when it died", there.contains("node3"))?;
    let count = ran(story, nodes)?[1].saturating_sub(before[1]);
    story.verify(&format!("node2 ran compilers ({count})"), count > 0)?;
    let again = story.types(1, "clusterctl events | grep -w placed-again")?;
    story.verify("events name what was lost and ran again elsewhere", !again.is_empty())?;
    story.verify("the result is byte for byte that of the local build", alone == together)?;
    comes_back(story, 3)
}

/// How many programs each node was given to run so far, by node1's journal of events.
fn ran(story: &mut Story, nodes: usize) -> Result<Vec<usize>> {
    let events = story.cluster().events(1)?;
    let count = |node: usize| {
        let name = format!("node{node}");
        let there = |e: &&Event| e.kind == "placed" && e.to.as_deref() == Some(name.as_str());
        events.iter().filter(there).count()
    };
    Ok((1..=nodes).map(count).collect())
}

/// Boots a node again and looks whether the cluster is whole.
fn comes_back(story: &mut Story, node: usize) -> Result<()> {
    story.say(&format!("node{node} comes back."));
    story.cluster().start(node)?;
    let count = "clusterctl status -o json | jq '[.nodes[] | select(.state == \"up\")] | length'";
    let seen = story.types(1, count)?;
    story.verify("three nodes are up", seen.trim() == "3")
}

/// node2 has work and is drained; its power is cut on the drain's word; the work goes on.
pub(super) fn drain(story: &mut Story) -> Result<()> {
    let job = start(story, 1, &format!("-- {PROGRAMS}/counter /root/drain.out 8000 300000"))?;
    let id = story.cluster().find(1, job, "counter")?;
    migrate(story, &id, 2)?;
    let text = story.types(1, "clusterctl drain node2")?;
    let word = "safe to power off: yes";
    story.verify(&format!("the drain ends with \"{word}\""), text.contains(word))?;
    let seen = story.cluster().process(3, &id)?;
    let left = seen.is_some_and(|process| process.node != "node2");
    story.verify(&format!("{id} has left node2"), left)?;
    story.say("The testbed cuts node2's power.");
    story.cluster().kill(2)?;
    story.cluster().sees_up(1, 2)?;
    story.types(3, "clusterctl status")?;
    story.cluster().ended(1, job, RUN)?;
    counted(story, 1, "/root/drain.out", 8000)?;
    comes_back(story, 2)?;
    story.types(1, "clusterctl undrain node2")?;
    Ok(())
}

/// node3's power is cut with three jobs about; each fares as it should.
pub(super) fn death(story: &mut Story) -> Result<()> {
    let lost =
        format!("{PROGRAMS}/counter /root/lost.out 100000 300000; echo $? >/root/lost.status");
    let lost = start(story, 1, &format!("-- sh -c '{lost}'"))?;
    let id = story.cluster().find(1, lost, "counter /root/lost")?;
    migrate(story, &id, 3)?;
    let other = start(story, 1, &format!("-- {PROGRAMS}/counter /root/other.out 8000 300000"))?;
    let again =
        format!("--on node3 --restart exec -- {PROGRAMS}/counter /root/again.out 10000 300000");
    let again = start(story, 1, &again)?;
    story.cluster().find(1, again, "counter /root/again")?;
    story.types(2, "clusterctl ps")?;

    story.say("The testbed cuts node3's power.");
    story.cluster().kill(3)?;
    story.cluster().sees_up(1, 2)?;
    story.types(2, "clusterctl status")?;
    let elsewhere = eventually("the job to run again elsewhere", SOON, || {
        let mut all = story.cluster().processes(1)?.into_iter();
        Ok(all.find(|process| process.job == again && process.node != "node3"))
    })?;
    let home = if elsewhere.node == "node1" { 1 } else { 2 };
    let what = format!("job {again} runs again, on {}", elsewhere.node);
    story.verify(&what, true)?;
    story.cluster().ended(1, lost, SOON)?;
    let status = story.types(1, "cat /root/lost.status")?;
    story.verify(
        "the lost process's parent got the status for a lost node, 245",
        status.trim() == "245",
    )?;
    let events = story.cluster().events(1)?;
    let named = events
        .iter()
        .any(|event| event.process.as_deref() == Some(&id) && event.kind.contains("lost"));
    story.verify(&format!("an event names {id} as lost"), named)?;
    story.cluster().ended(1, other, RUN)?;
    counted(story, 1, "/root/other.out", 8000)?;
    story.cluster().ended(1, again, RUN)?;
    counted(story, home, "/root/again.out", 10_000)?;
    comes_back(story, 3)
}
