//! Pages that are fetched before they are faulted on, in batches of their own. They wait in the
//! batch. The first fault on one of them puts in all that have come by then, and asks for what
//! comes next; so a scan faults once for a batch, and its pages travel while it uses others.
//! What nobody touches is dropped, and is at its holder still.

use alloc::vec::Vec;

use kapi::{
    lock_class,
    page::{Page, PAGE_LEN},
    wanted::{Beside, Wanted},
    Result, SpinLock,
};
use netproto::{msg::lodge::BatchFlags, Duration, Instant};
use vm_remote::{
    lodge::owner::{EntryId, OpId},
    prefetch::{Plan, Prefetch, Shape},
    tag::{lodged_entry, lodged_word},
};

use super::{
    knobs, reclaim,
    send::Full,
    state::{Owning, State, PAGES},
    stats,
};
use crate::port::net::{self, now};

/// Programs whose faults are remembered.
const PROGRAMS: usize = 64;

/// Pages that came ahead wait so long to be touched, times the time scale.
const WAIT: Duration = Duration::from_ms(500);

/// While so many batches are under way nothing is fetched ahead.
const AHEAD_BATCHES: usize = 64;

/// For whom a batch was fetched ahead.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    /// The program.
    space: u64,
    /// Which way the pages lie.
    shape: Shape,
    /// Their user addresses, by position.
    addresses: [u64; PAGES],
    since: Instant,
}

impl Ahead {
    /// Whether its pages have waited for long enough.
    pub(super) fn is_old(&self) -> bool {
        now().since(self.since) >= WAIT.times(u64::from(net::timescale()))
    }
}

/// Pages that were put in, and of which it is not known whether they pay.
#[derive(Clone, Copy)]
struct Placed {
    shape: Shape,
    addresses: [u64; PAGES],
    count: usize,
}

#[derive(Clone, Copy)]
struct Program {
    space: u64,
    prefetch: Prefetch,
    placed: Placed,
}

impl Program {
    const fn new(space: u64) -> Self {
        let placed = Placed { shape: Shape::Around, addresses: [0; PAGES], count: 0 };
        Self { space, prefetch: Prefetch::new(), placed }
    }
}

/// Programs and what is known of their faults. One that is not seen for long loses its place.
pub(super) struct Programs(SpinLock<Vec<Program>>);

impl Programs {
    pub(super) fn new() -> Result<Self> {
        let mut list = Vec::new();
        list.try_reserve_exact(PROGRAMS)?;
        list.resize_with(PROGRAMS, || Program::new(0));
        Ok(Self(SpinLock::new(lock_class!(c"holon-lodge-ahead"), list)?))
    }

    fn with<R>(&self, space: u64, use_it: impl FnOnce(&mut Program) -> R) -> R {
        let mut list = self.0.lock();
        // Addresses of structures: their low bits tell nothing.
        let at = (space >> 6).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58;
        let program = &mut list[at as usize];
        if program.space != space {
            *program = Program::new(space);
        }
        use_it(program)
    }

    /// Pages that came ahead were not touched.
    pub(super) fn wasted(&self, ahead: &Ahead, count: u32) {
        self.with(ahead.space, |it| (0..count).for_each(|_| it.prefetch.wasted(ahead.shape)));
    }

    /// What is put in now, with the page that is faulted on. It is time to see what the last ones
    /// were good for.
    #[inline(never)]
    fn note_placed(&self, wanted: &Wanted<'_>, shape: Shape, beside: &Beside) {
        let before = self.with(wanted.space(), |it| {
            let before = it.placed;
            it.placed.shape = shape;
            it.placed.count = 0;
            for (place, address) in it.placed.addresses.iter_mut().zip(beside.addresses()) {
                *place = *address;
                it.placed.count += 1;
            }
            let page = |address: u64| address / PAGE_LEN as u64;
            let at = wanted.address();
            let low = beside.addresses().first().map_or(at, |first| at.min(*first));
            let high = beside.addresses().last().map_or(at, |last| at.max(*last));
            it.prefetch.placed(page(low), page(high));
            before
        });
        let (here, touched) = wanted.touched(&before.addresses[..before.count]);
        self.with(wanted.space(), |it| {
            // The one that is faulted on paid.
            it.prefetch.touched(shape, None);
            for bit in (0..PAGES).map(|at| 1 << at).filter(|bit| here & bit != 0) {
                if touched & bit != 0 {
                    it.prefetch.touched(before.shape, None);
                } else {
                    it.prefetch.wasted(before.shape);
                }
            }
        });
    }
}

/// Pages that a batch is to bring.
struct List {
    entries: [EntryId; PAGES],
    addresses: [u64; PAGES],
    count: usize,
}

impl List {
    /// The next of a plan, a batch at most, that are elsewhere.
    #[inline(never)]
    fn of(wanted: &Wanted<'_>, plan: &mut Plan) -> Self {
        let mut list = Self { entries: [EntryId(0); PAGES], addresses: [0; PAGES], count: 0 };
        let mut count = 0;
        for (place, page) in list.addresses.iter_mut().zip(plan.take(PAGES)) {
            *place = page.wrapping_mul(PAGE_LEN as u64);
            count += 1;
        }
        let tags = wanted.tags(&list.addresses[..count]);
        for (at, tag) in tags.iter().enumerate().take(count) {
            if let Some(entry) = lodged_entry(*tag) {
                list.entries[list.count] = EntryId(entry);
                list.addresses[list.count] = list.addresses[at];
                list.count += 1;
            }
        }
        list
    }

    /// Without those that some batch brings already.
    fn retain_free(&mut self, state: &State) {
        let mut kept = 0;
        for at in 0..self.count {
            if state.owner.under_way(self.entries[at]).is_none() {
                self.entries[kept] = self.entries[at];
                self.addresses[kept] = self.addresses[at];
                kept += 1;
            }
        }
        self.count = kept;
    }
}

impl Owning {
    /// A page is faulted on, which some batch brings or none (then `is_new`): asks for what is
    /// likely to be wanted next.
    #[inline(never)]
    pub(super) fn fetch_ahead(&self, wanted: &Wanted<'_>, is_new: bool) {
        if !knobs::prefetches() {
            return;
        }
        let page = wanted.address() / PAGE_LEN as u64;
        let mut plan = self.programs.with(wanted.space(), |it| {
            if is_new {
                it.prefetch.fault(page)
            } else {
                it.prefetch.reached(page)
            }
        });
        let mut left = usize::from(Plan::count(&plan));
        // Once, lest the fault wait for long.
        let mut may_wait = true;
        while left > 0 {
            let mut list = List::of(wanted, &mut plan);
            left = left.saturating_sub(PAGES);
            if !self.begin_ahead(wanted, plan.shape(), &mut list, &mut may_wait) {
                return;
            }
        }
    }

    /// Begins a batch. False if no more should be begun.
    #[inline(never)]
    fn begin_ahead(
        &self,
        wanted: &Wanted<'_>,
        shape: Shape,
        list: &mut List,
        may_wait: &mut bool,
    ) -> bool {
        let state = self.state.lock();
        list.retain_free(&state);
        let is_calm = state.owner.batches() < AHEAD_BATCHES;
        drop(state);
        let mut pages = [const { None }; PAGES];
        let mut easy = 0;
        for page in pages.iter_mut().take(list.count) {
            *page = Page::new_easily();
            if page.is_none() && is_calm && core::mem::take(may_wait) {
                reclaim::make_room((list.count - easy) as u64);
                *page = Page::new_easily();
            }
            if page.is_none() {
                break;
            }
            easy += 1;
        }
        // So many come, and no more are begun.
        let is_easy = easy == list.count;
        list.count = easy;
        let Some((first, more)) = list.entries[..list.count].split_first() else {
            return is_easy;
        };
        if !is_calm {
            return false;
        }
        let mut state = self.state.lock();
        let Ok(op) = state.owner.fetch(now(), *first, more, BatchFlags::empty()) else {
            return false;
        };
        let mut addresses = [0; PAGES];
        // What went meanwhile is left out of the batch.
        let mut from = 0;
        for (at, address) in addresses.iter_mut().enumerate() {
            let Some(entry) = state.owner.entry_at(op, at as u8) else { break };
            while from < list.count && list.entries[from] != entry {
                from += 1;
            }
            *address = list.addresses.get(from).copied().unwrap_or(0);
        }
        let ahead = Ahead { space: wanted.space(), shape, addresses, since: now() };
        state.begin_fetch(op, &mut pages, Some(ahead));
        drop(state);
        self.send_all_of(op, Full::Leave);
        is_easy
    }

    /// Takes what has come of a batch that was fetched ahead for this program, but for the page at
    /// `not`; ends the batch if that is all of it.
    #[inline(never)]
    pub(super) fn place_ahead(&self, wanted: &Wanted<'_>, (op, serial): (OpId, u64), not: u8) {
        let mut beside = Beside::new();
        let mut state = self.state.lock();
        let mut order = [0_u8; PAGES];
        (0..PAGES as u8).zip(&mut order).for_each(|(at, place)| *place = at);
        let Some(ahead) = state.fetch(op, serial).and_then(|fetch| fetch.ahead) else { return };
        if ahead.space != wanted.space() {
            return;
        }
        order.sort_unstable_by_key(|at| ahead.addresses[usize::from(*at)]);
        for at in order.into_iter().filter(|at| *at != not) {
            let entry = state.owner.entry_at(op, at);
            let fetch = state.fetch(op, serial).filter(|fetch| fetch.came >> at & 1 != 0);
            let page = fetch.and_then(|fetch| fetch.pages[usize::from(at)].take());
            if let (Some(entry), Some(page)) = (entry, page) {
                beside.push(ahead.addresses[usize::from(at)], lodged_word(entry.0), page);
            }
        }
        let (done, _) = state.owner.fetched(op);
        let is_whole = state
            .fetch(op, serial)
            .is_some_and(|fetch| fetch.over && done & !fetch.came == 0 && !fetch.has_left());
        let ended = is_whole.then(|| self.end_fetch(&mut state, op));
        drop(state);
        if ended.is_some() {
            drop(ended);
            self.room.wake_all();
        }
        self.programs.note_placed(wanted, ahead.shape, &beside);
        if !beside.is_empty() {
            let placed = wanted.place(beside).unwrap_or(0);
            stats::FETCHED_AHEAD.add(placed as u64);
        }
    }
}
