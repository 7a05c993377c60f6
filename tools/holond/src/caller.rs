//! Who asks: what the kernel says of the process at the other end of a socket.

use crate::sys;
use anyhow::{ensure, Context, Result};
use holon_api::request::Limit;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

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

/// Clients at once, of all users.
const CLIENTS_MAX: usize = 512;
/// Of these, what stays free for root.
const FOR_ROOT: usize = 64;
/// Of one user.
const PER_USER_MAX: usize = 128;

/// Counts the clients of each user: anybody may connect, nobody may keep others out.
#[derive(Default)]
pub(crate) struct Clients(Mutex<HashMap<u32, usize>>);

/// A client's place; free again when this goes.
pub(crate) struct Seat {
    clients: Arc<Clients>,
    uid: u32,
}

impl Clients {
    /// A place for a client of this user, if it may have one.
    pub(crate) fn admit(self: &Arc<Self>, uid: u32) -> Option<Seat> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = counts.values().sum();
        let own = counts.entry(uid).or_default();
        let is_free = match uid {
            0 => all < CLIENTS_MAX,
            _ => *own < PER_USER_MAX && all < CLIENTS_MAX - FOR_ROOT,
        };
        *own += usize::from(is_free);
        is_free.then(|| Seat { clients: self.clone(), uid })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.clients.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.uid) {
            *count -= 1;
        }
        counts.retain(|_, count| *count > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_user_keeps_others_out() {
        let clients = Arc::new(Clients::default());
        let mut seats: Vec<Seat> = Vec::new();
        for uid in 1000..1010 {
            seats.extend((0..200).map_while(|_| clients.admit(uid)));
        }
        assert_eq!(seats.len(), CLIENTS_MAX - FOR_ROOT, "all users together");
        let of_first = seats.iter().filter(|seat| seat.uid == 1000).count();
        assert_eq!(of_first, PER_USER_MAX);
        assert!(clients.admit(2000).is_none());
        let root: Vec<_> = (0..200).map_while(|_| clients.admit(0)).collect();
        assert_eq!(root.len(), FOR_ROOT);
        drop((seats, root));
        assert!(clients.0.lock().expect("free").is_empty());
    }

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
