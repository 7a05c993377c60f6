//! Builds the module in the guest root, where its kernel's headers and the distribution's Rust
//! are. Nothing is fetched there: crates are vendored on the host beforehand.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{bail, ensure, Context, Result};

use crate::host;
use crate::image::root::Root;
use crate::place::{self, Key};
use crate::process;
use crate::ui::Step;

/// How much of a failed build's output is shown; the rest is in its log.
const SHOWN_LINES: usize = 60;

/// What the module is built from.
const SOURCES: &[&str] =
    &["Cargo.toml", "kernel-mod", "netproto", "vm-remote", "ckpt", "sched-migrate"];

/// Begin of the folders in the cache that keep a module each, and how many of them there are.
const KEPT: &str = "module-";
const KEPT_MOST: usize = 8;
const MODULE: &str = "holon.ko";

/// Which module.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Variant {
    /// What users get.
    Shipped,
    /// With calls by which `memtest` drives single areas.
    SelfTest,
}

impl Variant {
    fn step(self) -> &'static str {
        match self {
            Self::Shipped => "build the module",
            Self::SelfTest => "build the module with its self-tests",
        }
    }

    /// Where below the kernel's output folder it goes.
    fn dir(self) -> &'static str {
        match self {
            Self::Shipped => "shipped",
            Self::SelfTest => "selftest",
        }
    }

    /// Cargo's features.
    fn features(self) -> &'static str {
        match self {
            Self::Shipped => "",
            Self::SelfTest => "selftest",
        }
    }
}

/// Builds and gives the path of `holon.ko`, which the cache keeps by all that it was made of.
pub(crate) fn build(root: &Root, variant: Variant) -> Result<PathBuf> {
    let key = key_of(root, variant)?;
    let kept = place::cache()?.join(format!("{KEPT}{key}"));
    if !kept.exists() {
        prune()?;
        let out = place::repo().join("target/module").join(&root.kernel);
        make(root, variant, &out)?;
        ensure!(key == key_of(root, variant)?, "the module's sources changed while it was built");
        let part = kept.with_extension("part");
        fs::create_dir_all(&part)?;
        fs::copy(out.join(variant.dir()).join(MODULE), part.join(MODULE))?;
        fs::rename(&part, &kept)?;
    }
    // Those that were used least recently go first.
    File::open(&kept)?.set_modified(SystemTime::now())?;
    Ok(kept.join(MODULE))
}

/// Sources, how they are built, and what with: every package of the root with its version.
fn key_of(root: &Root, variant: Variant) -> Result<String> {
    let mut key = Key::default();
    key.add(&root.key).add_tree(&root.path.join("var/lib/dpkg/status"))?;
    key.add(INSIDE).add(variant.features());
    for source in SOURCES.iter().map(|name| place::repo().join(name)).filter(|path| path.exists()) {
        key.add_tree(&source)?;
    }
    Ok(key.finish())
}

/// Makes room for one more.
fn prune() -> Result<()> {
    let mut known = Vec::new();
    for entry in fs::read_dir(place::cache()?)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(KEPT) {
            known.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    known.sort();
    let surplus = known.len().saturating_sub(KEPT_MOST - 1);
    for (_, dir) in known.into_iter().take(surplus) {
        fs::remove_dir_all(dir)?;
    }
    Ok(())
}

fn make(root: &Root, variant: Variant, out: &Path) -> Result<()> {
    host::require_root("building the module in the guest root")?;
    let step = Step::start(variant.step());
    let vendor = vendor(root)?;
    let dir = out.join(variant.dir());
    fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    let log = dir.join("build.log");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "--propagation", "private", "sh", "-euc", INSIDE, "sh"]);
    command.arg(&root.path).arg(place::repo()).arg(out).arg(&vendor).arg(&root.kernel);
    command.arg(variant.dir()).arg(variant.features());
    command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let file = File::create(&log)?;
    command.stdout(file.try_clone()?).stderr(file);
    let status = command.status().context("run unshare")?;
    if !status.success() {
        let text = fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
        bail!("{tail}\nthe module does not build; all of the output is in {}", log.display());
    }
    step.done();
    Ok(())
}

/// What runs in a mount namespace of its own: root, repository, output, crates, kernel, variant and
/// its features. The repository is read-only, and there is no network. The variants share what
/// cargo has built.
const INSIDE: &str = r#"
mkdir -p "$1/src" "$1/out" "$1/vendor"
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount --rbind "$2" "$1/src"
mount -o remount,bind,ro "$1/src"
mount --bind "$3" "$1/out"
mount --bind "$4" "$1/vendor"
exec chroot "$1" /usr/bin/env HOME=/root CARGO_HOME=/out/cargo-home LC_ALL=C \
    make -j"$(nproc)" -C /src/kernel-mod "KDIR=/usr/src/linux-headers-$5" "OUT=/out/$6" \
    VENDOR=/vendor CARGO_TARGET=/out/cargo "FEATURES=$7"
"#;

/// All crates of the module, and of the toolchain's own library, at the versions that the root
/// has: `core` and `alloc` are built for the kernel.
fn vendor(root: &Root) -> Result<PathBuf> {
    let manifest = place::repo().join("kernel-mod/Cargo.toml");
    let library = library(&root.path)?;
    let mut key = Key::default();
    key.add_tree(&manifest.with_file_name("Cargo.lock"))?;
    key.add(fs::read(library.join("Cargo.lock"))?);
    let dir = place::cache()?.join(format!("vendor-{}", key.finish()));
    let _lock = place::lock("vendor")?;
    if !dir.exists() {
        let part = dir.with_extension("part");
        if part.exists() {
            fs::remove_dir_all(&part)?;
        }
        let mut command = Command::new("cargo");
        // The library's manifest uses features that only its own toolchain may.
        command.env("RUSTC_BOOTSTRAP", "1").args(["vendor", "-q", "--locked", "--manifest-path"]);
        command.arg(&manifest).arg("-s").arg(library.join("Cargo.toml")).arg(&part);
        process::output(&mut command)?;
        fs::rename(&part, &dir)?;
    }
    Ok(dir)
}

/// Where rust-src keeps the library's workspace.
fn library(root: &Path) -> Result<PathBuf> {
    let sources = root.join("usr/src");
    let found = fs::read_dir(&sources)?.flatten().map(|entry| entry.path().join("library"));
    let mut found: Vec<_> = found.filter(|path| path.join("Cargo.lock").exists()).collect();
    found.sort();
    found.pop().with_context(|| format!("no rust-src in {}", sources.display()))
}
