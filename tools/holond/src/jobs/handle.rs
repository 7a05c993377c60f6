//! One job's init on this node, as the daemon talks to it.
//!
//! Each request has a number and each answer names it, so an answer that comes too late is dropped
//! and harms nobody. Only the init's own end is its end: a connection that breaks is made anew.

use crate::cgroup::Instance;
use crate::init::proto::{InitReply, InitRequest, Numbered};
use crate::sys;
use anyhow::{bail, Context, Result};
use holon_api::frame::Connection;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{sync_channel, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Between two tries to reach an init whose connection broke.
const RETRY_MS: u16 = 100;
/// An init takes a request at once, or hangs.
const SEND_TIME: Duration = Duration::from_secs(10);

/// One job's init here.
pub(crate) struct InitHandle {
    /// Of which job and run.
    pub(crate) instance: Instance,
    /// The job's home, whose tree it shows.
    pub(crate) home: u32,
    /// Its PID as the daemon sees it.
    pub(crate) pid: i32,
    process: OwnedFd,
    socket: PathBuf,
    connection: Mutex<Arc<Connection>>,
    waiting: Mutex<HashMap<u64, SyncSender<InitReply>>>,
    last_number: AtomicU64,
    empty: AtomicBool,
}

/// What an init says unasked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum InitNews {
    /// A started command ended: PID inside, wait status.
    Exited(i32, i32),
    /// No process but the init is left, or the first one came.
    Count,
    /// The init itself is gone, and with it all processes of the job here.
    Gone,
}

impl InitHandle {
    /// Connects to the init that runs as `pid` and listens at `socket`.
    pub(crate) fn connect(
        instance: Instance,
        home: u32,
        pid: i32,
        socket: PathBuf,
    ) -> Result<Self> {
        let process = sys::pidfd_open(pid).context("the job's init has ended")?;
        let stream = UnixStream::connect(&socket).context("can't reach the job's init")?;
        Ok(Self {
            instance,
            home,
            pid,
            process,
            socket,
            connection: Mutex::new(connection(stream)),
            waiting: Mutex::default(),
            last_number: AtomicU64::default(),
            empty: AtomicBool::new(false),
        })
    }

    /// Asks; bounded by `time`.
    pub(crate) fn call(
        &self,
        request: &InitRequest,
        fds: &[RawFd],
        time: Duration,
    ) -> Result<InitReply> {
        let number = self.last_number.fetch_add(1, Ordering::Relaxed) + 1;
        let (answer, answered) = sync_channel(1);
        self.waiting().insert(number, answer);
        let connection = self.connection().clone();
        if let Err(error) = connection.send_with(&Numbered { number, what: request }, &[], fds) {
            self.waiting().remove(&number);
            // Half of a request may be sent: the rest of it must not be the next one's.
            let _ = connection.socket().shutdown(std::net::Shutdown::Both);
            return Err(error).context("the job's init can't be asked");
        }
        let result = answered.recv_timeout(time);
        self.waiting().remove(&number);
        match result {
            Ok(reply) => Ok(reply),
            Err(RecvTimeoutError::Timeout) => bail!("the job's init did not answer in time"),
            Err(RecvTimeoutError::Disconnected) => bail!("the job's init hung up"),
        }
    }

    /// Whether it has no processes.
    pub(crate) fn is_empty(&self) -> bool {
        self.empty.load(Ordering::Acquire)
    }

    /// Reads what the init says until it is gone.
    pub(crate) fn read(&self, news: &dyn Fn(&Self, InitNews)) {
        loop {
            let connection = self.connection().clone();
            while let Ok(Some(frame)) = connection.receive::<Numbered<InitReply>>() {
                self.take(frame.value, news);
            }
            // Nobody will answer them: whoever waits is told so.
            self.waiting().clear();
            match self.reconnect() {
                Some(fresh) => *self.connection() = fresh,
                None => return news(self, InitNews::Gone),
            }
        }
    }

    fn take(&self, said: Numbered<InitReply>, news: &dyn Fn(&Self, InitNews)) {
        match said.what {
            InitReply::Exited { pid, status } => news(self, InitNews::Exited(pid, status)),
            InitReply::Count { empty } => {
                self.empty.store(empty, Ordering::Release);
                news(self, InitNews::Count);
            }
            reply @ (InitReply::Done { .. }
            | InitReply::Failed { .. }
            | InitReply::Commands { .. }) => {
                // Nobody: it came too late.
                if let Some(asker) = self.waiting().remove(&said.number) {
                    let _ = asker.try_send(reply);
                }
            }
        }
    }

    /// A new connection; none if the init is gone.
    fn reconnect(&self) -> Option<Arc<Connection>> {
        loop {
            let mut fds = [PollFd::new(self.process.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::from(RETRY_MS)).is_ok_and(|ended| ended > 0) {
                return None;
            }
            match UnixStream::connect(&self.socket) {
                Ok(stream) => return Some(connection(stream)),
                // It has closed its socket: it is on its way out, with all that it had.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => return None,
                Err(error) if error.kind() == ErrorKind::NotFound => return None,
                Err(error) => log::warn!("{}: {error}", self.socket.display()),
            }
        }
    }

    fn connection(&self) -> MutexGuard<'_, Arc<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, SyncSender<InitReply>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connection(stream: UnixStream) -> Arc<Connection> {
    // Fails for a time of zero only.
    let _ = stream.set_write_timeout(Some(SEND_TIME));
    Arc::new(Connection::new(stream))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::sync::mpsc::channel;

    const LONG: Duration = Duration::from_secs(20);
    const INSTANCE: Instance = Instance { job: 1, restarts: 0 };
    const ASK: InitRequest = InitRequest::Signal { pid: 2, signal: 1 };

    fn request(connection: &Connection) -> u64 {
        let frame = connection.receive::<Numbered<InitRequest>>().expect("good");
        frame.expect("a request").value.number
    }

    fn answer(connection: &Connection, number: u64, pid: i32) {
        connection
            .send(&Numbered { number, what: InitReply::Done { pid } })
            .expect("the daemon listens");
    }

    #[test]
    fn late_answers_are_dropped_and_broken_connections_made_anew() {
        let path = std::env::temp_dir().join(format!("holon-handle-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).expect("bound");
        let own = i32::try_from(std::process::id()).expect("a PID");
        let handle =
            Arc::new(InitHandle::connect(INSTANCE, 0, own, path.clone()).expect("connected"));
        let (news, told) = channel();
        let reader = std::thread::spawn({
            let handle = handle.clone();
            move || handle.read(&|_, what| drop(news.send(what)))
        });
        let init = Connection::new(listener.accept().expect("a daemon").0);

        let error = handle.call(&ASK, &[], Duration::from_millis(5)).expect_err("no answer");
        assert_eq!(error.to_string(), "the job's init did not answer in time");
        let late = request(&init);
        let asker = std::thread::spawn({
            let handle = handle.clone();
            move || handle.call(&ASK, &[], LONG)
        });
        let second = request(&init);
        answer(&init, late, 1);
        answer(&init, second, 2);
        let reply = asker.join().expect("no panic").expect("answered");
        assert_eq!(reply, InitReply::Done { pid: 2 }, "the late one is not the next one's");

        let asker = std::thread::spawn({
            let handle = handle.clone();
            move || handle.call(&ASK, &[], LONG)
        });
        request(&init);
        drop(init);
        let error = asker.join().expect("no panic").expect_err("nobody will answer");
        assert_eq!(error.to_string(), "the job's init hung up");
        let init = Connection::new(listener.accept().expect("the same daemon again").0);
        init.send(&Numbered { number: 0, what: InitReply::Count { empty: true } }).expect("sent");
        assert_eq!(told.recv_timeout(LONG), Ok(InitNews::Count));
        assert!(handle.is_empty());

        drop((listener, init));
        assert_eq!(told.recv_timeout(LONG), Ok(InitNews::Gone));
        reader.join().expect("no panic");
        let _ = std::fs::remove_file(path);
    }
}
