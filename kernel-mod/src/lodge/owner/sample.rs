//! Which pages are cold: drives `vm_remote::cold` with what page tables say.
//!
//! All room is made at the start, for this runs when memory is gone: what there is no room for is
//! not watched.

use alloc::vec::Vec;

use kapi::{
    alloc::Memory,
    lodge::{LodgeBatch, MmName, Process, Region, NO_REGION},
    page::PAGE_LEN,
    thread::{cond_resched, should_stop},
    Errno, Result,
};
use netproto::{Duration, Instant};
use vm_remote::cold::{
    bits::{Bits, REGION_PAGES},
    regions::{RegionId, Regions},
};

use super::{
    reclaim,
    state::Whose,
    stats,
    watch::{self, Watch},
};
use crate::port::net::now;

/// Bytes of a region.
const REGION_LEN: u64 = (REGION_PAGES * PAGE_LEN) as u64;

/// Regions that page tables are asked for at once.
const LOOK: usize = 32;

/// Until an address space that was being changed is looked at again. Twice as long each time until
/// the next round, for with each look the search begins anew.
const BUSY: Duration = Duration::from_ms(20);

/// Processes watched at most.
const WATCHED_MAX: usize = 2048;

/// A process that is watched.
struct Watched {
    mm: MmName,
    pid: u32,
    /// Its job; zero if it is of none.
    job: u64,
    /// Its first region; the others follow by address.
    first: Option<RegionId>,
    /// It was there in the last round.
    is_seen: bool,
    /// Its address space is being changed: nothing of it can go for now.
    is_busy: bool,
}

/// Where a region is.
#[derive(Clone, Copy)]
struct Place {
    /// The address space's number; zero for a place that is not used.
    mm: u64,
    start: u64,
    /// The next region of the same process.
    next: Option<RegionId>,
}

const NO_PLACE: Place = Place { mm: 0, start: 0, next: None };

/// The regions that there may be.
struct Known {
    regions: Regions,
    places: Vec<Place>,
    free: Vec<RegionId>,
}

/// Everything that is watched.
pub(super) struct Sampler {
    watch: Watch,
    watched: Vec<Watched>,
    known: Known,
    look: Vec<Region>,
    /// When the first of those was found that are busy.
    busy_since: Option<Instant>,
    /// Until those are looked at again.
    busy_for: Duration,
    /// What was chosen last: the regions of the pages.
    last: [Option<(RegionId, u16)>; 32],
}

impl Known {
    fn place(&self, id: RegionId) -> Place {
        self.places.get(id.0 as usize).copied().unwrap_or(NO_PLACE)
    }

    fn set_place(&mut self, id: RegionId, place: Place) {
        if let Some(known) = self.places.get_mut(id.0 as usize) {
            *known = place;
        }
    }

    /// Says which region comes after one.
    fn link(&mut self, id: RegionId, next: Option<RegionId>) {
        let place = self.place(id);
        self.set_place(id, Place { next, ..place });
    }

    /// Forgets a region; gives the one after it.
    fn forget(&mut self, id: RegionId) -> Option<RegionId> {
        let next = self.place(id).next;
        self.regions.remove(id);
        self.set_place(id, NO_PLACE);
        // Its room was made at the start.
        self.free.push(id);
        next
    }

    fn forget_all(&mut self, first: Option<RegionId>) {
        let mut first = first;
        while let Some(id) = first {
            first = self.forget(id);
        }
    }
}

impl Sampler {
    #[inline(never)]
    pub(super) fn new() -> Result<Self> {
        // Twice what memory has, for not all regions are full.
        let count = 1024 + 2 * Memory::now().total / REGION_LEN;
        let count = u32::try_from(count).map_err(|_| Errno::ENOMEM)?;
        let (mut places, mut free, mut look) = (Vec::new(), Vec::new(), Vec::new());
        places.try_reserve_exact(count as usize)?;
        places.resize(count as usize, NO_PLACE);
        free.try_reserve_exact(count as usize)?;
        free.extend((0..count).rev().map(RegionId));
        look.try_reserve_exact(LOOK)?;
        look.resize(LOOK, NO_REGION);
        let regions = Regions::new(count).map_err(|_| Errno::ENOMEM)?;
        let mut watched = Vec::new();
        watched.try_reserve_exact(WATCHED_MAX)?;
        let known = Known { regions, places, free };
        let (watch, last) = (Watch::new()?, [None; 32]);
        Ok(Self { watch, watched, known, look, busy_since: None, busy_for: BUSY, last })
    }

    /// Looks at all processes once.
    #[inline(never)]
    pub(super) fn round(&mut self) {
        if let Err(errno) = self.watch() {
            log::warn!("not all processes are watched: {errno}");
        }
        for at in 0..self.watched.len() {
            if should_stop() {
                return;
            }
            self.look_at(at);
        }
        self.known.regions.end_round();
        self.busy_for = BUSY;
        reclaim::set_here(self.known.regions.present());
        stats::ROUNDS.add(1);
    }

    /// Brings the list of processes up to date.
    #[inline(never)]
    fn watch(&mut self) -> Result {
        let Self { watch, watched, known, .. } = self;
        watched.iter_mut().for_each(|watched| watched.is_seen = false);
        watch.each(|Process { mm, pid, .. }, job| {
            let has_room = watched.len() < WATCHED_MAX;
            match watched.iter_mut().find(|it| watch::is_same(&it.mm, &mm)) {
                Some(watched) => {
                    (watched.is_seen, watched.pid, watched.job) = (true, pid, job);
                }
                None if has_room => {
                    watched.push(Watched {
                        mm,
                        pid,
                        job,
                        first: None,
                        is_seen: true,
                        is_busy: false,
                    });
                }
                None => {}
            }
        })?;
        watched.retain(|watched| {
            if !watched.is_seen {
                known.forget_all(watched.first);
            }
            watched.is_seen
        });
        Ok(())
    }

    /// Samples one process.
    #[inline(never)]
    fn look_at(&mut self, at: usize) {
        let Some(watched) = self.watched.get_mut(at) else { return };
        let Some(mm) = watched.mm.get() else { return };
        let known = &mut self.known;
        let (mut old, mut last, mut start) = (watched.first.take(), None::<RegionId>, Some(0));
        while let Some(from) = start {
            let (count, next) = match mm.regions(from, &mut self.look) {
                Ok(found) => found,
                Err(errno) => {
                    stats::BUSY_SPACES.add(u64::from(errno == Errno::EAGAIN));
                    // What was known of the rest stays.
                    match last {
                        Some(last) => known.link(last, old),
                        None => watched.first = old,
                    }
                    return;
                }
            };
            for found in &self.look[..count] {
                while let Some(id) = old.filter(|id| known.place(*id).start < found.start) {
                    old = known.forget(id);
                }
                let same = old.filter(|id| known.place(*id).start == found.start);
                let Some(id) = same.or_else(|| known.free.pop()) else { continue };
                if same.is_some() {
                    old = known.place(id).next;
                } else {
                    known.regions.add(id);
                }
                let mm = watched.mm.number();
                known.set_place(id, Place { mm, start: found.start, next: None });
                match last {
                    Some(last) => known.link(last, Some(id)),
                    None => watched.first = Some(id),
                }
                last = Some(id);
                let (here, touched) =
                    (Bits::from_words(found.here), Bits::from_words(found.touched));
                known.regions.sample(id, here, touched);
            }
            start = next;
            cond_resched();
        }
        known.forget_all(old);
    }

    /// Puts the addresses of the coldest pages, all of one process, into the batch: as many as fit,
    /// and no more than `most` and than `room` says of its job. `None`: sample another round.
    #[inline(never)]
    pub(super) fn choose(
        &mut self,
        batch: &mut LodgeBatch,
        most: u64,
        room: impl Fn(u64) -> u64,
    ) -> Option<Whose> {
        self.last = [None; 32];
        let (id, cold, place, whose, most) = loop {
            let (id, cold) = self.known.regions.next_cold()?;
            let place = self.known.place(id);
            // Without one its process is no more.
            let watched = self.watched.iter().find(|it| it.mm.number() == place.mm);
            if watched.is_some_and(|watched| watched.is_busy) {
                self.known.regions.passed(id);
                if should_stop() {
                    return None;
                }
                cond_resched();
                continue;
            }
            let most = watched.map_or(0, |watched| most.min(room(watched.job)));
            if let Some(&Watched { ref mm, pid, job, .. }) = watched.filter(|_| most != 0) {
                break (id, cold, place, Whose { mm: mm.clone(), pid, job, region: id }, most);
            }
            stats::JOB_FULL.add(u64::from(watched.is_some()));
            cold.iter().for_each(|page| self.known.regions.kept(id, page));
            if should_stop() {
                return None;
            }
            cond_resched();
        };
        for page in cold.iter() {
            let at = batch.len();
            if at as u64 >= most || !batch.push(place.start + u64::from(page) * PAGE_LEN as u64) {
                break;
            }
            self.last[at] = Some((id, page));
        }
        Some(whose)
    }

    /// A new turn: address spaces may be looked at again that could not be, after a while.
    pub(super) fn begin_turn(&mut self) {
        if self.busy_since.is_some_and(|since| now().since(since) >= self.busy_for) {
            self.busy_since = None;
            self.busy_for = Duration::from_ns(self.busy_for.as_ns().saturating_mul(2));
            self.watched.iter_mut().for_each(|watched| watched.is_busy = false);
            self.known.regions.again();
        }
    }

    /// An address space is being changed, which may take long. What was chosen of it is as cold as
    /// before, but nothing of it is chosen for a while.
    pub(super) fn found_busy(&mut self, whose: &Whose) {
        stats::BUSY_SPACES.add(1);
        let same = |it: &&mut Watched| watch::is_same(&it.mm, &whose.mm);
        if let Some(watched) = self.watched.iter_mut().find(same) {
            watched.is_busy = true;
            self.busy_since.get_or_insert_with(now);
        }
    }

    /// Whether cold pages may have been left out for that.
    pub(super) fn is_any_busy(&self) -> bool {
        self.known.regions.is_any_passed()
    }

    /// Which of the pages last chosen were copied; the others can't go.
    pub(super) fn chosen(&mut self, batch: &LodgeBatch, any: bool) {
        for (id, page) in self.last.into_iter().flatten() {
            let start = self.known.place(id).start;
            let addr = start + u64::from(page) * PAGE_LEN as u64;
            let is_copied = any && (0..batch.len()).any(|at| batch.address(at) == addr);
            if is_copied {
                // On its way: not to be offered again before it is known how it ends.
                self.known.regions.leaving(id, page);
            } else {
                self.known.regions.kept(id, page);
            }
        }
    }

    /// How a batch ended: those in `gone` went, the others stay; `None` if none could be looked at.
    pub(super) fn went(&mut self, whose: &Whose, batch: &LodgeBatch, gone: Option<u32>) {
        let (id, place) = (whose.region, self.known.place(whose.region));
        for at in 0..batch.len() {
            let addr = batch.address(at);
            // It may stand for something else by now.
            if place.mm != whose.mm.number() || place.start != addr & !(REGION_LEN - 1) {
                continue;
            }
            let page = ((addr - place.start) / PAGE_LEN as u64) as u16;
            match gone {
                Some(gone) if gone & 1 << at != 0 => self.known.regions.evicted(id, page),
                Some(_) => self.known.regions.kept(id, page),
                None => self.known.regions.not_leaving(id, page),
            }
        }
    }
}
