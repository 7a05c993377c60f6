//! Starting a command: what happens between fork and exec.

use super::proto::{InitReply, SpawnSpec, SpawnStep};
use crate::sys;
use holon_api::arg::Arg;
use nix::errno::Errno;
use nix::sys::stat::{umask, Mode};
use nix::unistd::{setgid, setgroups, setsid, setuid, ForkResult, Gid, Uid};
use std::ffi::{CString, OsString};
use std::io::{PipeReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

type Failed = (SpawnStep, Errno);

/// Length of the child's word: step and errno.
const MESSAGE_LEN: usize = 5;

/// A command that was forked; whether its exec works is not known yet.
pub(super) struct Pending {
    /// Its PID.
    pub(super) child: i32,
    report: PipeReader,
}

/// Forks; the child execs. Nobody waits for the exec here: it may take as long as a file server.
pub(super) fn begin(spec: &SpawnSpec, streams: &[OwnedFd]) -> Result<Pending, InitReply> {
    let Ok((report, told)) = std::io::pipe() else {
        return Err(failed(SpawnStep::Fork, Errno::last()));
    };
    match sys::fork_single_threaded() {
        Err(errno) => Err(failed(SpawnStep::Fork, errno)),
        Ok(ForkResult::Child) => {
            drop(report);
            let (step, errno) = match become_command(spec, streams) {
                Ok(never) => match never {},
                Err(failure) => failure,
            };
            let _ = (&told).write_all(&message(step, errno));
            std::process::exit(125)
        }
        Ok(ForkResult::Parent { child }) => Ok(Pending { child: child.as_raw(), report }),
    }
}

impl Pending {
    /// Readable when the outcome is there.
    pub(super) fn report(&self) -> BorrowedFd<'_> {
        self.report.as_fd()
    }

    /// What came of it; waits for it.
    pub(super) fn finish(mut self) -> InitReply {
        let mut message = [0; MESSAGE_LEN];
        // The pipe closes by itself at the exec: nothing to read means that it worked.
        match self.report.read_exact(&mut message) {
            Err(_) => InitReply::Done { pid: self.child },
            Ok(()) => outcome(message),
        }
    }
}

fn message(step: SpawnStep, errno: Errno) -> [u8; MESSAGE_LEN] {
    let number = SpawnStep::ALL.iter().position(|s| *s == step).unwrap_or(0);
    let [a, b, c, d] = (errno as i32).to_le_bytes();
    [u8::try_from(number).unwrap_or(0), a, b, c, d]
}

fn outcome([step, a, b, c, d]: [u8; MESSAGE_LEN]) -> InitReply {
    let step = SpawnStep::ALL.get(usize::from(step)).copied().unwrap_or(SpawnStep::Exec);
    InitReply::Failed { step, errno: i32::from_le_bytes([a, b, c, d]) }
}

pub(super) fn failed(step: SpawnStep, errno: Errno) -> InitReply {
    InitReply::Failed { step, errno: errno as i32 }
}

/// In the child: everything up to the exec.
fn become_command(
    spec: &SpawnSpec,
    streams: &[OwnedFd],
) -> Result<std::convert::Infallible, Failed> {
    let at = |step| move |errno| (step, errno);
    setsid().map_err(at(SpawnStep::Terminal))?;
    // Copies above 2 first: a stream may itself have come as number 0, 1 or 2.
    let mut copies = Vec::new();
    for stream in streams.iter().take(3) {
        let copy = nix::fcntl::fcntl(stream, nix::fcntl::FcntlArg::F_DUPFD_CLOEXEC(10))
            .map_err(at(SpawnStep::Streams))?;
        copies.push(sys::take_fd(copy).map_err(|_| (SpawnStep::Streams, Errno::last()))?);
    }
    for (number, copy) in (0..).zip(&copies) {
        sys::place_fd(copy.as_fd(), number).map_err(at(SpawnStep::Streams))?;
    }
    if spec.run.terminal.is_some() {
        sys::set_controlling_terminal(0).map_err(at(SpawnStep::Terminal))?;
    }
    sys::reset_signals().map_err(at(SpawnStep::Request))?;
    for limit in &spec.run.limits {
        sys::set_limit(limit.resource, limit.soft, limit.hard).map_err(at(SpawnStep::Limits))?;
    }
    // Ours is the daemon's, which is spared. No job is worth more than another service.
    std::fs::write("/proc/self/oom_score_adj", "0")
        .map_err(|_| (SpawnStep::Limits, Errno::EACCES))?;
    umask(Mode::from_bits_truncate(spec.run.umask));
    let groups: Vec<Gid> = spec.groups.iter().map(|g| Gid::from_raw(*g)).collect();
    setgroups(&groups).map_err(at(SpawnStep::User))?;
    setgid(Gid::from_raw(spec.gid)).map_err(at(SpawnStep::User))?;
    setuid(Uid::from_raw(spec.uid)).map_err(at(SpawnStep::User))?;
    let cwd: OsString = spec.run.cwd.clone().into();
    nix::unistd::chdir(cwd.as_os_str()).map_err(at(SpawnStep::Directory))?;
    exec(&spec.run.argv, &spec.run.env).map_err(at(SpawnStep::Exec))
}

fn c_strings(args: &[Arg]) -> Result<Vec<CString>, Errno> {
    args.iter().map(|arg| CString::new(arg.as_bytes()).map_err(|_| Errno::EINVAL)).collect()
}

/// `execve` with a search along the command's own `PATH`.
fn exec(argv: &[Arg], env: &[Arg]) -> Result<std::convert::Infallible, Errno> {
    let args = c_strings(argv)?;
    let env = c_strings(env)?;
    let program = args.first().ok_or(Errno::EINVAL)?;
    if program.as_bytes().contains(&b'/') {
        return nix::unistd::execve(program, &args, &env);
    }
    let path = env.iter().find_map(|e| e.as_bytes().strip_prefix(b"PATH="));
    let path = path.unwrap_or(b"/usr/local/bin:/usr/bin:/bin");
    let mut verdict = Errno::ENOENT;
    for dir in path.split(|b| *b == b':') {
        let dir = if dir.is_empty() { &b"."[..] } else { dir };
        let full = [dir, b"/", program.as_bytes()].concat();
        let full = CString::new(full).map_err(|_| Errno::EINVAL)?;
        let Err(errno) = nix::unistd::execve(&full, &args, &env);
        match errno {
            Errno::ENOENT | Errno::ENOTDIR => {}
            // Somebody may have an executable one of that name later in the path.
            Errno::EACCES => verdict = errno,
            _ => return Err(errno),
        }
    }
    Err(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_childs_word_says_where_it_failed() {
        for step in SpawnStep::ALL {
            let reply = outcome(message(step, Errno::ENOENT));
            assert_eq!(reply, failed(step, Errno::ENOENT));
        }
    }
}
