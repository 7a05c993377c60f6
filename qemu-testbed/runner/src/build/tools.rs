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

/// Builds and gives each program's name and path.
pub(crate) fn build() -> Result<Vec<(String, PathBuf)>> {
    let step = Step::start("build the tools");
    let mut command = Command::new("cargo");
    command.current_dir(place::repo()).args(["build", "--release", "--quiet"]);
    command.arg("--message-format=json-render-diagnostics");
    for name in CRATES {
        command.args(["--package", name]);
    }
    let said = process::output(&mut command)?;
    let programs = said.lines().filter_map(program).collect();
    step.done();
    Ok(programs)
}

fn program(line: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    let path = PathBuf::from(message.get("executable")?.as_str()?);
    let name = path.file_name().context("a program has a name").ok()?;
    Some((name.to_string_lossy().into_owned(), path))
}
