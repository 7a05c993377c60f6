//! The system calls that need `unsafe`.

use holon_api::request::{Limit, WindowSize};
use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};

/// How many resource limits Linux has.
const LIMITS: u32 = 16;

/// A terminal's size.
pub(crate) fn window_size(fd: BorrowedFd<'_>) -> nix::Result<WindowSize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes a winsize, which lives over the call.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) })?;
    Ok(WindowSize { rows: size.ws_row, columns: size.ws_col })
}

/// All resource limits of this process.
pub(crate) fn limits() -> Vec<Limit> {
    let mut found = Vec::new();
    for resource in 0..LIMITS {
        let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: writes the structure, which lives over the call.
        if unsafe { libc::getrlimit64(resource, &raw mut limit) } == 0 {
            found.push(Limit { resource, soft: limit.rlim_cur, hard: limit.rlim_max });
        }
    }
    found
}

/// Gives a signal its default action again.
pub(crate) fn default_action(signal: nix::sys::signal::Signal) -> nix::Result<()> {
    // SAFETY: SIG_DFL runs no code of ours.
    unsafe { nix::sys::signal::signal(signal, nix::sys::signal::SigHandler::SigDfl) }.map(drop)
}
