//! What is told of remote memory: this node as a holder and as an owner.

use alloc::{boxed::Box, vec::Vec};

use holon_uapi::{base::List, memory as uapi};
use kapi::{
    thread::cond_resched,
    uaccess::{self, UserSlice},
    Errno, Result,
};
use netproto::Slot;
use vm_remote::{
    latency::{floor_ns, Histogram, BUCKETS},
    lodge::owner::{Link, Owner},
};
use zerocopy::{FromZeros, Immutable, IntoBytes};

use super::{area, holder, owner};
use crate::ioctl::{
    open::OpenFile,
    table::{must_be_zero, take},
};

/// Entries that are looked at before others get at the machine.
const STEP: u32 = 2048;
/// Processes that are told of at most.
const PROCESSES_MAX: usize = 4096;

/// Fills a `MemStatus`.
pub(super) fn status(_file: &OpenFile, arg: u64) -> Result<u64> {
    let status = lookup();
    uaccess::write(arg, &*status).map(|()| 0)
}

fn lookup() -> Box<uapi::MemStatus> {
    let mut status = Box::new(uapi::MemStatus::new_zeroed());
    let lent = holder::look();
    let short = if lent.is_short { uapi::MEM_SHORT } else { 0 };
    status.flags = short | if lent.is_leaving { uapi::MEM_LEAVING } else { 0 };
    status.lend_max = u64::from(lent.most);
    status.frames = u64::from(lent.frames);
    status.promised = u64::from(lent.promised);
    status.held = u64::from(lent.held);
    (status.faults, status.ahead) = owner::fetched();
    owner::peek(|owner, latency| {
        owned(&mut status, owner);
        latencies(&mut status, latency);
    });
    status
}

fn owned(status: &mut uapi::MemStatus, owner: &Owner) {
    let stats = owner.stats();
    status.lodged = owner.in_use() as u64;
    status.to_mend = u64::from(owner.to_mend());
    status.evicted = stats.evicted;
    status.fetched = stats.fetched;
    status.lost = stats.lost;
    status.mended = stats.mended;
    status.misread = stats.misread;
}

fn latencies(status: &mut uapi::MemStatus, latency: &Histogram) {
    let quantile = |per_mille| latency.quantile_ns(per_mille).unwrap_or(0);
    (status.median_ns, status.max_ns) = (quantile(500), latency.max_ns());
    (status.p99_ns, status.p999_ns) = (quantile(990), quantile(999));
    for bucket in 0..BUCKETS {
        let doubling = (u64::BITS - floor_ns(bucket).leading_zeros()) as usize;
        status.latencies[doubling.min(uapi::MEM_LATENCIES - 1)] += latency.in_bucket(bucket);
    }
}

/// Writes a list of the nodes with which memory is shared.
pub(super) fn peers(_file: &OpenFile, arg: u64) -> Result<u64> {
    let mut list: List = take(arg)?;
    must_be_zero(&[list.flags])?;
    let mut entries = Vec::new();
    for slot in Slot::all() {
        if let Some(entry) = peer(slot) {
            entries.try_reserve(1)?;
            entries.push(entry);
        }
    }
    list.count = write_some(list.ptr, list.count, &entries)?;
    uaccess::write(arg, &list).map(|()| 0)
}

fn peer(slot: Slot) -> Option<uapi::MemPeer> {
    let (lent_held, lent_limit) = holder::of(slot);
    let lender = owner::peek(|owner, _| owner.lender(slot).copied()).flatten();
    let link = lender.map_or(Link::Dead, |lender| lender.link());
    let given_up = area::get().ok().and_then(|lodge| lodge.peers.given_up(slot));
    if link == Link::Dead && lent_limit == 0 && given_up.is_none() {
        return None;
    }
    Some(uapi::MemPeer {
        slot: u32::from(slot.get()),
        link: match link {
            Link::Dead => uapi::MEM_DEAD,
            Link::Up => uapi::MEM_UP,
            Link::Silent => uapi::MEM_SILENT,
        },
        lent_limit,
        lent_held,
        limit: lender.map_or(0, |lender| lender.limit()),
        used: lender.map_or(0, |lender| lender.used()),
        spare: lender.map_or(0, |lender| lender.spare()),
        reserved: 0,
        given_up: given_up.map_or([0; 16], |peer| peer.incarnation.0),
    })
}

/// Writes as many entries as fit. Gives how many there are.
fn write_some<T: IntoBytes + Immutable>(ptr: u64, room: u32, entries: &[T]) -> Result<u32> {
    let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
    let bytes = entries.get(..room.min(entries.len())).unwrap_or_default().as_bytes();
    UserSlice::new(ptr, bytes.len()).write(bytes)?;
    u32::try_from(entries.len()).map_err(|_| Errno::EOVERFLOW)
}

/// Writes a list of the processes with pages that are only on one node.
pub(super) fn blast(_file: &OpenFile, arg: u64) -> Result<u64> {
    let mut call: uapi::MemBlast = take(arg)?;
    let slot = match call.slot {
        uapi::MEM_ANYWHERE => None,
        number => Some(u8::try_from(number).ok().and_then(Slot::new).ok_or(Errno::EINVAL)?),
    };
    let entries = hurt(slot)?;
    call.count = write_some(call.ptr, call.count, &entries)?;
    uaccess::write(arg, &call).map(|()| 0)
}

/// Pages by process. The machine is only held for short: what comes and goes meanwhile may be
/// missed or counted twice.
fn hurt(slot: Option<Slot>) -> Result<Vec<uapi::MemProcess>> {
    let (mut found, mut some) = (Vec::new(), Vec::new());
    found.try_reserve_exact(PROCESSES_MAX)?;
    some.try_reserve_exact(STEP as usize)?;
    let room = owner::peek(|owner, _| owner.room()).unwrap_or(0);
    for first in (0..room).step_by(STEP as usize) {
        some.clear();
        owner::peek(|owner, _| some.extend(owner.tags_of((first, STEP), slot)));
        for tag in &some {
            count(&mut found, owner::pid_of(*tag));
        }
        cond_resched();
    }
    Ok(found)
}

/// One page more of a process. There is room for [`PROCESSES_MAX`] of them.
fn count(found: &mut Vec<uapi::MemProcess>, pid: u32) {
    // Pages of a process lie together: it is mostly the last one.
    if let Some(entry) = found.iter_mut().rev().find(|entry| entry.pid == pid) {
        entry.pages += 1;
    } else if found.len() < PROCESSES_MAX {
        found.push(uapi::MemProcess { pid, reserved: 0, pages: 1 });
    }
}
