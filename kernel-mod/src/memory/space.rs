//! What the rest of the module does with memory of moved processes.
//!
//! At the node that a process leaves: [`create_source`], then [`open_source`] when it is frozen for
//! good, and [`settle_source`] when it runs elsewhere; or [`drop_source`]. One space per attempt:
//! pages that a target fetched after the freeze are old as soon as the process is thawed.
//!
//! At the node where it goes: [`create_target`], [`Target::insert`] while the process is laid out,
//! [`Target::start`] when it runs. A [`Target`] that is dropped before that is forgotten with its
//! last page.

use alloc::{boxed::Box, sync::Arc};
use core::{sync::atomic::Ordering, time::Duration};

use kapi::{
    mm::Mm,
    wait::{Mode, Waited},
    Errno, Result,
};
use netproto::{Slot, SpaceId};
pub(crate) use vm_remote::source::Release;

use super::{
    get,
    insert::{insert, Over},
    target::TargetSpace,
};

/// Keeps an address space for the node `target`. Until it is opened, requests are answered as
/// busy. `on_release` runs once, on a worker, when the memory is to be let go; the reference to it
/// is dropped after that.
pub(crate) fn create_source(
    mm: Mm,
    target: Slot,
    on_release: impl FnOnce(Release) + Send + 'static,
) -> Result<SpaceId> {
    let sources = &get()?.sources;
    let id = sources.add(mm, target, Box::new(on_release))?;
    if !super::wire::is_up(target) {
        // It went down before it could be told of the space.
        sources.peer_down(target);
        return Err(Errno::EHOSTDOWN);
    }
    Ok(id)
}

/// The process is frozen for good, as far as this space is concerned: its pages are final.
pub(crate) fn open_source(id: SpaceId) -> Result {
    get()?.sources.open(id)
}

/// The process runs at the target, and will not go on here with this memory, whatever happens.
pub(crate) fn settle_source(id: SpaceId) {
    if let Ok(memory) = get() {
        memory.sources.settle(id);
    }
}

/// The attempt is called off: the target gets nothing more.
pub(crate) fn drop_source(id: SpaceId) {
    if let Ok(memory) = get() {
        memory.sources.call_off(id);
    }
}

/// Where a process's pages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Put in so far.
    pub(crate) inserted: u64,
    /// Of these: not home and not given up.
    pub(crate) outstanding: u64,
    /// The rest can't be had.
    pub(crate) lost: bool,
}

/// The memory of a process that comes, or has come, here.
pub(crate) struct Target {
    space: Arc<TargetSpace>,
}

/// Makes a space for pages of the space `id` of `source`.
pub(crate) fn create_target(source: Slot, id: SpaceId) -> Result<Target> {
    Ok(Target { space: get()?.targets.add(source, id)? })
}

impl Target {
    /// Puts far pages in the holes of anonymous memory, each with the number of its address. Gives
    /// how many went in; those of an earlier call are passed over. `EBUSY` where another page is.
    pub(crate) fn insert(&self, mm: &Mm, start: u64, pages: u64) -> Result<u64> {
        insert(get()?, &self.space, mm, start, pages, Over::Holes)
    }

    /// The same, of huge pages: as such where that can be. Those of an earlier call stay as they
    /// are.
    pub(crate) fn insert_huge(&self, mm: &Mm, start: u64, pages: u64) -> Result<u64> {
        insert(get()?, &self.space, mm, start, pages, Over::HugeHoles)
    }

    /// Puts far pages in private file memory.
    pub(crate) fn replace(&self, mm: &Mm, start: u64, pages: u64) -> Result<u64> {
        insert(get()?, &self.space, mm, start, pages, Over::Private)
    }

    /// The process runs from now on: the background begins. `EIO` if the memory was lost before.
    pub(crate) fn start(&self) -> Result {
        if !self.space.state(|state| state.run()) {
            return Err(Errno::EIO);
        }
        get()?.targets.enqueue(self.space.handle);
        Ok(())
    }

    /// The node that has the pages which are not here.
    pub(crate) fn source(&self) -> Slot {
        self.space.source
    }

    /// Where its pages are.
    pub(crate) fn stat(&self) -> Stat {
        let outstanding = get().map_or(0, |memory| self.outstanding(memory));
        Stat {
            inserted: self.space.inserted.load(Ordering::Relaxed),
            outstanding,
            lost: self.space.is_lost(),
        }
    }

    // A handle is used again once its space is over.
    fn outstanding(&self, memory: &super::Memory) -> u64 {
        if self.is_over() {
            return 0;
        }
        memory.targets.outstanding(self.space.handle)
    }

    fn is_over(&self) -> bool {
        self.space.state(|state| state.phase()) == vm_remote::target::Phase::Over
    }

    /// Waits until all is home or given up: `ETIMEDOUT`, `EIO` if some is lost, `ERESTARTSYS`.
    pub(crate) fn wait_complete(&self, timeout: Duration) -> Result {
        let memory = get()?;
        let ready = || self.is_over() || self.space.is_lost();
        match memory.targets.changed.wait(Mode::Killable, Some(timeout), ready)? {
            Waited::TimedOut => Err(Errno::ETIMEDOUT),
            Waited::Ready if self.space.is_lost() => Err(Errno::EIO),
            Waited::Ready => Ok(()),
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.space.state(|state| state.abandon());
        if let Ok(memory) = get() {
            if memory.targets.wants_attention(&self.space) {
                memory.targets.enqueue(self.space.handle);
            }
        }
    }
}
