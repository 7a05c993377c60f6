//! Raw sockets: all that leaves this node, and packets whose source is what one says.

use std::{
    io,
    net::Ipv4Addr,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

/// What tells our own packets from those that are listened to.
pub(crate) const TTL: u8 = 77;
const IP_LEN: usize = 20;
/// Nothing for so long: nobody speaks any more.
const PATIENCE_S: i64 = 60;

fn socket(domain: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: no condition on the caller.
    let fd = unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Hears what leaves this node.
pub(crate) struct Ears(OwnedFd);

impl Ears {
    pub(crate) fn open() -> io::Result<Self> {
        let all = i32::from((libc::ETH_P_ALL as u16).to_be());
        let ears = socket(libc::AF_PACKET, libc::SOCK_DGRAM, all)?;
        let patience = libc::timeval { tv_sec: PATIENCE_S, tv_usec: 0 };
        // SAFETY: a timeval of that length.
        let rc = unsafe {
            libc::setsockopt(
                ears.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_RCVTIMEO,
                (&raw const patience).cast(),
                size_of::<libc::timeval>() as u32,
            )
        };
        if rc < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(ears))
    }

    /// The next packet that leaves, from its IP header on. Gives its length, cut to what fits.
    pub(crate) fn hear(&self, to: &mut [u8]) -> io::Result<usize> {
        loop {
            // SAFETY: all zeros is an address of no kind.
            let mut link: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
            let mut len = size_of::<libc::sockaddr_ll>() as u32;
            let (fd, room) = (self.0.as_raw_fd(), to.len());
            let at = (&raw mut link).cast();
            // SAFETY: room for the packet and for an address of that length.
            let got = unsafe { libc::recvfrom(fd, to.as_mut_ptr().cast(), room, 0, at, &mut len) };
            let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
            if link.sll_pkttype == libc::PACKET_OUTGOING {
                return Ok(got);
            }
        }
    }
}

/// Says something to another node.
pub(crate) struct Mouth {
    socket: OwnedFd,
    from: Ipv4Addr,
    to: Ipv4Addr,
}

impl Mouth {
    pub(crate) fn open(from: Ipv4Addr, to: Ipv4Addr) -> io::Result<Self> {
        Ok(Self { socket: socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW)?, from, to })
    }

    /// As one packet. The kernel adds its length, number and checksum.
    pub(crate) fn say(&self, udp: &[u8]) -> io::Result<()> {
        let mut packet = vec![0; IP_LEN];
        (packet[0], packet[8], packet[9]) = (0x45, TTL, 17);
        packet[12..16].copy_from_slice(&self.from.octets());
        packet[16..20].copy_from_slice(&self.to.octets());
        packet.extend(udp);
        let address = libc::sockaddr_in {
            sin_family: libc::AF_INET as u16,
            sin_port: 0,
            sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(self.to.octets()) },
            sin_zero: [0; 8],
        };
        let (fd, at) = (self.socket.as_raw_fd(), (&raw const address).cast());
        let len = size_of::<libc::sockaddr_in>() as u32;
        // SAFETY: a packet and an address of these lengths.
        let sent = unsafe { libc::sendto(fd, packet.as_ptr().cast(), packet.len(), 0, at, len) };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}
