//! Directory, limits, session and identity.

use super::helper::Place;
use crate::sys;
use ckpt::object::creds::{Caps, Creds};
use ckpt::{Body, Manifest};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::stat::{umask, Mode};
use nix::unistd::{
    chdir, getpid, getresuid, getuid, setgroups, setpgid, setresgid, setresuid, setsid, Gid, Pid,
    Uid,
};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Sets everything that the exec keeps; identity last, for the rest needs root's. A running process
/// gets its whole identity from the module when it runs, but for the real user: only a system call
/// changes whom a task counts for.
pub(super) fn set(manifest: &Manifest, place: Place) -> nix::Result<()> {
    if place == Place::Fresh {
        session(manifest)?;
    }
    chdir(OsStr::from_bytes(&manifest.fs.cwd))?;
    umask(Mode::from_bits_truncate(manifest.fs.umask));
    let task = &manifest.task;
    if sys::nice()? != task.nice {
        sys::set_nice(task.nice)?;
    }
    oom_score(task.oom_score_adj, place)?;
    let is_live = matches!(manifest.body, Body::Live(_));
    for (resource, wanted) in (0..).zip(&task.rlimits) {
        // The exec of the image itself would meet these; the module sets them afterwards.
        if is_live && IN_THE_WAY.contains(&resource) {
            continue;
        }
        if sys::limit(resource)? != (wanted.soft, wanted.hard) {
            sys::set_limit(resource, wanted.soft, wanted.hard)?;
        }
    }
    sys::reset_dispositions()?;
    match (&manifest.body, place) {
        (Body::Live(_), _) => real_user(&manifest.creds),
        (Body::Exec(_), Place::Fresh) => identity(&manifest.creds),
        (Body::Exec(_), Place::Home) => Ok(()),
    }
}

/// With the effective user's rights the image can still be opened and laid out.
fn real_user(creds: &Creds) -> nix::Result<()> {
    let wanted = Uid::from_raw(creds.user.real);
    if getuid() == wanted {
        return Ok(());
    }
    let now = getresuid()?;
    setresuid(wanted, now.effective, now.saved)
}

/// Limits that keep even the helper from its work. That of the stack must be right at the exec,
/// which chooses by it in which direction mappings are placed.
const IN_THE_WAY: [u32; 6] = [
    libc::RLIMIT_AS,
    libc::RLIMIT_DATA,
    libc::RLIMIT_MEMLOCK,
    libc::RLIMIT_NOFILE,
    libc::RLIMIT_FSIZE,
    libc::RLIMIT_NPROC,
];

/// Raises the number of descriptors, so that ours find place above the process's.
pub(super) fn make_room_for_fds(min: u32) -> nix::Result<()> {
    let wanted = u64::from(min) * 2 + 64;
    let (soft, hard) = sys::limit(libc::RLIMIT_NOFILE)?;
    if soft < wanted {
        sys::set_limit(libc::RLIMIT_NOFILE, wanted, hard.max(wanted))?;
    }
    Ok(())
}

/// Leads a session or a group again, if it did.
fn session(manifest: &Manifest) -> nix::Result<()> {
    let own = getpid().as_raw().unsigned_abs();
    let subject = &manifest.subject;
    if subject.session_pid.0 == own {
        setsid().map(drop)
    } else if subject.group_pid.0 == own {
        setpgid(Pid::from_raw(0), Pid::from_raw(0))
    } else {
        Ok(())
    }
}

fn oom_score(wanted: i32, place: Place) -> nix::Result<()> {
    const PATH: &str = "/proc/self/oom_score_adj";
    let now = std::fs::read_to_string(PATH).ok().and_then(|text| text.trim().parse().ok());
    if now == Some(wanted) {
        return Ok(());
    }
    match std::fs::write(PATH, wanted.to_string()) {
        // A user may not lower it again at home; it is a hint, not the program's state.
        Err(_) if place == Place::Fresh => Err(Errno::EACCES),
        _ => Ok(()),
    }
}

fn identity(creds: &Creds) -> nix::Result<()> {
    drop_bounding(creds.caps.bounding)?;
    let groups: Vec<Gid> = creds.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    setgroups(&groups)?;
    let (user, group) = (creds.user, creds.group);
    let gid = Gid::from_raw;
    setresgid(gid(group.real), gid(group.effective), gid(group.saved))?;
    // The capabilities below must still be there after the change of user.
    prctl::set_keepcaps(true)?;
    let uid = Uid::from_raw;
    setresuid(uid(user.real), uid(user.effective), uid(user.saved))?;
    capabilities(creds)?;
    if creds.no_new_privs {
        prctl::set_no_new_privs()?;
    }
    Ok(())
}

fn drop_bounding(wanted: u64) -> nix::Result<()> {
    for cap in 0..64 {
        if wanted & (1 << cap) == 0 && sys::bounding_has(cap) {
            sys::bounding_drop(cap)?;
        }
    }
    Ok(())
}

fn capabilities(creds: &Creds) -> nix::Result<()> {
    let Caps { inheritable, permitted, effective, ambient, .. } = creds.caps;
    if sys::securebits()? != creds.securebits {
        // The effective set was emptied by the change of user; setting needs CAP_SETPCAP.
        sys::set_capabilities(u64::MAX, u64::MAX, inheritable)?;
        sys::set_securebits(creds.securebits)?;
    }
    sys::set_capabilities(permitted, effective, inheritable)?;
    for cap in (0..64).filter(|cap| ambient & (1 << cap) != 0) {
        sys::raise_ambient(cap)?;
    }
    Ok(())
}

/// Blocks and ignores what a program that is placed at its exec had blocked and ignored.
pub(super) fn set_signals(blocked: u64, ignored: u64) -> nix::Result<()> {
    for signal in (1..=64).filter(|n| ignored & (1 << (n - 1)) != 0) {
        if signal != libc::SIGKILL && signal != libc::SIGSTOP {
            sys::ignore_signal(signal)?;
        }
    }
    let mut set = SigSet::empty();
    for signal in Signal::iterator() {
        if blocked & (1 << (signal as i32 - 1)) != 0 {
            set.add(signal);
        }
    }
    nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&set), None)
}
