//! `cargo testbed bench`: measures in the guests, beside a peer in the same guests, and prints
//! ratios. Absolute numbers under emulation mean little; ratios of like with like mean something.

mod migrate;
mod paging;
mod report;
mod transport;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{bail, Result};

use crate::host::Consent;
use crate::image;
use crate::instance::up::Size;
use crate::scenario::cluster::Cluster;
use report::Report;

/// CRIU keeps the image in memory beside the process.
const SIZE: Size = Size { nodes: 2, mem_mb: 1536, cpus: 1 };
const SEED: u64 = 1;

/// A benchmark's name, and what runs it. What it can't measure it reports as missing; an error is
/// the cluster's.
type Bench = (&'static str, fn(&mut Cluster, &mut Report) -> Result<()>);

const ALL: &[Bench] = &[
    ("migrate", migrate::run),
    ("paging-faults", paging::faults),
    ("paging-programs", paging::programs),
    ("paging-lender", paging::lender),
    ("transport", transport::run),
];

/// All names.
pub(crate) fn names() -> Vec<&'static str> {
    ALL.iter().map(|(name, _)| *name).collect()
}

/// Runs those that are named, by the start of their names, or all.
pub(crate) fn run(dir: &Path, wanted: &[String], consent: Consent) -> Result<ExitCode> {
    let is_meant = |word: &String, name: &str| name.starts_with(word.as_str());
    if let Some(word) = wanted.iter().find(|word| !names().iter().any(|name| is_meant(word, name)))
    {
        bail!("there is no benchmark {word}; these are: {}", names().join(" "));
    }
    image::prepare(consent)?;
    let mut cluster = Cluster::up(dir, SIZE, SEED)?;
    let mut report = Report::default();
    for (name, run) in ALL {
        if wanted.is_empty() || wanted.iter().any(|word| is_meant(word, name)) {
            println!("\n== {name}");
            let began = Instant::now();
            if let Err(error) = run(&mut cluster, &mut report) {
                report.missing(name, &error);
            }
            println!("({name} took {:.0} s)", began.elapsed().as_secs_f64());
        }
    }
    cluster.down()?;
    Ok(report.finish())
}
