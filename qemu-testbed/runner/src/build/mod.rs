//! Builds the module (`module`, in the guest root) and the tools (`tools`, on the host), and packs
//! them (`deb`) for the guests.

mod deb;
mod module;
mod programs;
mod tools;

use std::fs;
use std::path::PathBuf;
use std::thread;

use anyhow::{anyhow, Context, Result};
use module::Variant;

use crate::image::disk::{self, Image};
use crate::place;

/// The packages to install in a guest.
pub(crate) fn packages(image: &Image) -> Result<Vec<PathBuf>> {
    let _lock = place::lock("build")?;
    // The module's last step keeps one processor busy.
    let (module, host_side) = thread::scope(|scope| {
        let host_side = scope.spawn(host_side);
        let module = module::build(&image.root, Variant::Shipped);
        let host_side = host_side.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked")));
        (module, host_side)
    });
    let mut packages = vec![module_package(module?, &image.root.kernel)];
    packages.extend(host_side?);
    let out = packages_dir();
    fs::create_dir_all(&out).with_context(|| format!("create {}", out.display()))?;
    packages.iter().map(|package| package.write(&out)).collect()
}

/// What the host's own compilers make.
fn host_side() -> Result<Vec<deb::Package>> {
    let mut packages = Vec::from(tool_packages(&tools::build()?));
    let mut programs = programs::build()?;
    programs.extend(tools::build_tests()?);
    packages.push(program_package(&programs));
    Ok(packages)
}

/// The module with its self-tests, for the one scenario that wants it.
pub(crate) fn selftest_module() -> Result<PathBuf> {
    let _lock = place::lock("build")?;
    module::build(&disk::ensure()?.root, Variant::SelfTest)
}

/// The packages of the last build, as they are.
pub(crate) fn last() -> Result<Vec<PathBuf>> {
    let dir = packages_dir();
    let entries = fs::read_dir(&dir).with_context(|| dir.display().to_string())?;
    let mut packages: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    packages.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
    packages.sort();
    Ok(packages)
}

fn packages_dir() -> PathBuf {
    place::repo().join("target/packages")
}

fn program_package(programs: &[(String, PathBuf)]) -> deb::Package {
    deb::Package {
        name: "holon-testbed",
        depends: "libc6".into(),
        summary: "Programs that Holon's scenarios run",
        files: programs.iter().map(|program| into_dir(program, "usr/lib/holon-testbed")).collect(),
        extra: place::recipe().join("pkg"),
        postinst: String::new(),
    }
}

/// Brings the module into the kernel's index, unless it is there and needs no other: the index
/// takes half of the time that installing takes under emulation, so the image has it made ahead.
const INDEX: &str = "\
if ! modinfo -k KERNEL holon >/dev/null 2>&1 || [ -n \"$(modinfo -k KERNEL -F depends holon)\" ]
then depmod KERNEL; fi";

fn module_package(module: PathBuf, kernel: &str) -> deb::Package {
    deb::Package {
        name: "holon-module",
        depends: format!("linux-image-{kernel}, kmod"),
        summary: "Single-system-image kernel module",
        files: vec![(module, format!("usr/lib/modules/{kernel}/updates/holon.ko"))],
        extra: place::repo().join("kernel-mod/pkg"),
        postinst: INDEX.replace("KERNEL", kernel),
    }
}

const DAEMON_DEPENDS: &str = "holon-module, iproute2, libc6, nfs-common, nfs-kernel-server, \
                              systemd, wireguard-tools";

fn tool_packages(tools: &[(String, PathBuf)]) -> [deb::Package; 2] {
    let extra = |name: &str| place::repo().join("tools").join(name).join("pkg");
    let (ctl, daemon): (Vec<_>, Vec<_>) = tools.iter().partition(|(name, _)| name == "clusterctl");
    [
        deb::Package {
            name: "holond",
            depends: DAEMON_DEPENDS.into(),
            summary: "Agent of a Holon node",
            files: daemon.into_iter().map(daemon_file).collect(),
            extra: extra("holond"),
            postinst: String::new(),
        },
        deb::Package {
            name: "clusterctl",
            depends: "libc6".into(),
            summary: "Command line of a Holon cluster",
            files: ctl.into_iter().map(|tool| into_dir(tool, "usr/bin")).collect(),
            extra: extra("clusterctl"),
            postinst: String::new(),
        },
    ]
}

/// The daemon itself, and its helpers that nobody calls by hand.
fn daemon_file(tool: &(String, PathBuf)) -> (PathBuf, String) {
    into_dir(tool, if tool.0 == "holond" { "usr/sbin" } else { "usr/libexec/holon" })
}

fn into_dir((name, path): &(String, PathBuf), dir: &str) -> (PathBuf, String) {
    (path.clone(), format!("{dir}/{name}"))
}
