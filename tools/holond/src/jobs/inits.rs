//! This node's job inits: making them, talking to them, finding them again after a restart.

use super::handle::{InitHandle, InitNews};
use crate::cgroup::{self, Instance};
use crate::init::proto::InitConfig;
use anyhow::{bail, Context, Result};
use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const DIR: &str = "/run/holon/jobs";

/// Where a job's init listens.
pub(crate) fn socket_path(instance: Instance) -> PathBuf {
    PathBuf::from(DIR).join(format!("{instance}.sock"))
}

fn pid_path(instance: Instance) -> PathBuf {
    PathBuf::from(DIR).join(format!("{instance}.pid"))
}

/// A job's place: its init, and whose turn it is to make or end one.
#[derive(Default)]
pub(crate) struct Slot {
    turn: Mutex<()>,
    init: Mutex<Option<Arc<InitHandle>>>,
}

impl Slot {
    /// The init that is here.
    pub(crate) fn get(&self) -> Option<Arc<InitHandle>> {
        self.init.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is here from now on. For whose turn it is.
    pub(crate) fn set(&self, init: Option<Arc<InitHandle>>) {
        *self.init.lock().unwrap_or_else(PoisonError::into_inner) = init;
    }
}

/// All job inits of this node. At most one per job: who makes or ends one waits for its turn.
#[derive(Default)]
pub(crate) struct Inits {
    slots: Mutex<HashMap<u32, Arc<Slot>>>,
}

impl Inits {
    /// The job's init, if it has one here. Waits for nobody's turn: to make one may take as long as
    /// the mount of a home that has died.
    pub(crate) fn get(&self, job: u32) -> Option<Arc<InitHandle>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).get(&job)?.get()
    }

    /// The job's init; `make` makes it if there is none.
    pub(crate) fn get_or_make(
        &self,
        job: u32,
        make: impl FnOnce() -> Result<Arc<InitHandle>>,
    ) -> Result<Arc<InitHandle>> {
        self.with(job, |slot| match slot.get() {
            Some(init) => Ok(init),
            None => {
                let made = make()?;
                slot.set(Some(made.clone()));
                Ok(made)
            }
        })
    }

    /// Does something with the job's init while nobody can make or end one.
    pub(crate) fn with<T>(&self, job: u32, act: impl FnOnce(&Slot) -> T) -> T {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.entry(job).or_default().clone()
        };
        let turn = slot.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let result = act(&slot);
        drop(turn);
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        // The table's and ours: nobody waits for a turn, and nobody can come but through the table.
        if Arc::strong_count(&slot) == 2 && slot.get().is_none() {
            slots.remove(&job);
        }
        result
    }

    /// Jobs that have an init here.
    pub(crate) fn jobs(&self) -> Vec<u32> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.keys().copied().collect()
    }
}

/// Makes a job's init. `news` is called from a thread of its own.
pub(crate) fn make(
    config: &InitConfig,
    time: Duration,
    news: impl Fn(&InitHandle, InitNews) + Send + 'static,
) -> Result<Arc<InitHandle>> {
    fs::create_dir_all(DIR).with_context(|| format!("can't make {DIR}"))?;
    fs::create_dir_all(crate::init::STAGE).context("can't make the view's place")?;
    let _ = fs::remove_file(&config.socket);
    cgroup::create(config.instance).context("can't make the job's cgroup")?;
    let mut child = Command::new("/proc/self/exe")
        .arg("job-init")
        .arg(serde_json::to_string(config)?)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("can't start the job's init")?;
    let stdout = child.stdout.take().context("no pipe")?;
    let lines = lines_within(stdout, 2, time);
    if lines.len() < 2 {
        // It waits for something, such as a file server; all of it ends here.
        let _ = cgroup::kill(config.instance);
        let _ = child.kill();
    }
    let _ = child.wait();
    let pid = lines.first().and_then(|text| text.parse::<i32>().ok());
    match (pid, lines.get(1).map(String::as_str)) {
        (Some(pid), Some(crate::init::READY)) => {
            let noted = fs::write(pid_path(config.instance), pid.to_string());
            let made = noted.context("can't note its PID");
            let made = made.and_then(|()| connect(config.instance, config.home, pid, news));
            if made.is_err() {
                let _ = cgroup::kill(config.instance);
            }
            made
        }
        (_, said) => {
            forget_files(config.instance);
            bail!(
                "the job's init failed: {}",
                said.unwrap_or("it did not get ready; see the daemon's log")
            )
        }
    }
}

/// The first lines that come out of a pipe, if they come in time.
fn lines_within(mut pipe: impl Read + AsFd, count: usize, time: Duration) -> Vec<String> {
    let end = Instant::now() + time;
    let mut text = Vec::new();
    while text.iter().filter(|byte| **byte == b'\n').count() < count {
        let left = end.saturating_duration_since(Instant::now());
        let wait = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let ready = poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], wait);
        let mut piece = [0; 512];
        match ready {
            Err(Errno::EINTR) => {}
            Ok(0) | Err(_) => break,
            Ok(_) => match pipe.read(&mut piece) {
                Ok(got) if got > 0 => text.extend_from_slice(&piece[..got]),
                _ => break,
            },
        }
    }
    String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
}

/// Connects to an init that runs already.
fn connect(
    instance: Instance,
    home: u32,
    pid: i32,
    news: impl Fn(&InitHandle, InitNews) + Send + 'static,
) -> Result<Arc<InitHandle>> {
    let handle = Arc::new(InitHandle::connect(instance, home, pid, socket_path(instance))?);
    let reader = handle.clone();
    std::thread::Builder::new()
        .name(format!("init-{instance}"))
        .spawn(move || reader.read(&news))
        .context("no thread")?;
    Ok(handle)
}

/// Inits that an earlier daemon left here.
pub(crate) fn left_behind() -> Vec<Instance> {
    let entries = fs::read_dir(DIR).into_iter().flatten().flatten();
    let name = |e: fs::DirEntry| Instance::parse(e.file_name().to_str()?.strip_suffix(".sock")?);
    let mut found: Vec<Instance> = entries.filter_map(name).chain(cgroup::instances()).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Connects to an init that an earlier daemon made.
pub(crate) fn adopt(
    instance: Instance,
    home: u32,
    news: impl Fn(&InitHandle, InitNews) + Send + 'static,
) -> Result<Arc<InitHandle>> {
    let text = fs::read_to_string(pid_path(instance)).context("its PID is not noted")?;
    let pid = text.trim().parse().context("its PID is not noted")?;
    connect(instance, home, pid, news)
}

/// Removes what the init's going leaves in the file system.
pub(crate) fn forget_files(instance: Instance) {
    let _ = fs::remove_file(socket_path(instance));
    let _ = fs::remove_file(pid_path(instance));
    // Fails while a process is still on its way out: `end` tries again.
    let _ = cgroup::remove(instance);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_child_is_not_waited_for() {
        use std::io::Write;
        let (pipe, mut child) = std::io::pipe().expect("a pipe");
        child.write_all(b"12\nrea").expect("written");
        let short = Duration::from_millis(5);
        assert_eq!(lines_within(&pipe, 2, short), ["12", "rea"]);
        let (pipe, mut child) = std::io::pipe().expect("a pipe");
        child.write_all(b"12\nready\n").expect("written");
        assert_eq!(lines_within(&pipe, 2, Duration::from_secs(20)), ["12", "ready"]);
        let (pipe, child) = std::io::pipe().expect("a pipe");
        drop(child);
        assert!(lines_within(&pipe, 2, Duration::from_secs(20)).is_empty());
    }

    #[test]
    fn who_waits_for_a_jobs_turn_gets_the_same_slot() {
        let inits = Arc::new(Inits::default());
        let waiter = inits.with(7, |_| {
            let other = inits.clone();
            let waiter = std::thread::spawn(move || other.with(7, |_| other.jobs()));
            // The waiter has its share of the slot when the count says so.
            while Arc::strong_count(&inits.slots.lock().expect("free")[&7]) < 3 {
                std::thread::yield_now();
            }
            assert!(inits.get(7).is_none(), "not waited for");
            waiter
        });
        assert_eq!(waiter.join().expect("no panic"), [7], "not taken out under the waiter");
        assert!(inits.jobs().is_empty(), "the last one takes it out");
    }
}
