//! The area's record and state, and whom a message is for.

use kapi::{lock_class, module::Unloading, sysctl::Table, Errno, Global, Mutex, Result};
use netproto::{msg::lodge::LodgeGet, piece::Piece, Class, Incarnation, Kind, Message, Slot};
use vm_remote::lodge::Peer;

use super::{holder, ioctl, knobs, owner, peers::Peers, stats};
use crate::{
    areas::Area,
    port::net::{self, Content, Down, Why},
};

/// The area's state.
pub(super) struct Lodge {
    pub(super) peers: Peers,
    table: Mutex<Option<Table>>,
}

static LODGE: Global<Lodge> = Global::new();

pub(super) fn get() -> Result<&'static Lodge> {
    LODGE.get().ok_or(Errno::ENODEV)
}

/// The area's record.
pub(crate) static AREA: Area = Area {
    name: "lodgers",
    load,
    unload,
    held,
    kind_class: Some(0x06),
    message,
    peer_up,
    peer_down,
    writable,
    ioctls: ioctl::RECORDS,
    ..Area::NONE
};

fn load() -> Result {
    let lodge = LODGE.set(Lodge {
        peers: Peers::new()?,
        table: Mutex::new(lock_class!(c"holon-lodge-table"), None)?,
    })?;
    holder::load()?;
    // Whoever fails here is not unloaded.
    let doors = owner::load().and_then(|()| knobs::table());
    let table = doors.inspect_err(|_| {
        owner::stop();
        holder::stop();
    })?;
    *lodge.table.lock() = Some(table);
    Ok(())
}

fn unload(token: &Unloading) {
    if let Some(lodge) = LODGE.get() {
        drop(lodge.table.lock().take());
    }
    owner::unload(token);
    holder::unload(token);
    LODGE.clear(token);
}

/// Pages that lodge here, and pages of ours that lodge elsewhere.
fn held() -> u64 {
    holder::held() + owner::held()
}

/// Who sent a message that the transport has just given out: no session ended in between.
fn sender(slot: Slot) -> Option<Peer> {
    net::incarnation_of(slot).map(|incarnation| Peer { slot, incarnation })
}

fn message(message: Message) {
    if let Some(from) = sender(message.from) {
        hand_on(from, &message);
    }
    net::recycle(message.payload);
}

fn hand_on(from: Peer, message: &Message) {
    match message.kind {
        Kind::LODGE_RESERVE | Kind::LODGE_STORE | Kind::LODGE_FETCH | Kind::LODGE_RELEASE => {
            holder::message(from, message);
        }
        Kind::LODGE_GRANT
        | Kind::LODGE_STORED
        | Kind::LODGE_PAGES
        | Kind::LODGE_RELEASED
        | Kind::LODGE_HAND_BACK
        | Kind::LODGE_OFFER => owner::message(from, message),
        _ => stats::REFUSED_MESSAGES.add(1),
    }
}

/// In softirq context.
pub(crate) fn lodge_get((slot, incarnation): (Slot, Incarnation), get: LodgeGet) {
    holder::asked(Peer { slot, incarnation }, get);
}

/// In softirq context.
pub(crate) fn lodge_piece(
    (slot, incarnation): (Slot, Incarnation),
    piece: &Piece,
    content: &Content<'_>,
) {
    owner::piece_came(Peer { slot, incarnation }, piece, content);
}

fn peer_up(slot: Slot) {
    if let (Ok(lodge), Some(peer)) = (get(), sender(slot)) {
        lodge.peers.up(peer);
    }
}

/// Silence and a reset say only that the peer can't be reached now: what it has stays counted. A
/// peer that says goodbye or has begun a new life is no more.
fn peer_down(slot: Slot, down: Down) {
    let Ok(lodge) = get() else { return };
    let peer = Peer { slot, incarnation: down.incarnation };
    match down.why {
        Why::Silence | Why::PeerReset | Why::Violation => lodge.peers.silent(peer),
        Why::Left | Why::Restarted => lodge.peers.dead(peer),
    }
}

fn writable(slot: Slot, class: Class) {
    holder::writable(slot, class);
    owner::writable(slot, class);
}
