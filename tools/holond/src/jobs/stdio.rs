//! The standard streams of a job's first process.

use crate::sys;
use anyhow::{Context, Result};
use holon_api::request::WindowSize;
use nix::pty::openpty;
use nix::unistd::{fchown, Gid, Uid};
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// Where detached jobs' output goes.
const LOG_DIR: &str = "/var/log/holon";

/// The command's ends and ours.
pub(crate) struct Stdio {
    /// For the command: stdin, stdout, stderr.
    pub(crate) command: [OwnedFd; 3],
    /// Ours.
    pub(crate) ours: Ours,
}

/// What the daemon keeps of a job's streams.
#[derive(Default)]
pub(crate) struct Ours {
    /// Writes to the command's stdin, or to its terminal.
    pub(crate) input: Option<OwnedFd>,
    /// Reads its stdout, or its terminal.
    pub(crate) output: Option<OwnedFd>,
    /// Reads its stderr.
    pub(crate) errors: Option<OwnedFd>,
}

/// Where a detached job's output is, as seen at its home.
pub(crate) fn log_path(job: u32) -> PathBuf {
    PathBuf::from(LOG_DIR).join(format!("job-{job}.out"))
}

/// For a detached job: nothing to read, output into a file.
pub(crate) fn detached(job: u32, uid: u32, gid: u32) -> Result<Stdio> {
    std::fs::create_dir_all(LOG_DIR).with_context(|| format!("can't make {LOG_DIR}"))?;
    let path = log_path(job);
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("can't open {}", path.display()))?;
    // The process opens it again by name, as its user, when it moves.
    fchown(&log, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).context("chown")?;
    let null = File::open("/dev/null").context("/dev/null")?;
    let command = [null.into(), log.try_clone()?.into(), log.into()];
    Ok(Stdio { command, ours: Ours::default() })
}

/// For a client elsewhere, without a terminal: pipes.
pub(crate) fn pipes() -> Result<Stdio> {
    let (stdin, input) = std::io::pipe().context("pipe")?;
    let (output, stdout) = std::io::pipe().context("pipe")?;
    let (errors, stderr) = std::io::pipe().context("pipe")?;
    Ok(Stdio {
        command: [stdin.into(), stdout.into(), stderr.into()],
        ours: Ours {
            input: Some(input.into()),
            output: Some(output.into()),
            errors: Some(errors.into()),
        },
    })
}

/// For a client with a terminal: one of the job's own.
pub(crate) fn terminal(size: WindowSize, uid: u32) -> Result<Stdio> {
    let pty = openpty(None, None).context("openpty")?;
    sys::set_window_size(pty.master.as_fd(), size.rows, size.columns).context("TIOCSWINSZ")?;
    fchown(&pty.slave, Some(Uid::from_raw(uid)), None).context("chown of the terminal")?;
    for fd in [&pty.master, &pty.slave] {
        let flags = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC);
        nix::fcntl::fcntl(fd, flags).context("fcntl")?;
    }
    let command = [pty.slave.try_clone()?, pty.slave.try_clone()?, pty.slave];
    let ours =
        Ours { input: Some(pty.master.try_clone()?), output: Some(pty.master), errors: None };
    Ok(Stdio { command, ours })
}
