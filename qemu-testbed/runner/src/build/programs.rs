//! Builds the small C programs that scenarios run in the guests, each against shared libraries and
//! once more as `NAME-static`, and the C program that tests the module's memory from inside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::place;
use crate::process;

/// Builds what has changed, and gives each program's name and path.
pub(crate) fn build() -> Result<Vec<(String, PathBuf)>> {
    let sources = place::repo().join("qemu-testbed/scenario/programs");
    let out = place::repo().join("target/programs");
    fs::create_dir_all(&out).with_context(|| format!("create {}", out.display()))?;
    let mut programs = Vec::new();
    for entry in fs::read_dir(&sources)?.flatten() {
        let source = entry.path();
        if source.extension().is_none_or(|extension| extension != "c") {
            continue;
        }
        let name = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for (name, flag) in [(name.clone(), "-pthread"), (format!("{name}-static"), "-static")] {
            let program = out.join(&name);
            if is_older(&program, &source) {
                let mut command = Command::new("gcc");
                command.args(["-O2", "-Wall", "-Werror", flag, "-o"]).arg(&program).arg(&source);
                process::output(command.arg("-lm"))?;
            }
            programs.push((name, program));
        }
    }
    programs.extend(memory_tests(&out)?);
    programs.sort();
    Ok(programs)
}

fn memory_tests(out: &Path) -> Result<[(String, PathBuf); 2]> {
    let mut command = Command::new("make");
    command.arg("-s").arg("-C").arg(place::repo().join("kernel-mod/tests/memory"));
    process::output(command.arg(format!("OUT={}", out.display())))?;
    Ok(["memtest", "lodgetest"].map(|name| (name.to_owned(), out.join(name))))
}

fn is_older(program: &Path, source: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    match (modified(program), modified(source)) {
        (Some(program), Some(source)) => program < source,
        _ => true,
    }
}
