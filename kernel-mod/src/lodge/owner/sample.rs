//! Which pages are cold: drives `vm_remote::cold` with what page tables say.

use alloc::{sync::Arc, vec::Vec};

use kapi::{
    alloc::Memory,
    lodge::{LodgeBatch, MmName, Region, NO_REGION},
    page::PAGE_LEN,
    thread::{cond_resched, should_stop},
    Errno, Result,
};
use vm_remote::cold::{
    bits::{Bits, REGION_PAGES},
    regions::{RegionId, Regions},
};

use super::{state::Whose, stats, watch};

/// Bytes of a region.
const REGION_LEN: u64 = (REGION_PAGES * PAGE_LEN) as u64;

/// Regions that page tables are asked for at once.
const LOOK: usize = 32;

/// A process that is watched.
struct Watched {
    whose: Whose,
    /// Its regions, by address.
    regions: Vec<(u64, RegionId)>,
    /// It was there in the last round.
    is_seen: bool,
}

/// Where a region is.
#[derive(Clone, Copy)]
struct Place {
    /// The address space's number; zero for a place that is not used.
    mm: u64,
    start: u64,
}

/// Everything that is watched.
pub(super) struct Sampler {
    watched: Vec<Watched>,
    regions: Regions,
    places: Vec<Place>,
    free: Vec<RegionId>,
    look: Vec<Region>,
    /// What was chosen last: the regions of the pages.
    last: [Option<(RegionId, u16)>; 32],
}

impl Sampler {
    #[inline(never)]
    pub(super) fn new() -> Result<Self> {
        // Twice what memory has, for not all regions are full.
        let count = 1024 + 2 * Memory::now().total / REGION_LEN;
        let count = u32::try_from(count).map_err(|_| Errno::ENOMEM)?;
        let (mut places, mut free, mut look) = (Vec::new(), Vec::new(), Vec::new());
        places.try_reserve_exact(count as usize)?;
        places.resize(count as usize, Place { mm: 0, start: 0 });
        free.try_reserve_exact(count as usize)?;
        free.extend((0..count).rev().map(RegionId));
        look.try_reserve_exact(LOOK)?;
        look.resize(LOOK, NO_REGION);
        let regions = Regions::new(count).map_err(|_| Errno::ENOMEM)?;
        Ok(Self { watched: Vec::new(), regions, places, free, look, last: [None; 32] })
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
        self.regions.end_round();
        stats::ROUNDS.add(1);
    }

    /// Brings the list of processes up to date.
    #[inline(never)]
    fn watch(&mut self) -> Result {
        let list = watch::list()?;
        self.watched.iter_mut().for_each(|watched| watched.is_seen = false);
        for process in list {
            let known =
                self.watched.iter_mut().find(|it| watch::is_same(&it.whose.mm, &process.mm));
            match known {
                Some(watched) => (watched.is_seen, watched.whose.pid) = (true, process.pid),
                None => {
                    self.watched.try_reserve(1)?;
                    let whose = Whose { mm: shared(process.mm)?, pid: process.pid };
                    self.watched.push(Watched { whose, regions: Vec::new(), is_seen: true });
                }
            }
        }
        let Self { watched, regions, places, free, .. } = self;
        watched.retain(|watched| {
            if !watched.is_seen {
                watched.regions.iter().for_each(|(_, id)| forget(regions, places, free, *id));
            }
            watched.is_seen
        });
        Ok(())
    }

    /// Samples one process.
    #[inline(never)]
    fn look_at(&mut self, at: usize) {
        let Some(watched) = self.watched.get_mut(at) else { return };
        let Some(mm) = watched.whose.mm.get() else { return };
        let mut seen = Vec::new();
        core::mem::swap(&mut seen, &mut watched.regions);
        let (mut old, mut start) = (seen.into_iter().peekable(), Some(0));
        while let Some(from) = start {
            let (count, next) = match mm.regions(from, &mut self.look) {
                Ok(found) => found,
                Err(errno) => {
                    stats::BUSY_SPACES.add(u64::from(errno == Errno::EAGAIN));
                    break;
                }
            };
            for found in &self.look[..count] {
                while let Some((_, id)) = old.next_if(|(addr, _)| *addr < found.start) {
                    forget(&mut self.regions, &mut self.places, &mut self.free, id);
                }
                let known = old.next_if(|(addr, _)| *addr == found.start).map(|(_, id)| id);
                let id = known.or_else(|| self.free.pop());
                let (Some(id), Ok(())) = (id, watched.regions.try_reserve(1)) else {
                    self.free.extend(id);
                    continue;
                };
                if known.is_none() {
                    self.regions.add(id);
                    let place = Place { mm: watched.whose.mm.number(), start: found.start };
                    self.places[id.0 as usize] = place;
                }
                watched.regions.push((found.start, id));
                let (here, touched) =
                    (Bits::from_words(found.here), Bits::from_words(found.touched));
                self.regions.sample(id, here, touched);
            }
            start = next;
            cond_resched();
        }
        for (_, id) in old {
            forget(&mut self.regions, &mut self.places, &mut self.free, id);
        }
    }

    /// Puts the addresses of the coldest pages, all of one process, into the batch: as many as fit,
    /// and no more than `most`. `None`: sample another round.
    #[inline(never)]
    pub(super) fn choose(&mut self, batch: &mut LodgeBatch, most: u64) -> Option<Whose> {
        self.last = [None; 32];
        let (id, cold) = self.regions.next_cold()?;
        let place = *self.places.get(id.0 as usize)?;
        let watched = self.watched.iter().find(|it| it.whose.mm.number() == place.mm);
        let Some(watched) = watched else {
            // Its process is no more.
            cold.iter().for_each(|page| self.regions.kept(id, page));
            return self.choose(batch, most);
        };
        let whose = watched.whose.clone();
        for page in cold.iter() {
            let at = batch.len();
            if at as u64 >= most || !batch.push(place.start + u64::from(page) * PAGE_LEN as u64) {
                break;
            }
            self.last[at] = Some((id, page));
        }
        Some(whose)
    }

    /// Which of the pages last chosen were copied; the others can't go.
    pub(super) fn chosen(&mut self, batch: &LodgeBatch, any: bool) {
        for (id, page) in self.last.into_iter().flatten() {
            let start = self.places[id.0 as usize].start;
            let addr = start + u64::from(page) * PAGE_LEN as u64;
            let is_copied = any && (0..batch.len()).any(|at| batch.address(at) == addr);
            if is_copied {
                // On its way: not to be offered again before it is known how it ends.
                self.regions.leaving(id, page);
            } else {
                self.regions.kept(id, page);
            }
        }
    }

    /// How a batch ended: those in `gone` went, the others stay.
    pub(super) fn went(&mut self, whose: &Whose, batch: &LodgeBatch, gone: u32) {
        let watched = self.watched.iter().find(|it| watch::is_same(&it.whose.mm, &whose.mm));
        let Some(watched) = watched else { return };
        for at in 0..batch.len() {
            let addr = batch.address(at);
            let start = addr & !(REGION_LEN - 1);
            let found = watched.regions.binary_search_by_key(&start, |(addr, _)| *addr);
            let Some((_, id)) = found.ok().and_then(|at| watched.regions.get(at)) else { continue };
            let page = ((addr - start) / PAGE_LEN as u64) as u16;
            if gone & 1 << at != 0 {
                self.regions.evicted(*id, page);
            } else {
                self.regions.kept(*id, page);
            }
        }
    }
}

fn forget(regions: &mut Regions, places: &mut [Place], free: &mut Vec<RegionId>, id: RegionId) {
    regions.remove(id);
    if let Some(place) = places.get_mut(id.0 as usize) {
        *place = Place { mm: 0, start: 0 };
    }
    // Its room was made at the start.
    free.push(id);
}

fn shared(mm: MmName) -> Result<Arc<MmName>> {
    Ok(Arc::new(mm))
}
