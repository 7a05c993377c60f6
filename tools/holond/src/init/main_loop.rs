//! What pid 1 does: wait for requests, for children, and for the PID cursor.

use super::cursor::Cursor;
use super::proto::{InitConfig, InitReply, InitRequest, Numbered, SpawnStep};
use super::spawn::{self, Pending};
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
    /// Commands on their way to their exec, with the number of the request.
    pending: Vec<(u64, Pending)>,
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
            job: config.instance.job,
            listener,
            daemon: None,
            signals: SignalFd::with_flags(&wanted, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?,
            device,
            commands: BTreeSet::new(),
            pending: Vec::new(),
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
            self.tell_spawned();
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
        let reports = self.pending.iter().map(|(_, pending)| pending.report());
        let asked = self.daemon.as_ref().map(|_| 2);
        fds.extend(reports.map(|report| PollFd::new(report, PollFlags::POLLIN)));
        match poll(&mut fds, PollTimeout::from(wait_ms)) {
            Err(Errno::EINTR) => return Ok((false, false)),
            other => other?,
        };
        let ready = |i: usize| fds.get(i).and_then(PollFd::any).unwrap_or(false);
        Ok((asked.is_some_and(ready), ready(1)))
    }

    fn accept(&mut self) {
        if let Ok((socket, _)) = self.listener.accept() {
            self.daemon = Some(Connection::new(socket));
            // Numbers of an earlier connection mean nothing to this one.
            self.pending.iter_mut().for_each(|(number, _)| *number = 0);
            for news in std::mem::take(&mut self.untold) {
                self.say(0, news);
            }
            self.say(0, InitReply::Count { empty: self.empty });
        }
    }

    fn answer(&mut self) {
        let Some(daemon) = &self.daemon else { return };
        let frame = match daemon.receive::<Numbered<InitRequest>>() {
            Ok(Some(frame)) => frame,
            Ok(None) | Err(_) => {
                self.daemon = None;
                return;
            }
        };
        let number = frame.value.number;
        if let Some(reply) = self.act(&frame) {
            self.say(number, reply);
        }
    }

    /// Does what is asked; the answer, if it is there at once.
    fn act(&mut self, frame: &Frame<Numbered<InitRequest>>) -> Option<InitReply> {
        match &frame.value.what {
            InitRequest::Spawn(spec) => match spawn::begin(spec, &frame.fds) {
                Ok(pending) => {
                    self.pending.push((frame.value.number, pending));
                    None
                }
                Err(reply) => Some(reply),
            },
            InitRequest::Commands => {
                let pending = self.pending.iter().map(|(_, pending)| pending.child);
                let pids = self.commands.iter().copied().chain(pending).collect();
                Some(InitReply::Commands { pids })
            }
            InitRequest::Restore { image, pid } => Some(self.restore(*image, *pid)),
            InitRequest::Signal { pid, signal } => {
                let result = nix::sys::signal::Signal::try_from(*signal)
                    .and_then(|signal| kill(Pid::from_raw(*pid), signal));
                Some(match result {
                    Ok(()) => InitReply::Done { pid: 0 },
                    Err(errno) => spawn::failed(SpawnStep::Signal, errno),
                })
            }
        }
    }

    /// Answers for commands whose exec has worked or failed.
    fn tell_spawned(&mut self) {
        let is_known = |(_, pending): &(u64, Pending)| {
            let mut fds = [PollFd::new(pending.report(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
        };
        while let Some(i) = self.pending.iter().position(is_known) {
            let (number, pending) = self.pending.remove(i);
            self.spawned(number, pending);
        }
    }

    fn spawned(&mut self, number: u64, pending: Pending) {
        let reply = pending.finish();
        if let InitReply::Done { pid } = reply {
            self.commands.insert(pid);
        }
        if number != 0 {
            self.say(number, reply);
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
                    // The word of its start goes before that of its end.
                    let is_it = |(_, pending): &(u64, Pending)| pending.child == pid;
                    if let Some(i) = self.pending.iter().position(is_it) {
                        let (number, pending) = self.pending.remove(i);
                        self.spawned(number, pending);
                    }
                    if self.commands.remove(&pid) {
                        self.say(0, InitReply::Exited { pid, status });
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
            self.say(0, InitReply::Count { empty });
        }
    }

    fn say(&mut self, number: u64, what: InitReply) {
        let said = Numbered { number, what };
        let told = self.daemon.as_ref().is_some_and(|daemon| daemon.send(&said).is_ok());
        if !told && matches!(said.what, InitReply::Exited { .. }) {
            self.untold.push(said.what);
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
