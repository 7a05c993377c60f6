//! A parallel `make` of a real C project over all nodes.

use std::time::Duration;

use anyhow::{ensure, Context, Result};

use super::cluster::{eventually, Cluster, Event, SOON};

/// Emulated compilers take their time.
const BUILD: Duration = Duration::from_secs(900);
/// A digest of everything that a build leaves behind.
const DIGEST: &str = "find . -name '*.o' -o -name '*.lo' -o -name 'libz.*' -type f | \
                      sort | xargs sha256sum | sha256sum";

/// The compilers run everywhere; the bytes are those of a build on one node.
pub(crate) fn build(cluster: &mut Cluster) -> Result<()> {
    let wanted = local_digest(cluster)?;
    let before = placed(cluster)?;
    let job = start(cluster)?;
    cluster.ended(1, job, BUILD)?;
    check(cluster, &wanted)?;
    let after = placed(cluster)?;
    for node in 2..=cluster.len() {
        let run = after[node - 1] - before[node - 1];
        ensure!(run > 0, "node{node} ran no compiler");
    }
    Ok(())
}

/// A node dies in the middle: its children run again elsewhere, the bytes are the same.
pub(crate) fn node_killed(cluster: &mut Cluster) -> Result<()> {
    let wanted = local_digest(cluster)?;
    let job = start(cluster)?;
    eventually("a compiler on node3", SOON, || {
        let mut all = cluster.processes(1)?.into_iter();
        Ok(all.find(|p| p.job == job && p.node == "node3"))
    })?;
    cluster.kill(3)?;
    cluster.ended(1, job, BUILD)?;
    check(cluster, &wanted)?;
    let again = cluster.events(1)?.into_iter().rev().find(|e| e.kind == "placed-again");
    again.context("no event says that a lost child ran again")?;
    cluster.start(3)
}

/// A build without Holon, in the same folder, so that paths in the objects are the same.
fn local_digest(cluster: &Cluster) -> Result<String> {
    let known = cluster.capture(1, "cat /root/build.digest")?;
    if known.status.success() {
        return Ok(String::from_utf8_lossy(&known.stdout).trim().to_owned());
    }
    fresh(cluster)?;
    cluster.sh(1, "cd /root/build && make -j2 libz.a >/root/build.local 2>&1")?;
    cluster.sh(1, &format!("cd /root/build && {DIGEST} | tee /root/build.digest"))
}

/// The project as its `configure` leaves it, made once. Not optimized: what is looked at is who
/// compiles, and emulated compilers take long enough.
fn fresh(cluster: &Cluster) -> Result<()> {
    let made = "rm -rf /root/build.src && \
                cp -r \"$(ls -d /usr/src/zlib-*/ | head -n 1)\" /root/build.src && \
                cd /root/build.src && CFLAGS=-O0 ./configure >/dev/null && touch /root/build.made";
    cluster.sh(1, &format!("test -e /root/build.made || {{ {made}; }}"))?;
    cluster.sh(1, "rm -rf /root/build && cp -a /root/build.src /root/build")?;
    Ok(())
}

fn start(cluster: &Cluster) -> Result<u32> {
    fresh(cluster)?;
    let script = "cd /root/build && make -j6 >/root/build.log 2>&1 libz.a; \
                  echo $? >/root/build.status";
    cluster.run(1, &format!("-- sh -c '{script}'"))
}

fn check(cluster: &Cluster, wanted: &str) -> Result<()> {
    let status = cluster.sh(1, "cat /root/build.status; tail -n 5 /root/build.log")?;
    ensure!(status.starts_with("0\n"), "make failed: {status}");
    let got = cluster.sh(1, &format!("cd /root/build && {DIGEST}"))?;
    ensure!(got == wanted, "the build's bytes differ from a local build's");
    Ok(())
}

/// How many placed execs each node has run so far.
fn placed(cluster: &Cluster) -> Result<Vec<usize>> {
    let events = cluster.events(1)?;
    let to = |node: usize| {
        let name = format!("node{node}");
        let there = |event: &&Event| event.kind == "placed" && event.to.as_ref() == Some(&name);
        events.iter().filter(there).count()
    };
    Ok((1..=cluster.len()).map(to).collect())
}
