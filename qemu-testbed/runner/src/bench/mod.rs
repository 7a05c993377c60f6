//! `cargo testbed bench`: measures in the guests, beside a peer in the same guests, and prints
//! ratios. Absolute numbers under emulation mean little; ratios of like with like mean something.

mod migrate;
mod paging;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{bail, Result};

use crate::host::Consent;
use crate::image;
use crate::instance::up::Size;
use crate::scenario::cluster::Cluster;

/// CRIU keeps the image in memory beside the process.
const SIZE: Size = Size { nodes: 2, mem_mb: 1536, cpus: 1 };
const SEED: u64 = 1;

/// A benchmark's name, and what runs it.
type Bench = (&'static str, fn(&mut Cluster) -> Result<Vec<Bar>>);

const ALL: &[Bench] = &[("migrate", migrate::run), ("paging", paging::run)];

/// A ratio and what it may be at most.
struct Bar {
    what: String,
    ratio: f64,
    at_most: f64,
}

/// All names.
pub(crate) fn names() -> Vec<&'static str> {
    ALL.iter().map(|(name, _)| *name).collect()
}

/// Runs those named, or all.
pub(crate) fn run(dir: &Path, wanted: &[String], consent: Consent) -> Result<ExitCode> {
    if let Some(name) = wanted.iter().find(|name| !names().contains(&name.as_str())) {
        bail!("there is no benchmark {name}; these are: {}", names().join(" "));
    }
    image::prepare(consent)?;
    let mut cluster = Cluster::up(dir, SIZE, SEED)?;
    let mut bars = Vec::new();
    for (name, run) in ALL {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            println!("\n== {name}\n");
            bars.extend(run(&mut cluster)?);
        }
    }
    cluster.down()?;

    println!("\n{:60} {:>8} {:>8}", "ratio", "is", "at most");
    let mut good = true;
    for bar in &bars {
        let kept = bar.ratio <= bar.at_most;
        good &= kept;
        let word = if kept { "" } else { "  MISSED" };
        println!("{:60} {:8.3} {:8.3}{word}", bar.what, bar.ratio, bar.at_most);
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The middle one.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
