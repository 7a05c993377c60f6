//! The order in which the background brings a space's pages home.
//!
//! The list of what was put in never changes; a cursor goes round and round over it until nothing
//! is outstanding. A fault moves the cursor to what follows the page that was touched: memory is
//! mostly walked upwards, so the stream runs ahead of the process.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use netproto::Duration;

use crate::limits::{FETCH_PAGES_MAX, HUGE_PAGES};

/// Neighbouring pages in neighbouring frames of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// The first page's frame.
    pub frame: u64,
    /// The first page's number in the space.
    pub page: u64,
    /// How many.
    pub pages: u64,
}

impl Chunk {
    fn part(&self, offset: u64, most: u64) -> Self {
        Self {
            frame: self.frame.saturating_add(offset),
            page: self.page.saturating_add(offset),
            pages: self.pages.saturating_sub(offset).min(most),
        }
    }

    fn ends_before(&self, frame: u64, page: u64) -> bool {
        self.frame.checked_add(self.pages) == Some(frame)
            && self.page.checked_add(self.pages) == Some(page)
    }
}

/// How much the background may have under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Requests.
    pub requests: u16,
    /// Pages in each.
    pub pages: u16,
}

impl Pace {
    /// Nobody faults: half a megabyte hides a round trip of 4 ms at 1 Gbit/s.
    pub const FULL: Self = Self { requests: 4, pages: FETCH_PAGES_MAX };
    /// Faults come: an answer to one waits behind 32 pages at most.
    pub const GENTLE: Self = Self { requests: 2, pages: FETCH_PAGES_MAX / 2 };

    /// The pace when the last fault was so long ago, if there was any; `calm` is how long a
    /// process must not have faulted to count as one that has what it needs. One that walks behind
    /// the stream ([`Stream::is_followed`]) waits for just what the stream brings.
    #[must_use]
    pub fn after(since_fault: Option<Duration>, calm: Duration, is_followed: bool) -> Self {
        match since_fault {
            Some(since) if since < calm && !is_followed => Self::GENTLE,
            Some(_) | None => Self::FULL,
        }
    }
}

/// A fault so many pages before the cursor at most meets the stream: more than there may be under
/// way, which are two huge pages and [`Pace::FULL`].
const MEET: u64 = 3 * HUGE_PAGES;
/// And so many behind the cursor at most: what the stream brings next, [`Pace::FULL`].
const NEXT: u64 = 128;
/// Faults in a row, each above the last one and meeting the stream, that make a walk.
const WALK: u8 = 4;

/// One space's pages and the cursor over them.
#[derive(Debug, Default)]
pub struct Stream {
    chunks: Vec<Chunk>,
    total: u64,
    at: usize,
    offset: u64,
    fruitless: u64,
    /// The page that was last faulted on.
    fault: u64,
    /// Faults in a row that walked behind the stream.
    walked: u8,
}

impl Stream {
    /// Without pages.
    #[must_use]
    pub const fn new() -> Self {
        Self { chunks: Vec::new(), total: 0, at: 0, offset: 0, fruitless: 0, fault: 0, walked: 0 }
    }

    /// Makes room for that many [`Self::push`]es, which can't fail then.
    ///
    /// # Errors
    /// No memory.
    pub fn reserve(&mut self, pages: usize) -> Result<(), TryReserveError> {
        self.chunks.try_reserve(pages)
    }

    /// The page number `page` was put in and stands in `frame`.
    ///
    /// # Errors
    /// No memory; nothing has changed then.
    pub fn push(&mut self, frame: u64, page: u64) -> Result<(), TryReserveError> {
        match self.chunks.last_mut() {
            Some(last) if last.ends_before(frame, page) => {
                last.pages = last.pages.saturating_add(1)
            }
            _ => {
                self.chunks.try_reserve(1)?;
                self.chunks.push(Chunk { frame, page, pages: 1 });
            }
        }
        self.total = self.total.saturating_add(1);
        Ok(())
    }

    /// How many pages were put in.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// There was a fault on the page number `page`: goes on behind it, if it is one of the space's.
    pub fn faulted(&mut self, page: u64) {
        let meets = |at: u64| at.saturating_sub(page) <= MEET && page.saturating_sub(at) <= NEXT;
        let here = self.chunks.get(self.at);
        let cursor = here.map(|chunk| chunk.page.saturating_add(self.offset));
        // At a chunk's end the next one is what comes.
        let is_through = here.is_some_and(|chunk| self.offset >= chunk.pages);
        let next = self.chunks.get(self.at.saturating_add(1)).filter(|_| is_through);
        let is_met = cursor.is_some_and(meets) || next.is_some_and(|chunk| meets(chunk.page));
        // Several tasks may have waited for the same one.
        if page != self.fault || !is_met {
            let goes_on = is_met && page > self.fault;
            self.walked = if goes_on { self.walked.saturating_add(1) } else { 0 };
        }
        self.fault = page;
        self.seek_behind(page);
    }

    /// Whether the process walks upwards through its memory, the stream just before it.
    #[must_use]
    pub const fn is_followed(&self) -> bool {
        self.walked >= WALK
    }

    /// Goes on behind the page number `page`, if it is one of the space's.
    pub fn seek_behind(&mut self, page: u64) {
        let found = self.chunks.iter().position(|chunk| {
            page.checked_sub(chunk.page).is_some_and(|offset| offset < chunk.pages)
        });
        if let Some((at, chunk)) = found.and_then(|at| Some((at, self.chunks.get(at)?))) {
            self.offset = page.saturating_sub(chunk.page).saturating_add(1);
            self.at = at;
        }
    }

    /// Goes on behind the page number `page`, and counts what is passed over as asked for in vain.
    pub fn skip_to_behind(&mut self, page: u64) {
        let (at, offset) = (self.at, self.offset);
        self.seek_behind(page);
        if self.at == at {
            let passed = self.offset.saturating_sub(offset);
            self.fruitless = self.fruitless.saturating_add(passed);
        }
    }

    /// The next pages, `most` at the most; `None` if the space has none.
    pub fn next(&mut self, most: u64) -> Option<Chunk> {
        if self.total == 0 || most == 0 {
            return None;
        }
        if self.chunks.get(self.at).is_none_or(|chunk| self.offset >= chunk.pages) {
            self.at = self.at.saturating_add(1);
            self.offset = 0;
        }
        if self.at >= self.chunks.len() {
            self.at = 0;
        }
        let part = self.chunks.get(self.at)?.part(self.offset, most);
        self.offset = self.offset.saturating_add(part.pages);
        self.fruitless = self.fruitless.saturating_add(part.pages);
        Some(part)
    }

    /// A page came home, by whatever way.
    pub fn progress(&mut self) {
        self.fruitless = 0;
    }

    /// Whether a whole round has brought nothing home: what is left is held by someone for now.
    #[must_use]
    pub const fn is_stuck(&self) -> bool {
        self.fruitless >= self.total.saturating_mul(2)
    }

    /// Starts the count of a round again.
    pub fn rested(&mut self) {
        self.fruitless = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Stream {
        let mut stream = Stream::new();
        for page in 0..10 {
            stream.push(100 + page, 50 + page).expect("memory");
        }
        for page in 0..5 {
            stream.push(300 + page, 90 + page).expect("memory");
        }
        stream
    }

    #[test]
    fn goes_round_in_pieces() {
        let mut stream = stream();
        assert_eq!(stream.total(), 15);
        let pieces: Vec<_> = core::iter::from_fn(|| stream.next(8)).take(4).collect();
        let expected = [(100, 50, 8), (108, 58, 2), (300, 90, 5), (100, 50, 8)];
        assert_eq!(pieces.len(), expected.len());
        for (piece, (frame, page, pages)) in pieces.iter().zip(expected) {
            assert_eq!(*piece, Chunk { frame, page, pages });
        }
    }

    #[test]
    fn runs_ahead_of_a_fault() {
        let mut stream = stream();
        stream.seek_behind(54);
        assert_eq!(stream.next(3), Some(Chunk { frame: 105, page: 55, pages: 3 }));
        stream.seek_behind(59);
        assert_eq!(stream.next(3), Some(Chunk { frame: 300, page: 90, pages: 3 }), "next chunk");
        stream.seek_behind(1000);
        assert_eq!(stream.next(9), Some(Chunk { frame: 303, page: 93, pages: 2 }), "unknown page");
    }

    #[test]
    fn notices_when_nothing_moves() {
        let mut stream = stream();
        while !stream.is_stuck() {
            assert!(stream.next(4).is_some());
        }
        stream.progress();
        assert!(!stream.is_stuck());
    }

    #[test]
    fn what_is_skipped_counts_as_in_vain() {
        let mut stream = stream();
        for _ in 0..100 {
            if stream.is_stuck() {
                return;
            }
            let chunk = stream.next(1).expect("pages");
            stream.skip_to_behind(if chunk.page < 60 { 59 } else { 94 });
        }
        panic!("goes round without end");
    }

    #[test]
    fn holds_back_while_faults_come() {
        let calm = Duration::from_ms(20);
        assert_eq!(Pace::after(None, calm, false), Pace::FULL);
        assert_eq!(Pace::after(Some(Duration::from_ms(19)), calm, false), Pace::GENTLE);
        assert_eq!(Pace::after(Some(Duration::from_ms(19)), calm, true), Pace::FULL);
        assert_eq!(Pace::after(Some(Duration::from_ms(20)), calm, false), Pace::FULL);
    }

    #[test]
    fn knows_who_walks_behind_it() {
        assert_eq!(NEXT, u64::from(Pace::FULL.requests) * u64::from(Pace::FULL.pages));
        let mut stream = Stream::new();
        for page in 0..100_000 {
            stream.push(page, page).expect("memory");
        }
        // Each meets what is under way, or what comes next.
        for page in [10_000, 10_001, 10_040, 10_050] {
            assert!(!stream.is_followed());
            stream.faulted(page);
            let _ = (stream.next(32), stream.next(32));
        }
        assert!(!stream.is_followed(), "the first one may be a jump");
        stream.faulted(10_100);
        assert!(stream.is_followed());
        stream.faulted(10_100);
        assert!(stream.is_followed(), "two waited for the same page");
        stream.faulted(10_101 + NEXT);
        assert!(stream.is_followed(), "just within reach");
        stream.faulted(10_103 + 2 * NEXT);
        assert!(!stream.is_followed(), "just out of reach");
        for stride in [NEXT + 2, 512, 1_000, 5_000] {
            for step in 0..20 {
                stream.faulted(20_000 + step * stride);
                assert!(!stream.is_followed(), "nothing brings what it jumps to, by {stride}");
            }
        }
        for page in (49_000..50_000).rev() {
            stream.faulted(page);
            assert!(!stream.is_followed(), "downwards nothing that is brought is met");
        }
        let mut drawn = 1_u64;
        for _ in 0..1000 {
            drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            stream.faulted((drawn >> 33) % 100_000);
            assert!(!stream.is_followed(), "at random");
        }
    }

    #[test]
    fn a_walk_goes_on_over_a_hole() {
        let mut stream = Stream::new();
        for page in (0..100).chain(9_000..9_100) {
            stream.push(page, page).expect("memory");
        }
        for page in [50, 60, 70, 80, 99, 9_000, 9_001] {
            stream.faulted(page);
        }
        assert!(stream.is_followed());
    }

    #[test]
    fn an_empty_space_has_nothing() {
        let mut stream = Stream::new();
        assert_eq!(stream.next(4), None);
        stream.seek_behind(0);
        assert_eq!(stream.next(4), None);
    }
}
