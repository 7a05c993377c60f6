//! `/dev/holon`: the node itself, its peers, messages between daemons.

use super::event::{self, Event};
use crate::config::Config;
use crate::peer::rpc;
use crate::sys::{address, ioctl_record};
use crate::wire::Binding;
use anyhow::{bail, Context, Result};
use holon_uapi::base as uapi;
use nix::errno::Errno;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Mutex;
use zerocopy::FromZeros;

const PATH: &str = "/dev/holon";
/// Room for the largest event and some small ones.
const READ_LEN: usize = 256 << 10;
/// How often a message is offered to a queue that is full before the peer counts as stuck.
const BUSY_TRIES_MAX: u32 = 500;
const BUSY_WAIT_MS: u64 = 10;

/// An open device.
pub(crate) struct Device {
    file: File,
    unread: Mutex<Vec<u8>>,
}

/// Things that keep the module, by name.
pub(crate) type Held = Vec<(String, u64)>;

pub(super) fn name_field<const N: usize>(name: &str) -> [u8; N] {
    let mut field = [0; N];
    // The last byte stays zero.
    for (to, from) in field.iter_mut().zip(name.bytes()).take(N - 1) {
        *to = from;
    }
    field
}

pub(super) fn text_of(field: &[u8]) -> String {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

fn ipv4(addr: SocketAddr) -> Result<[u8; 4]> {
    match addr.ip() {
        IpAddr::V4(ip) => Ok(ip.octets()),
        IpAddr::V6(ip) => bail!("{ip} is an IPv6 address: the transport speaks IPv4 only so far"),
    }
}

impl Device {
    /// Opens it.
    pub(crate) fn open() -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(PATH);
        let file = file.with_context(|| format!("can't open {PATH}"))?;
        Ok(Self { file, unread: Mutex::default() })
    }

    /// Takes a device file that this process was started with.
    pub(crate) fn from_fd(fd: std::os::fd::OwnedFd) -> Self {
        Self { file: fd.into(), unread: Mutex::default() }
    }

    /// The module's version, which peers compare.
    pub(crate) fn version(&self) -> String {
        let mut version = uapi::Version::new_zeroed();
        match ioctl_record(self.as_fd(), uapi::VERSION, &mut version) {
            Ok(_) => version.module_version.to_string(),
            Err(_) => String::new(),
        }
    }

    /// The module's life: another one after each load.
    pub(crate) fn incarnation(&self) -> nix::Result<[u8; 16]> {
        let mut version = uapi::Version::new_zeroed();
        ioctl_record(self.as_fd(), uapi::VERSION, &mut version)?;
        Ok(version.incarnation)
    }

    /// Refuses a module of another interface.
    pub(crate) fn check_version(&self) -> Result<()> {
        let mut version = uapi::Version::new_zeroed();
        ioctl_record(self.as_fd(), uapi::VERSION, &mut version).context("VERSION")?;
        if version.abi != uapi::ABI {
            bail!(
                "the module speaks interface {}, this holond {}: install matching packages and \
                 load the module anew",
                version.abi,
                uapi::ABI
            );
        }
        Ok(())
    }

    /// Tells the module who this node is, and about the others. A module that was told by an
    /// earlier daemon keeps what it knows.
    pub(crate) fn configure(&self, config: &Config, binding: Binding) -> Result<()> {
        let own = config.own_node();
        let mut record = uapi::Config::new_zeroed();
        record.slot = own.slot;
        record.timescale = config.timescale;
        record.port = own.addr.port();
        record.mtu_payload = u16::try_from(binding.mtu).context("mtu is too large")?;
        record.ipv4 = ipv4(own.addr)?;
        record.ifindex = binding.ifindex;
        record.name = name_field(&own.name);
        match ioctl_record(self.as_fd(), uapi::CONFIG, &mut record) {
            Ok(_) | Err(Errno::EALREADY | Errno::EEXIST | Errno::EBUSY) => {}
            Err(errno) => bail!("the module refused its configuration: {errno}"),
        }
        for node in config.nodes.iter().filter(|node| node.slot != config.own) {
            let mut peer = uapi::PeerAdd::new_zeroed();
            peer.slot = node.slot;
            peer.ipv4 = ipv4(node.addr)?;
            peer.port = node.addr.port();
            peer.name = name_field(&node.name);
            match ioctl_record(self.as_fd(), uapi::PEER_ADD, &mut peer) {
                Ok(_) | Err(Errno::EEXIST) => {}
                Err(errno) => bail!("the module refused node {}: {errno}", node.name),
            }
        }
        Ok(())
    }

    /// From here on events are for this opener.
    pub(crate) fn attach(&self) -> Result<()> {
        ioctl_record(self.as_fd(), uapi::ATTACH_DAEMON, &mut 0u64)
            .map(drop)
            .context("another holond is attached to the module")
    }

    /// Slots of peers that are in session.
    pub(crate) fn peers_up(&self) -> Result<Vec<u32>> {
        let mut peers = [uapi::Peer::new_zeroed(); 64];
        let mut list = uapi::List { ptr: address(peers.as_mut_ptr()), count: 64, flags: 0 };
        ioctl_record(self.as_fd(), uapi::PEER_LIST, &mut list).context("PEER_LIST")?;
        let count = usize::try_from(list.count).unwrap_or(0).min(peers.len());
        let up = peers[..count].iter().filter(|peer| peer.state == uapi::PEER_UP);
        Ok(up.map(|peer| peer.slot).collect())
    }

    /// What keeps the module from being unloaded.
    pub(crate) fn held(&self) -> Result<Held> {
        let mut record = uapi::Quiesce::new_zeroed();
        match ioctl_record(self.as_fd(), uapi::QUIESCE, &mut record) {
            Ok(_) | Err(Errno::EBUSY) => {}
            Err(errno) => return Err(errno).context("QUIESCE"),
        }
        let count = usize::try_from(record.count).unwrap_or(0).min(record.held.len());
        Ok(record.held[..count].iter().map(|h| (text_of(&h.name), h.count)).collect())
    }

    /// Waits for the next events.
    pub(crate) fn read_events(&self) -> std::io::Result<Vec<Event>> {
        let mut buffer = vec![0; READ_LEN];
        let got = loop {
            match (&self.file).read(&mut buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        let mut unread = self.unread.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        unread.extend_from_slice(&buffer[..got]);
        let (events, used) = event::decode(&unread);
        unread.drain(..used);
        Ok(events)
    }
}

impl rpc::Send for Device {
    fn send(&self, slot: u32, part: &[u8]) -> std::io::Result<()> {
        let len = u32::try_from(part.len()).map_err(std::io::Error::other)?;
        for _ in 0..BUSY_TRIES_MAX {
            let mut record =
                uapi::Send { slot, len, ptr: address(part.as_ptr()), flags: 0, reserved: 0 };
            match ioctl_record(self.as_fd(), uapi::SEND, &mut record) {
                Ok(_) => return Ok(()),
                // The link's queue is full, or memory. There is no event for its getting empty.
                Err(Errno::EAGAIN | Errno::EBUSY | Errno::ENOBUFS | Errno::ENOMEM) => {
                    std::thread::sleep(std::time::Duration::from_millis(BUSY_WAIT_MS));
                }
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(Errno::ETIMEDOUT.into())
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
