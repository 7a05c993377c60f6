//! The other homes' trees, mounted once per home in the daemon's own mount namespace.
//!
//! Jobs' views are bind mounts of these. So a view is quick to make, and quick to end when its home
//! has died: the last user of an NFS mount talks to the server once more, and that is then a thread
//! of ours that nobody waits for, not a job's init.

use crate::node::Node;
use crate::tasks;
use anyhow::{bail, Context, Result};
use nix::mount::{mount, umount2, MntFlags, MsFlags};
use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const DIR: &str = "/run/holon/home";
/// Tenths of a second before an NFS request is sent again, at timescale 1.
const TIMEO: u32 = 50;
const TIMEO_MAX: u32 = 600;
/// How often calls that wait for a dead home are ended, while its jobs' processes go.
const FORCE_TIME: Duration = Duration::from_millis(500);
/// Made by each node for itself.
const LOCAL_DIRS: [&str; 4] = ["proc", "sys", "dev", "run"];

type Slot = Arc<Mutex<Option<Arc<Home>>>>;

/// A mounted home.
pub(crate) struct Home {
    /// Where.
    pub(crate) path: PathBuf,
    /// Directories of file systems mounted below it: open, so that they stay mounted.
    below: Vec<(PathBuf, File)>,
}

impl Home {
    /// Ends what waits for the server, with EIO. What is still in use stays mounted.
    fn force(&self) {
        for path in self.below.iter().map(|(path, _)| path).chain([&self.path]) {
            // EBUSY is the usual answer, given after the waiting calls were ended.
            let _ = umount2(path, MntFlags::MNT_FORCE);
        }
    }
}

/// All of them.
#[derive(Default)]
pub(crate) struct Homes {
    slots: Mutex<HashMap<u32, Slot>>,
    count: AtomicU64,
}

/// Gives the daemon a mount namespace of its own; before it has threads.
pub(crate) fn unshare() -> Result<()> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).context("no mount namespace")?;
    let flags = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).context("slave mounts")
}

/// Options of a home's mount.
///
/// - `sync`: a `write` is at the home's server when it returns, so that whoever looks there sees
///   it, and a move leaves nothing behind on the old node. (The server itself answers from memory.)
/// - `lookupcache=positive`, `actimeo=1`: files that others made are found at once, and attributes
///   are at most a second old; an open asks the server anyway (close-to-open).
/// - `softerr`: when the home is dead a call fails with ETIMEDOUT after some time-outs. The bodies
///   are killed by the module long before.
fn options(node: &Node, server: &str) -> String {
    let timeo = TIMEO.saturating_mul(node.config.timescale).min(TIMEO_MAX);
    let client = node.config.own_node().addr.ip();
    format!(
        "vers=4.2,proto=tcp,sec=sys,softerr,timeo={timeo},retrans=2,lookupcache=positive,\
         actimeo=1,addr={server},clientaddr={client}"
    )
}

impl Homes {
    /// The mounted tree of a home.
    pub(crate) fn get(&self, node: &Node, slot: u32) -> Result<Arc<Home>> {
        let place = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.entry(slot).or_default().clone()
        };
        let mut home = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(home) = &*home {
            return Ok(home.clone());
        }
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let made = Arc::new(make(node, slot, number)?);
        let is_current = {
            let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.get(&slot).is_some_and(|current| Arc::ptr_eq(current, &place))
        };
        if !is_current {
            // It died meanwhile, and whoever clears up may have been here already.
            unmount(made);
            bail!("{} went down", node.config.name(slot));
        }
        *home = Some(made.clone());
        Ok(made)
    }

    /// A home is dead: unmounts it once `free` says that its views are gone. Never waited for.
    pub(crate) fn drop_home(&self, slot: u32, free: impl FnOnce() + Send + 'static) {
        let place = self.slots.lock().unwrap_or_else(PoisonError::into_inner).remove(&slot);
        let freed = Arc::new(AtomicBool::new(false));
        let told = freed.clone();
        tasks::spawn(move || {
            free();
            told.store(true, Ordering::Release);
        });
        tasks::spawn(move || {
            // Whoever is just mounting it has the lock, until NFS gives up: minutes.
            let home = place.and_then(|p| p.lock().unwrap_or_else(PoisonError::into_inner).take());
            let Some(home) = home else { return };
            while !freed.load(Ordering::Acquire) {
                home.force();
                std::thread::sleep(FORCE_TIME);
            }
            unmount(home);
        });
    }
}

fn unmount(home: Arc<Home>) {
    let path = home.path.clone();
    drop(home);
    if let Err(errno) = umount2(&path, MntFlags::MNT_DETACH) {
        log::warn!("can't unmount {}: {errno}", path.display());
    }
    let _ = fs::remove_dir(path);
}

fn make(node: &Node, slot: u32, number: u64) -> Result<Home> {
    let config = node.config.node(slot).context("the job's home is no node")?;
    let path = Path::new(DIR).join(format!("{}.{number}", config.name));
    fs::create_dir_all(&path).with_context(|| format!("can't make {}", path.display()))?;
    let server = config.addr.ip().to_string();
    let source = format!("{server}:/");
    let data = options(node, &server);
    let flags = MsFlags::MS_SYNCHRONOUS;
    mount(Some(source.as_str()), &path, Some("nfs4"), flags, Some(data.as_str()))
        .with_context(|| format!("can't mount the home's root {source}"))?;
    let below = open_below(&path);
    Ok(Home { path, below })
}

/// Opens what the home has mounted at its root's directories, such as a `/tmp` in memory.
fn open_below(root: &Path) -> Vec<(PathBuf, File)> {
    let Ok(own) = fs::metadata(root) else {
        return Vec::new();
    };
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    entries
        .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
        .filter(|e| !LOCAL_DIRS.iter().any(|name| e.file_name() == *name))
        .filter_map(|e| Some((e.path(), File::open(e.path()).ok()?)))
        .filter(|(_, f)| f.metadata().is_ok_and(|m| m.dev() != own.dev()))
        .collect()
}
