//! How many pages are to go, and when: by what is known of this node's memory.

use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use kapi::{alloc::Memory, page::PAGE_LEN, wait::Mode};
use netproto::{Duration as Span, Instant};
use vm_remote::cold::{
    pressure::{Limits, Pressure, Reading, State},
    reserve::{Pages, Reserve},
};

use super::{knobs, owning, reclaim, stats, BASE};
use crate::{
    lodge::stall,
    port::net::{now, timescale},
};

/// Pages at once at most.
const STEP_MAX: u32 = 2048;

/// Between two rounds of sampling while pages go: what is used at all is touched in that time.
const ROUND: Span = Span::from_ms(500);
/// And at least, when all that was found cold has gone and more is to go: then ages are told apart
/// by less time, for memory turns over in less.
const LEAST_ROUND: Span = Span::from_ms(50);
/// And so many times what a round takes, on a busy node with its waits for a processor.
const ROUND_PART: u64 = 3;
/// After so many rounds that found nothing they are made no oftener than else: all is in use.
const FRUITLESS_MAX: u32 = 4;
/// And while memory is only nearly short: so that ages are known when it is.
const EARLY_ROUND: Span = Span::from_ms(2_000);

/// Between two looks at memory.
const LOOK: Span = Span::from_ms(50);

/// For pages to go before the kernel kills, times the time scale up to a limit: nobody else who
/// needs memory can be helped meanwhile.
const LAST_CALL: Duration = Duration::from_millis(1_000);
const LAST_CALL_SCALE_MAX: u32 = 8;
/// Pages that are asked for then.
const LAST_CALL_PAGES: u64 = 1024;

/// Pages that are wanted before a process is killed.
static ASKED: AtomicU64 = AtomicU64::new(0);

/// Pages that the kernel's reclaim wants, or who needs room for what comes.
static WANTED: AtomicU64 = AtomicU64::new(0);

/// Available pages below which some are to go.
pub(super) static KEPT: AtomicU64 = AtomicU64::new(0);

/// What is wanted now.
pub(super) struct Demand {
    /// Pages that are to go.
    pub(super) pages: u64,
    /// Pages that are to go without a wait for better knowledge.
    pub(super) at_once: u64,
    /// A round of sampling is due.
    pub(super) sample: bool,
}

/// What is known.
pub(super) struct Need {
    pressure: Pressure,
    reserve: Reserve,
    looked: Instant,
    sampled: Instant,
    // How long the last round took.
    round_took: Span,
    // Rounds in a row that found nothing.
    fruitless: u32,
    went: u64,
    returned: u64,
    files_back: u64,
    // What had come back when the reserve was last reckoned.
    reckoned: u64,
}

/// Pages of ours, so far.
fn came_back() -> u64 {
    stats::FETCHED_FAULT.get() + stats::FETCHED_AHEAD.get()
}

impl Need {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        let pressure = Pressure::new(Limits {
            stall_start: 1_000,
            free_low: 0,
            free_high: 0,
            calm: Span::from_ms(2_000),
            pause: Span::from_ms(2_000),
            step_max: STEP_MAX,
            returns_max: 50,
        });
        let never = Instant::ZERO;
        Self {
            pressure,
            reserve: Reserve::default(),
            looked: never,
            sampled: never,
            round_took: Span::ZERO,
            fruitless: 0,
            went: 0,
            returned: 0,
            files_back: Memory::now().files_back,
            reckoned: 0,
        }
    }

    /// Looks at everything, if it is time for it. `forced` pages are wanted by root.
    pub(super) fn look(&mut self, forced: u64) -> Option<Demand> {
        let asked = ASKED.swap(0, Ordering::AcqRel);
        let wanted = WANTED.swap(0, Ordering::AcqRel).max(asked);
        if now().since(self.looked) < LOOK && wanted == 0 && forced == 0 {
            return None;
        }
        let memory = Memory::now();
        let free = memory.available / PAGE_LEN as u64;
        // A balloon or an unplugged bank makes the machine another one.
        let total = memory.total / PAGE_LEN as u64;
        // The kernel may ask far more often than the reserve is to fade.
        if now().since(self.looked) >= LOOK {
            self.looked = now();
            self.reckon(&memory, total);
        }
        let went = stats::EVICTED.get();
        let returned = came_back();
        let reading = Reading {
            stall: stall::share(),
            free,
            asked: wanted,
            went: went - self.went,
            returned: returned - self.returned,
        };
        (self.went, self.returned) = (went, returned);
        let pages = self.pressure.poll(now(), &reading);
        let is_near = free < total / 6 || self.pressure.state() != State::Calm;
        let sample = is_near && self.is_due(EARLY_ROUND);
        Some(Demand { pages: u64::from(pages), at_once: asked.max(forced), sample })
    }

    /// How much is to be kept available.
    fn reckon(&mut self, memory: &Memory, total: u64) {
        let came_back = came_back();
        let back = Pages {
            files: memory.files_back.saturating_sub(self.files_back),
            ours: came_back - self.reckoned,
        };
        (self.files_back, self.reckoned) = (memory.files_back, came_back);
        let here = Pages { files: memory.files, ours: reclaim::here() };
        let marks = self.reserve.turn(total, memory.available / PAGE_LEN as u64, here, back);
        KEPT.store(marks.low, Ordering::Relaxed);
        self.pressure.set_free(marks.low, marks.high);
    }

    fn is_due(&self, span: Span) -> bool {
        now().since(self.sampled) >= span
    }

    /// Whether another round is due while pages are to go.
    pub(super) fn must_sample(&self) -> bool {
        self.is_due(ROUND)
    }

    /// Whether another round may be made although nothing that was found cold is left.
    pub(super) fn may_sample(&self) -> bool {
        let least = Span::from_ns(self.round_took.as_ns().saturating_mul(ROUND_PART));
        let is_fruitless = self.fruitless >= FRUITLESS_MAX;
        self.is_due(if is_fruitless { ROUND } else { least.max(LEAST_ROUND).min(ROUND) })
    }

    /// The same for pages that are to go at once, whatever earlier rounds found.
    pub(super) fn may_sample_at_once(&self) -> bool {
        self.is_due(LEAST_ROUND)
    }

    /// Whether the last round found anything.
    pub(super) fn found(&mut self, any: bool) {
        self.fruitless = if any { 0 } else { self.fruitless.saturating_add(1) };
    }

    /// A round was made, begun then.
    pub(super) fn sampled(&mut self, began: Instant) {
        self.sampled = now();
        self.round_took = self.sampled.since(began);
    }
}

/// Pages have gone.
pub(super) fn made_free() {
    if let Some(base) = BASE.get() {
        base.freed.wake_all();
    }
}

/// The kernel would kill a process for memory now. In any task that allocates.
pub(super) fn out_of_memory() -> u64 {
    let (Some(base), Some(_)) = (BASE.get(), owning()) else { return 0 };
    if knobs::scope() == knobs::Scope::None {
        return 0;
    }
    let before = stats::EVICTED.get();
    ASKED.fetch_max(LAST_CALL_PAGES, Ordering::AcqRel);
    base.evict.wake_all();
    let has_gone = || stats::EVICTED.get() != before;
    // If none went in that time, the kernel does what it has to.
    let _ = base.freed.wait(
        Mode::Killable,
        Some(LAST_CALL * timescale().min(LAST_CALL_SCALE_MAX)),
        has_gone,
    );
    let gone = stats::EVICTED.get() - before;
    stats::LAST_CALLS.add(1);
    gone
}

/// Reclaim, or who needs room, wants so many pages to go.
pub(super) fn want(pages: u64) {
    WANTED.fetch_max(pages, Ordering::AcqRel);
}

/// Nothing can be done about what was asked for.
pub(super) fn forget() {
    WANTED.store(0, Ordering::Release);
    ASKED.store(0, Ordering::Release);
}

/// Whether somebody asked. For wait conditions.
pub(super) fn is_asked() -> bool {
    ASKED.load(Ordering::Acquire) != 0 || WANTED.load(Ordering::Acquire) != 0
}
