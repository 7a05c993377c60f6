//! Rights travel as they are: neither an exec on the way nor the surrogate at home changes them.

use anyhow::{ensure, Context, Result};

use super::cluster::{eventually, Cluster, PROGRAMS, SOON};

/// A place that everybody may write to: one that gave its rights up opens its files there too.
const DIR: &str = "/srv/rights";

/// Root gives up most of what it may, elsewhere, and is no more than that at home again; so for one
/// that changes its real user and one that does not.
pub(crate) fn kept(cluster: &mut Cluster) -> Result<()> {
    for user in ["0", "1000"] {
        given_up(cluster, user).with_context(|| format!("with {user} as the real user"))?;
    }
    Ok(())
}

fn given_up(cluster: &mut Cluster, user: &str) -> Result<()> {
    let prepare = "mkdir -p DIR && chmod 777 DIR && rm -f DIR/* && mkfifo DIR/go && \
                   : >DIR/out && chmod 666 DIR/out";
    cluster.sh(1, &prepare.replace("DIR", DIR))?;
    let script = format!(
        "cd {DIR}; {PROGRAMS}/rights {user} >>out & p=$!; exec 3<>go; \
         while read x <&3; do kill -$x $p; done; wait $p"
    );
    let job = cluster.run(1, &format!("-- sh -c '{script}'"))?;
    let id = cluster.find(1, job, "rights")?;
    let all = line(cluster, "0")?;
    cluster.migrate(&id, 2)?;
    signal(cluster, "USR2")?;
    let there = line(cluster, "1")?;
    ensure!(there == all, "before: {all}\nelsewhere: {there}");
    signal(cluster, "USR1")?;
    signal(cluster, "USR2")?;
    let few = line(cluster, "2")?;
    ensure!(few != all && few.contains("securebits 0x14"), "nothing was given up: {few}");
    // Home into a surrogate that may more, away from there, home into one that may as much.
    for (step, to) in ["3", "4", "5"].into_iter().zip([1, 3, 1]) {
        cluster.migrate(&id, to)?;
        signal(cluster, "USR2")?;
        let now = line(cluster, step)?;
        ensure!(now == few, "before: {few}\non node{to}: {now}");
    }
    signal(cluster, "TERM")?;
    cluster.sh(1, &format!("clusterctl job kill {job}"))?;
    cluster.ended(1, job, SOON)
}

fn signal(cluster: &Cluster, name: &str) -> Result<()> {
    cluster.sh(1, &format!("echo {name} >{DIR}/go")).map(drop)
}

/// The line with a number, without it.
fn line(cluster: &Cluster, number: &str) -> Result<String> {
    eventually(&format!("line {number} of the program"), SOON, || {
        let text = cluster.sh(1, &format!("cat {DIR}/out"))?;
        ensure!(!text.contains("could not"), "the program said: {text}");
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        Ok(lines.find(|(first, _)| *first == number).map(|(_, rest)| rest.to_owned()))
    })
}
