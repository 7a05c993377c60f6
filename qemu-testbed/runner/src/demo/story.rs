//! A teller: shows each command, what it printed and how long it took, and counts what was
//! verified.

use std::time::Instant;

use anyhow::{bail, Result};

use crate::scenario::cluster::Cluster;

/// More of a command's output would hide the story.
const SHOWN_LINES: usize = 12;

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
        let lines: Vec<_> = text.lines().collect();
        for line in lines.iter().take(SHOWN_LINES) {
            println!("      {line}");
        }
        if lines.len() > SHOWN_LINES {
            println!("      … {} more lines", lines.len() - SHOWN_LINES);
        }
        println!("      ({seconds:.1} s)");
        Ok(text)
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
