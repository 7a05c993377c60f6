//! Spaces of processes that are here now.

use alloc::{boxed::Box, collections::VecDeque, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use holon_uapi::memory as uapi;
use kapi::{lock_class, lodge::MmName, module::Hold, Errno, Mutex, Result, SpinLock, WaitQueue};
use netproto::{Duration, Instant, Slot, SpaceId};
use vm_remote::{
    limits::TARGETS_MAX,
    retry::{Policy, RoundTrip},
    run::RunSet,
    stream::Stream,
    tag::Handle,
    target::{Effect, Loss, Phase, Target},
};
use zerocopy::IntoBytes;

use super::{fetch::Fetches, knobs, stats, wire};
use crate::{control::events, port::net::now};

const NO_HINT: u64 = u64::MAX;

/// What was put into an address space.
#[derive(Default)]
pub(super) struct Placed {
    /// The pages, and how far the background is with them.
    pub(super) stream: Stream,
    /// The same, without an order.
    pub(super) set: RunSet,
    /// Where.
    pub(super) mm: Option<MmName>,
}

/// One space.
pub(super) struct TargetSpace {
    /// Its number here.
    pub(super) handle: Handle,
    /// The node that has the pages.
    pub(super) source: Slot,
    /// Its name there.
    pub(super) id: SpaceId,
    /// What was put in.
    pub(super) places: Mutex<Placed>,
    /// Pages put in so far.
    pub(super) inserted: AtomicU64,
    /// Somebody streams it at present.
    pub(super) busy: AtomicBool,
    state: SpinLock<Target>,
    lost: AtomicBool,
    hint: AtomicU64,
    urgent: AtomicUsize,
    fault_ns: AtomicU64,
    trip: SpinLock<RoundTrip>,
    _hold: Hold,
}

/// All of them. A page's tag has the handle, which is a place in these tables.
pub(super) struct Targets {
    spaces: SpinLock<Vec<Option<Arc<TargetSpace>>>>,
    outstanding: Box<[AtomicI64]>,
    queued: Box<[AtomicBool]>,
    runnable: SpinLock<VecDeque<Handle>>,
    /// Woken when a space is to be looked at.
    pub(super) wake: WaitQueue,
    /// Woken when a space is over or lost.
    pub(super) changed: WaitQueue,
}

impl TargetSpace {
    fn new(handle: Handle, source: Slot, id: SpaceId) -> Result<Self> {
        Ok(Self {
            handle,
            source,
            id,
            places: Mutex::new(lock_class!(c"holon-places"), Placed::default())?,
            inserted: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            state: SpinLock::new(lock_class!(c"holon-target"), Target::new())?,
            lost: AtomicBool::new(false),
            hint: AtomicU64::new(NO_HINT),
            urgent: AtomicUsize::new(0),
            fault_ns: AtomicU64::new(0),
            trip: SpinLock::new(lock_class!(c"holon-trip"), RoundTrip::new())?,
            _hold: Hold::new().ok_or(Errno::ESHUTDOWN)?,
        })
    }

    /// What was decided about it.
    pub(super) fn state<R>(&self, look: impl FnOnce(&mut Target) -> R) -> R {
        look(&mut self.state.lock())
    }

    /// Whether its pages can't be had any more. For wait conditions.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// A fault has fetched this page: what follows is likely to be wanted next.
    pub(super) fn fetched_behind(&self, page: u64) {
        self.hint.store(page, Ordering::Relaxed);
        self.fault_ns.store(now().as_ns(), Ordering::Relaxed);
    }

    /// A fault begins to wait for one of its pages.
    pub(super) fn urgent_begin(&self) {
        self.urgent.fetch_add(1, Ordering::Relaxed);
    }

    /// It has ended.
    pub(super) fn urgent_end(&self) {
        self.urgent.fetch_sub(1, Ordering::Relaxed);
    }

    /// Faults that wait for its pages.
    pub(super) fn urgent(&self) -> usize {
        self.urgent.load(Ordering::Relaxed)
    }

    /// How long ago the last fault was, if there was any.
    pub(super) fn since_fault(&self) -> Option<Duration> {
        let at = self.fault_ns.load(Ordering::Relaxed);
        (at != 0).then(|| now().since(Instant::from_ns(at)))
    }

    /// How requests of faults are repeated at present.
    pub(super) fn fault_policy(&self) -> Policy {
        self.trip.lock().tune(knobs::policy())
    }

    /// A request that was sent once was answered after so long.
    pub(super) fn answered_after(&self, took: Duration) {
        self.trip.lock().sample(took);
    }

    /// The page that a fault fetched since the last call.
    pub(super) fn take_hint(&self) -> Option<u64> {
        let hint = self.hint.swap(NO_HINT, Ordering::Relaxed);
        (hint != NO_HINT).then_some(hint)
    }
}

fn table<T>(make: impl Fn() -> T) -> Result<Box<[T]>> {
    let mut entries = Vec::new();
    entries.try_reserve_exact(TARGETS_MAX as usize)?;
    entries.resize_with(TARGETS_MAX as usize, make);
    Ok(entries.into_boxed_slice())
}

impl Targets {
    pub(super) fn new() -> Result<Self> {
        let mut runnable = VecDeque::new();
        runnable.try_reserve_exact(TARGETS_MAX as usize)?;
        let spaces = table(|| None)?.into_vec();
        Ok(Self {
            spaces: SpinLock::new(lock_class!(c"holon-targets"), spaces)?,
            outstanding: table(|| AtomicI64::new(0))?,
            queued: table(|| AtomicBool::new(false))?,
            runnable: SpinLock::new(lock_class!(c"holon-runnable"), runnable)?,
            wake: WaitQueue::new()?,
            changed: WaitQueue::new()?,
        })
    }

    /// How many.
    pub(super) fn count(&self) -> u64 {
        self.spaces.lock().iter().flatten().count() as u64
    }

    /// Makes a space for pages that are at `source`.
    pub(super) fn add(&self, source: Slot, id: SpaceId) -> Result<Arc<TargetSpace>> {
        let space = loop {
            if let Some(space) = self.try_add(source, id)? {
                break space;
            }
        };
        if !wire::is_up(source) {
            // It went down before it could be told of the space.
            self.forget(space.handle);
            return Err(Errno::EHOSTDOWN);
        }
        Ok(space)
    }

    /// `None` if somebody else was faster and took the place.
    fn try_add(&self, source: Slot, id: SpaceId) -> Result<Option<Arc<TargetSpace>>> {
        let free = self.spaces.lock().iter().position(Option::is_none).ok_or(Errno::ENOSPC)?;
        let handle = u32::try_from(free + 1).ok().and_then(Handle::new).ok_or(Errno::ENOSPC)?;
        let space = Arc::new(TargetSpace::new(handle, source, id)?);
        let mut spaces = self.spaces.lock();
        let place = spaces.get_mut(free).filter(|place| place.is_none());
        let taken = place.is_none();
        if let Some(place) = place {
            *place = Some(space.clone());
        }
        drop(spaces);
        Ok((!taken).then_some(space))
    }

    /// The space with that handle.
    pub(super) fn get(&self, handle: Handle) -> Option<Arc<TargetSpace>> {
        self.spaces.lock().get(handle.index())?.clone()
    }

    fn forget(&self, handle: Handle) {
        let space = self.spaces.lock().get_mut(handle.index()).and_then(Option::take);
        // Not under the lock: this frees memory.
        drop(space);
        self.changed.wake_all();
    }

    /// Pages of a space that are not home and not given up.
    pub(super) fn outstanding(&self, handle: Handle) -> u64 {
        let count = self.outstanding.get(handle.index());
        let count = count.map_or(0, |count| count.load(Ordering::Acquire));
        u64::try_from(count).unwrap_or(0)
    }

    /// Of all spaces.
    pub(super) fn outstanding_total(&self) -> u64 {
        let all = self.outstanding.iter().map(|count| count.load(Ordering::Relaxed));
        u64::try_from(all.sum::<i64>()).unwrap_or(0)
    }

    /// Up to that many pages are about to be put in.
    pub(super) fn expect(&self, handle: Handle, pages: u64) {
        if let Some(count) = self.outstanding.get(handle.index()) {
            count.fetch_add(pages as i64, Ordering::AcqRel);
        }
    }

    /// So many of them were not even tried.
    pub(super) fn unexpect(&self, handle: Handle, pages: u64) {
        self.take(handle, pages as i64);
    }

    /// Pages were given up. From any context.
    pub(super) fn pages_freed(&self, handle: Handle, pages: u64) {
        self.take(handle, pages as i64);
    }

    fn take(&self, handle: Handle, pages: i64) {
        let Some(count) = self.outstanding.get(handle.index()) else {
            return;
        };
        if pages != 0 && count.fetch_sub(pages, Ordering::AcqRel) == pages {
            self.enqueue(handle);
        }
    }

    /// Has a space looked at by the background. From any context.
    pub(super) fn enqueue(&self, handle: Handle) {
        let Some(queued) = self.queued.get(handle.index()) else {
            return;
        };
        if !queued.swap(true, Ordering::AcqRel) {
            // Never more than one entry per handle: the room was made at load.
            self.runnable.lock().push_back(handle);
            self.wake.wake_one();
        }
    }

    /// Whether a space is to be looked at. For wait conditions.
    pub(super) fn has_runnable(&self) -> bool {
        !self.runnable.lock().is_empty()
    }

    /// The next space to look at.
    pub(super) fn next_runnable(&self) -> Option<Arc<TargetSpace>> {
        let handle = self.runnable.lock().pop_front()?;
        if let Some(queued) = self.queued.get(handle.index()) {
            queued.store(false, Ordering::Release);
        }
        self.get(handle)
    }

    /// What is to be done about a space now.
    pub(super) fn poll(&self, space: &TargetSpace) -> Option<Effect> {
        let outstanding = self.outstanding(space.handle);
        let effect = space.state(|state| state.poll(outstanding));
        if effect == Some(Effect::Forget) {
            self.forget(space.handle);
        }
        effect
    }

    /// The source says that it does not have a space.
    pub(super) fn lose_one(&self, from: Slot, id: SpaceId, fetches: &Fetches) {
        let ours = |space: &&Arc<TargetSpace>| space.source == from && space.id == id;
        let found = self.spaces.lock().iter().flatten().find(ours).cloned();
        if let Some(space) = found {
            self.lose(&space, Loss::Refused, fetches);
        }
    }

    /// A source is no more.
    pub(super) fn lose_all(&self, source: Slot, why: Loss, fetches: &Fetches) {
        for at in 0..TARGETS_MAX as usize {
            let space = self.spaces.lock().get(at).cloned().flatten();
            if let Some(space) = space.filter(|space| space.source == source) {
                self.lose(&space, why, fetches);
            }
        }
    }

    /// The rest of a space can't be had: those who wait for it are told.
    pub(super) fn lose(&self, space: &TargetSpace, why: Loss, fetches: &Fetches) {
        if !space.state(|state| state.lose(why)) {
            return;
        }
        space.lost.store(true, Ordering::Release);
        let pages = self.outstanding(space.handle);
        stats::SPACES_LOST.add(1);
        tell_lost(space, pages, why);
        fetches.wake_all();
        self.changed.wake_all();
        self.enqueue(space.handle);
    }

    /// Whether something is to be done about a space.
    pub(super) fn wants_attention(&self, space: &TargetSpace) -> bool {
        let outstanding = self.outstanding(space.handle);
        let mut state = space.state(|state| *state);
        state.poll(outstanding).is_some() || knobs::streams() && self.wants_stream(space)
    }

    /// Whether a space is to be streamed.
    pub(super) fn wants_stream(&self, space: &TargetSpace) -> bool {
        space.state(|state| state.phase() == Phase::Running) && self.outstanding(space.handle) > 0
    }
}

/// Tells the daemon that pages of a space can't be had.
pub(super) fn tell_lost(space: &TargetSpace, pages: u64, why: Loss) {
    log::error!("space {:#x} of slot {}: {pages} pages lost: {why:?}", space.id.0, space.source);
    let lost = uapi::MemoryLost {
        space: space.id.0.into(),
        pages: pages.into(),
        reason: match why {
            Loss::PeerDown => uapi::LOST_PEER_DOWN,
            Loss::Refused => uapi::LOST_REFUSED,
        }
        .into(),
        reserved: 0.into(),
    };
    events::emit(uapi::MEMORY_LOST, u32::from(space.source.get()), lost.as_bytes());
}
