//! The system calls that the cases need, on raw descriptors.

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use holon_uapi::file::{FileExport, FileOpen, FILE_EXPORT, FILE_OPEN};

fn check(rc: i64) -> io::Result<usize> {
    usize::try_from(rc).map_err(|_| io::Error::last_os_error())
}

fn owned(fd: RawFd) -> OwnedFd {
    // SAFETY: a new descriptor that nobody else has.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A pipe: read end, write end.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: room for two descriptors.
    check(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) }.into())?;
    Ok((owned(fds[0]), owned(fds[1])))
}

/// A pseudo-terminal: master, slave.
pub(crate) fn pty() -> io::Result<(OwnedFd, OwnedFd)> {
    let (mut master, mut slave) = (0, 0);
    let (name, mode, size) = (std::ptr::null_mut(), std::ptr::null(), std::ptr::null());
    // SAFETY: room for two descriptors; the rest may be null.
    check(unsafe { libc::openpty(&mut master, &mut slave, name, mode, size) }.into())?;
    Ok((owned(master), owned(slave)))
}

/// Reads once.
pub(crate) fn read(fd: &OwnedFd, to: &mut [u8]) -> io::Result<usize> {
    // SAFETY: writable for its length.
    check(unsafe { libc::read(fd.as_raw_fd(), to.as_mut_ptr().cast(), to.len()) } as i64)
}

/// Writes once.
pub(crate) fn write(fd: &OwnedFd, from: &[u8]) -> io::Result<usize> {
    // SAFETY: readable for its length.
    check(unsafe { libc::write(fd.as_raw_fd(), from.as_ptr().cast(), from.len()) } as i64)
}

/// Writes all.
pub(crate) fn write_all(fd: &OwnedFd, mut from: &[u8]) -> io::Result<()> {
    while !from.is_empty() {
        let len = write(fd, from)?;
        from = &from[len..];
    }
    Ok(())
}

/// Reads up to `len` bytes or the end.
pub(crate) fn read_to(fd: &OwnedFd, len: usize) -> io::Result<Vec<u8>> {
    let mut all = vec![0; len];
    let mut done = 0;
    while done < len {
        match read(fd, &mut all[done..])? {
            0 => break,
            more => done += more,
        }
    }
    all.truncate(done);
    Ok(all)
}

/// Reads at an offset.
pub(crate) fn pread(fd: &OwnedFd, to: &mut [u8], at: i64) -> io::Result<usize> {
    // SAFETY: writable for its length.
    check(unsafe { libc::pread(fd.as_raw_fd(), to.as_mut_ptr().cast(), to.len(), at) } as i64)
}

/// Writes at an offset.
pub(crate) fn pwrite(fd: &OwnedFd, from: &[u8], at: i64) -> io::Result<usize> {
    // SAFETY: readable for its length.
    check(unsafe { libc::pwrite(fd.as_raw_fd(), from.as_ptr().cast(), from.len(), at) } as i64)
}

/// Seeks.
pub(crate) fn seek(fd: &OwnedFd, offset: i64, whence: i32) -> io::Result<usize> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::lseek(fd.as_raw_fd(), offset, whence) })
}

/// Status.
pub(crate) fn stat(fd: &OwnedFd) -> io::Result<libc::stat> {
    // SAFETY: zeros are a valid structure.
    let mut stat = unsafe { std::mem::zeroed() };
    // SAFETY: room for the structure.
    check(unsafe { libc::fstat(fd.as_raw_fd(), &mut stat) }.into())?;
    Ok(stat)
}

/// Switches `O_NONBLOCK`.
pub(crate) fn nonblock(fd: &OwnedFd, on: bool) -> io::Result<()> {
    let flag = if on { libc::O_NONBLOCK } else { 0 };
    // SAFETY: no memory is involved.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flag) }.into()).map(drop)
}

/// Polls one descriptor; what is ready, 0 after the time.
pub(crate) fn poll(fd: &OwnedFd, events: i16, timeout: Duration) -> io::Result<i16> {
    let mut entry = libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
    let ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one entry.
    check(unsafe { libc::poll(&mut entry, 1, ms) }.into())?;
    Ok(entry.revents)
}

/// An ioctl with a structure.
pub(crate) fn ioctl<T>(fd: &OwnedFd, number: u64, value: &mut T) -> io::Result<usize> {
    // SAFETY: the callers' structures are those of their numbers.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), number, std::ptr::from_mut(value)) }.into())
}

/// An ioctl with a number.
pub(crate) fn ioctl_number(fd: &OwnedFd, number: u64, value: u64) -> io::Result<usize> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), number, value) }.into())
}

/// Terminal settings.
pub(crate) fn termios(fd: &OwnedFd) -> io::Result<libc::termios> {
    // SAFETY: zeros are a valid structure.
    let mut settings = unsafe { std::mem::zeroed() };
    // SAFETY: room for the structure.
    check(unsafe { libc::tcgetattr(fd.as_raw_fd(), &mut settings) }.into())?;
    Ok(settings)
}

/// Sets terminal settings.
pub(crate) fn set_termios(fd: &OwnedFd, when: i32, settings: &libc::termios) -> io::Result<()> {
    // SAFETY: a complete structure.
    check(unsafe { libc::tcsetattr(fd.as_raw_fd(), when, settings) }.into()).map(drop)
}

/// A child that sleeps as the leader of a session with this terminal.
pub(crate) fn session_leader(slave: &OwnedFd) -> io::Result<i32> {
    let (ready, started) = pipe()?;
    // SAFETY: the child makes system calls only.
    let child = check(unsafe { libc::fork() }.into())? as i32;
    if child == 0 {
        // SAFETY: no memory is involved but the byte.
        unsafe {
            libc::setsid();
            libc::ioctl(slave.as_raw_fd(), libc::TIOCSCTTY, 0);
            libc::write(started.as_raw_fd(), [1_u8].as_ptr().cast(), 1);
            loop {
                libc::pause();
            }
        }
    }
    read_to(&ready, 1).map(|_| child)
}

/// Kills a child and waits for its end.
pub(crate) fn end_child(child: i32) {
    // SAFETY: no memory is involved.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
    }
}

static SIGNALS: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_signal: i32) {
    SIGNALS.fetch_add(1, Ordering::SeqCst);
}

/// Counts a signal from now on; `flags` such as `SA_RESTART`.
pub(crate) fn count_signal(signal: i32, flags: i32) -> io::Result<()> {
    // SAFETY: zeros are a valid structure.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = count as *const () as usize;
    action.sa_flags = flags;
    SIGNALS.store(0, Ordering::SeqCst);
    // SAFETY: the handler only counts.
    check(unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) }.into()).map(drop)
}

/// Signals counted since.
pub(crate) fn signals() -> u32 {
    SIGNALS.load(Ordering::SeqCst)
}

/// SIGALRM to this process after a while.
pub(crate) fn alarm(after: Duration) {
    let value =
        libc::timeval { tv_sec: after.as_secs() as i64, tv_usec: i64::from(after.subsec_micros()) };
    let interval = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let timer = libc::itimerval { it_interval: interval, it_value: value };
    // SAFETY: a complete structure.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) };
}

/// `/dev/holon`.
pub(crate) struct Device(File);

impl Device {
    /// Opens it.
    pub(crate) fn open() -> io::Result<Self> {
        File::open("/dev/holon").map(Self)
    }

    fn call<T>(&self, number: u32, value: &mut T) -> io::Result<usize> {
        // SAFETY: the structure is the number's.
        let rc = unsafe {
            libc::ioctl(self.0.as_raw_fd(), u64::from(number), std::ptr::from_mut(value))
        };
        check(rc.into())
    }

    /// Makes a file available; slot and number.
    pub(crate) fn export(&self, fd: &OwnedFd) -> io::Result<(u32, u64)> {
        let mut export = FileExport { fd: fd.as_raw_fd(), slot: 0, file: 0 };
        self.call(FILE_EXPORT, &mut export)?;
        Ok((export.slot, export.file))
    }

    /// Opens a file that stands on a node.
    pub(crate) fn take(&self, slot: u32, file: u64, flags: i32) -> io::Result<OwnedFd> {
        let mut open = FileOpen { slot, flags: flags as u32, file, fd: -1, reserved: 0 };
        self.call(FILE_OPEN, &mut open)?;
        Ok(owned(open.fd))
    }
}

/// The byte at a place of an endless pattern.
pub(crate) fn pattern(seed: u32, at: usize) -> u8 {
    let x = (at as u32).wrapping_mul(2_654_435_761).wrapping_add(seed);
    (x >> 13) as u8
}

/// Bytes of the pattern.
pub(crate) fn patterned(seed: u32, len: usize) -> Vec<u8> {
    (0..len).map(|at| pattern(seed, at)).collect()
}

/// A checksum (FNV-1a).
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
