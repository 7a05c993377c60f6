//! A teller: shows each command, what it printed and how long it took, and counts what was
//! verified.

use std::time::Instant;

use anyhow::{bail, ensure, Result};

use crate::scenario::cluster::{Cluster, Running};

/// More of a command's output would hide the story.
const SHOWN_LINES: usize = 12;

/// A command that was begun.
pub(super) struct Begun {
    running: Running,
    started: Instant,
    line: String,
}

/// A story under way.
pub(super) struct Story {
    cluster: Cluster,
    verified: usize,
}

impl Story {
    /// Begins one.
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { cluster, verified: 0 }
    }

    /// The cluster that it plays on.
    pub(super) fn cluster(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    /// Ends it.
    pub(super) fn into_cluster(self) -> Cluster {
        self.cluster
    }

    /// How many looks found what they should.
    pub(super) fn verified(&self) -> usize {
        self.verified
    }

    /// Says something.
    pub(super) fn say(&self, text: &str) {
        println!("  {text}");
    }

    /// Types a command on a node and shows all that a person would see.
    pub(super) fn types(&mut self, node: usize, line: &str) -> Result<String> {
        println!("  node{node}# {line}");
        let started = Instant::now();
        let result = self.cluster.sh(node, line);
        let seconds = started.elapsed().as_secs_f64();
        let text = result?;
        show(&text, seconds);
        Ok(text)
    }

    /// Types a command on a node that is still to run when the story goes on.
    pub(super) fn begins(&mut self, node: usize, line: &str) -> Result<Begun> {
        println!("  node{node}# {line} &");
        Ok(Begun {
            running: self.cluster.begin(node, line)?,
            started: Instant::now(),
            line: line.into(),
        })
    }

    /// Waits for the end of such a command, which has to be a success, and shows what it printed.
    pub(super) fn ends(&mut self, begun: Begun) -> Result<()> {
        let Begun { running, started, line } = begun;
        let output = running.finish()?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        println!("  {line}: done");
        show(text.trim(), started.elapsed().as_secs_f64());
        ensure!(output.status.success(), "`{line}` ended with {}", output.status);
        Ok(())
    }

    /// Says what was found by looking; ends the use if it was something else.
    pub(super) fn verify(&mut self, what: &str, found: bool) -> Result<()> {
        if !found {
            bail!("{what}");
        }
        self.verified += 1;
        println!("  [x] {what}");
        Ok(())
    }
}

/// What a command printed, and how long it took.
fn show(text: &str, seconds: f64) {
    let lines: Vec<_> = text.lines().collect();
    for line in lines.iter().take(SHOWN_LINES) {
        println!("      {line}");
    }
    if lines.len() > SHOWN_LINES {
        println!("      … {} more lines", lines.len() - SHOWN_LINES);
    }
    println!("      ({seconds:.1} s)");
}
