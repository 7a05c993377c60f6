//! What to fetch along with a page that was faulted on.
//!
//! A program's faults are told apart by where they are: each thread that scans a region of its own
//! is a [`pattern`], of which a few are known at a time. If most of the last distances between a
//! pattern's faults are the same (majority vote over a window that grows, Boyer and Moore; Leap,
//! Maruf and Chowdhury, USENIX ATC 2020), that is the *stride*, and pages along it are fetched
//! ahead; one is a sequential scan. If there is none, pages around the faulted one are. How many
//! goes by how many of the program's last ones were touched: it doubles when they pay, halves when
//! they don't, and at zero nothing is fetched ahead but a probe now and then, so that it can find
//! out that it would pay again.
//!
//! Along a stride pages are asked for in *chunks*, each when the program reaches the one before it:
//! so one chunk travels while the other is used, and no page is asked for twice.
//!
//! Faults that are near to no pattern are looked at together, for strides that are wide. Two of
//! them that are near to each other begin a new pattern, which takes the place of the one that has
//! been used least lately; one that has a stride keeps its place for a good while. A single one is
//! taken to go on as the last scan did, as long as single ones come to a second fault.

mod pattern;
#[cfg(test)]
mod tests;

use pattern::Pattern;

/// Pages in a chunk at most. Two chunks may be ahead of the program.
pub const AHEAD_MAX: u8 = 64;

/// Around a page: at most so many.
const AROUND_MAX: u8 = 7;

/// Patterns that are known by their place, besides what is near to none.
const PATTERNS: usize = 6;

/// Faults near to no pattern that are remembered, to see whether another one is near to them.
const SINGLES: usize = 32;

/// What is so many pages from a pattern's last fault belongs to it.
const NEAR: u64 = 256;

/// How far new patterns are trusted to be scans: it grows when one comes to its second fault, and
/// falls when one ends before.
const HEIRS_MAX: u8 = 4;
const HEIRS_TRUSTED: u8 = 2;

/// Outcomes after which the number is looked at again.
const TRIAL: u32 = 16;

/// Of a hundred pages ahead so many must be touched, to go on and to fetch more. A page that comes
/// along costs about a third of one that is asked for alone.
const PAYS: u32 = 35;
const PAYS_WELL: u32 = 60;

/// While nothing is fetched ahead, each so many faults one is tried.
const PROBE_EVERY: u32 = 32;

/// Which way the pages ahead lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Along a distance.
    Stride(i64),
    /// Around the page, in its block.
    Around,
}

/// The pages to fetch ahead of a fault.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// They lie beyond this page.
    page: u64,
    shape: Shape,
    count: u8,
    done: u8,
}

impl Plan {
    /// Which way they lie.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// How many.
    #[must_use]
    pub const fn count(&self) -> u8 {
        self.count
    }
}

impl Iterator for Plan {
    type Item = u64;

    /// The next page, the nearest first.
    fn next(&mut self) -> Option<u64> {
        if self.done >= self.count {
            return None;
        }
        self.done = self.done.saturating_add(1);
        match self.shape {
            Shape::Stride(stride) => {
                self.page.checked_add_signed(stride.checked_mul(i64::from(self.done))?)
            }
            Shape::Around => {
                // The aligned block of eight, going up from the page and round.
                let block = u64::from(AROUND_MAX);
                let offset = self.page.wrapping_add(u64::from(self.done)) & block;
                Some(self.page & !block | offset)
            }
        }
    }
}

/// One program's faults.
#[derive(Debug, Clone, Copy)]
pub struct Prefetch {
    /// Those that are near to none of `near`.
    far: Pattern,
    near: [Pattern; PATTERNS],
    /// Of those in `far`, the last that may be the first of a pattern.
    singles: [Option<u64>; SINGLES],
    next_single: usize,
    heirs: u8,
    /// Pages ahead: along a stride, and around.
    ahead: [u8; 2],
    touched: [u32; 2],
    wasted: [u32; 2],
    since_probe: u32,
}

impl Default for Prefetch {
    fn default() -> Self {
        Self::new()
    }
}

const fn kind_of(shape: Shape) -> usize {
    match shape {
        Shape::Stride(_) => 0,
        Shape::Around => 1,
    }
}

impl Prefetch {
    /// Nothing is known.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            far: Pattern::new(),
            near: [Pattern::new(); PATTERNS],
            singles: [None; SINGLES],
            next_single: 0,
            heirs: HEIRS_TRUSTED,
            ahead: [8, 7],
            touched: [0; 2],
            wasted: [0; 2],
            since_probe: 0,
        }
    }

    /// The pattern that a page belongs to: one that has asked for it, else the nearest.
    fn pattern_of(&mut self, page: u64) -> Option<&mut Pattern> {
        if self.far.has_run_over(page) {
            return Some(&mut self.far);
        }
        let rank = |pattern: &Pattern| {
            let distance = pattern.distance_to(page)?;
            let is_on = pattern.has_run_over(page);
            (is_on || distance <= NEAR).then_some((!is_on, distance))
        };
        let ranked = self.near.iter_mut().filter_map(|it| Some((rank(it)?, it)));
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, it)| it)
    }

    /// A fault that is near to no pattern: part of a wide stride, the second of a new pattern, or
    /// perhaps the first. What is to be fetched with it.
    fn elsewhere(&mut self, page: u64) -> Shape {
        self.far.step(page);
        if self.far.stride().is_some() {
            return self.far.shape();
        }
        let single = self.singles.iter_mut().flatten().find(|it| it.abs_diff(page) <= NEAR);
        let (before, parent) = match single {
            Some(single) => (core::mem::replace(single, page), None),
            None => (page, self.parent()),
        };
        if before == page && parent.is_none() {
            self.add_single(page);
            return Shape::Around;
        }
        self.heirs = self.heirs.saturating_add(u8::from(before != page)).min(HEIRS_MAX);
        let mut pattern = Pattern::begin(before, parent);
        if before != page {
            pattern.step(page);
        }
        self.near.iter_mut().for_each(Pattern::pass_by);
        if let Some(oldest) = self.near.iter_mut().max_by_key(|it| it.idle()) {
            self.heirs = self.heirs.saturating_sub(u8::from(oldest.is_single()));
            *oldest = pattern;
        }
        pattern.shape()
    }

    /// What a new pattern may take after: the scan that was used last.
    fn parent(&self) -> Option<Pattern> {
        let scans = self.near.iter().filter(|it| it.stride().is_some());
        let parent = scans.min_by_key(|it| it.idle()).copied();
        parent.filter(|_| self.heirs >= HEIRS_TRUSTED)
    }

    fn add_single(&mut self, page: u64) {
        let at = self.next_single % SINGLES;
        self.next_single = at.saturating_add(1);
        let before = self.singles.get_mut(at).and_then(|place| place.replace(page));
        self.heirs = self.heirs.saturating_sub(u8::from(before.is_some()));
    }

    /// A page was faulted on that nothing brings yet: what to fetch along with it.
    pub fn fault(&mut self, page: u64) -> Plan {
        let shape = match self.pattern_of(page) {
            Some(pattern) => {
                let is_second = pattern.is_single();
                pattern.step(page);
                let shape = pattern.shape();
                self.heirs = self.heirs.saturating_add(u8::from(is_second)).min(HEIRS_MAX);
                shape
            }
            None => self.elsewhere(page),
        };
        self.ask(page, page, shape)
    }

    /// A page was faulted on that was asked for ahead: what to ask for now.
    pub fn reached(&mut self, page: u64) -> Plan {
        let pattern = match self.pattern_of(page) {
            Some(pattern) => pattern,
            None => &mut self.far,
        };
        pattern.step(page);
        let shape = pattern.shape();
        match pattern.chunk_over(page) {
            Some(last) => self.ask(page, last, shape),
            None => Plan { page, shape, count: 0, done: 0 },
        }
    }

    /// Of the pattern that is `at` a page: asks for what comes after another.
    fn ask(&mut self, at: u64, page: u64, shape: Shape) -> Plan {
        let count = self.count(shape);
        if let (Shape::Stride(stride), true) = (shape, count > 0) {
            if let Some(pattern) = self.pattern_at(at) {
                pattern.run_on(page, stride, count);
            }
        }
        Plan { page, shape, count, done: 0 }
    }

    /// The pattern whose last fault was there.
    fn pattern_at(&mut self, page: u64) -> Option<&mut Pattern> {
        let Self { far, near, .. } = self;
        near.iter_mut().chain([far]).find(|it| it.distance_to(page) == Some(0))
    }

    /// How many to ask for.
    fn count(&mut self, shape: Shape) -> u8 {
        let count = self.ahead.get(kind_of(shape)).copied().unwrap_or(0);
        if count > 0 {
            return count;
        }
        self.since_probe = self.since_probe.saturating_add(1);
        if self.since_probe < PROBE_EVERY {
            return 0;
        }
        self.since_probe = 0;
        2
    }

    /// Pages were put in beside one that was faulted on; with it they reach from `low` to `high`.
    /// The program does not fault on them: the next fault's distance counts from where it is then.
    pub fn placed(&mut self, low: u64, high: u64) {
        let Self { far, near, .. } = self;
        let is_there = |it: &&mut Pattern| it.is_within(low, high);
        if let Some(pattern) = near.iter_mut().chain([far]).find(is_there) {
            pattern.placed(low, high);
        }
    }

    /// A page that was fetched ahead was touched. If that was seen because it was faulted on (it is
    /// mapped lazily), this is a step of the program too: the next fault's distance counts from it.
    pub fn touched(&mut self, shape: Shape, page: Option<u64>) {
        if let Some(touched) = self.touched.get_mut(kind_of(shape)) {
            *touched = touched.saturating_add(1);
        }
        if let Some((page, pattern)) = page.and_then(|page| Some((page, self.pattern_of(page)?))) {
            pattern.placed(page, page);
        }
        self.judge(kind_of(shape));
    }

    /// A page that was fetched ahead went again untouched, or was looked at and was not.
    pub fn wasted(&mut self, shape: Shape) {
        if let Some(wasted) = self.wasted.get_mut(kind_of(shape)) {
            *wasted = wasted.saturating_add(1);
        }
        self.judge(kind_of(shape));
    }

    fn judge(&mut self, kind: usize) {
        let (Some(touched), Some(wasted), Some(ahead)) =
            (self.touched.get_mut(kind), self.wasted.get_mut(kind), self.ahead.get_mut(kind))
        else {
            return;
        };
        let all = touched.saturating_add(*wasted);
        if all < TRIAL {
            return;
        }
        let share = touched.saturating_mul(100) / all;
        let most = if kind == 0 { AHEAD_MAX } else { AROUND_MAX };
        if share >= PAYS_WELL {
            *ahead = ahead.saturating_mul(2).max(2).min(most);
        } else if share < PAYS {
            *ahead /= 2;
        }
        (*touched, *wasted) = (0, 0);
    }

    /// How many pages are fetched ahead at present: along a stride, and around.
    #[must_use]
    pub const fn ahead(&self) -> [u8; 2] {
        self.ahead
    }
}
