//! The background: brings far pages home while their process runs.

use alloc::{sync::Arc, vec::Vec};
use core::{sync::atomic::Ordering, time::Duration};

use kapi::{
    page::{frame_tag, HomeBatch, Page},
    thread::{self, KThread},
    wait::Mode,
    Result,
};
use netproto::{msg::page::GetFlags, RequestId, SendError};
use vm_remote::{
    fetch::Ask,
    limits::FETCH_PAGES_MAX,
    retry::{Retry, Step},
    stream::{Chunk, Pace},
    tag::Tag,
    target::{Effect, Loss},
};

use super::{
    batch::Batch,
    fetch::{span, Fetches, PageSet, Shard},
    knobs, stats,
    target::{Placed, TargetSpace},
    whole::{Way, Wholes},
    wire, Memory,
};
use crate::port::net::{now, timescale};

/// Spaces that are streamed at the same time.
pub(super) const THREADS: usize = 2;

/// Requests under way per thread at most.
const WINDOW: usize = Pace::FULL.requests as usize;

/// A process that has not faulted for so long has what it needs for now.
const CALM: netproto::Duration = netproto::Duration::from_ms(20);

/// Pages after which it is another space's turn: 64 MiB.
const SLICE: u64 = 16_384;

/// How long the background holds back for faults at most, and rests when nothing could be moved.
const HOLD_BACK: Duration = Duration::from_millis(2);
const REST: Duration = Duration::from_millis(20);

struct Flight {
    request: RequestId,
    chunk: Chunk,
    // Of a huge page: which.
    whole: Option<usize>,
    open: u32,
    retry: Retry,
    // Its last sending's place among all sendings.
    sent: u64,
}

struct Worker {
    memory: &'static Memory,
    home: HomeBatch,
    flights: [Option<Flight>; WINDOW],
    wholes: Wholes,
    rest: Option<Chunk>,
    gone: bool,
    sendings: u64,
}

/// Starts the threads.
pub(super) fn start(memory: &'static Memory, threads: &mut Vec<KThread>) -> Result {
    for name in [c"holon-stream-0", c"holon-stream-1"] {
        let home = HomeBatch::new()?;
        let flights = [const { None }; WINDOW];
        let wholes = Wholes::default();
        let mut worker =
            Worker { memory, home, flights, wholes, rest: None, gone: false, sendings: 0 };
        threads.push(KThread::spawn(name, move || worker.run())?);
    }
    Ok(())
}

impl Worker {
    fn run(&mut self) {
        let targets = &self.memory.targets;
        while !thread::should_stop() {
            let ready = || thread::should_stop() || targets.has_runnable();
            // Nothing but its condition ends this wait.
            let _ = targets.wake.wait(Mode::Idle, None, ready);
            if let Some(space) = targets.next_runnable() {
                self.tend(&space);
            }
        }
    }

    /// Looks at a space until nothing is to be done about it now.
    fn tend(&mut self, space: &Arc<TargetSpace>) {
        if space.busy.swap(true, Ordering::AcqRel) {
            return; // the other thread has it, and looks at it again when it ends
        }
        let targets = &self.memory.targets;
        let mut again = false;
        while let Some(effect) = targets.poll(space) {
            if effect == Effect::TellDone {
                self.tell_done(space);
            }
        }
        if targets.wants_stream(space) && knobs::streams() {
            again = !self.stream(space);
        }
        space.busy.store(false, Ordering::Release);
        if again {
            self.pause(REST);
        }
        if targets.wants_attention(space) && !thread::should_stop() {
            targets.enqueue(space.handle);
        }
    }

    fn pause(&self, time: Duration) {
        let targets = &self.memory.targets;
        // Its end is all that is wanted.
        let _ = targets.changed.wait(Mode::Idle, Some(time), thread::should_stop);
    }

    /// Tells the source that it may let go. If it is down it does so by itself.
    fn tell_done(&self, space: &TargetSpace) {
        while let Err(SendError::Busy | SendError::NoMemory) = wire::send_done(space) {
            self.pause(REST);
            if thread::should_stop() {
                return;
            }
        }
    }

    /// Brings a slice of a space's pages home. False if it got stuck: pages are held by someone for
    /// now.
    fn stream(&mut self, space: &TargetSpace) -> bool {
        let fetches = &self.memory.fetches;
        let shard = fetches.shard();
        let calm = CALM.times(u64::from(timescale()));
        self.rest = None;
        self.gone = false;
        let (mut stuck, mut moved) = (false, 0);
        // A huge page that was begun is not fetched in vain.
        while !self.is_over(space) && !stuck && (moved < SLICE || !self.wholes.is_empty()) {
            let is_followed = space.places.lock().stream.is_followed();
            // Who walks behind the stream waits for just this; others' faults go first.
            if !is_followed || fetches.urgent() > space.urgent() {
                hold_back(fetches);
            }
            let pace = Pace::after(space.since_fault(), calm, is_followed);
            self.fill(space, shard, pace, moved < SLICE);
            stuck = self.flights.iter().all(Option::is_none);
            if !stuck {
                self.wait(space, shard);
                moved += self.collect(space, shard);
            }
        }
        for flight in self.flights.iter_mut().filter_map(Option::take) {
            drop(shard.end(flight.request));
        }
        self.wholes = Wholes::default();
        if stuck {
            space.places.lock().stream.rested();
            if self.gone {
                self.memory.targets.lose(space, Loss::Refused, fetches);
            }
        }
        !stuck
    }

    fn is_over(&self, space: &TargetSpace) -> bool {
        thread::should_stop()
            || space.is_lost()
            || !knobs::streams()
            || self.memory.targets.outstanding(space.handle) == 0
    }

    /// Asks for more, as long as the window has room; without `begin` only for what was begun.
    fn fill(&mut self, space: &TargetSpace, shard: &Shard, pace: Pace, begin: bool) {
        for at in 0..usize::from(pace.requests) {
            if self.flights[at].is_some() {
                continue;
            }
            let next = match self.wholes.next(pace.pages.into()) {
                Some((chunk, at)) => Some((chunk, Some(at))),
                None if begin => self.next_chunk(space, pace.pages.into()),
                None => None,
            };
            let Some((chunk, whole)) = next else { return };
            let mut set = match whole {
                Some(at) => Some(self.wholes.pages(at, &chunk)),
                None => fresh(&chunk).ok(),
            };
            self.flights[at] = request(space, shard, chunk, whole, &mut set);
            if self.flights[at].is_none() {
                match (whole, set) {
                    (Some(at), Some(set)) => self.wholes.take_back(at, &chunk, set),
                    _ => self.rest = Some(chunk),
                }
                return;
            }
        }
    }

    /// The next run of pages that are still far and not asked for; and of which huge page.
    fn next_chunk(&mut self, space: &TargetSpace, most: u64) -> Option<(Chunk, Option<usize>)> {
        let mut places = space.places.lock();
        let Placed { stream, mm, .. } = &mut *places;
        if let Some(page) = space.take_hint() {
            stream.faulted(page);
            self.rest = None;
        }
        while !stream.is_stuck() {
            let chunk = self.rest.take().or_else(|| stream.next(most))?;
            let far = |offset: &u64| self.is_far(space, &chunk, *offset);
            let Some(first) = (0..chunk.pages).find(far) else {
                continue;
            };
            let at = (chunk.frame + first, chunk.page + first);
            match self.wholes.begin(&mut self.home, space, mm.as_ref(), at) {
                Way::Single => (),
                Way::Whole(last) => {
                    stream.seek_behind(last);
                    return self.wholes.next(most).map(|(chunk, at)| (chunk, Some(at)));
                }
                Way::Full => {
                    self.rest = part(&chunk, first, chunk.pages);
                    return None;
                }
                Way::Later(last) => {
                    stream.skip_to_behind(last);
                    continue;
                }
            }
            let far = |offset: &u64| self.is_far(space, &chunk, *offset);
            let last = chunk.pages.min(first + most);
            let pages = (first..last).take_while(far).count() as u64;
            self.rest = part(&chunk, first + pages, chunk.pages);
            return part(&chunk, first, first + pages).map(|chunk| (chunk, None));
        }
        None
    }

    fn is_far(&self, space: &TargetSpace, chunk: &Chunk, offset: u64) -> bool {
        let (frame, page) = (chunk.frame + offset, chunk.page + offset);
        let asked = |flight: &Flight| {
            frame.checked_sub(flight.chunk.frame).is_some_and(|at| at < flight.chunk.pages)
        };
        let tag = Tag::new(space.handle, page).map_or(0, Tag::word);
        frame_tag(frame) == tag
            && !self.wholes.has(frame)
            && !self.flights.iter().flatten().any(asked)
    }

    /// Waits until an answer is complete; repeats what is overdue.
    fn wait(&mut self, space: &TargetSpace, shard: &Shard) {
        let mut next = netproto::Duration::from_ms(1000);
        for flight in self.flights.iter_mut().flatten() {
            let open = shard.open_pages(flight.request);
            if open != flight.open {
                flight.open = open;
                flight.retry.progress(now());
            }
            match flight.retry.poll(now()) {
                Step::Send => {
                    let is_again = flight.retry.sendings() > 1;
                    stats::REQUESTS_AGAIN.add(u64::from(is_again));
                    let mut flags = GetFlags::STREAM;
                    flags.set(GetFlags::AGAIN, is_again);
                    self.sendings += 1;
                    flight.sent = self.sendings;
                    shard.send(space.source, flight.request, flags);
                    next = next.min(knobs::policy().first);
                }
                Step::Wait(time) => next = next.min(time),
                // The peer is up all the same: membership would have told. Start over.
                Step::GiveUp => flight.retry = Retry::new(knobs::policy(), now()),
            }
        }
        let flights = &self.flights;
        let finished = || {
            let mut all = flights.iter().flatten();
            all.any(|flight| shard.is_finished(flight.request))
        };
        let ready = || thread::should_stop() || space.is_lost() || finished();
        // Whatever ended the wait, the caller looks again.
        let _ = shard.queue.wait(Mode::Idle, Some(span(next)), ready);
    }

    /// Puts what has come where it belongs; gives how many pages.
    fn collect(&mut self, space: &TargetSpace, shard: &Shard) -> u64 {
        let mut all_moved = 0;
        for at in 0..WINDOW {
            let done = self.flights[at].as_ref();
            if !done.is_some_and(|flight| shard.is_finished(flight.request)) {
                continue;
            }
            let Some(flight) = self.flights[at].take() else {
                continue;
            };
            self.hurry_before(flight.sent);
            let Some((fetch, set)) = shard.end(flight.request) else {
                continue;
            };
            if let Some(at) = flight.whole {
                let (home, fetches) = (&mut self.home, &self.memory.fetches);
                let answer = (&flight.chunk, &fetch, set);
                let came = self.wholes.came(at, answer, (home, space, fetches));
                self.gone |= came.gone;
                all_moved += self.moved(space, came.moved);
                continue;
            }
            let mut batch = Batch::default();
            for (page, offset) in set.pages.into_iter().flatten().zip(0u16..) {
                if fetch.is_gone(offset) {
                    self.gone = true;
                } else {
                    batch.push(space, &flight.chunk, u64::from(offset), page);
                }
            }
            let moved = batch.bring_home(&mut self.home);
            all_moved += self.moved(space, moved);
        }
        all_moved
    }

    fn moved(&self, space: &TargetSpace, pages: u64) -> u64 {
        if pages > 0 {
            space.places.lock().stream.progress();
        }
        pages
    }
}

impl Worker {
    /// The source answers the background's requests in order: what was sent before one that is
    /// complete, and is not complete itself, has lost something.
    fn hurry_before(&mut self, sent: u64) {
        for flight in self.flights.iter_mut().flatten().filter(|flight| flight.sent < sent) {
            flight.retry.hurry(now());
        }
    }
}

fn part(chunk: &Chunk, from: u64, to: u64) -> Option<Chunk> {
    let pages = to.checked_sub(from).filter(|pages| *pages > 0)?;
    Some(Chunk { frame: chunk.frame + from, page: chunk.page + from, pages })
}

/// Lets faults go first.
pub(super) fn hold_back(fetches: &Fetches) {
    if !fetches.is_quiet() {
        // Held back for long enough in any case: faults may come without end.
        let _ = fetches.quiet().wait(Mode::Idle, Some(HOLD_BACK), || fetches.is_quiet());
    }
}

/// Pages for a chunk.
fn fresh(chunk: &Chunk) -> Result<PageSet> {
    let mut set = PageSet::empty();
    for place in set.pages.iter_mut().take(chunk.pages as usize) {
        *place = Some(Page::new()?);
    }
    Ok(set)
}

/// Begins a request that fills these pages; leaves them there if there is no room for it.
fn request(
    space: &TargetSpace,
    shard: &Shard,
    chunk: Chunk,
    whole: Option<usize>,
    set: &mut Option<PageSet>,
) -> Option<Flight> {
    let count = chunk.pages.min(FETCH_PAGES_MAX.into()) as u16;
    let ask = Ask { source: space.source, space: space.id, first: chunk.page, count };
    let request = shard.begin(ask, set)?;
    let retry = Retry::new(knobs::policy(), now());
    Some(Flight { request, chunk, whole, open: u32::from(count), retry, sent: 0 })
}
