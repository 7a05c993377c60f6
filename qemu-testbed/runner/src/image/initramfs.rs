//! A small initramfs: busybox, the modules for the root disk, and an init of our own. The
//! distribution's would take most of the boot time under emulation.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;
use std::process::Command;

use anyhow::{bail, Context, Result};

use super::cpio::Archive;
use super::root::Root;
use crate::place;

/// What finds and mounts the root disk; what these depend on is added.
const MODULES: &[&str] = &["virtio_pci", "virtio_blk", "ext4"];

/// Writes the initramfs for a root.
pub(crate) fn write(root: &Root, path: &Path) -> Result<()> {
    let library = root.path.join("usr/lib/modules").join(&root.kernel);
    let modules = load_order(&fs::read_to_string(library.join("modules.dep"))?);
    let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
    let mut archive = Archive::new(BufWriter::new(file));
    for dir in ["bin", "dev", "modules", "proc", "root"] {
        archive.directory(dir)?;
    }
    archive.device("dev/console", 5, 1)?;
    let busybox = root.path.join("usr/bin/busybox");
    archive.file("bin/busybox", &fs::read(&busybox).context("busybox-static in the root")?)?;
    archive.file("init", &fs::read(place::recipe().join("init"))?)?;
    let mut order = String::new();
    for module in &modules {
        let name = name(module);
        archive.file(&format!("modules/{name}.ko"), &read_module(&library.join(module))?)?;
        order.push_str(&format!("{name}.ko\n"));
    }
    archive.file("modules/order", order.as_bytes())?;
    archive.finish()?;
    Ok(())
}

/// The files to load, dependencies first. What is not listed is built in.
fn load_order(modules_dep: &str) -> Vec<String> {
    let depends: HashMap<String, (&str, Vec<&str>)> = modules_dep
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(path, needs)| (name(path), (path, needs.split_whitespace().collect())))
        .collect();
    let mut order: Vec<String> = Vec::new();
    for module in MODULES {
        let Some((path, needs)) = depends.get(*module) else {
            continue;
        };
        // modules.dep lists what to load last first.
        for file in needs.iter().rev().chain([path]) {
            if !order.iter().any(|known| known == file) {
                order.push((*file).to_owned());
            }
        }
    }
    order
}

fn name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

fn read_module(path: &Path) -> Result<Vec<u8>> {
    let unpack = match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => return fs::read(path).with_context(|| path.display().to_string()),
    };
    let output = Command::new(unpack).arg("-dc").arg(path).output()?;
    if !output.status.success() {
        bail!("{unpack} -dc {}: {}", path.display(), output.status);
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_come_first_and_once() {
        let dep = "kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.xz kernel/lib/crc16.ko.xz\n\
                   kernel/drivers/block/virtio_blk.ko.xz: kernel/drivers/virtio/virtio.ko.xz\n\
                   kernel/drivers/virtio/virtio_pci.ko.xz: kernel/drivers/virtio/virtio.ko.xz\n";
        let order: Vec<_> = load_order(dep).iter().map(|path| name(path)).collect();
        assert_eq!(order, ["virtio", "virtio_pci", "virtio_blk", "crc16", "jbd2", "ext4"]);
    }
}
