//! What needs no guest: form, lints, layers, unit tests and simulations.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{bail, Context, Result};

use super::Tally;
use crate::place;
use crate::process;

/// In the order in which they run.
pub(super) const NAMES: &[&str] = &["format", "lint", "tidy", "unit"];

/// Runs those that are wanted.
pub(super) fn run(tally: &mut Tally, wanted: impl Fn(&str) -> bool) -> Result<()> {
    for name in NAMES.iter().filter(|name| wanted(name)) {
        let started = Instant::now();
        match *name {
            "format" => tally.note(name, started, cargo(&["fmt", "--all", "--check"])),
            "lint" => tally.note(name, started, lint()),
            "tidy" => tally.note(name, started, cargo(&["xtask", "check"])),
            _ => unit(tally, started)?,
        }
    }
    Ok(())
}

fn lint() -> Result<()> {
    cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

fn cargo(args: &[&str]) -> Result<()> {
    process::run(Command::new("cargo").current_dir(place::repo()).args(args))
}

/// Every test of the workspace counts by itself.
fn unit(tally: &mut Tally, started: Instant) -> Result<()> {
    let mut command = Command::new("cargo");
    command.current_dir(place::repo()).args(["test", "--workspace", "--no-fail-fast"]);
    let mut child = command.stdout(Stdio::piped()).spawn().context("run cargo")?;
    let stdout = child.stdout.take().context("no pipe")?;
    let (mut passed, mut failed) = (0, 0);
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        if let Some((ok, bad)) = summary(&line) {
            passed += ok;
            failed += bad;
        }
        if let Some(name) = line.strip_prefix("test ").and_then(|l| l.strip_suffix(" ... FAILED")) {
            tally.failures.push(name.to_owned());
        }
        println!("{line}");
    }
    let status = child.wait()?;
    tally.passed += passed;
    tally.failed += failed;
    if !status.success() && failed == 0 {
        // It did not even build.
        let outcome = (|| bail!("cargo test: {status}"))();
        tally.note("unit", started, outcome);
    }
    Ok(())
}

/// Reads `test result: ok. 12 passed; 0 failed; …`.
fn summary(line: &str) -> Option<(usize, usize)> {
    let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let number = |word: &str| -> Option<usize> {
        let part = counts.split("; ").find(|part| part.ends_with(word))?;
        part.split(' ').next()?.parse().ok()
    };
    Some((number("passed")?, number("failed")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_summaries() {
        let line = "test result: ok. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out";
        assert_eq!(summary(line), Some((12, 3)));
        assert_eq!(summary("test a ... ok"), None);
    }
}
