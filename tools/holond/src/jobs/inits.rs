//! This node's job inits: making them, talking to them, finding them again after a restart.

use crate::cgroup;
use crate::init::proto::{InitConfig, InitReply, InitRequest};
use anyhow::{bail, Context, Result};
use holon_api::frame::Connection;
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{sync_channel, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

const DIR: &str = "/run/holon/jobs";

/// Where a job's init listens.
pub(crate) fn socket_path(job: u32) -> PathBuf {
    PathBuf::from(DIR).join(format!("{job}.sock"))
}

fn pid_path(job: u32) -> PathBuf {
    PathBuf::from(DIR).join(format!("{job}.pid"))
}

/// One job's init here.
pub(crate) struct InitHandle {
    /// Its PID as the daemon sees it.
    pub(crate) pid: i32,
    connection: Connection,
    replies: Mutex<Receiver<InitReply>>,
    empty: AtomicBool,
}

/// What an init says unasked.
#[derive(Debug)]
pub(crate) enum InitNews {
    /// A started command ended: PID inside, wait status.
    Exited(i32, i32),
    /// No process but the init is left, or the first one came.
    Count,
    /// The init itself is gone, and with it all processes of the job here.
    Gone,
}

impl InitHandle {
    /// Asks; bounded by `time`.
    pub(crate) fn call(
        &self,
        request: &InitRequest,
        fds: &[RawFd],
        time: Duration,
    ) -> Result<InitReply> {
        let replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        self.connection.send_with(request, &[], fds).context("the job's init is gone")?;
        match replies.recv_timeout(time) {
            Ok(reply) => Ok(reply),
            Err(_) => {
                // A later answer would be taken for the next question's: end the connection.
                let _ = self.connection.socket().shutdown(std::net::Shutdown::Both);
                bail!("the job's init does not answer")
            }
        }
    }

    /// Whether it has no processes.
    pub(crate) fn is_empty(&self) -> bool {
        self.empty.load(Ordering::Acquire)
    }

    /// Reads what the init says until it is gone.
    fn read(&self, replies: &SyncSender<InitReply>, news: &dyn Fn(InitNews)) {
        while let Ok(Some(frame)) = self.connection.receive::<InitReply>() {
            match frame.value {
                InitReply::Exited { pid, status } => news(InitNews::Exited(pid, status)),
                InitReply::Count { empty } => {
                    self.empty.store(empty, Ordering::Release);
                    news(InitNews::Count);
                }
                reply @ (InitReply::Done { .. } | InitReply::Failed { .. }) => {
                    if replies.send(reply).is_err() {
                        break;
                    }
                }
            }
        }
        news(InitNews::Gone);
    }
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
    let socket = UnixStream::connect(socket_path(job)).context("can't reach the job's init")?;
    let (sender, replies) = sync_channel(1);
    let handle = Arc::new(InitHandle {
        pid,
        connection: Connection::new(socket),
        replies: Mutex::new(replies),
        empty: AtomicBool::new(false),
    });
    let reader = handle.clone();
    std::thread::Builder::new()
        .name(format!("init-{job}"))
        .spawn(move || reader.read(&sender, &news))
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
