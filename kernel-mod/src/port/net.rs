//! The node's one UDP socket and the transport over it: what all areas send with.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::{
    fmt::{self, Display, Formatter},
    net::{Ipv4Addr, SocketAddrV4},
    num::NonZeroU32,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use kapi::{
    alloc::vec_now,
    alloc::zeroed_vec,
    clock, lock_class,
    module::Unloading,
    still::{self, StillPage},
    thread::{self, KThread},
    udp::UdpSocket,
    wait::Mode,
    Errno, Global, Mutex, MutexGuard, Result, SpinLock, WaitQueue,
};
use netproto::{
    limits::{MTU_PAYLOAD_MIN, SLOT_COUNT},
    page::Addresses,
    Class, Config, DownReason, Incarnation, Instant, Kind, Lane, PeerError, PeerInfo, PeerState,
    SendError, Slot,
};

use super::{
    burst::Burst,
    driver::{self, SPARE_LEN},
    paths::Paths,
    stock::{self, Stock},
};
use crate::control::stats;

pub(crate) use super::{
    pages::{page_checksum, send_page_data, set_page_handler},
    urgent::{send_answer, send_get, set_takers, Answer, Content, Takers},
};

/// The node's end of all links. Messages may refer to pages of processes that run here no more.
pub(super) type Transport = netproto::Transport<StillPage>;

/// A piece of a message.
pub(crate) type Piece<'a> = netproto::Piece<'a, StillPage>;

/// Bytes of a node's name.
pub(crate) const NAME_LEN: usize = holon_uapi::base::NAME_LEN;

/// Why a session with a peer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Nothing was heard for too long.
    Silence,
    /// The peer had given it up.
    PeerReset,
    /// The peer said that it leaves.
    Left,
    /// The peer broke the protocol.
    Violation,
    /// The peer has begun a new life.
    Restarted,
}

impl From<DownReason> for Why {
    fn from(reason: DownReason) -> Self {
        match reason {
            DownReason::Silence => Self::Silence,
            DownReason::PeerReset => Self::PeerReset,
            DownReason::Left => Self::Left,
            DownReason::Violation => Self::Violation,
        }
    }
}

/// The end of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Down {
    /// Why it ended.
    pub(crate) why: Why,
    /// The incarnation that it was with.
    pub(crate) incarnation: Incarnation,
}

/// A peer as the driver and the page path see it.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    /// Where it is.
    pub(crate) address: SocketAddrV4,
    /// Set while a session lasts.
    pub(crate) up: Option<Addresses>,
    /// The longest datagram that the way there takes, as far as is known.
    pub(crate) payload: u16,
}

/// Where the node itself is reached.
#[derive(Clone, Copy)]
pub(crate) struct Wire {
    /// Its address.
    pub(crate) local: SocketAddrV4,
    /// The one interface that it talks through; none: whichever leads there.
    pub(crate) device: Option<NonZeroU32>,
    /// Longest datagram, whatever the routes take.
    pub(crate) payload_max: Option<u16>,
}

impl Display for Wire {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} dev {}", self.local, self.device.map_or(0, NonZeroU32::get))
    }
}

/// Where a node sends what somebody waits for, and from where: the port after its own. Queues on
/// the way see another flow in it than in the rest, and so does the driver.
pub(super) fn urgent_of(address: SocketAddrV4) -> SocketAddrV4 {
    SocketAddrV4::new(*address.ip(), address.port().wrapping_add(1))
}

/// What the transport's lock guards.
pub(super) struct Inner {
    pub(super) transport: Transport,
    /// In a box, for this all is handed on by value where the stack is short.
    burst: Box<Burst>,
    pub(super) paths: Paths,
    names: Vec<[u8; NAME_LEN]>,
    left: bool,
}

/// The node's end of the network.
pub(crate) struct Net {
    pub(super) socket: UdpSocket,
    // For what somebody waits for.
    pub(super) urgent: UdpSocket,
    // Woken when a datagram comes, and by `poke`.
    pub(super) wake: Arc<WaitQueue>,
    pub(super) inner: Mutex<Inner>,
    // By slot.
    lines: SpinLock<Vec<Option<Line>>>,
    own: Config,
    pub(super) wire: Wire,
    // When the driver will next look at the transport by itself, in ns.
    pub(super) deadline_ns: AtomicU64,
    pub(super) poked: AtomicBool,
    // The driver is about to look at all, at the time too. Changed with the lock held.
    pub(super) in_turn: AtomicBool,
    // Woken whenever a queue has room again or a session ended; for `send_waiting`.
    pub(super) room: WaitQueue,
    pub(super) stock: Stock,
    // The driver first: it is to stop first.
    threads: Mutex<[Option<KThread>; 2]>,
}

static NET: Global<Net> = Global::new();

/// The network, once it is configured.
pub(super) fn get() -> Option<&'static Net> {
    NET.get()
}

/// The time for the transport.
pub(crate) fn now() -> Instant {
    Instant::from_ns(clock::now_ns())
}

/// The transport under its lock. Apart from [`start`], so that neither needs much of the stack.
#[inline(never)]
fn make_inner(own: Config) -> Result<Mutex<Inner>> {
    let transport = Transport::new(own).map_err(|_| Errno::EINVAL)?;
    let names = by_slot([0; NAME_LEN])?;
    let paths = by_slot(0)?;
    let burst = Box::new(Burst::new()?);
    let inner = Inner { transport, burst, paths, names, left: false };
    Mutex::new(lock_class!(c"holon-transport"), inner)
}

/// Begins to talk: once in the module's life. Without a longest datagram, the routes say it.
#[inline(never)]
pub(crate) fn start(mut own: Config, wire: Wire, name: [u8; NAME_LEN]) -> Result {
    if NET.get().is_some() {
        return Err(Errno::EEXIST);
    }
    own.allocate = vec_now;
    let wake = Arc::new(WaitQueue::new()?);
    let spare = zeroed_vec(SPARE_LEN)?;
    let net = NET.set(Net {
        inner: make_inner(own)?,
        socket: UdpSocket::bind(wire.local, wire.device, wake.clone())?,
        urgent: UdpSocket::bind(urgent_of(wire.local), wire.device, wake.clone())?,
        wake,
        lines: SpinLock::new(lock_class!(c"holon-lines"), by_slot(None)?)?,
        own,
        wire,
        deadline_ns: AtomicU64::new(0),
        poked: AtomicBool::new(false),
        in_turn: AtomicBool::new(false),
        room: WaitQueue::new()?,
        stock: Stock::new()?,
        threads: Mutex::new(lock_class!(c"holon-driver"), [None, None])?,
    })?;
    net.urgent.mark_urgent();
    net.urgent.offer_to_inlet(true)?;
    let stock = stock::start(net)?;
    let driver = KThread::spawn(c"holon-net", move || driver::run(net, spare))?;
    // Heartbeats and other nodes' faults must not wait for this node's own work.
    driver.make_urgent();
    *net.threads.lock() = [Some(driver), Some(stock)];
    let text = name.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = core::str::from_utf8(text).unwrap_or("?");
    log::info!("node {text} in slot {}, {wire}, timescale {}", own.slot, own.timescale);
    Ok(())
}

fn by_slot<T: Copy>(value: T) -> Result<Vec<T>> {
    let mut list = Vec::new();
    list.try_reserve_exact(usize::from(SLOT_COUNT))?;
    list.resize(usize::from(SLOT_COUNT), value);
    Ok(list)
}

/// Says goodbye to all peers. Nothing is sent after it.
pub(crate) fn leave() {
    let Some(net) = NET.get() else { return };
    let mut inner = net.inner.lock();
    if !inner.left {
        inner.left = true;
        inner.transport.shutdown(now());
        net.transmit(inner);
    }
}

/// Leaves and ends the driver. Messages and events stop.
pub(crate) fn stop() {
    let Some(net) = NET.get() else { return };
    leave();
    // Switching it off can't fail.
    let _ = net.urgent.offer_to_inlet(false);
    let threads = core::mem::take(&mut *net.threads.lock());
    drop(threads);
}

/// Closes the socket.
pub(crate) fn clear(token: &Unloading) {
    NET.clear(token);
    let left = still::count().load(Ordering::Relaxed);
    if left != 0 {
        log::error!("{left} pages of processes are still referred to");
    }
    super::pages::clear(token);
    super::urgent::clear(token);
}

/// Makes a node known: it will be talked to from now on.
pub(crate) fn add_peer(slot: Slot, ip: Ipv4Addr, port: u16, name: [u8; NAME_LEN]) -> Result {
    let net = NET.get().ok_or(Errno::ENOTCONN)?;
    let port = if port == 0 { net.socket.port() } else { port };
    let address = SocketAddrV4::new(ip, port);
    if ip.is_unspecified() || ip.is_broadcast() || ip.is_multicast() {
        return Err(Errno::EINVAL);
    }
    let mut inner = net.inner.lock();
    inner.transport.add_peer(now(), slot).map_err(|error| match error {
        PeerError::OwnSlot => Errno::EINVAL,
        PeerError::Exists => Errno::EEXIST,
        PeerError::Unknown => Errno::ENOENT,
        PeerError::MtuPayload => Errno::EMSGSIZE,
        PeerError::NoMemory => Errno::ENOMEM,
    })?;
    inner.names[slot.index()] = name;
    net.lines.lock()[slot.index()] = Some(Line { address, up: None, payload: MTU_PAYLOAD_MIN });
    net.look_at_path(&mut inner, slot, ip);
    net.transmit(inner);
    Ok(())
}

/// Ends the session with a peer; the next one begins by itself.
pub(crate) fn end_session(slot: Slot) {
    let Some(net) = NET.get() else { return };
    let mut inner = net.inner.lock();
    // One that is not known has no session.
    let _ = inner.transport.give_up(now(), slot);
    net.transmit(inner);
    net.poke();
}

/// What is known of a peer, and its name.
pub(crate) fn peer(slot: Slot) -> Option<(Line, PeerInfo, [u8; NAME_LEN])> {
    let net = NET.get()?;
    let inner = net.inner.lock();
    let info = inner.transport.peer(slot)?;
    Some((net.line(slot)?, info, inner.names[slot.index()]))
}

/// Own slot, once configured.
pub(crate) fn own_slot() -> Option<Slot> {
    NET.get().map(|net| net.own.slot)
}

/// Where this node is reached, once configured.
pub(crate) fn wire() -> Option<Wire> {
    NET.get().map(|net| net.wire)
}

/// What all timeouts are multiplied by; 1 before it is configured.
pub(crate) fn timescale() -> u32 {
    NET.get().map_or(1, |net| net.own.timescale)
}

/// Whether there is a session with a peer. From any context.
pub(crate) fn is_up(slot: Slot) -> bool {
    incarnation_of(slot).is_some()
}

/// The incarnation of a peer that is up. From any context.
pub(crate) fn incarnation_of(slot: Slot) -> Option<Incarnation> {
    let up = NET.get()?.line(slot)?.up?;
    Some(up.destination_incarnation)
}

/// Queues a reliable message and sends what may be sent at once. May sleep for the transport's
/// lock, never for the peer: `Busy` if the queue is full. It arrives in order with all others of
/// its class.
pub(crate) fn send(
    slot: Slot,
    class: Class,
    kind: Kind,
    parts: &[&[u8]],
) -> core::result::Result<(), SendError> {
    send_in(slot, (class, Lane::Strict), kind, parts)
}

/// As [`send`], in the order that the lane says.
pub(crate) fn send_in(
    slot: Slot,
    order: (Class, Lane),
    kind: Kind,
    parts: &[&[u8]],
) -> core::result::Result<(), SendError> {
    let net = NET.get().ok_or(SendError::UnknownPeer)?;
    let mut inner = net.inner.lock();
    inner.transport.send_in(now(), slot, order, kind, parts)?;
    net.transmit(inner);
    Ok(())
}

/// As [`send`], but only to this incarnation of the peer: `Down` if another one is up.
pub(crate) fn send_to(
    slot: Slot,
    incarnation: Incarnation,
    class: Class,
    kind: Kind,
    parts: &[&[u8]],
) -> core::result::Result<(), SendError> {
    let net = NET.get().ok_or(SendError::UnknownPeer)?;
    let mut inner = net.inner.lock();
    let info = inner.transport.peer(slot).ok_or(SendError::UnknownPeer)?;
    if info.state != PeerState::Up || info.incarnation != Some(incarnation) {
        return Err(SendError::Down);
    }
    inner.transport.send(now(), slot, class, kind, parts)?;
    net.transmit(inner);
    Ok(())
}

/// As [`send`], but waits while the queue is full, at most for `timeout` (it is multiplied by the
/// time scale) and until a fatal signal. For long streams, on a worker of one's own.
pub(crate) fn send_waiting(
    slot: Slot,
    class: Class,
    kind: Kind,
    parts: &[&[u8]],
    timeout: Duration,
) -> core::result::Result<(), SendError> {
    send_in_waiting(slot, (class, Lane::Strict), kind, parts, timeout)
}

/// As [`send_waiting`], in the order that the lane says.
pub(crate) fn send_in_waiting(
    slot: Slot,
    order: (Class, Lane),
    kind: Kind,
    parts: &[&[u8]],
    timeout: Duration,
) -> core::result::Result<(), SendError> {
    let net = NET.get().ok_or(SendError::UnknownPeer)?;
    let end = clock::now_ns() + timeout.as_nanos() as u64 * u64::from(net.own.timescale);
    loop {
        let generation = driver::room_generation();
        let result = send_in(slot, order, kind, parts);
        let left = end.saturating_sub(clock::now_ns());
        if result != Err(SendError::Busy) || left == 0 || thread::fatal_signal_pending() {
            return result;
        }
        let moved = || driver::room_generation() != generation;
        // Whatever ended the wait, the loop looks again.
        let _ = net.room.wait(Mode::Killable, Some(Duration::from_nanos(left)), moved);
    }
}

/// Gives back a message's payload, so that the next one needs no memory. Optional: what is kept is
/// made good, but later.
pub(crate) fn recycle(payload: Vec<u8>) {
    if let Some(net) = NET.get() {
        net.inner.lock().transport.recycle(payload);
    }
}

impl Net {
    /// The peer in a slot. From any context.
    pub(super) fn line(&self, slot: Slot) -> Option<Line> {
        self.lines.lock()[slot.index()]
    }

    /// Notes how long a datagram to a peer may be.
    pub(super) fn set_payload(&self, slot: Slot, payload: u16) {
        if let Some(line) = &mut self.lines.lock()[slot.index()] {
            line.payload = payload;
        }
    }

    /// Notes whether there is a session.
    pub(super) fn set_up(&self, slot: Slot, incarnation: Option<Incarnation>) {
        let up = incarnation.map(|destination_incarnation| Addresses {
            source: self.own.slot,
            source_incarnation: self.own.incarnation,
            destination: slot,
            destination_incarnation,
        });
        if let Some(line) = &mut self.lines.lock()[slot.index()] {
            line.up = up;
        }
    }

    /// Sends all that the transport wants sent, and sees to it that the driver wakes in time. It
    /// goes before all ordinary tasks, so it is woken when the lock is free: it would wait for it.
    pub(super) fn transmit(&self, mut inner: MutexGuard<'_, Inner>) {
        self.drain(&mut inner);
        let wanted = inner.transport.poll_timeout().map_or(u64::MAX, Instant::as_ns);
        let is_late = wanted < self.deadline_ns.load(Ordering::Acquire);
        let is_alone = !self.in_turn.load(Ordering::Acquire);
        drop(inner);
        if is_alone && is_late {
            self.poke();
        }
    }

    /// Sends all that the transport wants sent.
    pub(super) fn drain(&self, inner: &mut Inner) {
        let Inner { transport, burst, .. } = inner;
        burst.drain(self, transport);
    }

    /// The socket for datagrams that somebody waits for, or for the others, and where they go.
    pub(super) fn way(&self, is_urgent: bool, to: SocketAddrV4) -> (&UdpSocket, SocketAddrV4) {
        if is_urgent {
            (&self.urgent, urgent_of(to))
        } else {
            (&self.socket, to)
        }
    }

    /// Sends one datagram; one that the socket does not take is as good as lost on the way.
    pub(super) fn send_datagram(&self, is_urgent: bool, to: SocketAddrV4, parts: &[&[u8]]) {
        let (socket, to) = self.way(is_urgent, to);
        if socket.send(to, parts).is_err() {
            stats::TX_FAILED.add(1);
        }
    }

    /// Makes the driver look at the transport.
    pub(super) fn poke(&self) {
        if !self.poked.swap(true, Ordering::AcqRel) {
            self.wake.wake_all();
        }
    }
}
