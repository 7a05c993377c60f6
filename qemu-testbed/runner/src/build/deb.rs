//! Debian packages, put together from files and `dpkg-deb`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// One package.
#[derive(Debug)]
pub(crate) struct Package {
    /// Its name.
    pub name: &'static str,
    /// `Depends`.
    pub depends: String,
    /// `Description`, one line.
    pub summary: &'static str,
    /// Programs and modules: from where, and to where below `/`.
    pub files: Vec<(PathBuf, String)>,
    /// A folder of the tree, if it exists: units (`*.service`, `*.mount`, `*.socket`), maintainer
    /// scripts (`postinst` and so on), and `root/`, a tree to be laid over `/`.
    pub extra: PathBuf,
    /// Shell lines that come before the tree's own `postinst`.
    pub postinst: String,
}

impl Package {
    /// Writes the package into a folder and gives its path.
    pub(crate) fn write(&self, out: &Path) -> Result<PathBuf> {
        let stage = out.join(format!("{}.stage", self.name));
        if stage.exists() {
            fs::remove_dir_all(&stage)?;
        }
        fs::create_dir_all(stage.join("DEBIAN"))?;
        for (from, to) in &self.files {
            install(from, &stage.join(to), if to.ends_with(".ko") { 0o644 } else { 0o755 })?;
        }
        self.add_extra(&stage)?;
        fs::write(stage.join("DEBIAN/control"), self.control())?;

        let path = out.join(format!("{}.deb", self.name));
        let mut command = Command::new("dpkg-deb");
        // Uncompressed: guests unpack under emulation. Always the same bytes for the same files:
        // what guests are started from is found by them.
        command.env("SOURCE_DATE_EPOCH", "1");
        command.args(["--root-owner-group", "-Znone", "--build"]).arg(&stage).arg(&path);
        process::output(&mut command)?;
        fs::remove_dir_all(&stage)?;
        Ok(path)
    }

    fn control(&self) -> String {
        let version = env!("CARGO_PKG_VERSION");
        format!(
            "Package: {}\nVersion: {version}\nArchitecture: amd64\nSection: admin\n\
             Priority: optional\nMaintainer: Holon developers <holon@localhost>\n\
             Depends: {}\nDescription: {}\n",
            self.name, self.depends, self.summary
        )
    }

    fn add_extra(&self, stage: &Path) -> Result<()> {
        let mut postinst = format!("#!/bin/sh\nset -e\n{}\n", self.postinst);
        if self.extra.is_dir() {
            for entry in fs::read_dir(&self.extra)?.flatten() {
                let path = entry.path();
                let name = entry.file_name().to_string_lossy().into_owned();
                match name.as_str() {
                    "postinst" => postinst.push_str(&fs::read_to_string(&path)?),
                    "preinst" | "prerm" | "postrm" | "conffiles" => {
                        install(&path, &stage.join("DEBIAN").join(&name), 0o755)?;
                    }
                    "root" => copy_tree(&path, stage)?,
                    unit if is_unit(unit) => {
                        let to = stage.join("usr/lib/systemd/system").join(unit);
                        install(&path, &to, 0o644)?;
                    }
                    _ => {}
                }
            }
        }
        let script = stage.join("DEBIAN/postinst");
        fs::write(&script, postinst)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }
}

fn is_unit(name: &str) -> bool {
    [".service", ".socket", ".mount", ".target"].iter().any(|suffix| name.ends_with(suffix))
}

fn install(from: &Path, to: &Path, mode: u32) -> Result<()> {
    fs::create_dir_all(to.parent().context("a file in no folder")?)?;
    fs::copy(from, to).with_context(|| format!("copy {}", from.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    process::output(Command::new("cp").arg("-a").arg(from.join(".")).arg(to))?;
    Ok(())
}
