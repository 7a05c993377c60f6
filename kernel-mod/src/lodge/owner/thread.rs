//! The thread that does what time demands: repeats, releases, mends, and brings pages home.

use core::{sync::atomic::Ordering, time::Duration};

use kapi::{
    alloc::NoReclaim,
    thread::{cond_resched, should_stop},
    wait::Mode,
    Errno, Result,
};
use netproto::Instant;
use vm_remote::lodge::owner::{Block, EntryId};

use super::{
    home::Home,
    send::Full,
    state::{share_of, Batch, Owning},
};
use crate::port::net::now;

/// Given-up pages are looked at by so many: no fault wakes the thread for its own page.
const FREED_MANY: u32 = 128;

/// Between two turns while pages come home.
const BUSY: Duration = Duration::from_millis(20);
/// While pages are elsewhere: so long a few that were given up stay with their holders.
const FAR: Duration = Duration::from_millis(200);
/// Else.
const IDLE: Duration = Duration::from_secs(1);

/// After there was no memory to grow, until it is tried again: to try takes it from others.
const GROW_PAUSE: Duration = Duration::from_millis(200);

/// Runs until the thread is stopped.
pub(super) fn run(owning: &Owning, mut home: Home) {
    while !should_stop() {
        owning.due.store(false, Ordering::Release);
        let next = owning.turn();
        let is_busy = home.turn(owning);
        let left = next.map_or(u64::MAX, |next| next.since(now()).as_ns());
        let is_far = owning.far.load(Ordering::Acquire) != 0 || !owning.freed.is_empty();
        let longest = if is_busy {
            BUSY
        } else if is_far {
            FAR
        } else {
            IDLE
        };
        let wait = Duration::from_nanos(left).min(longest);
        if !wait.is_zero() {
            let due = || owning.due.load(Ordering::Acquire) || should_stop();
            // Its condition or its time ends this wait.
            let _ = owning.work.wait(Mode::Idle, Some(wait), due);
        }
        cond_resched();
    }
}

/// Entries that are kept free for pages that go out, where nothing may be allocated: as many as
/// the pool keeps free.
const ENTRIES_AHEAD: u32 = crate::memory::POOL_AHEAD as u32;

/// Grows the pool and the table when it is wanted, until the thread is stopped. Growing takes
/// memory: it may have to wait until pages have gone, so it is not for the thread that has them go.
pub(super) fn grow_pool(owning: &Owning) {
    while !should_stop() {
        let is_wanted = || owning.is_pool_wanted.load(Ordering::Acquire) || should_stop();
        // Its condition ends this wait.
        let _ = owning.pool.wait(Mode::Idle, None, is_wanted);
        if owning.is_pool_wanted.swap(false, Ordering::AcqRel) {
            // The table takes less than a megabyte, and never waits; the pool may have to.
            let table = owning.grow_table();
            let pool = crate::memory::pool_ahead();
            if let Err(errno) = table.and(pool) {
                log::debug!("no room for more pages elsewhere: {errno}");
                // Its time ends this wait.
                let _ = owning.pool.wait(Mode::Idle, Some(GROW_PAUSE), should_stop);
            }
        }
    }
}

impl Owning {
    /// Does all that is due. Gives when the next turn is.
    #[inline(never)]
    fn turn(&self) -> Option<Instant> {
        // Releases are part of getting pages out: they may use the reserves, and never wait for
        // memory.
        let _reserves = NoReclaim::enter();
        self.discard_freed();
        let mut state = self.state.lock();
        state.owner.handle_timeout(now());
        let woken = self.look(&mut state);
        drop(state);
        self.wake(woken);
        loop {
            let transmit = self.state.lock().owner.poll_transmit();
            match transmit {
                Some(transmit) => self.send(&transmit, Full::Leave),
                None => break,
            }
        }
        self.room.wake_all();
        self.let_module_go();
        let state = self.state.lock();
        state.owner.poll_timeout(now())
    }

    /// Entries that are missing until enough are free.
    pub(super) fn entries_missing(&self) -> u32 {
        self.state.lock().owner.missing(ENTRIES_AHEAD)
    }

    /// Makes them, as far as there is memory. An entry is a small part of the page that goes with
    /// it, and none goes without: so they may be made of the reserves, and nobody is killed for
    /// them.
    #[inline(never)]
    fn grow_table(&self) -> Result {
        let _reserves = NoReclaim::enter();
        while self.entries_missing() != 0 && !should_stop() {
            let block = Block::new().map_err(|_| Errno::ENOMEM)?;
            let left = self.state.lock().owner.grow(block);
            drop(left);
        }
        Ok(())
    }

    /// A page of the pool was given up. From any context.
    pub(super) fn gave_up(&self, entry: EntryId) {
        let is_last = self.far.fetch_sub(1, Ordering::AcqRel) == 1;
        let before = self.freed.add(entry.0);
        if is_last || before == FREED_MANY {
            self.make_due();
        }
    }

    /// Pages that were given up need not be kept any more.
    fn discard_freed(&self) {
        self.freed.take(|first, mut bits| {
            let mut state = self.state.lock();
            while bits != 0 {
                let entry = EntryId(first + bits.trailing_zeros());
                let share = state.owner.tag(entry).map_or(0, share_of);
                state.shares.end(share, 1);
                state.owner.discard(entry);
                bits &= bits - 1;
            }
        });
    }

    /// The module may be unloaded when nothing of ours is elsewhere.
    fn let_module_go(&self) {
        if self.far.load(Ordering::Acquire) != 0 {
            return;
        }
        let mut state = self.state.lock();
        let is_out = state.batches.iter().any(|batch| matches!(batch, Batch::Out { .. }));
        let hold = if is_out { None } else { state.hold.take() };
        drop(state);
        drop(hold);
    }
}
