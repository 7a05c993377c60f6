//! Control calls of the area.

use holon_uapi::memory as uapi;
use kapi::{thread::CAP_SYS_ADMIN, Errno, Result};
use netproto::{Incarnation, Slot};
use vm_remote::lodge::Peer;

use super::{area, report, stall};
use crate::ioctl::{
    open::OpenFile,
    table::{must_be_zero, take, Record},
};

const ADMIN: Option<u32> = Some(CAP_SYS_ADMIN);

/// The area's calls.
pub(super) static RECORDS: &[Record] = &[
    Record::new(uapi::MEM_PEER_DEAD, "mem_peer_dead", ADMIN, peer_dead),
    Record::new(uapi::MEM_STATUS, "mem_status", ADMIN, report::status),
    Record::new(uapi::MEM_PEERS, "mem_peers", ADMIN, report::peers),
    Record::new(uapi::MEM_BLAST, "mem_blast", ADMIN, report::blast),
    Record::new(uapi::MEM_STALL, "mem_stall", ADMIN, stall::set),
];

fn peer_dead(_file: &OpenFile, arg: u64) -> Result<u64> {
    let verdict: uapi::PeerDead = take(arg)?;
    must_be_zero(&[verdict.reserved])?;
    let slot = u8::try_from(verdict.slot).ok().and_then(Slot::new).ok_or(Errno::EINVAL)?;
    let peer = Peer { slot, incarnation: Incarnation(verdict.incarnation) };
    let lodge = area::get()?;
    if !lodge.peers.give_up(peer) {
        return Err(Errno::ESRCH);
    }
    log::info!("slot {slot} is given up: what lodges there is lost, what it has here is freed");
    Ok(0)
}
