//! Builds the tools on the host. What is linked against an older libc runs with a newer one.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::place;
use crate::process;
use crate::ui::Step;

/// Crates whose programs go into guests.
const CRATES: &[&str] = &["holond", "clusterctl"];

/// Crates whose programs test the module from inside a guest.
const TEST_CRATES: &[&str] = &["holon-devtest"];

/// Builds the tools and gives each program's name and path.
pub(crate) fn build() -> Result<Vec<(String, PathBuf)>> {
    let step = Step::start("build the tools");
    let programs = cargo(CRATES)?;
    step.done();
    Ok(programs)
}

/// Builds the programs that test the module and gives each one's name and path.
pub(crate) fn build_tests() -> Result<Vec<(String, PathBuf)>> {
    cargo(TEST_CRATES)
}

fn cargo(crates: &[&str]) -> Result<Vec<(String, PathBuf)>> {
    let mut command = Command::new("cargo");
    command.current_dir(place::repo()).args(["build", "--release", "--quiet"]);
    command.arg("--message-format=json-render-diagnostics");
    for name in crates {
        command.args(["--package", name]);
    }
    let said = process::output(&mut command)?;
    Ok(said.lines().filter_map(program).collect())
}

fn program(line: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    let path = PathBuf::from(message.get("executable")?.as_str()?);
    let name = path.file_name().context("a program has a name").ok()?;
    Some((name.to_string_lossy().into_owned(), path))
}
