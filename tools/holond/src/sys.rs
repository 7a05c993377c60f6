//! The system calls that need `unsafe`: fork and its kin, ioctls of terminals and of `/dev/holon`.

use nix::errno::Errno;
use nix::unistd::{ForkResult, Pid};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// How many resource limits Linux has.
const LIMITS: u32 = 16;

/// Forks a process that has one thread.
///
/// Only the job init and the short-lived process before it call this: both are single-threaded, so
/// the child may run any code.
pub(crate) fn fork_single_threaded() -> nix::Result<ForkResult> {
    debug_assert!(thread_count() == 1);
    // SAFETY: the process has one thread, so the child holds no lock of a thread that is gone.
    unsafe { nix::unistd::fork() }
}

fn thread_count() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count)
}

/// Forks like [`fork_single_threaded`], with a wanted PID in the caller's own pid namespace.
pub(crate) fn fork_with_pid(pid: i32) -> nix::Result<ForkResult> {
    debug_assert!(thread_count() == 1);
    let wanted = [pid];
    let mut args = libc::clone_args {
        flags: 0,
        pidfd: 0,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: 0,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 1,
        cgroup: 0,
    };
    args.exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
    args.set_tid = address(wanted.as_ptr());
    // SAFETY: `args` and `wanted` outlive the call; without CLONE_VM the child has a copy of
    // everything, and the only thread is this one.
    let result =
        unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    match i32::try_from(Errno::result(result)?).unwrap_or(-1) {
        0 => Ok(ForkResult::Child),
        child => Ok(ForkResult::Parent { child: Pid::from_raw(child) }),
    }
}

/// A pointer as the number that kernel structures want.
pub(crate) fn address<T>(pointer: *const T) -> u64 {
    pointer.expose_provenance() as u64
}

/// Takes over a descriptor that this process was started with.
pub(crate) fn take_fd(fd: RawFd) -> io::Result<OwnedFd> {
    nix::fcntl::fcntl(
        // SAFETY: the borrow lasts for the call; fcntl itself tells if the number is not open.
        unsafe { BorrowedFd::borrow_raw(fd) },
        nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC),
    )?;
    // SAFETY: it is open, and by the contract with whoever started us it is ours alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Puts a copy of `fd` at number `at`, kept over exec.
pub(crate) fn place_fd(fd: BorrowedFd<'_>, at: RawFd) -> nix::Result<()> {
    if fd.as_raw_fd() == at {
        nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()))?;
        return Ok(());
    }
    // SAFETY: dup2 on numbers has no memory effects; what was at `at` is closed, which the callers
    // (children about to exec) want.
    Errno::result(unsafe { libc::dup2(fd.as_raw_fd(), at) }).map(drop)
}

/// Closes every descriptor number from `first` to `last`.
pub(crate) fn close_range(first: u32, last: u32) -> nix::Result<()> {
    // SAFETY: only for children about to exec, which use none of those descriptors any more.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// Makes the terminal the session's.
pub(crate) fn set_controlling_terminal(fd: RawFd) -> nix::Result<()> {
    // SAFETY: TIOCSCTTY takes a number, no memory.
    Errno::result(unsafe { libc::ioctl(fd, libc::TIOCSCTTY, 0) }).map(drop)
}

/// Sets a terminal's size.
pub(crate) fn set_window_size(fd: BorrowedFd<'_>, rows: u16, columns: u16) -> nix::Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads a winsize, which lives over the call.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) })
        .map(drop)
}

/// A descriptor that gets readable when the process ends.
pub(crate) fn pidfd_open(pid: i32) -> nix::Result<OwnedFd> {
    // SAFETY: takes numbers; the kernel makes the descriptor close-on-exec.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    let fd = RawFd::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: the call above made it for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets a resource limit by number.
pub(crate) fn set_limit(resource: u32, soft: u64, hard: u64) -> nix::Result<()> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: reads the structure, which lives over the call; unknown numbers give EINVAL.
    Errno::result(unsafe { libc::setrlimit64(resource, &raw const limit) }).map(drop)
}

/// Another process's resource limits, by number: soft and hard.
pub(crate) fn limits_of(pid: i32) -> nix::Result<Vec<(u32, u64, u64)>> {
    let mut found = Vec::new();
    for resource in 0..LIMITS {
        let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: writes the structure, which lives over the call; sets nothing.
        let result = unsafe { libc::prlimit64(pid, resource, std::ptr::null(), &raw mut limit) };
        Errno::result(result)?;
        found.push((resource, limit.rlim_cur, limit.rlim_max));
    }
    Ok(found)
}

/// Default action for every signal, none blocked: what a new program expects.
pub(crate) fn reset_signals() -> nix::Result<()> {
    use nix::sys::signal::{sigprocmask, SigSet, SigmaskHow, Signal};
    for signal in Signal::iterator() {
        if !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP) {
            // SAFETY: SIG_DFL runs no code of ours.
            unsafe { nix::sys::signal::signal(signal, nix::sys::signal::SigHandler::SigDfl) }?;
        }
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

/// Ignores a signal.
pub(crate) fn ignore_signal(signal: i32) -> nix::Result<()> {
    // SAFETY: SIG_IGN runs no code of ours; bad numbers give EINVAL.
    let old = unsafe { libc::signal(signal, libc::SIG_IGN) };
    if old == libc::SIG_ERR {
        return Err(Errno::last());
    }
    Ok(())
}

/// An ioctl whose argument is a record of the device's ABI.
///
/// `T` is always a `repr(C)` record of `holon-uapi` that belongs to `request` (the numbers carry
/// the record's size, which the module checks).
pub(crate) fn ioctl_record<T>(
    fd: BorrowedFd<'_>,
    request: u32,
    record: &mut T,
) -> nix::Result<i32> {
    // SAFETY: `record` is exclusively ours and of the size that the number names; addresses inside
    // of records are of buffers that the callers in `kernel` keep over the call.
    let result = unsafe {
        libc::ioctl(fd.as_raw_fd(), libc::c_ulong::from(request), std::ptr::from_mut(record))
    };
    Errno::result(result)
}

/// Default action for every signal; the mask stays.
pub(crate) fn reset_dispositions() -> nix::Result<()> {
    use nix::sys::signal::{SigHandler, Signal};
    for signal in Signal::iterator() {
        if !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP) {
            // SAFETY: SIG_DFL runs no code of ours.
            unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) }?;
        }
    }
    Ok(())
}

/// Soft and hard limit of a resource.
pub(crate) fn limit(resource: u32) -> nix::Result<(u64, u64)> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes the structure, which lives over the call.
    Errno::result(unsafe { libc::getrlimit64(resource, &raw mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// The caller's nice value.
pub(crate) fn nice() -> nix::Result<i32> {
    Errno::clear();
    // SAFETY: takes numbers only. -1 is a valid answer, so errno decides.
    let value = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    match Errno::last_raw() {
        0 => Ok(value),
        _ if value != -1 => Ok(value),
        raw => Err(Errno::from_raw(raw)),
    }
}

/// Sets the caller's nice value.
pub(crate) fn set_nice(value: i32) -> nix::Result<()> {
    // SAFETY: takes numbers only.
    Errno::result(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, value) }).map(drop)
}

fn prctl(option: i32, a: libc::c_ulong, b: libc::c_ulong) -> nix::Result<i32> {
    // SAFETY: the options used here take numbers only.
    Errno::result(unsafe { libc::prctl(option, a, b, 0, 0) })
}

/// Whether a capability is in the bounding set.
pub(crate) fn bounding_has(cap: u32) -> bool {
    prctl(libc::PR_CAPBSET_READ, cap.into(), 0) == Ok(1)
}

/// Takes a capability out of the bounding set.
pub(crate) fn bounding_drop(cap: u32) -> nix::Result<()> {
    prctl(libc::PR_CAPBSET_DROP, cap.into(), 0).map(drop)
}

/// Puts a capability into the ambient set.
pub(crate) fn raise_ambient(cap: u32) -> nix::Result<()> {
    let raise = libc::c_ulong::try_from(libc::PR_CAP_AMBIENT_RAISE).unwrap_or(0);
    prctl(libc::PR_CAP_AMBIENT, raise, cap.into()).map(drop)
}

/// `SECBIT_*` of the caller, without "keep capabilities", which an exec clears.
pub(crate) fn securebits() -> nix::Result<u32> {
    const KEEP_CAPS: u32 = 1 << 4;
    Ok(prctl(libc::PR_GET_SECUREBITS, 0, 0)?.unsigned_abs() & !KEEP_CAPS)
}

/// Sets them.
pub(crate) fn set_securebits(bits: u32) -> nix::Result<()> {
    prctl(libc::PR_SET_SECUREBITS, bits.into(), 0).map(drop)
}

/// Capabilities that this kernel has: others can't be set.
fn known_capabilities() -> u64 {
    (0..64).filter(|cap| prctl(libc::PR_CAPBSET_READ, *cap, 0).is_ok()).map(|cap| 1 << cap).sum()
}

/// Sets the caller's capabilities; those that it does not have are left out of all-ones.
pub(crate) fn set_capabilities(
    permitted: u64,
    effective: u64,
    inheritable: u64,
) -> nix::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let known = known_capabilities();
    let halves = |set: u64| {
        let set = set & known;
        // Both halves fit by construction.
        [(set & 0xffff_ffff) as u32, (set >> 32) as u32]
    };
    let (p, e, i) = (halves(permitted), halves(effective), halves(inheritable));
    let header = [VERSION_3, 0];
    let data = [[e[0], p[0], i[0]], [e[1], p[1], i[1]]];
    // SAFETY: the layouts of the kernel's cap_user_header and cap_user_data[2]; both live over the
    // call.
    let result = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) };
    Errno::result(result).map(drop)
}
