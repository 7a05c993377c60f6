//! `cargo testbed test`: checks and tests on the host (`host`), then stories on guests (`guests`).
//! The last line says how many passed and how many failed.

mod guests;
mod host;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{bail, Result};

use crate::host::Consent;
use crate::image;

/// What came out so far.
#[derive(Debug, Default)]
struct Tally {
    passed: usize,
    failed: usize,
    /// Names of what failed, to be said again at the end.
    failures: Vec<String>,
}

impl Tally {
    /// Counts one test that ran just now.
    fn note(&mut self, name: &str, started: Instant, result: Result<()>) {
        let seconds = started.elapsed().as_secs_f64();
        match result {
            Ok(()) => {
                self.passed += 1;
                println!("test {name} ... ok ({seconds:.1} s)");
            }
            Err(error) => {
                self.failed += 1;
                self.failures.push(name.to_owned());
                println!("test {name} ... FAILED ({seconds:.1} s)\n{error:#}");
            }
        }
    }
}

/// Runs the tests whose names begin with one of `names`; without a name, what CI runs.
pub(crate) fn run(dir: &Path, names: &[String], consent: Consent) -> Result<ExitCode> {
    for name in names {
        if !all_names().iter().any(|known| known.starts_with(name.as_str())) {
            bail!("there is no test {name}; these are: {}", all_names().join(" "));
        }
    }
    let wanted = |name: &str| match names {
        [] => true,
        names => names.iter().any(|wanted| name.starts_with(wanted.as_str())),
    };
    let mut tally = Tally::default();
    host::run(&mut tally, wanted)?;
    if guests::names().any(wanted) {
        image::prepare(consent)?;
        guests::run(&mut tally, dir, wanted)?;
    }
    for name in &tally.failures {
        println!("failed: {name}");
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All names, in the order in which they run.
pub(crate) fn all_names() -> Vec<&'static str> {
    host::NAMES.iter().copied().chain(guests::names()).collect()
}
