//! The kernel's own reclaim asks for pages, as it asks all who have some: by how many there are,
//! and the more of them the harder memory is to find. So pages go beside files, and not only after
//! all files that are in use.

use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use kapi::{
    clock,
    shrinker::{is_reclaim_done, may_make_room, Reclaim},
    thread::is_reclaiming,
    wait::Mode,
};

use super::{
    knobs::{self, Scope},
    need, owning,
    state::PAGES,
    stats, BASE,
};

/// How long who looks for memory waits for pages to go, once or until it has what it looks for:
/// else it would take files meanwhile. It may have locks, so it is short.
const WAIT: Duration = Duration::from_millis(20);
/// The kernel asks for so many at a time, and not before there are as many to ask for: with larger
/// numbers it asks rarely, and takes files meanwhile.
pub(super) const ASK_MOST: u32 = 16;
/// But no fewer go then: as many as two batches, for the next ones will be asked for soon.
const GO_LEAST: u64 = 2 * PAGES as u64;
/// After none went, it does not wait for so long.
const NO_WAIT_NS: u64 = 50_000_000;

/// Pages here that may go, as of the last round of sampling.
static HERE: AtomicU64 = AtomicU64::new(0);
/// Until then it is of no use to wait.
static NO_WAIT_UNTIL_NS: AtomicU64 = AtomicU64::new(0);

/// A round of sampling has found so many.
pub(super) fn set_here(pages: u64) {
    HERE.store(pages, Ordering::Relaxed);
}

/// So many did the last one find.
pub(super) fn here() -> u64 {
    HERE.load(Ordering::Relaxed)
}

/// Pages of programs that may go.
pub(super) struct ColdPages;

/// For the shrinker.
pub(super) static COLD_PAGES: ColdPages = ColdPages;

// kswapd and programs' tasks are answered. Not the kernel's own threads, for pages may need one of
// them to go; and who drops the kernel's caches by hand does not mean programs' pages.
impl Reclaim for ColdPages {
    fn count(&self) -> u64 {
        let may_go = is_reclaiming() && owning().is_some() && knobs::scope() != Scope::None;
        if may_go {
            here()
        } else {
            0
        }
    }

    fn scan(&self, pages: u64) -> Option<u64> {
        if !is_reclaiming() || is_reclaim_done() {
            return None;
        }
        stats::RECLAIM_ASKED.add(pages);
        Some(have_go(pages, Mode::Idle)).filter(|gone| *gone != 0)
    }
}

/// A task needs so many pages for what comes, and finds none free. Pages go for those that are
/// fetched ahead as well: they would be taken from files.
pub(super) fn make_room(pages: u64) {
    if may_make_room() && owning().is_some() && knobs::scope() != Scope::None {
        stats::ROOM_MADE.add(have_go(pages, Mode::Killable));
    }
}

/// Has pages go, and waits for a moment until so many have gone. How many did.
fn have_go(pages: u64, mode: Mode) -> u64 {
    let Some(base) = BASE.get() else { return 0 };
    let before = stats::EVICTED.get();
    let gone = || stats::EVICTED.get() - before;
    need::want(pages.max(GO_LEAST));
    base.evict.wake_all();
    if clock::now_ns() < NO_WAIT_UNTIL_NS.load(Ordering::Relaxed) {
        return 0;
    }
    // Whatever ends it, what went by then counts.
    let _ = base.freed.wait(mode, Some(WAIT), || gone() >= pages);
    // Others who wait count the same pages.
    let gone = gone().min(pages.max(GO_LEAST));
    if gone == 0 {
        stats::WAITED_IN_VAIN.add(1);
        NO_WAIT_UNTIL_NS.store(clock::now_ns() + NO_WAIT_NS, Ordering::Relaxed);
    }
    gone
}
