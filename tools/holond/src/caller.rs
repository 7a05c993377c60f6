//! Who asks: what the kernel says of the process at the other end of a socket.

use crate::sys;
use anyhow::{ensure, Context, Result};
use holon_api::request::Limit;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    /// User number.
    pub(crate) uid: u32,
    pid: i32,
}

impl Caller {
    /// Who connected.
    pub(crate) fn of(socket: &UnixStream) -> nix::Result<Self> {
        let credentials = getsockopt(socket, PeerCredentials)?;
        Ok(Self { uid: credentials.uid(), pid: credentials.pid() })
    }

    /// Whether it may do anything.
    pub(crate) fn is_root(self) -> bool {
        self.uid == 0
    }

    /// The resource limits that it has. What it says of them itself proves nothing: whoever starts
    /// the command for it is root.
    pub(crate) fn limits(self) -> Result<Vec<Limit>> {
        let found = sys::limits_of(self.pid).context("the caller's limits can't be read")?;
        // Looked at afterwards: its number may be another process's by now, with other limits.
        let owner = std::fs::metadata(format!("/proc/{}", self.pid)).map(|meta| meta.uid());
        ensure!(owner.is_ok_and(|uid| uid == self.uid), "the caller is gone");
        let limit = |(resource, soft, hard)| Limit { resource, soft, hard };
        Ok(found.into_iter().map(limit).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_those_of_the_process() {
        let (socket, _other) = UnixStream::pair().expect("a socket pair");
        let caller = Caller::of(&socket).expect("ourselves");
        let limits = caller.limits().expect("ourselves");
        let files = limits.iter().find(|limit| limit.resource == libc::RLIMIT_NOFILE);
        let own = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
        assert_eq!(files.map(|limit| (limit.soft, limit.hard)), own.ok());
        let stranger = Caller { uid: caller.uid + 1, ..caller };
        assert!(stranger.limits().is_err(), "the number is another user's process's now");
    }
}
