//! What the host must have, and its installation from the host's own distribution.

use std::io::{self, BufRead, Write};
use std::path::Path;
use std::process::Command;

use anyhow::{bail, ensure, Result};

use crate::process;

/// A program that the testbed runs, and Debian's package that has it.
const PROGRAMS: &[(&str, &str)] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("qemu-img", "qemu-utils"),
    ("mmdebstrap", "mmdebstrap"),
    ("mke2fs", "e2fsprogs"),
    ("ssh", "openssh-client"),
    ("xz", "xz-utils"),
    ("dpkg-deb", "dpkg"),
    ("gcc", "gcc"),
    ("make", "make"),
    ("unshare", "util-linux"),
    ("mount", "mount"),
];

/// Files that are needed besides, and their packages.
const FILES: &[(&str, &str)] = &[
    ("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring"),
    ("/usr/share/seabios/bios-256k.bin", "seabios"),
];

/// Whether the person at the terminal has to be asked before packages are installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consent {
    /// Ask first.
    Ask,
    /// `--yes` was given.
    Given,
}

/// How often packages are installed until nothing is missing. One may remove another one that is
/// needed: Debian's qemu-system-data removes a qemu-utils from the backports, which is newer.
const INSTALLS_MAX: usize = 3;

/// Installs what is missing.
pub(crate) fn prepare(consent: Consent) -> Result<()> {
    until_none(missing, |packages| install(packages, consent))
}

fn until_none(
    missing: impl Fn() -> Vec<&'static str>,
    install: impl Fn(&[&str]) -> Result<()>,
) -> Result<()> {
    for _ in 0..INSTALLS_MAX {
        let missing = missing();
        if missing.is_empty() {
            return Ok(());
        }
        install(&missing)?;
    }
    let missing = missing();
    ensure!(missing.is_empty(), "still missing after apt-get install: {}", missing.join(" "));
    Ok(())
}

fn install(missing: &[&str], consent: Consent) -> Result<()> {
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("install these first (this host has no apt-get): {}", missing.join(" "));
    }
    println!("The testbed needs these packages: {}", missing.join(" "));
    if consent == Consent::Ask && !ask("Install them with apt-get?")? {
        bail!("not installed; say --yes, or install them yourself");
    }
    apt_get(&["update", "-q"])?;
    let install = ["install", "-q", "-y", "--no-install-recommends"];
    apt_get(&[&install[..], missing].concat())
}

fn missing() -> Vec<&'static str> {
    let programs = PROGRAMS.iter().filter(|(program, _)| !has_program(program));
    let files = FILES.iter().filter(|(file, _)| !Path::new(file).exists());
    programs.chain(files).map(|(_, package)| *package).collect()
}

/// Whether a program is on the path.
pub(crate) fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|dir| dir.join(name).is_file())
}

/// Fails unless we are root, which the chroot and file ownership in the image need.
pub(crate) fn require_root(what: &str) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("{what} needs root: run `cargo testbed prepare` once as root");
    }
    Ok(())
}

fn apt_get(args: &[&str]) -> Result<()> {
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new("apt-get")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg("apt-get");
        sudo
    };
    process::run(command.args(args).env("DEBIAN_FRONTEND", "noninteractive"))
}

fn ask(question: &str) -> Result<bool> {
    print!("{question} [y/N] ");
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn installs_what_installing_removed() {
        let has = RefCell::new(vec!["new"]);
        let missing = || {
            let has = has.borrow();
            ["old", "new"].into_iter().filter(|package| !has.contains(package)).collect()
        };
        // The first of them removes the other one.
        let install = |packages: &[&str]| {
            let mut has = has.borrow_mut();
            *has = if packages.contains(&"old") { vec!["old"] } else { vec!["old", "new"] };
            Ok(())
        };
        until_none(missing, install).expect("installed");
        assert_eq!(*has.borrow(), ["old", "new"]);
        assert!(until_none(missing, |_| Ok(())).is_ok(), "nothing to do");
        *has.borrow_mut() = vec![];
        assert!(until_none(missing, |_| Ok(())).is_err(), "said to be installed, and is not");
    }
}
