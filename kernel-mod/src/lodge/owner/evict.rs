//! The thread that sends pages away, in two looks: it copies them while their process runs on, and
//! when the holders have them it takes away those that are still the same.

use alloc::boxed::Box;
use core::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use kapi::{
    alloc::NoReclaim,
    module::Hold,
    pack::Packer,
    thread::{cond_resched, should_stop},
    wait::Mode,
    Errno,
};
use netproto::msg::lodge::Seal;
use vm_remote::{
    lodge::{
        bit,
        owner::{OpId, Page},
    },
    tag::lodged_word,
};

use super::{
    knobs::{self, Scope},
    make,
    need::{self, Need},
    owning,
    sample::Sampler,
    send::Full,
    state::{share_of, tag_of, Batch, Owning, State, Store, PAGES},
    stats, Base, BASE,
};
use crate::port::net::now;

/// Between two looks at what is wanted.
const TICK: Duration = Duration::from_millis(100);
/// The same while pages are to go.
const SHORT_TICK: Duration = Duration::from_millis(20);

/// What is being done.
struct Evictor {
    sampler: Sampler,
    packer: Packer,
    need: Need,
    /// Pages that are to go still.
    left: u64,
    /// They go at once: rounds of sampling that may be made for them without a wait.
    rounds: u32,
    /// They are wanted by root or before a kill: when those rounds are used up, that is all.
    is_forced: bool,
}

/// Rounds of sampling for pages that are to go now: two tell who is idle.
const FORCE_ROUNDS: u32 = 4;

/// There is more room with a holder, or root wants pages to go.
static POKED: AtomicBool = AtomicBool::new(false);

/// Has the thread go on.
pub(super) fn poke() {
    POKED.store(true, Ordering::Release);
    if let Some(base) = BASE.get() {
        base.evict.wake_all();
    }
}

/// Runs until the thread is stopped.
pub(super) fn run(base: &'static Base) {
    let mut evictor = None;
    while !should_stop() {
        let wanted = knobs::take_force();
        if evictor.is_none() && (wanted != 0 || is_anybody_watched()) {
            evictor = begin(base);
        }
        match (&mut evictor, owning()) {
            (Some(evictor), Some(owning)) => evictor.turn(owning, wanted),
            _ => need::forget(),
        }
        let is_over = || {
            let is_over = owning().is_some_and(|owning| owning.has_over());
            should_stop() || is_over || need::is_asked() || POKED.swap(false, Ordering::AcqRel)
        };
        // Its condition or its time ends this wait.
        let rest = evictor.as_ref().map_or(TICK, |evictor| evictor.rest());
        let _ = base.evict.wait(Mode::Idle, Some(rest), is_over);
    }
    if let (Some(evictor), Some(owning)) = (&mut evictor, owning()) {
        evictor.end(owning);
    }
}

fn is_anybody_watched() -> bool {
    match knobs::scope() {
        Scope::None => false,
        Scope::Jobs => crate::proc::has_jobs(),
        Scope::All => true,
    }
}

#[inline(never)]
fn begin(base: &'static Base) -> Option<Box<Evictor>> {
    let made = make::make(base).and_then(|_| Ok((Sampler::new()?, Packer::new()?)));
    match made {
        Ok((sampler, packer)) => {
            let need = Need::new();
            Some(Box::new(Evictor { sampler, packer, need, left: 0, rounds: 0, is_forced: false }))
        }
        Err(errno) => {
            log::warn!("pages can't lodge elsewhere: {errno}");
            None
        }
    }
}

impl Owning {
    /// Whether a batch on its way out is over. For wait conditions.
    fn has_over(&self) -> bool {
        let state = self.state.lock();
        state.batches.iter().any(|batch| matches!(batch, Batch::Out { over: true, .. }))
    }

    fn next_over(&self, calls_off: bool) -> Option<(OpId, usize)> {
        let state = self.state.lock();
        let found = state.batches.iter().enumerate().find_map(|(at, batch)| match batch {
            Batch::Out { store, over } if *over || calls_off => Some((at, *store)),
            _ => None,
        });
        found.and_then(|(at, store)| Some((OpId(u16::try_from(at).ok()?), store)))
    }
}

impl Evictor {
    #[inline(never)]
    fn turn(&mut self, owning: &'static Owning, forced: u64) {
        // Memory may be all gone: nothing here allocates, or waits for who does.
        let _reserves = NoReclaim::enter();
        self.sampler.begin_turn();
        if crate::memory::pool_is_short() || owning.entries_missing() != 0 {
            owning.want_pool();
        }
        if let Some(demand) = self.need.look(forced) {
            if demand.at_once != 0 {
                (self.left, self.rounds) = (demand.at_once, FORCE_ROUNDS);
                self.is_forced = true;
            }
            if self.rounds == 0 {
                self.left = if is_anybody_watched() { demand.pages } else { 0 };
                self.is_forced = false;
            }
            if demand.sample || self.left != 0 && self.need.must_sample() {
                self.sample();
            }
        }
        self.send_away(owning);
    }

    fn sample(&mut self) {
        let began = now();
        self.sampler.round();
        self.need.sampled(began);
    }

    /// Until it is to be looked again at what is wanted.
    fn rest(&self) -> Duration {
        if self.left == 0 {
            TICK
        } else {
            SHORT_TICK
        }
    }

    /// Sends away what is to go, as far as it can be done now.
    fn send_away(&mut self, owning: &'static Owning) {
        let reserve = u64::from(knobs::reserve_pages());
        let goal = u32::try_from(self.left.max(reserve)).unwrap_or(u32::MAX);
        if owning.state.lock().owner.set_goal(goal) {
            owning.make_due();
        }
        loop {
            while let Some((op, store)) = owning.next_over(false) {
                self.finish(owning, op, store);
            }
            if self.left == 0 || should_stop() || !self.launch(owning) {
                break;
            }
            cond_resched();
        }
        if self.left == 0 {
            self.rounds = 0;
        }
    }

    /// Calls all off.
    fn end(&mut self, owning: &Owning) {
        while let Some((op, _)) = owning.next_over(true) {
            let mut state = owning.state.lock();
            state.owner.commit(op, 0);
            if let Some(batch) = state.batches.get_mut(usize::from(op.0)) {
                *batch = Batch::None;
            }
        }
    }

    /// Begins one batch. False if there is nothing to begin now.
    #[inline(never)]
    fn launch(&mut self, owning: &'static Owning) -> bool {
        let free = owning.stores.iter().enumerate().find_map(|(at, store)| {
            let store = store.try_lock()?;
            store.op.is_none().then_some((at, store))
        });
        let Some((at, mut store)) = free else { return false };
        // What no holder has promised room for is not even looked at.
        let room = owning.state.lock().owner.unused() / u32::from(knobs::copies());
        if room == 0 || !self.fill(owning, &mut store, self.left.min(u64::from(room))) {
            return false;
        }
        let mut pages = [Page { tag: 0, seal: Seal::NONE }; PAGES];
        let count = store.pages.len();
        let (pid, job) = store.whose.as_ref().map_or((0, 0), |whose| (whose.pid, whose.job));
        for (position, page) in pages.iter_mut().take(count).enumerate() {
            store.pack(position, knobs::packs().then_some(&mut self.packer));
            page.seal = Seal::of(store.content(position));
        }
        stats::COPIED.add(count as u64);
        stats::PACKED_BYTES.add(pages[..count].iter().map(|page| u64::from(page.seal.len)).sum());
        let begun = owning.begin_out(&mut pages[..count], at, (pid, job));
        self.left = self.left.saturating_sub(count as u64);
        match begun {
            Some(op) => {
                store.op = Some(op);
                drop(store);
                owning.send_all_of(op, Full::Wait);
                true
            }
            None => {
                self.kept(&mut store, Some(0));
                false
            }
        }
    }

    /// Puts the coldest pages of one process into the buffer, copied.
    #[inline(never)]
    fn fill(&mut self, owning: &Owning, store: &mut Store, most: u64) -> bool {
        let mut is_fresh = false;
        loop {
            store.pages.clear();
            let limit = knobs::job_max_pages();
            let room = |job| owning.state.lock().shares.room(job, limit);
            let Some(whose) = self.sampler.choose(&mut store.pages, most, room) else {
                let is_busy = self.sampler.is_any_busy();
                match self.rounds.checked_sub(1) {
                    // The next turn, which is soon, tries the busy ones again.
                    Some(left) if !is_busy || self.need.may_sample_at_once() => self.rounds = left,
                    None if !is_fresh && !self.is_forced && self.need.may_sample() => (),
                    _ => {
                        if is_fresh && !is_busy {
                            self.need.found(false);
                        }
                        return false;
                    }
                }
                self.sample();
                is_fresh = true;
                continue;
            };
            let copied = match whose.mm.get() {
                Some(mm) => store.pages.copy_out(&mm),
                None => Err(Errno::ESRCH),
            };
            if copied == Err(Errno::EAGAIN) {
                self.sampler.found_busy(&whose);
            } else {
                self.sampler.chosen(&store.pages, copied.is_ok());
            }
            if copied.is_ok() && !store.pages.is_empty() {
                self.need.found(true);
                store.whose = Some(whose);
                return true;
            }
            if should_stop() {
                return false;
            }
        }
    }

    /// The holders have a batch, or won't: takes the pages away, and ends it.
    #[inline(never)]
    fn finish(&mut self, owning: &Owning, op: OpId, at: usize) {
        let mut store = owning.stores[at].lock();
        let state = owning.state.lock();
        let stored = state.owner.stored(op);
        for position in 0..store.pages.len() {
            let entry = state.owner.entry_at(op, position as u8);
            let is_stored = stored & bit(position as u8) != 0;
            let tag = entry.filter(|_| is_stored).map_or(0, |entry| lodged_word(entry.0));
            store.pages.set_tag(position, tag);
        }
        drop(state);
        let mm = store.whose.as_ref().and_then(|whose| whose.mm.get());
        let any = store.any;
        let result = match &mm {
            Some(mm) if stored != 0 => {
                store.pages.take_away(mm, any, |gone| owning.commit(op, gone.mask, gone.frames))
            }
            _ => Err(Errno::ESRCH),
        };
        let gone = result.unwrap_or_else(|_| {
            owning.commit(op, 0, &[0; PAGES]);
            0
        });
        let is_busy = result == Err(Errno::EAGAIN);
        if let Some(whose) = store.whose.as_ref().filter(|_| is_busy) {
            self.sampler.found_busy(whose);
            self.left += u64::from(stored.count_ones());
        }
        stats::EVICTED.add(u64::from(gone.count_ones()));
        if gone != 0 {
            need::made_free();
        }
        stats::STAYED.add(u64::from((stored & !gone).count_ones()));
        let is_all = gone.count_ones() as usize == store.pages.len();
        self.kept(&mut store, (!is_busy).then_some(gone));
        drop(store);
        drop(mm);
        if !is_all {
            // Copies of what stayed are to be let go.
            owning.make_due();
        }
    }

    /// Frees a buffer; those pages that are not `gone` stay, as cold as they were with `None`.
    fn kept(&mut self, store: &mut Store, gone: Option<u32>) {
        if let Some(whose) = store.whose.take() {
            self.sampler.went(&whose, &store.pages, gone);
        }
        store.op = None;
        store.pages.clear();
    }
}

impl Owning {
    /// Begins to store pages, from the buffer.
    #[inline(never)]
    fn begin_out(&self, pages: &mut [Page], store: usize, whose: (u32, u64)) -> Option<OpId> {
        let hold = Hold::new()?;
        let mut state = self.state.lock();
        let State { owner, batches, hold: kept, shares, .. } = &mut *state;
        let copies = knobs::copies();
        let (pid, job) = whose;
        let place = shares.leave(job, pages.len() as u32);
        pages.iter_mut().for_each(|page| page.tag = tag_of(pid, place));
        let result = owner.evict(now(), pages, copies);
        let op = match result {
            Ok(op) => op,
            Err(why) => {
                shares.end(place, pages.len() as u32);
                drop(state);
                stats::REFUSED.add(1);
                log::debug!("{} pages stay: {why:?}", pages.len());
                return None;
            }
        };
        if let Some(batch) = batches.get_mut(usize::from(op.0)) {
            *batch = Batch::Out { store, over: false };
        }
        let spare = if kept.is_some() { Some(hold) } else { kept.replace(hold) };
        drop(state);
        drop(spare);
        Some(op)
    }

    /// Before anybody can touch the pages: those in `gone` are elsewhere from now on.
    #[inline(never)]
    fn commit(&self, op: OpId, gone: u32, frames: &[u64; PAGES]) {
        let mut state = self.state.lock();
        let State { owner, shares, .. } = &mut *state;
        for position in (0..PAGES as u8).filter(|at| gone & bit(*at) == 0) {
            let tag = owner.entry_at(op, position).and_then(|entry| owner.tag(entry));
            shares.end(tag.map_or(0, share_of), 1);
        }
        for (position, frame) in frames.iter().enumerate().filter(|at| gone & 1 << at.0 != 0) {
            if let Some(entry) = state.owner.entry_at(op, position as u8) {
                state.owner.set_frame(entry, *frame);
            }
        }
        self.far.fetch_add(u64::from(gone.count_ones()), Ordering::AcqRel);
        state.owner.commit(op, gone);
        if let Some(batch) = state.batches.get_mut(usize::from(op.0)) {
            *batch = Batch::None;
        }
    }
}
