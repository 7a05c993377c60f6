//! The one place where received descriptors become owned ones.

use nix::sys::socket::{recvmsg, ControlMessageOwned, MsgFlags, RecvMsg, UnixAddr};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Descriptors that one frame may carry.
pub(crate) const FDS_MAX: usize = 4;

/// Reads up to `buffer.len()` bytes and takes over the descriptors that came with them.
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    fds: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut control = nix::cmsg_space!([i32; FDS_MAX]);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message: RecvMsg<'_, '_, UnixAddr> = loop {
        match recvmsg(socket.as_raw_fd(), &mut parts, Some(&mut control), flags) {
            Err(nix::errno::Errno::EINTR) => {}
            other => break other?,
        }
    };
    for item in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = item {
            for fd in raw {
                // SAFETY: the kernel has just installed `fd` for us and nobody else knows it.
                fds.push(unsafe { OwnedFd::from_raw_fd(fd) });
            }
        }
    }
    Ok(message.bytes)
}
