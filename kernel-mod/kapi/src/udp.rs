//! A UDP socket of the kernel's own, in the first network namespace.

use core::{
    marker::PhantomData,
    net::{Ipv4Addr, SocketAddrV4},
    num::NonZeroU32,
    ptr::NonNull,
};

use rust_alloc::{sync::Arc, vec::Vec};

use crate::{
    errno::{Errno, Result},
    global::Global,
    module::Unloading,
    raw,
    wait::WaitQueue,
};

/// Parts that [`UdpSocket::send`] gathers a datagram from, at most.
pub const PARTS_MAX: usize = 8;
/// Parts that a [`Scratch`] has room for.
pub const GATHERED_MAX: usize = 256;

/// A bound socket; nothing on it ever waits, neither for the network nor for memory.
///
/// # Invariants
/// `raw` is a live socket that only this value knows, and that wakes `_readable`.
pub struct UdpSocket {
    raw: NonNull<raw::kpi_udp>,
    _readable: Arc<WaitQueue>,
    port: u16,
}

// SAFETY: the kernel locks its sockets itself.
unsafe impl Send for UdpSocket {}
// SAFETY: as above.
unsafe impl Sync for UdpSocket {}

fn address(addr_be: u32, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(u32::from_be(addr_be).into(), port)
}

fn address_be(address: Ipv4Addr) -> u32 {
    u32::from(address).to_be()
}

impl UdpSocket {
    /// Bound to `local`, and to one interface if `device` names one: then nothing is taken from any
    /// other, nor sent by it. `readable` is woken when a datagram comes.
    pub fn bind(
        local: SocketAddrV4,
        device: Option<NonZeroU32>,
        readable: Arc<WaitQueue>,
    ) -> Result<Self> {
        let ifindex = i32::try_from(device.map_or(0, NonZeroU32::get));
        let ifindex = ifindex.map_err(|_| Errno::EINVAL)?;
        let mut raw = core::ptr::null_mut();
        let addr = address_be(*local.ip());
        // SAFETY: the queue outlives the socket: we keep it beside it.
        let rc = unsafe {
            raw::kpi_udp_open(addr, local.port(), ifindex, readable.as_raw(), &raw mut raw)
        };
        Errno::check(rc)?;
        let raw = NonNull::new(raw).ok_or(Errno::EIO)?;
        Ok(Self { raw, _readable: readable, port: local.port() })
    }

    /// What it sends passes from now on by other packets in the queues on the way that know a
    /// difference.
    pub fn mark_urgent(&self) {
        // SAFETY: a live socket.
        unsafe { raw::kpi_udp_mark_urgent(self.raw.as_ptr()) }
    }

    /// Offers each datagram to the inlet first (see [`set_inlet`]), from now on or no longer. When
    /// it is switched off, the inlet does not run any more.
    pub fn offer_to_inlet(&self, on: bool) -> Result {
        // SAFETY: a live socket.
        Errno::check(unsafe { raw::kpi_udp_inlet(self.raw.as_ptr(), on) }).map(drop)
    }

    /// The port that it is bound to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether a datagram waits; may be called in a wait's condition.
    pub fn readable(&self) -> bool {
        // SAFETY: a live socket.
        unsafe { raw::kpi_udp_readable(self.raw.as_ptr()) }
    }

    /// Sends one datagram out of `parts` (at most [`PARTS_MAX`]); `EAGAIN` if there is no room.
    pub fn send(&self, to: SocketAddrV4, parts: &[&[u8]]) -> Result {
        let mut iov = [NOTHING; PARTS_MAX];
        let iov = iov.get_mut(..parts.len()).ok_or(Errno::EINVAL)?;
        for (place, part) in iov.iter_mut().zip(parts) {
            *place = iovec(part);
        }
        self.send_iov(to, iov)
    }

    fn send_iov(&self, to: SocketAddrV4, iov: &[raw::kpi_iovec]) -> Result {
        let addr = address_be(*to.ip());
        // SAFETY: a live socket; callers give parts that are readable for their length.
        let rc = unsafe {
            raw::kpi_udp_send(self.raw.as_ptr(), addr, to.port(), iov.as_ptr(), iov.len())
        };
        Errno::check(rc).map(drop)
    }

    /// As [`UdpSocket::send`], with up to [`GATHERED_MAX`] parts.
    pub fn send_gathered<'a>(
        &self,
        scratch: &mut Scratch,
        to: SocketAddrV4,
        parts: impl Iterator<Item = &'a [u8]>,
    ) -> Result {
        self.send_iov(to, scratch.gather(parts)?)
    }

    /// Sends several datagrams at once, each `segment_len` bytes of `parts` (at most
    /// [`GATHERED_MAX`]), the last one perhaps less. An error if the way there can't take such a
    /// burst: each must go alone then.
    pub fn send_burst<'a>(
        &self,
        scratch: &mut Scratch,
        to: SocketAddrV4,
        parts: impl Iterator<Item = &'a [u8]>,
        segment_len: u16,
    ) -> Result {
        scratch.gather(parts)?;
        let addr = address_be(*to.ip());
        let iov = &scratch.iov;
        // SAFETY: a live socket; the scratch is ours alone now; each part is readable for its
        // length.
        let rc = unsafe {
            raw::kpi_udp_send_burst(
                self.raw.as_ptr(),
                scratch.raw.as_ptr(),
                addr,
                to.port(),
                iov.as_ptr(),
                iov.len(),
                segment_len,
            )
        };
        Errno::check(rc).map(drop)
    }

    /// Takes one datagram, or several of one sender that came together.
    pub fn recv(&self) -> Result<Received> {
        let mut facts = raw::kpi_received::default();
        // SAFETY: a live socket.
        Errno::check(unsafe { raw::kpi_udp_recv(self.raw.as_ptr(), &raw mut facts) })?;
        let raw = NonNull::new(facts.burst).ok_or(Errno::EIO)?;
        let segment_len = match facts.segment_len {
            0 => facts.len,
            segment_len => segment_len.into(),
        };
        let from = address(facts.addr_be, facts.port);
        Ok(Received { raw, len: facts.len, segment_len, from })
    }

    /// The longest IP packet that the route to a node takes.
    pub fn route_mtu(&self, to: Ipv4Addr) -> Result<usize> {
        // SAFETY: a live socket.
        let rc = unsafe { raw::kpi_udp_route_mtu(self.raw.as_ptr(), address_be(to)) };
        Errno::check_len(rc.into())
    }
}

const NOTHING: raw::kpi_iovec = raw::kpi_iovec { base: core::ptr::null(), len: 0 };

fn iovec(part: &[u8]) -> raw::kpi_iovec {
    raw::kpi_iovec { base: part.as_ptr().cast(), len: part.len() }
}

/// The datagrams of one sender that came together, where the network left them.
///
/// # Invariants
/// `raw` is a packet of `len` bytes that only this value knows.
pub struct Received {
    raw: NonNull<raw::kpi_burst>,
    len: usize,
    segment_len: usize,
    from: SocketAddrV4,
}

impl Received {
    /// Their sender.
    pub fn from(&self) -> SocketAddrV4 {
        self.from
    }

    /// How many there are: at least one.
    pub fn count(&self) -> usize {
        self.len.div_ceil(self.segment_len.max(1)).max(1)
    }

    /// One of them. It is copied to `spare` only if it lies in pieces, and cut there if that is
    /// too short for it. `None` if there are not so many.
    pub fn datagram<'a>(&'a self, index: usize, spare: &'a mut [u8]) -> Option<&'a [u8]> {
        let start = index.checked_mul(self.segment_len).filter(|_| index < self.count())?;
        let len = self.len.checked_sub(start)?.min(self.segment_len).min(spare.len());
        // SAFETY: a live packet; `spare` is writable for `len`.
        let bytes =
            unsafe { raw::kpi_burst_bytes(self.raw.as_ptr(), start, spare.as_mut_ptr(), len) };
        if bytes.is_null() {
            return None;
        }
        // SAFETY: so many bytes are there: in the packet, which the network has done with and which
        // lives as long as this value, or in `spare`, which is lent for as long as what is given.
        Some(unsafe { core::slice::from_raw_parts(bytes, len) })
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        // SAFETY: given up.
        unsafe { raw::kpi_burst_free(self.raw.as_ptr()) }
    }
}

/// A datagram where it was received.
///
/// # Invariants
/// `raw` is a packet of the kernel's that lives as long as `'a`.
pub struct Packet<'a> {
    raw: *const raw::kpi_packet,
    len: usize,
    from: SocketAddrV4,
    _packet: PhantomData<&'a raw::kpi_packet>,
}

impl Packet<'_> {
    /// Its length.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no content.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its sender.
    pub fn from(&self) -> SocketAddrV4 {
        self.from
    }

    /// Copies what is at `offset`; false if it does not have so much, and then `out` has anything.
    pub fn copy(&self, offset: usize, out: &mut [u8]) -> bool {
        // SAFETY: a live packet; `out` is writable for its length.
        unsafe { raw::kpi_packet_copy(self.raw, offset, out.as_mut_ptr(), out.len()) }
    }
}

/// Takes datagrams where they are received, in softirq context: must not sleep. True if it has
/// taken it; else it is queued for [`UdpSocket::recv`].
pub type Inlet = fn(&Packet<'_>) -> bool;

static INLET: Global<Inlet> = Global::new();

/// Names the one inlet of the module.
pub fn set_inlet(inlet: Inlet) -> Result {
    INLET.set(inlet).map(drop)
}

/// Forgets it. No socket offers anything to it any more.
pub fn clear_inlet(token: &Unloading) {
    INLET.clear(token);
}

#[no_mangle]
extern "C" fn kapi_udp_packet(
    packet: *const raw::kpi_packet,
    len: usize,
    addr: u32,
    port: u16,
) -> bool {
    let Some(inlet) = INLET.get() else { return false };
    inlet(&Packet { raw: packet, len, from: address(addr, port), _packet: PhantomData })
}

/// What bursts need besides, of which only one at a time may be sent with it.
///
/// # Invariants
/// `raw` is a scratch that only this value knows. What `iov` names is looked at in the call that
/// put it there, and never after it.
pub struct Scratch {
    raw: NonNull<raw::kpi_udp_scratch>,
    iov: Vec<raw::kpi_iovec>,
}

// SAFETY: it belongs to no task, and nobody follows what `iov` had before.
unsafe impl Send for Scratch {}

impl Scratch {
    /// An empty one, with all the memory that it needs but the kernel's own.
    pub fn new() -> Result<Self> {
        let mut iov = Vec::new();
        iov.try_reserve_exact(GATHERED_MAX)?;
        // SAFETY: no condition on the caller.
        let raw = NonNull::new(unsafe { raw::kpi_udp_scratch_new() }).ok_or(Errno::ENOMEM)?;
        Ok(Self { raw, iov })
    }

    fn gather<'a>(&mut self, parts: impl Iterator<Item = &'a [u8]>) -> Result<&[raw::kpi_iovec]> {
        self.iov.clear();
        for part in parts {
            if self.iov.len() == GATHERED_MAX {
                return Err(Errno::EINVAL);
            }
            self.iov.push(iovec(part));
        }
        Ok(&self.iov)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: given up.
        unsafe { raw::kpi_udp_scratch_free(self.raw.as_ptr()) }
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        // SAFETY: a live socket, given up; the kernel calls us no more when this returns.
        unsafe { raw::kpi_udp_close(self.raw.as_ptr()) }
    }
}
