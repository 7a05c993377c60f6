//! This node's job inits: making them, talking to them, finding them again after a restart.

use super::handle::{InitHandle, InitNews};
use crate::cgroup;
use crate::init::proto::InitConfig;
use anyhow::{bail, Context, Result};
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

const DIR: &str = "/run/holon/jobs";

/// Where a job's init listens.
pub(crate) fn socket_path(job: u32) -> PathBuf {
    PathBuf::from(DIR).join(format!("{job}.sock"))
}

fn pid_path(job: u32) -> PathBuf {
    PathBuf::from(DIR).join(format!("{job}.pid"))
}

type Slot = Arc<Mutex<Option<Arc<InitHandle>>>>;

/// All job inits of this node. At most one per job: who needs one takes the job's lock.
#[derive(Default)]
pub(crate) struct Inits {
    slots: Mutex<HashMap<u32, Slot>>,
}

impl Inits {
    fn slot(&self, job: u32) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.entry(job).or_default().clone()
    }

    /// The job's init, if it has one here. Does not wait for one that is just being made: that
    /// may take as long as the mount of a home that has died.
    pub(crate) fn get(&self, job: u32) -> Option<Arc<InitHandle>> {
        let slot = self.slots.lock().unwrap_or_else(PoisonError::into_inner).get(&job).cloned()?;
        let init = match slot.try_lock() {
            Ok(init) => init.clone(),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().clone(),
            Err(TryLockError::WouldBlock) => None,
        };
        init
    }

    /// The job's init; `make` makes it if there is none.
    pub(crate) fn get_or_make(
        &self,
        job: u32,
        make: impl FnOnce() -> Result<Arc<InitHandle>>,
    ) -> Result<Arc<InitHandle>> {
        let slot = self.slot(job);
        let mut init = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(init) = &*init {
            return Ok(init.clone());
        }
        let made = make()?;
        *init = Some(made.clone());
        Ok(made)
    }

    /// Forgets the job's init. True if there was one.
    pub(crate) fn remove(&self, job: u32) -> bool {
        let slot = self.slots.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
        slot.is_some_and(|s| s.lock().unwrap_or_else(PoisonError::into_inner).take().is_some())
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
    news: impl Fn(InitNews) + Send + 'static,
) -> Result<Arc<InitHandle>> {
    fs::create_dir_all(DIR).with_context(|| format!("can't make {DIR}"))?;
    fs::create_dir_all(crate::init::STAGE).context("can't make the view's place")?;
    let _ = fs::remove_file(&config.socket);
    cgroup::create(config.job).context("can't make the job's cgroup")?;
    let mut child = Command::new("/proc/self/exe")
        .arg("job-init")
        .arg(serde_json::to_string(config)?)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("can't start the job's init")?;
    let stdout = child.stdout.take().context("no pipe")?;
    let mut lines = BufReader::new(stdout).lines();
    let mut line = || lines.next().and_then(Result::ok);
    let pid = line();
    let said = line();
    let _ = child.wait();
    let pid = pid.and_then(|text| text.parse::<i32>().ok());
    match (pid, said.as_deref()) {
        (Some(pid), Some(crate::init::READY)) => {
            fs::write(pid_path(config.job), pid.to_string()).context("can't note its PID")?;
            connect(config.job, pid, news)
        }
        (_, said) => {
            forget_files(config.job);
            bail!("the job's init failed: {}", said.unwrap_or("see the daemon's log"))
        }
    }
}

/// Connects to an init that runs already.
fn connect(
    job: u32,
    pid: i32,
    news: impl Fn(InitNews) + Send + 'static,
) -> Result<Arc<InitHandle>> {
    let handle = Arc::new(InitHandle::connect(pid, socket_path(job))?);
    let reader = handle.clone();
    std::thread::Builder::new()
        .name(format!("init-{job}"))
        .spawn(move || reader.read(&news))
        .context("no thread")?;
    Ok(handle)
}

/// Jobs whose inits an earlier daemon left here.
pub(crate) fn left_behind() -> Vec<u32> {
    let entries = fs::read_dir(DIR).into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_str()?.strip_suffix(".sock")?.parse().ok()).collect()
}

/// Connects to an init that an earlier daemon made.
pub(crate) fn adopt(job: u32, news: impl Fn(InitNews) + Send + 'static) -> Result<Arc<InitHandle>> {
    let text = fs::read_to_string(pid_path(job)).context("its PID is not noted")?;
    let pid = text.trim().parse().context("its PID is not noted")?;
    connect(job, pid, news)
}

/// Removes what the init's going leaves in the file system.
pub(crate) fn forget_files(job: u32) {
    let _ = fs::remove_file(socket_path(job));
    let _ = fs::remove_file(pid_path(job));
    // Fails while a process is still on its way out: `end` tries again.
    let _ = cgroup::remove(job);
}
