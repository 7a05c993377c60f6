//! The guest root, made by mmdebstrap. It is the module's build root as well.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, Context, Result};

use super::mirror;
use crate::place::{self, Key};
use crate::ui::Step;
use crate::{host, process};

/// Counts changes of this file that change the root.
const VERSION: &str = "1";

/// A finished root.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    /// Its folder.
    pub path: PathBuf,
    /// The recipe's name; it does not tell which versions of packages were there at the time.
    pub key: String,
    /// The kernel in it.
    pub kernel: String,
}

/// The root of the present recipe, made if it is not there.
pub(crate) fn ensure() -> Result<Root> {
    let key = key()?;
    let path = place::cache()?.join(format!("root-{key}"));
    let _lock = place::lock("root")?;
    if !path.exists() {
        make(&path)?;
    }
    let kernel = kernel(&path)?;
    Ok(Root { path, key, kernel })
}

/// Removes the root of the present recipe.
pub(crate) fn discard() -> Result<()> {
    let path = place::cache()?.join(format!("root-{}", key()?));
    let _lock = place::lock("root")?;
    remove(&path)
}

fn key() -> Result<String> {
    let recipe = place::recipe();
    let mut key = Key::default();
    key.add(VERSION);
    for name in ["suites.txt", "packages.txt", "packages-backports.txt", "sources.txt"] {
        key.add_tree(&recipe.join(name))?;
    }
    Ok(key.add_tree(&recipe.join("customize.sh"))?.finish())
}

fn make(path: &Path) -> Result<()> {
    host::require_root("making the guest root")?;
    let step = Step::start("make the guest root from packages (once)");
    let recipe = place::recipe();
    let suites = words(&recipe.join("suites.txt"))?;
    let Some(release) = suites.first() else { bail!("suites.txt names no suite") };
    let packages = words(&recipe.join("packages.txt"))?;
    let half_made = path.with_extension("part");
    remove(&half_made)?;

    let mut command = Command::new("mmdebstrap");
    command
        .args(["--quiet", "--variant=minbase", "--mode=root", "--components=main"])
        .args(
            ["man", "doc", "locale", "info"]
                .map(|dir| format!("--dpkgopt=path-exclude=/usr/share/{dir}/*")),
        )
        .arg(format!("--include={}", packages.join(",")))
        .arg(format!(
            "--customize-hook={} \"$1\" {}",
            process::quote(&recipe.join("customize.sh").to_string_lossy()),
            process::quote(&recipe.to_string_lossy())
        ))
        .args([release.as_str()])
        .arg(&half_made)
        .args(sources(&suites));
    let log = place::cache()?.join("root.log");
    let output = process::capture(&mut command)?;
    fs::write(&log, [&output.stdout[..], &output.stderr].concat())?;
    if !output.status.success() {
        bail!("mmdebstrap failed; its output is in {}", log.display());
    }
    kernel(&half_made)?;
    fs::rename(&half_made, path)?;
    step.done();
    Ok(())
}

/// Source lines for the host's mirror. mmdebstrap takes its own default when a line names none.
fn sources(suites: &[String]) -> Vec<String> {
    let Some(mirror) = mirror::of_host() else {
        return Vec::new();
    };
    let binary = suites.iter().map(|suite| format!("deb {mirror} {suite} main"));
    let source = suites.iter().take(1).map(|suite| format!("deb-src {mirror} {suite} main"));
    binary.chain(source).collect()
}

fn words(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or(""));
    Ok(lines.flat_map(str::split_whitespace).map(str::to_owned).collect())
}

fn kernel(root: &Path) -> Result<String> {
    let mut kernels: Vec<String> = fs::read_dir(root.join("boot"))?
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_prefix("vmlinuz-")?.to_owned()))
        .collect();
    kernels.sort();
    kernels.pop().context("the guest root has no kernel")
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
