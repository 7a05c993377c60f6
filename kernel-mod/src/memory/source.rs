//! Spaces that processes have left here.

use alloc::{boxed::Box, collections::BTreeMap, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering};

use kapi::{
    clock, lock_class, mm::Mm, module::Hold, workqueue::WorkQueue, Errno, Mutex, Result, SpinLock,
};
use netproto::{Slot, SpaceId};
use vm_remote::source::{Phase, Release, Source, Verdict};

/// Called once when the memory is to be let go; may sleep.
pub(crate) type OnRelease = Box<dyn FnOnce(Release) + Send>;

/// One space. Its memory lives as long as somebody reads it.
pub(super) struct SourceSpace {
    mm: Mm,
    state: SpinLock<Source>,
    on_release: Mutex<Option<OnRelease>>,
    /// Bytes sent of it.
    pub(super) served: AtomicU64,
    _hold: Hold,
}

/// All spaces left here, by number.
pub(super) struct Sources {
    spaces: Mutex<BTreeMap<u64, Arc<SourceSpace>>>,
    next: AtomicU64,
    work: WorkQueue,
}

impl SourceSpace {
    /// What to do with a request.
    pub(super) fn check(&self, from: Slot) -> Verdict {
        self.state.lock().check(from)
    }

    /// Its memory.
    pub(super) fn mm(&self) -> &Mm {
        &self.mm
    }
}

impl Sources {
    pub(super) fn new() -> Result<Self> {
        // Numbers of a former life of this node must not fit: they begin anywhere.
        let start = u64::from_le_bytes(clock::random()) >> 8;
        Ok(Self {
            spaces: Mutex::new(lock_class!(c"holon-sources"), BTreeMap::new())?,
            next: AtomicU64::new(start.max(1)),
            work: WorkQueue::new(c"holon-space", 4)?,
        })
    }

    /// How many.
    pub(super) fn count(&self) -> u64 {
        self.spaces.lock().len() as u64
    }

    /// Keeps an address space for `target`, closed.
    pub(super) fn add(&self, mm: Mm, target: Slot, on_release: OnRelease) -> Result<SpaceId> {
        let space = SourceSpace {
            mm,
            state: SpinLock::new(lock_class!(c"holon-source"), Source::new(target))?,
            on_release: Mutex::new(lock_class!(c"holon-release"), Some(on_release))?,
            served: AtomicU64::new(0),
            _hold: Hold::new().ok_or(Errno::ESHUTDOWN)?,
        };
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.spaces.lock().insert(id, Arc::new(space));
        Ok(SpaceId(id))
    }

    /// A space that is kept.
    pub(super) fn get(&self, id: SpaceId) -> Option<Arc<SourceSpace>> {
        self.spaces.lock().get(&id.0).cloned()
    }

    /// Its pages are final from now on. `ESTALE` if it was released before.
    pub(super) fn open(&self, id: SpaceId) -> Result {
        let space = self.get(id).ok_or(Errno::ESTALE)?;
        let opened = space.state.lock().open();
        opened.then_some(()).ok_or(Errno::ESTALE)
    }

    /// Its process runs elsewhere, and goes on here no more.
    pub(super) fn settle(&self, id: SpaceId) {
        if let Some(space) = self.get(id) {
            space.state.lock().settle();
        }
    }

    /// Its target has all it needs.
    pub(super) fn done(&self, from: Slot, id: SpaceId) {
        self.release(id, |state| state.done(from));
    }

    /// The attempt is called off.
    pub(super) fn call_off(&self, id: SpaceId) {
        self.release(id, Source::call_off);
    }

    /// A target is no more.
    pub(super) fn peer_down(&self, slot: Slot) {
        let of_peer = |space: &Arc<SourceSpace>| space.state.lock().target() == slot;
        let ids: Vec<u64> = {
            let spaces = self.spaces.lock();
            spaces.iter().filter(|(_, space)| of_peer(space)).map(|(id, _)| *id).collect()
        };
        ids.into_iter().for_each(|id| self.release(SpaceId(id), |state| state.peer_down(slot)));
    }

    fn release(&self, id: SpaceId, decide: impl FnOnce(&mut Source) -> bool) {
        let Some(space) = self.get(id) else { return };
        let why = {
            let mut state = space.state.lock();
            match (decide(&mut state), state.phase()) {
                (true, Phase::Released(why)) => why,
                (_, Phase::Closed | Phase::Open | Phase::Settled | Phase::Released(_)) => return,
            }
        };
        self.spaces.lock().remove(&id.0);
        let on_release = space.on_release.lock().take();
        let let_go = move || {
            if let Some(on_release) = on_release {
                on_release(why);
            }
            drop(space);
        };
        if self.work.push(let_go).is_err() {
            log::error!("space {:#x}: no memory to let it go", id.0);
        }
    }

    /// Waits until all that was released is let go.
    pub(super) fn finish(&self) {
        self.work.flush();
    }
}
