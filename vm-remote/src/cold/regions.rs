//! How cold memory is, by the accessed bits of its pages, in regions of up to 2 MiB.
//!
//! In each *round* the driver looks which pages were touched since the last one. A page's *age* is
//! the rounds since its last touch; the oldest go first, in generations that double (1, 2, 3, 4, 6,
//! 8, 12… rounds), as in Linux's multi-generational LRU. Within a generation the order of regions
//! decides, so that neighbours go together: by how long each is expected not to be touched, which
//! is its usual *interval* between touches (inter-reference recency, as in LIRS, Jiang and Zhang,
//! SIGMETRICS 2002) less the time that it is idle already. A region that is idle for far longer
//! than usual is taken for left, and is the colder the longer it is idle.
//!
//! A page that comes back within the reach of memory should not have gone: its *refault distance*,
//! the evictions since it went, is below the number of pages that are here (Linux's workingset
//! detection). It stays for [`STAY_ROUNDS`], and for longer each time that happens again.
//! A page that was touched in no other round than the one that it came in ages faster: a scan does
//! not push out what is used again and again (as in 2Q and ARC).

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use crate::cold::bits::{Bits, REGION_PAGES};

/// Rounds that a page stays after it came back too soon.
pub const STAY_ROUNDS: u32 = 2;

/// The part of memory that may stay so. Where more comes back too soon, memory is too small for
/// what is in use, and to protect it would only push out the rest.
const STAY_SHARE: u64 = 8;

/// Doublings of that at most.
const STAY_DOUBLINGS_MAX: u8 = 2;

/// By how much an idle round ages a page that was touched in one round only.
const ONCE_AGES: u8 = 2;

/// Intervals are kept in parts of a round.
const PARTS: u32 = 16;

/// A region that is idle for so many times its interval is taken for left.
const LEFT_AFTER: u32 = 3;

/// The generations: the age that a page has at least, oldest first.
const GENERATIONS: [u8; 14] = [96, 64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1, 0];

/// The last of them is not for eviction: those pages were touched in the last round.
const GENERATION_END: usize = GENERATIONS.len() - 1;

/// A region's place in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionId(pub u32);

#[derive(Debug, Clone, Copy)]
struct Region {
    is_used: bool,
    /// How often in a row a page came back too soon.
    soon: u8,
    present: Bits,
    ages: [u8; REGION_PAGES],
    /// Pages that were touched in no other round than the one that they came in.
    once: Bits,
    /// Who was here at the last sample, and has not gone since.
    seen: Bits,
    /// Pages that came back too soon, and until when they stay.
    stays: Bits,
    /// Pages that were offered and are on their way.
    leaving: Bits,
    /// Pages that went, and were not seen since.
    gone: Bits,
    stay_until: u32,
    last_touch: u32,
    /// In parts of a round.
    interval: u32,
    /// The clock of evictions when pages last went from here.
    went_at: u64,
    coldness: u32,
    /// The turn in which it could not be looked at.
    passed: u32,
}

const NEW: Region = Region {
    is_used: false,
    soon: 0,
    present: Bits::NONE,
    ages: [0; REGION_PAGES],
    once: Bits::NONE,
    seen: Bits::NONE,
    stays: Bits::NONE,
    leaving: Bits::NONE,
    gone: Bits::NONE,
    stay_until: 0,
    last_touch: 0,
    interval: PARTS,
    went_at: 0,
    coldness: 0,
    passed: 0,
};

impl Region {
    fn age_mut(&mut self, page: u16) -> Option<&mut u8> {
        self.ages.get_mut(usize::from(page))
    }

    /// Pages that are at least so old and may go.
    fn older(&self, age: u8) -> Bits {
        let mut old = Bits::NONE;
        for page in self.present.without(self.stays).without(self.leaving).iter() {
            if self.ages.get(usize::from(page)).is_some_and(|it| *it >= age) {
                old.insert(page);
            }
        }
        old
    }

    fn touch(&mut self, round: u32) {
        let idle = round.saturating_sub(self.last_touch).saturating_mul(PARTS);
        // A quarter of what is new: the usual interval, not the last one.
        let kept = self.interval.saturating_sub(self.interval / 4);
        self.interval = kept.saturating_add(idle / 4).max(1);
        self.last_touch = round;
    }

    fn measure(&mut self, round: u32) {
        let idle = round.saturating_sub(self.last_touch).saturating_mul(PARTS);
        self.coldness = if idle > self.interval.saturating_mul(LEFT_AFTER) {
            idle
        } else {
            self.interval.saturating_sub(idle)
        };
    }
}

/// All regions.
#[derive(Debug)]
pub struct Regions {
    list: Vec<Region>,
    /// Coldest first, as of the last round.
    order: Vec<RegionId>,
    at: usize,
    generation: usize,
    /// Changes when regions that were passed are to be offered again.
    turn: u32,
    /// Where the first of those was passed: place and generation.
    passed: Option<(usize, usize)>,
    round: u32,
    evicted: u64,
    present: u64,
    staying: u64,
}

impl Regions {
    /// For at most `most` regions.
    ///
    /// # Errors
    /// No memory.
    pub fn new(most: u32) -> Result<Self, TryReserveError> {
        let count = usize::try_from(most).unwrap_or(usize::MAX);
        let (mut list, mut order) = (Vec::new(), Vec::new());
        list.try_reserve_exact(count)?;
        list.resize(count, NEW);
        order.try_reserve_exact(count)?;
        Ok(Self {
            list,
            order,
            at: 0,
            generation: GENERATION_END,
            turn: 1,
            passed: None,
            round: 0,
            evicted: 0,
            present: 0,
            staying: 0,
        })
    }

    fn get_mut(&mut self, id: RegionId) -> Option<&mut Region> {
        self.list.get_mut(usize::try_from(id.0).ok()?)
    }

    /// A region is to be watched. False if there is no such place.
    pub fn add(&mut self, id: RegionId) -> bool {
        let round = self.round;
        self.get_mut(id).is_some_and(|region| {
            *region = Region { is_used: true, last_touch: round, ..NEW };
            true
        })
    }

    /// A region is no more.
    pub fn remove(&mut self, id: RegionId) {
        if let Some(region) = self.get_mut(id) {
            *region = NEW;
        }
    }

    /// What was seen of a region in this round: who is here, and who was touched since the last.
    pub fn sample(&mut self, id: RegionId, present: Bits, touched: Bits) {
        let round = self.round;
        // What went and is here again came back: nobody has to tell.
        let back = self.get_mut(id).map_or(Bits::NONE, |region| region.gone.and(present));
        for page in back.iter() {
            self.returned(id, page);
        }
        let Some(region) = self.get_mut(id).filter(|region| region.is_used) else {
            return;
        };
        let came = present.without(region.seen);
        region.once = region.once.without(touched).or(came).and(present);
        region.present = present;
        region.seen = present;
        for page in present.iter() {
            // What comes ahead of its first touch has a round for it.
            let is_touched = touched.contains(page) || came.contains(page);
            let older = if region.once.contains(page) { ONCE_AGES } else { 1 };
            if let Some(age) = region.age_mut(page) {
                *age = if is_touched { 0 } else { age.saturating_add(older) };
            }
        }
        if region.stay_until <= round {
            region.stays = Bits::NONE;
        }
        if !touched.is_empty() {
            region.touch(round);
        }
        region.measure(round);
    }

    /// All regions were sampled: puts them in order.
    pub fn end_round(&mut self) {
        self.round = self.round.saturating_add(1);
        self.order.clear();
        (self.present, self.staying) = (0, 0);
        for (number, region) in (0_u32..).zip(&self.list) {
            if region.is_used && !region.present.is_empty() {
                let stays = region.present.and(region.stays).count();
                self.staying = self.staying.saturating_add(u64::from(stays));
                self.present = self.present.saturating_add(u64::from(region.present.count()));
                // Its room was taken when the table was made.
                self.order.push(RegionId(number));
            }
        }
        let list = &self.list;
        let coldness = |id: &RegionId| {
            let region = usize::try_from(id.0).ok().and_then(|at| list.get(at));
            core::cmp::Reverse(region.map_or(0, |region| region.coldness))
        };
        self.order.sort_unstable_by_key(|id| (coldness(id), *id));
        (self.at, self.generation, self.passed) = (0, 0, None);
    }

    /// The coldest region that has something to give, and which of its pages: of the oldest
    /// generation of all regions first; never one that was touched in the last round, nor one that
    /// came back a moment ago. `None`: sample another round. If that has nothing either, all is in
    /// use, and to evict it would be to thrash.
    ///
    /// The same pages are offered again until each was [`Self::evicted`] or [`Self::kept`], or is
    /// [`Self::leaving`], or the region was [`Self::passed`].
    pub fn next_cold(&mut self) -> Option<(RegionId, Bits)> {
        let turn = self.turn;
        while self.generation < GENERATION_END {
            let Some(id) = self.order.get(self.at).copied() else {
                (self.at, self.generation) = (0, self.generation.saturating_add(1));
                continue;
            };
            let age = GENERATIONS.get(self.generation).copied().unwrap_or(u8::MAX);
            let region = self.get_mut(id);
            if region.as_ref().is_some_and(|region| region.passed == turn) {
                self.passed.get_or_insert((self.at, self.generation));
            } else {
                let cold = region.map_or(Bits::NONE, |region| region.older(age));
                if !cold.is_empty() {
                    return Some((id, cold));
                }
            }
            self.at = self.at.saturating_add(1);
        }
        None
    }

    /// The region that was just offered can't be looked at now: it is not offered before
    /// [`Self::again`], and its pages stay as cold as they are.
    pub fn passed(&mut self, id: RegionId) {
        let turn = self.turn;
        if let Some(region) = self.get_mut(id) {
            region.passed = turn;
        }
    }

    /// Whether [`Self::next_cold`] has left out regions that were passed.
    #[must_use]
    pub const fn is_any_passed(&self) -> bool {
        self.passed.is_some()
    }

    /// Regions that were passed may be offered again.
    pub fn again(&mut self) {
        self.turn = self.turn.wrapping_add(1);
        if let Some(first) = self.passed.take() {
            (self.at, self.generation) = first;
        }
    }

    /// A page that was offered does not go: it was touched since the last round, or can't.
    pub fn kept(&mut self, id: RegionId, page: u16) {
        self.not_leaving(id, page);
        if let Some(age) = self.get_mut(id).and_then(|region| region.age_mut(page)) {
            *age = 0;
        }
    }

    /// A page that was offered is on its way; how it ends is not known yet.
    pub fn leaving(&mut self, id: RegionId, page: u16) {
        if let Some(region) = self.get_mut(id) {
            region.leaving.insert(page);
        }
    }

    /// A page that was on its way could not go for now. It is as cold as before, and offered after
    /// the next round that its region is not passed in, at the latest.
    pub fn not_leaving(&mut self, id: RegionId, page: u16) {
        if let Some(region) = self.get_mut(id) {
            region.leaving.remove(page);
        }
    }

    /// A page went.
    pub fn evicted(&mut self, id: RegionId, page: u16) {
        self.evicted = self.evicted.saturating_add(1);
        self.present = self.present.saturating_sub(1);
        let at = self.evicted;
        self.not_leaving(id, page);
        if let Some(region) = self.get_mut(id) {
            region.present.remove(page);
            region.seen.remove(page);
            region.gone.insert(page);
            region.went_at = at;
        }
    }

    /// A page came back because it was touched. True if that was too soon. Without this call
    /// [`Self::sample`] finds out when it sees the page again.
    pub fn returned(&mut self, id: RegionId, page: u16) -> bool {
        let (round, evicted, here) = (self.round, self.evicted, self.present);
        let may_stay = self.staying < here / STAY_SHARE;
        self.present = self.present.saturating_add(1);
        let Some(region) = self.get_mut(id) else {
            return false;
        };
        region.present.insert(page);
        region.gone.remove(page);
        if let Some(age) = region.age_mut(page) {
            *age = 0;
        }
        let is_soon = evicted.saturating_sub(region.went_at) < here;
        if is_soon && may_stay {
            let longer = STAY_ROUNDS.saturating_mul(1 << region.soon.min(STAY_DOUBLINGS_MAX));
            region.stays.insert(page);
            region.stay_until = round.saturating_add(longer);
            region.soon = region.soon.saturating_add(1);
            self.staying = self.staying.saturating_add(1);
        } else if !is_soon {
            region.soon = 0;
        }
        is_soon
    }

    /// Pages that are here, but for those that came back too soon.
    #[must_use]
    pub const fn present(&self) -> u64 {
        self.present.saturating_sub(self.staying)
    }

    /// Rounds so far.
    #[must_use]
    pub const fn round(&self) -> u32 {
        self.round
    }
}
