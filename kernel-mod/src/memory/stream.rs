//! The background: brings far pages home while their process runs.

use alloc::{sync::Arc, vec::Vec};
use core::{sync::atomic::Ordering, time::Duration};

use kapi::{
    page::{frame_tag, HomeBatch, Page},
    thread::{self, KThread},
    wait::Mode,
    Errno, Result,
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
    fetch::{span, Fetches, PageSet, Shard},
    knobs, stats,
    target::TargetSpace,
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
    open: u32,
    retry: Retry,
    // Its last sending's place among all sendings.
    sent: u64,
}

struct Worker {
    memory: &'static Memory,
    home: HomeBatch,
    flights: [Option<Flight>; WINDOW],
    rest: Option<Chunk>,
    gone: bool,
    sendings: u64,
}

/// Starts the threads.
pub(super) fn start(memory: &'static Memory, threads: &mut Vec<KThread>) -> Result {
    for name in [c"holon-stream-0", c"holon-stream-1"] {
        let home = HomeBatch::new()?;
        let flights = [const { None }; WINDOW];
        let mut worker = Worker { memory, home, flights, rest: None, gone: false, sendings: 0 };
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
        self.rest = None;
        self.gone = false;
        let (mut stuck, mut moved) = (false, 0);
        while !self.is_over(space) && !stuck && moved < SLICE {
            hold_back(fetches);
            self.fill(space, shard);
            stuck = self.flights.iter().all(Option::is_none);
            if !stuck {
                self.wait(space, shard);
                moved += self.collect(space, shard);
            }
        }
        for flight in self.flights.iter_mut().filter_map(Option::take) {
            drop(shard.end(flight.request));
        }
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

    /// Asks for more, as long as the window has room.
    fn fill(&mut self, space: &TargetSpace, shard: &Shard) {
        let calm = CALM.times(u64::from(timescale()));
        let pace = Pace::after(space.since_fault(), calm);
        for at in 0..usize::from(pace.requests) {
            if self.flights[at].is_some() {
                continue;
            }
            let Some(chunk) = self.next_chunk(space, pace.pages) else {
                return;
            };
            match begin(space, shard, chunk) {
                Ok(flight) => self.flights[at] = Some(flight),
                Err(_) => {
                    self.rest = Some(chunk);
                    return;
                }
            }
        }
    }

    /// The next run of pages that are still far and not asked for.
    fn next_chunk(&mut self, space: &TargetSpace, most: u16) -> Option<Chunk> {
        let mut places = space.places.lock();
        let stream = &mut places.stream;
        if let Some(page) = space.take_hint() {
            stream.seek_behind(page);
            self.rest = None;
        }
        while !stream.is_stuck() {
            let chunk = self.rest.take().or_else(|| stream.next(u64::from(most)))?;
            let far = |offset: &u64| self.is_far(space, &chunk, *offset);
            let Some(first) = (0..chunk.pages).find(far) else {
                continue;
            };
            let last = chunk.pages.min(first + u64::from(most));
            let pages = (first..last).take_while(far).count() as u64;
            self.rest = part(&chunk, first + pages, chunk.pages);
            return part(&chunk, first, first + pages);
        }
        None
    }

    fn is_far(&self, space: &TargetSpace, chunk: &Chunk, offset: u64) -> bool {
        let (frame, page) = (chunk.frame + offset, chunk.page + offset);
        let asked = |flight: &Flight| {
            frame.checked_sub(flight.chunk.frame).is_some_and(|at| at < flight.chunk.pages)
        };
        let tag = Tag::new(space.handle, page).map_or(0, Tag::word);
        frame_tag(frame) == tag && !self.flights.iter().flatten().any(asked)
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
            let mut batch = Batch::default();
            for (page, offset) in set.pages.into_iter().flatten().zip(0u16..) {
                if fetch.is_gone(offset) {
                    self.gone = true;
                } else {
                    batch.push(space, &flight.chunk, u64::from(offset), page);
                }
            }
            let moved = batch.bring_home(&mut self.home);
            if moved > 0 {
                space.places.lock().stream.progress();
            }
            all_moved += moved;
        }
        all_moved
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

fn hold_back(fetches: &Fetches) {
    if !fetches.is_quiet() {
        // Held back for long enough in any case: faults may come without end.
        let _ = fetches.quiet().wait(Mode::Idle, Some(HOLD_BACK), || fetches.is_quiet());
    }
}

fn begin(space: &TargetSpace, shard: &Shard, chunk: Chunk) -> Result<Flight> {
    let mut set = PageSet::empty();
    let count = u16::try_from(chunk.pages).map_err(|_| Errno::EINVAL)?;
    for place in set.pages.iter_mut().take(usize::from(count)) {
        *place = Some(Page::new()?);
    }
    let ask = Ask { source: space.source, space: space.id, first: chunk.page, count };
    let request = shard.begin(ask, &mut Some(set)).ok_or(Errno::EBUSY)?;
    let retry = Retry::new(knobs::policy(), now());
    Ok(Flight { request, chunk, open: u32::from(count), retry, sent: 0 })
}

/// What came with one answer.
struct Batch {
    frames: [u64; FETCH_PAGES_MAX as usize],
    tags: [u64; FETCH_PAGES_MAX as usize],
    pages: PageSet,
    len: usize,
}

impl Default for Batch {
    fn default() -> Self {
        const LEN: usize = FETCH_PAGES_MAX as usize;
        Self { frames: [0; LEN], tags: [0; LEN], pages: PageSet::empty(), len: 0 }
    }
}

impl Batch {
    fn push(&mut self, space: &TargetSpace, chunk: &Chunk, offset: u64, page: Page) {
        let Some(tag) = Tag::new(space.handle, chunk.page + offset) else {
            return;
        };
        if self.len < self.frames.len() {
            self.frames[self.len] = chunk.frame + offset;
            self.tags[self.len] = tag.word();
            self.pages.pages[self.len] = Some(page);
            self.len += 1;
        }
    }

    fn bring_home(&mut self, home: &mut HomeBatch) -> u64 {
        let (frames, tags) = (&self.frames[..self.len], &self.tags[..self.len]);
        let moved = match home.run(frames, tags, &mut self.pages.pages[..self.len]) {
            Ok(moved) => moved,
            Err(errno) => {
                log::error!("pages can't be brought home: {errno}");
                0
            }
        };
        stats::PAGES_FETCHED_STREAM.add(moved as u64);
        stats::PAGES_NOT_NEEDED.add((self.len - moved) as u64);
        moved as u64
    }
}
