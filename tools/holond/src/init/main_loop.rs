//! What pid 1 does: wait for requests, for children, and for the PID cursor.

use super::cursor::Cursor;
use super::proto::{InitConfig, InitReply, InitRequest, SpawnStep};
use super::spawn;
use crate::kernel::{Device, Stop};
use crate::{restore, sys};
use anyhow::Result;
use holon_api::frame::{Connection, Frame};
use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::signal::{kill, SigSet};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus};
use nix::unistd::{ForkResult, Pid};
use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;

const GUARD_IDLE_MS: u16 = 1000;
const GUARD_BUSY_MS: u16 = 100;

/// The device, if the module is there: opened before the view hides it.
pub(super) fn open_device() -> Option<Device> {
    Device::open().ok()
}

/// Pid 1's state.
pub(super) struct Init {
    job: u32,
    listener: UnixListener,
    daemon: Option<Connection>,
    signals: SignalFd,
    device: Option<Device>,
    commands: BTreeSet<i32>,
    /// Exits that no daemon has heard of yet.
    untold: Vec<InitReply>,
    empty: bool,
    cursor: Cursor,
}

impl Init {
    pub(super) fn new(
        config: &InitConfig,
        listener: UnixListener,
        wanted: SigSet,
        device: Option<Device>,
        cursor: Cursor,
    ) -> Result<Self> {
        Ok(Self {
            job: config.job,
            listener,
            daemon: None,
            signals: SignalFd::with_flags(&wanted, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?,
            device,
            commands: BTreeSet::new(),
            untold: Vec::new(),
            empty: true,
            cursor,
        })
    }

    /// Serves until it is killed.
    pub(super) fn serve(mut self) -> Result<()> {
        let mut wait_ms = GUARD_IDLE_MS;
        loop {
            let (asked, called) = self.wait(wait_ms)?;
            while let Ok(Some(_)) = self.signals.read_signal() {}
            self.reap();
            if called {
                self.accept();
            }
            if asked {
                self.answer();
            }
            let busy = self.cursor.guard().unwrap_or(false);
            wait_ms = if busy { GUARD_BUSY_MS } else { GUARD_IDLE_MS };
            self.tell_count();
        }
    }

    /// Waits for something to do: whether the daemon asks, whether a new one calls.
    fn wait(&self, wait_ms: u16) -> Result<(bool, bool)> {
        let mut fds = vec![
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
        ];
        if let Some(daemon) = &self.daemon {
            fds.push(PollFd::new(daemon.socket().as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut fds, PollTimeout::from(wait_ms)) {
            Err(Errno::EINTR) => return Ok((false, false)),
            other => other?,
        };
        let ready = |i: usize| fds.get(i).and_then(PollFd::any).unwrap_or(false);
        Ok((ready(2), ready(1)))
    }

    fn accept(&mut self) {
        if let Ok((socket, _)) = self.listener.accept() {
            let daemon = Connection::new(socket);
            for news in self.untold.drain(..) {
                let _ = daemon.send(&news);
            }
            let _ = daemon.send(&InitReply::Count { empty: self.empty });
            self.daemon = Some(daemon);
        }
    }

    fn answer(&mut self) {
        let Some(daemon) = &self.daemon else { return };
        let frame = match daemon.receive::<InitRequest>() {
            Ok(Some(frame)) => frame,
            Ok(None) | Err(_) => {
                self.daemon = None;
                return;
            }
        };
        let reply = self.act(&frame);
        self.say(reply);
    }

    fn act(&mut self, frame: &Frame<InitRequest>) -> InitReply {
        match &frame.value {
            InitRequest::Spawn(spec) => {
                let reply = spawn::spawn(spec, &frame.fds);
                if let InitReply::Done { pid } = reply {
                    self.commands.insert(pid);
                }
                reply
            }
            InitRequest::Restore { image, pid } => self.restore(*image, *pid),
            InitRequest::Signal { pid, signal } => {
                let result = nix::sys::signal::Signal::try_from(*signal)
                    .and_then(|signal| kill(Pid::from_raw(*pid), signal));
                match result {
                    Ok(()) => InitReply::Done { pid: 0 },
                    Err(errno) => spawn::failed(SpawnStep::Signal, errno),
                }
            }
        }
    }

    fn restore(&mut self, image: u64, pid: i32) -> InitReply {
        let Some(device) = &self.device else {
            return spawn::failed(SpawnStep::Request, Errno::ENODEV);
        };
        match sys::fork_with_pid(pid) {
            Err(errno) => spawn::failed(SpawnStep::Fork, errno),
            Ok(ForkResult::Parent { child }) => InitReply::Done { pid: child.as_raw() },
            Ok(ForkResult::Child) => restore::run(device, image),
        }
    }

    /// Collects children: ends of commands are told, stops of bodies go to the module.
    fn reap(&mut self) {
        let flags = WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED | WaitPidFlag::WCONTINUED;
        loop {
            let (pid, status) = match sys_wait(flags) {
                Some(found) => found,
                None => return,
            };
            match status {
                Child::Ended(status) => {
                    if self.commands.remove(&pid) {
                        self.say(InitReply::Exited { pid, status });
                    }
                }
                Child::Stopped(signal) => self.body_state(pid, Stop::Stopped(signal)),
                Child::Continued => self.body_state(pid, Stop::Continued),
            }
        }
    }

    fn body_state(&self, pid: i32, state: Stop) {
        if let Some(device) = &self.device {
            // ESRCH: a child that is no body, whose parent is not away either.
            let _ = device.body_state(self.job, pid, state);
        }
    }

    fn tell_count(&mut self) {
        // To nobody but us: no process of the namespace is left.
        let empty = kill(Pid::from_raw(-1), None) == Err(Errno::ESRCH);
        if empty != self.empty {
            self.empty = empty;
            self.say(InitReply::Count { empty });
        }
    }

    fn say(&mut self, reply: InitReply) {
        let told = self.daemon.as_ref().is_some_and(|daemon| daemon.send(&reply).is_ok());
        if !told && matches!(reply, InitReply::Exited { .. }) {
            self.untold.push(reply);
        }
    }
}

enum Child {
    Ended(i32),
    Stopped(i32),
    Continued,
}

fn sys_wait(flags: WaitPidFlag) -> Option<(i32, Child)> {
    loop {
        return match nix::sys::wait::waitpid(None, Some(flags)) {
            Ok(WaitStatus::Exited(pid, code)) => Some((pid.as_raw(), Child::Ended(code << 8))),
            Ok(WaitStatus::Signaled(pid, signal, core)) => {
                let core = if core { 0x80 } else { 0 };
                Some((pid.as_raw(), Child::Ended(signal as i32 | core)))
            }
            Ok(WaitStatus::Stopped(pid, signal)) => {
                Some((pid.as_raw(), Child::Stopped(signal as i32)))
            }
            Ok(WaitStatus::Continued(pid)) => Some((pid.as_raw(), Child::Continued)),
            Err(Errno::EINTR) => continue,
            Ok(
                WaitStatus::StillAlive | WaitStatus::PtraceEvent(..) | WaitStatus::PtraceSyscall(_),
            )
            | Err(_) => None,
        };
    }
}
