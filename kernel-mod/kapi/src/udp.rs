//! A UDP socket of the kernel's own, in the first network namespace.

use core::{net::SocketAddrV4, num::NonZeroU32, ptr::NonNull};

use rust_alloc::sync::Arc;

use crate::{
    errno::{Errno, Result},
    raw,
    wait::WaitQueue,
};

/// Parts that one datagram is gathered from, at most.
pub const PARTS_MAX: usize = 8;

/// A bound socket; nothing on it ever waits.
///
/// # Invariants
/// `raw` is a live socket that only this value knows and that wakes `readable`.
pub struct UdpSocket {
    raw: NonNull<raw::kpi_udp>,
    readable: Arc<WaitQueue>,
    port: u16,
}

// SAFETY: the kernel locks its sockets itself.
unsafe impl Send for UdpSocket {}
// SAFETY: as above.
unsafe impl Sync for UdpSocket {}

fn address(addr_be: u32, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(u32::from_be(addr_be).into(), port)
}

impl UdpSocket {
    /// Bound to `local`, and to one interface if `device` names one: then nothing is taken from any
    /// other, nor sent by it. `readable` is woken when a datagram comes.
    pub fn bind(
        local: SocketAddrV4,
        device: Option<NonZeroU32>,
        readable: Arc<WaitQueue>,
    ) -> Result<Self> {
        let ifindex = device.map_or(0, NonZeroU32::get);
        let ifindex = i32::try_from(ifindex).map_err(|_| Errno::EINVAL)?;
        let mut raw = core::ptr::null_mut();
        let addr = u32::from(*local.ip()).to_be();
        // SAFETY: the queue outlives the socket: we keep it beside it.
        let rc = unsafe {
            raw::kpi_udp_open(addr, local.port(), ifindex, readable.as_raw(), &raw mut raw)
        };
        Errno::check(rc)?;
        NonNull::new(raw).map(|raw| Self { raw, readable, port: local.port() }).ok_or(Errno::EIO)
    }

    /// The port that it is bound to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The queue that is woken when a datagram comes.
    pub fn queue(&self) -> &WaitQueue {
        &self.readable
    }

    /// Whether a datagram waits; may be called in a wait's condition.
    pub fn readable(&self) -> bool {
        // SAFETY: a live socket.
        unsafe { raw::kpi_udp_readable(self.raw.as_ptr()) }
    }

    /// Sends one datagram out of `parts` (at most [`PARTS_MAX`]); `EAGAIN` if there is no room.
    pub fn send(&self, to: SocketAddrV4, parts: &[&[u8]]) -> Result {
        if parts.len() > PARTS_MAX {
            return Err(Errno::EINVAL);
        }
        let mut iov = [raw::kpi_iovec { base: core::ptr::null(), len: 0 }; PARTS_MAX];
        for (slot, part) in iov.iter_mut().zip(parts) {
            *slot = raw::kpi_iovec { base: part.as_ptr().cast(), len: part.len() };
        }
        let addr = u32::from(*to.ip()).to_be();
        // SAFETY: a live socket; each part is readable for its length.
        let rc = unsafe {
            raw::kpi_udp_send(self.raw.as_ptr(), addr, to.port(), iov.as_ptr(), parts.len())
        };
        Errno::check(rc).map(drop)
    }

    /// Receives one datagram: its real length, even if `buf` is shorter, and its sender.
    pub fn recv(&self, buf: &mut [u8]) -> Result<(usize, SocketAddrV4)> {
        let (mut addr, mut port) = (0, 0);
        // SAFETY: a live socket; `buf` is writable for its length.
        let rc = unsafe {
            raw::kpi_udp_recv(
                self.raw.as_ptr(),
                buf.as_mut_ptr(),
                buf.len(),
                &raw mut addr,
                &raw mut port,
            )
        };
        Ok((Errno::check_len(rc)?, address(addr, port)))
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        // SAFETY: a live socket, given up; the kernel calls us no more when this returns.
        unsafe { raw::kpi_udp_close(self.raw.as_ptr()) }
    }
}

/// Goes on with a CRC-32C: the raw register, which begins as all ones and ends complemented.
pub fn crc32c_update(register: u32, data: &[u8]) -> u32 {
    // SAFETY: readable for its length.
    unsafe { raw::kpi_crc32c(register, data.as_ptr(), data.len()) }
}
