//! `cargo testbed demo`: what Holon is for, told on three real guests, from nothing. Each use is a
//! list of commands as a person would type them, and of looks at what came of them; the exit status
//! is 0 only if every look found what it should.

mod story;
mod uses;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::host::Consent;
use crate::image;
use crate::instance::up::Size;
use crate::scenario::checks;
use crate::scenario::cluster::Cluster;
use story::Story;

const SIZE: Size = Size { nodes: 3, mem_mb: 768, cpus: 1 };
const SEED: u64 = 1;

/// One use: its title, and what happens.
type Use = (&'static str, fn(&mut Story) -> Result<()>);

const USES: &[Use] = &[
    ("Three machines, one cluster: programs move while they run", uses::moves),
    ("A machine is emptied and switched off", uses::drain),
    ("A machine dies without a warning", uses::death),
    ("A build runs on all machines, and one of them dies", uses::build),
];

/// Tells all uses and prints the table.
pub(crate) fn run(dir: &Path, consent: Consent) -> Result<ExitCode> {
    let started = Instant::now();
    image::prepare(consent)?;
    let cluster = Cluster::up(dir, SIZE, SEED)?;
    println!("\nThree nodes are up after {:.0} s.", started.elapsed().as_secs_f64());

    let mut story = Story::new(cluster);
    let mut rows = Vec::new();
    for (title, tell) in USES {
        let began = Instant::now();
        println!("\n== {title}\n");
        let before = story.verified();
        let told = tell(&mut story);
        if let Err(error) = &told {
            println!("  NOT SO: {error:#}");
        }
        rows.push((*title, told.is_ok(), story.verified() - before, began.elapsed()));
    }
    let began = Instant::now();
    let clean = checks::clean(story.cluster());
    if let Err(error) = &clean {
        println!("\n  NOT SO: {error:#}");
    }
    rows.push(("All kernels are clean, the module unloads", clean.is_ok(), 1, began.elapsed()));
    story.into_cluster().down()?;

    println!("\n{:52} {:>8} {:>9} {:>8}", "", "verified", "took", "");
    for (title, good, verified, took) in &rows {
        let word = if *good { "ok" } else { "FAILED" };
        println!("{title:52} {verified:8} {:7.1} s {word:>8}", took.as_secs_f64());
    }
    println!("In all {:.0} s.", started.elapsed().as_secs_f64());
    let good = rows.iter().all(|(_, good, _, _)| *good);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
