//! `/dev/holon` as a program sees it.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::AsRawFd,
    time::Duration,
};

use zerocopy::{FromBytes, IntoBytes};

/// An open device.
pub(crate) struct Device(File);

impl Device {
    /// Opens it.
    pub(crate) fn open() -> io::Result<Self> {
        File::open("/dev/holon").map(Self)
    }

    /// Makes a call with any number and argument.
    pub(crate) fn call_raw(&self, number: u32, arg: u64) -> io::Result<i32> {
        // SAFETY: the kernel checks the address; callers pass one of memory that they own, or one
        // that is meant to be refused.
        let rc = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::c_ulong::from(number), arg) };
        if rc < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(rc)
        }
    }

    /// Makes a call with its structure.
    pub(crate) fn call<T: IntoBytes + FromBytes>(
        &self,
        number: u32,
        arg: &mut T,
    ) -> io::Result<i32> {
        self.call_raw(number, std::ptr::from_mut(arg).addr() as u64)
    }

    /// Whether there is something to read within the time.
    pub(crate) fn poll(&self, timeout: Duration) -> io::Result<bool> {
        let mut fd = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: one pollfd.
        match unsafe { libc::poll(&raw mut fd, 1, timeout_ms) } {
            rc if rc < 0 => Err(io::Error::last_os_error()),
            rc => Ok(rc == 1 && fd.revents & libc::POLLIN != 0),
        }
    }

    /// Reads whole events.
    pub(crate) fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.0.read(to)
    }
}

/// A zero-terminated text of a fixed length.
pub(crate) fn fixed<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let len = text.len().min(N);
    bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
    bytes
}

/// The other way.
pub(crate) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
