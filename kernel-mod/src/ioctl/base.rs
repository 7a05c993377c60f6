//! Handlers of the base control calls.

use alloc::vec::Vec;
use core::{
    net::{Ipv4Addr, SocketAddrV4},
    num::NonZeroU32,
};

use holon_uapi::base as uapi;
use kapi::{
    thread::CAP_SYS_ADMIN,
    uaccess::{self, UserSlice},
    Errno, Result,
};
use netproto::{Kind, PeerInfo, PeerState, SendError, Slot};
use zerocopy::IntoBytes;

use super::{
    open::OpenFile,
    table::{must_be_zero, take, Record},
};
use crate::{
    control::{daemon, held, node, stats},
    port::net,
};

const ADMIN: Option<u32> = Some(CAP_SYS_ADMIN);

/// The base calls.
pub(crate) static RECORDS: &[Record] = &[
    Record::new(uapi::VERSION, "version", None, version),
    Record::new(uapi::CONFIG, "config", ADMIN, config),
    Record::new(uapi::PEER_ADD, "peer_add", ADMIN, peer_add),
    Record::new(uapi::PEER_LIST, "peer_list", ADMIN, peer_list),
    Record::new(uapi::SEND, "send", ADMIN, send),
    Record::new(uapi::QUIESCE, "quiesce", ADMIN, quiesce),
    Record::new(uapi::STATS, "stats", ADMIN, list_stats),
    Record::new(uapi::ATTACH_DAEMON, "attach_daemon", ADMIN, attach),
];

fn slot_of(number: u32) -> Result<Slot> {
    u8::try_from(number).ok().and_then(Slot::new).ok_or(Errno::EINVAL)
}

fn version(_file: &OpenFile, arg: u64) -> Result<u64> {
    let incarnation = node::incarnation().0;
    let (abi, module_version) = (uapi::ABI, node::MODULE_VERSION);
    let version = uapi::Version { abi, module_version, features: node::FEATURES, incarnation };
    uaccess::write(arg, &version).map(|()| 0)
}

fn config(_file: &OpenFile, arg: u64) -> Result<u64> {
    let config: uapi::Config = take(arg)?;
    must_be_zero(&[config.flags])?;
    let slot = slot_of(config.slot)?;
    // The next port is for what is urgent.
    if config.port == 0 || config.port == u16::MAX {
        return Err(Errno::EINVAL);
    }
    let mut own = netproto::Config::new(slot, node::incarnation());
    own.timescale = config.timescale;
    let payload_max = (config.mtu_payload != 0).then_some(config.mtu_payload);
    own.mtu_payload = payload_max.unwrap_or(own.mtu_payload);
    own.module_version = node::MODULE_VERSION;
    own.features = node::FEATURES;
    let local = SocketAddrV4::new(Ipv4Addr::from(config.ipv4), config.port);
    let device = NonZeroU32::new(config.ifindex);
    net::start(own, net::Wire { local, device, payload_max }, config.name).map(|()| 0)
}

fn peer_add(_file: &OpenFile, arg: u64) -> Result<u64> {
    let peer: uapi::PeerAdd = take(arg)?;
    must_be_zero(&[peer.flags, u32::from(peer.reserved)])?;
    let slot = slot_of(peer.slot)?;
    net::add_peer(slot, Ipv4Addr::from(peer.ipv4), peer.port, peer.name).map(|()| 0)
}

/// Writes as many entries as fit, and how many there are.
fn write_list<T: IntoBytes + zerocopy::Immutable>(arg: u64, entries: &[T]) -> Result<u64> {
    let mut list: uapi::List = take(arg)?;
    must_be_zero(&[list.flags])?;
    let room = usize::try_from(list.count).map_err(|_| Errno::EINVAL)?;
    let fitting = entries.get(..room.min(entries.len())).unwrap_or_default();
    let bytes = fitting.as_bytes();
    UserSlice::new(list.ptr, bytes.len()).write(bytes)?;
    list.count = u32::try_from(entries.len()).map_err(|_| Errno::EOVERFLOW)?;
    uaccess::write(arg, &list).map(|()| 0)
}

fn peer_entry(
    slot: Slot,
    line: &net::Line,
    info: &PeerInfo,
    name: [u8; uapi::NAME_LEN],
) -> uapi::Peer {
    let silence = info.last_heard.map(|heard| net::now().since(heard).as_ms());
    uapi::Peer {
        slot: u32::from(slot.get()),
        state: match info.state {
            PeerState::Connecting => uapi::PEER_CONNECTING,
            PeerState::Up => uapi::PEER_UP,
            PeerState::Down => uapi::PEER_DOWN,
        },
        ipv4: line.address.ip().octets(),
        port: line.address.port(),
        reserved: 0,
        incarnation: info.incarnation.map_or([0; 16], |incarnation| incarnation.0),
        module_version: info.module_version,
        reserved2: 0,
        features: info.features,
        rtt_us: info.rtt.map_or(0, |rtt| rtt.as_us()),
        silence_ms: silence.unwrap_or(u64::MAX),
        queued_bytes: info.queued_bytes,
        name,
    }
}

fn peer_list(_file: &OpenFile, arg: u64) -> Result<u64> {
    let mut entries = Vec::new();
    for slot in Slot::all() {
        if let Some((line, info, name)) = net::peer(slot) {
            entries.try_reserve(1)?;
            entries.push(peer_entry(slot, &line, &info, name));
        }
    }
    write_list(arg, &entries)
}

fn send(_file: &OpenFile, arg: u64) -> Result<u64> {
    let message: uapi::Send = take(arg)?;
    must_be_zero(&[message.flags, message.reserved])?;
    let slot = slot_of(message.slot)?;
    let len = usize::try_from(message.len).map_err(|_| Errno::EINVAL)?;
    let bytes = UserSlice::new(message.ptr, len).read_all(uapi::MESSAGE_LEN_MAX)?;
    net::send(slot, Kind::DAEMON.class(), Kind::DAEMON, &[&bytes]).map(|()| 0).map_err(errno_of)
}

/// What a program is told of a send that failed.
pub(crate) fn errno_of(error: SendError) -> Errno {
    match error {
        SendError::UnknownPeer => Errno::ENOENT,
        SendError::Down => Errno::EHOSTDOWN,
        SendError::Busy => Errno::EAGAIN,
        SendError::TooLong => Errno::EMSGSIZE,
        SendError::NoMemory => Errno::ENOMEM,
    }
}

fn quiesce(_file: &OpenFile, arg: u64) -> Result<u64> {
    let report = held::report();
    uaccess::write(arg, &report)?;
    if report.total == 0 {
        Ok(0)
    } else {
        Err(Errno::EBUSY)
    }
}

fn list_stats(_file: &OpenFile, arg: u64) -> Result<u64> {
    write_list(arg, &stats::list()?)
}

fn attach(file: &OpenFile, _arg: u64) -> Result<u64> {
    daemon::attach(file.id()).map(|()| 0)
}
