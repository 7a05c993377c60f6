//! Makes the machine when it is first needed, and knows what was said of holders before that.

use alloc::{boxed::Box, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use kapi::{
    alloc::{zeroed_vec, Memory},
    lock_class,
    pack::PACKED_MAX,
    page::PAGE_LEN,
    thread::KThread,
    Errno, Mutex, Result, SpinLock, WaitQueue,
};
use netproto::{limits::SLOT_COUNT, Duration, Slot};
use vm_remote::{
    cold::shares::Shares,
    latency::Histogram,
    lodge::owner::{Config, Owner},
};

use super::{
    ahead::Programs,
    freed::Freed,
    home::Home,
    knobs,
    state::{Batch, Mend, Owning, State, Store, PAGES},
    thread, Base, OWNING,
};
use crate::{lodge::area, port::net};

/// Batches under way.
pub(super) const OPS: u16 = 128;
/// Of these, on their way out: as much as a link's queue takes.
pub(super) const STORES: usize = 8;
/// And moved from holder to holder.
const MENDS: u16 = 3;

static SPARE: [AtomicU32; SLOT_COUNT as usize] = [const { AtomicU32::new(0) }; SLOT_COUNT as usize];
/// A holder could lend so many pages besides.
pub(super) fn note_spare(slot: Slot, pages: u32) {
    SPARE[slot.index()].store(pages, Ordering::Relaxed);
}

/// What it said last.
pub(super) fn spare(slot: Slot) -> u32 {
    SPARE[slot.index()].load(Ordering::Relaxed)
}

/// Makes the machine, and starts its thread. May sleep long.
#[inline(never)]
pub(super) fn make(base: &'static Base) -> Result<&'static Owning> {
    if let Some(owning) = super::owning() {
        return Ok(owning);
    }
    let entries = u32::try_from(Memory::now().total / PAGE_LEN as u64)
        .map_or(knobs::ENTRIES_MAX, |pages| pages.min(knobs::ENTRIES_MAX));
    let owner = Owner::new(Config {
        entries,
        ops: OPS,
        mends: MENDS,
        fetch: knobs::fetch_policy(),
        fetch_least: knobs::fetch_least(),
        evict: knobs::evict_policy(),
        shed_pause: Duration::from_ms(2_000).times(u64::from(net::timescale())),
        mend_pause: Duration::from_ms(20),
    })
    .map_err(|_| Errno::ENOMEM)?;
    let owning = parts(owner, entries)?;
    let home = Home::new()?;
    let lodge = area::get()?;
    // What comes from here on is told to it; what was before it is told now, in the same order.
    let owning = lodge.peers.each_up(|peers| -> Result<&'static Owning> {
        let owning = OWNING.set(owning)?;
        for peer in peers {
            owning.with(|owner, now| {
                owner.peer_up(now, peer);
                owner.set_spare(peer.slot, spare(peer.slot));
            });
        }
        Ok(owning)
    })?;
    for thread in [
        KThread::spawn(c"holon-lodge", move || thread::run(owning, home)),
        KThread::spawn(c"holon-pool", move || thread::grow_pool(owning)),
    ] {
        base.threads.lock().push(thread?);
    }
    log::info!("up to {entries} pages of this node may lodge elsewhere");
    Ok(owning)
}

/// Not on the stack of its caller.
#[inline(never)]
fn histogram() -> Box<Histogram> {
    Box::new(Histogram::new())
}

fn list<T>(count: usize, make: impl Fn() -> Result<T>) -> Result<Vec<T>> {
    let mut list = Vec::new();
    list.try_reserve_exact(count)?;
    for _ in 0..count {
        list.push(make()?);
    }
    Ok(list)
}

#[inline(never)]
fn parts(owner: Owner, entries: u32) -> Result<Owning> {
    let batches = list(usize::from(OPS), || Ok(Batch::None))?;
    let shares = Shares::new().map_err(|_| Errno::ENOMEM)?;
    let state = State { owner, batches, serial: 0, hold: None, latency: histogram(), shares };
    let store = || Mutex::new(lock_class!(c"holon-lodge-store"), Store::new()?);
    let mend = || {
        let mend = Mend { op: None, contents: zeroed_vec(PAGES * PAGE_LEN)? };
        Mutex::new(lock_class!(c"holon-lodge-mend"), mend)
    };
    Ok(Owning {
        state: SpinLock::new(lock_class!(c"holon-lodge-owner"), state)?,
        waits: list(usize::from(OPS), WaitQueue::new)?,
        room: WaitQueue::new()?,
        stores: list(STORES, store)?,
        mends: list(usize::from(MENDS), mend)?,
        unpacking: Mutex::new(lock_class!(c"holon-lodge-unpack"), zeroed_vec(PACKED_MAX)?)?,
        programs: Programs::new()?,
        freed: Freed::new(entries)?,
        far: AtomicU64::new(0),
        due: AtomicBool::new(false),
        work: WaitQueue::new()?,
        is_pool_wanted: AtomicBool::new(true),
        pool: WaitQueue::new()?,
        sendable: AtomicU64::new(0),
        sending: WaitQueue::new()?,
    })
}
