//! The job's file tree on this node.
//!
//! At home: the node's own root, with the job's `/proc`. Elsewhere (view `home`): the home's root
//! by NFSv4.2, with `/proc`, `/sys`, `/dev` and `/run` made here.

use super::proto::ViewConfig;
use anyhow::{Context, Result};
use nix::mount::{mount, umount2, MntFlags, MsFlags};
use nix::unistd::{chdir, pivot_root};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

/// Where the new root is mounted before it becomes the root; `holond` makes the directory.
pub(crate) const STAGE: &str = "/run/holon/view";

const NONE: Option<&str> = None;

/// Builds the view in the caller's own mount namespace.
pub(super) fn build(view: Option<&ViewConfig>) -> Result<()> {
    // What the host mounts later is seen; what the job mounts is not.
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_SLAVE, NONE).context("slave mounts")?;
    match view {
        None => proc_at(Path::new("/proc")),
        Some(view) => elsewhere(view),
    }
}

fn quiet() -> MsFlags {
    MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC
}

fn proc_at(path: &Path) -> Result<()> {
    mount(Some("proc"), path, Some("proc"), quiet(), NONE).context("can't mount /proc")
}

fn elsewhere(view: &ViewConfig) -> Result<()> {
    let root = Path::new(STAGE);
    mount(Some(&view.tree), root, NONE, MsFlags::MS_BIND, NONE)
        .with_context(|| format!("can't bind {}", view.tree.display()))?;
    proc_at(&root.join("proc"))?;
    mount(Some("/sys"), &root.join("sys"), NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)
        .context("can't bind /sys")?;
    mount(Some("tmpfs"), &root.join("run"), Some("tmpfs"), quiet(), Some("mode=755,size=16m"))
        .context("can't mount /run")?;
    devices(&root.join("dev"))?;
    chdir(root).context("chdir")?;
    pivot_root(".", ".").context("pivot_root")?;
    umount2(".", MntFlags::MNT_DETACH).context("can't leave the old root")?;
    chdir("/").context("chdir /")
}

fn devices(dev: &Path) -> Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), dev, Some("tmpfs"), flags, Some("mode=755,size=64k"))
        .context("can't mount /dev")?;
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let node = dev.join(name);
        File::create(&node).with_context(|| format!("can't make /dev/{name}"))?;
        let own = Path::new("/dev").join(name);
        mount(Some(&own), &node, NONE, MsFlags::MS_BIND, NONE)
            .with_context(|| format!("can't bind /dev/{name}"))?;
    }
    let links = [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ];
    for (name, target) in links {
        symlink(target, dev.join(name)).with_context(|| format!("can't link /dev/{name}"))?;
    }
    let mounts = [
        ("pts", "devpts", "newinstance,ptmxmode=0666,mode=620,gid=5"),
        ("shm", "tmpfs", "mode=1777"),
        ("mqueue", "mqueue", ""),
    ];
    for (name, kind, data) in mounts {
        let at = dev.join(name);
        fs::create_dir(&at).with_context(|| format!("can't make /dev/{name}"))?;
        mount(Some(kind), &at, Some(kind), flags, Some(data))
            .with_context(|| format!("can't mount /dev/{name}"))?;
    }
    Ok(())
}
