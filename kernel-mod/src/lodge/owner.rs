//! The owner: this node's pages in other nodes' memory.
//!
//! ```text
//!  evict (thread) ── copy, checksum ──> Owner::evict ── STORE ──────────> holder
//!    ^ over <────────── answers (net's thread) <────── STORED ──
//!    └─ what is still the same goes; its place is taken by a page of the pool
//!  fault (the task) ──> Owner::fetch ── get ──> holder ── pieces ──> urgent ─> the task
//!                                   └─ FETCH ──> holder ── PAGES ──> answers
//!  thread: what time demands, releases, pages to come home; another: the pool's growth
//! ```
//! The machine is under one spin lock, which is never held while something is sent or copied. It
//! is made when this node first has something to lodge, with all the memory that it needs.
//!
//! All functions but [`load`], [`unload`] and [`entries`] are called in process context and must
//! not block; those about peers are called one after the other.

mod ahead;
mod answers;
mod evict;
mod fault;
mod freed;
mod home;
mod knobs;
mod make;
mod need;
mod reclaim;
mod sample;
mod send;
mod state;
mod stats;
mod thread;
mod urgent;
mod watch;

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use kapi::{
    lock_class, lodge::OutOfMemory, module::Unloading, shrinker::Shrinker, sysctl::Entry,
    thread::KThread, Errno, Global, Mutex, Result, WaitQueue,
};
use netproto::{Class, Message, Slot};
use vm_remote::{
    latency::Histogram,
    lodge::{
        owner::{EntryId, Owner},
        Peer,
    },
};

pub(crate) use fault::{make_room, page_freed, page_wanted};
pub(super) use state::pid_of;
use state::Owning;
pub(super) use urgent::piece_came;

/// What exists from the load on: the thread that chooses, and what is known before there is a
/// machine.
struct Base {
    /// Woken when a batch is over, or something is to be done at once.
    evict: WaitQueue,
    threads: Mutex<Vec<KThread>>,
    /// Woken when pages have gone.
    freed: WaitQueue,
    /// So long the kernel asks for pages, and before it kills.
    calls: Mutex<Option<(Shrinker, OutOfMemory)>>,
}

static BASE: Global<Base> = Global::new();
static OWNING: Global<Owning> = Global::new();

/// The generation and checksum of a page that lodges with this node, if that can be read there.
pub(crate) fn kept_by(entry: u32, holder: Slot) -> Option<(u64, u32)> {
    owning()?.state.lock().owner.kept_by(EntryId(entry), holder)
}

/// The machine and what belongs to it, once there is one.
fn owning() -> Option<&'static Owning> {
    OWNING.get()
}

/// Whoever needs memory waits for it; and when all are busy with fetching what was thrown out, it
/// is the one that can end that.
const EVICTOR_NICE: i32 = -10;

pub(super) fn load() -> Result {
    let base = BASE.set(Base {
        evict: WaitQueue::new()?,
        threads: Mutex::new(lock_class!(c"holon-lodge-threads"), Vec::new())?,
        freed: WaitQueue::new()?,
        calls: Mutex::new(lock_class!(c"holon-lodge-calls"), None)?,
    })?;
    let mut threads = base.threads.lock();
    threads.try_reserve_exact(3)?;
    let evictor = KThread::spawn(c"holon-evict", move || evict::run(base))?;
    evictor.set_nice(EVICTOR_NICE);
    threads.push(evictor);
    drop(threads);
    let shrinker = Shrinker::new(c"holon-lodge", &reclaim::COLD_PAGES, reclaim::ASK_MOST);
    let calls = shrinker.and_then(|it| Ok((it, OutOfMemory::begin(need::out_of_memory)?)));
    match calls {
        Ok(calls) => *base.calls.lock() = Some(calls),
        Err(errno) => {
            end(base);
            return Err(errno);
        }
    }
    Ok(())
}

fn end(base: &Base) {
    let calls = base.calls.lock().take();
    drop(calls);
    let threads = core::mem::take(&mut *base.threads.lock());
    drop(threads);
}

/// Ends what runs by itself.
pub(super) fn stop() {
    if let Some(base) = BASE.get() {
        end(base);
    }
}

pub(super) fn unload(token: &Unloading) {
    stop();
    OutOfMemory::clear(token);
    OWNING.clear(token);
    BASE.clear(token);
}

/// Pages of ours that are elsewhere.
pub(crate) fn held() -> u64 {
    owning().map_or(0, |owning| owning.far.load(Ordering::Relaxed))
}

/// GRANT, STORED, PAGES, RELEASED, HAND_BACK or OFFER, on the net's thread.
pub(super) fn message(from: Peer, message: &Message) {
    answers::message(from, message);
}

/// Looks at the machine and the latencies of faults, if there is a machine. `look` is short and
/// does not sleep.
pub(super) fn peek<R>(look: impl FnOnce(&Owner, &Histogram) -> R) -> Option<R> {
    let owning = owning()?;
    let state = owning.state.lock();
    Some(look(&state.owner, &state.latency))
}

/// Pages that were faulted on, and that came home without that.
pub(super) fn fetched() -> (u64, u64) {
    let others = stats::FETCHED_AHEAD.get() + stats::FETCHED_HOME.get();
    (stats::FETCHED_FAULT.get(), others)
}

/// A holder is reached.
pub(super) fn peer_up(peer: Peer) {
    if let Some(owning) = owning() {
        owning.with(|owner, now| owner.peer_up(now, peer));
    }
}

/// A holder is not heard of.
pub(super) fn peer_silent(peer: Peer) {
    if let Some(owning) = owning() {
        owning.with(|owner, now| owner.peer_silent(now, peer));
    }
}

/// A holder is no more.
pub(super) fn peer_dead(peer: Peer) {
    if let Some(owning) = owning() {
        owning.with(|owner, now| owner.peer_dead(now, peer));
    }
}

/// After a send was refused as busy there is room again.
pub(super) fn writable(_slot: Slot, class: Class) {
    if let (Class::Bulk, Some(owning)) = (class, owning()) {
        owning.made_room();
    }
}

/// Counters and knobs.
pub(super) fn entries(entries: &mut Vec<Entry>) -> Result {
    knobs::entries(entries).map_err(|_| Errno::ENOMEM)
}
