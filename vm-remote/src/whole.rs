//! A huge page that is brought home whole: how far it is fetched.
//!
//! The background brings a huge page home whole if it comes to it before its process does: all
//! parts are fetched into an ordinary huge page, which then takes its place at once. A process that
//! touches it earlier waits for one page only: the huge page becomes single ones, and what the
//! background has fetched of it by then goes home as such.

use crate::limits::HUGE_PAGES;
use crate::stream::Chunk;

/// One huge page under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    frame: u64,
    page: u64,
    asked: u64,
    came: u64,
}

impl Whole {
    /// The huge page that a page would be of that stands in a frame; nothing is asked for yet.
    /// `None` if the two don't lie alike.
    #[must_use]
    pub fn around(frame: u64, page: u64) -> Option<Self> {
        let offset = page % HUGE_PAGES;
        (frame % HUGE_PAGES == offset).then(|| Self {
            frame: frame.saturating_sub(offset),
            page: page.saturating_sub(offset),
            asked: 0,
            came: 0,
        })
    }

    /// Its first frame.
    #[must_use]
    pub const fn frame(&self) -> u64 {
        self.frame
    }

    /// Its first page's number in the space.
    #[must_use]
    pub const fn page(&self) -> u64 {
        self.page
    }

    /// Whether a frame is one of its.
    #[must_use]
    pub fn has(&self, frame: u64) -> bool {
        frame.checked_sub(self.frame).is_some_and(|offset| offset < HUGE_PAGES)
    }

    /// What to ask for next, `most` pages at the most; `None` if all was.
    pub fn next(&mut self, most: u64) -> Option<Chunk> {
        let pages = HUGE_PAGES.saturating_sub(self.asked).min(most);
        let chunk = Chunk {
            frame: self.frame.saturating_add(self.asked),
            page: self.page.saturating_add(self.asked),
            pages,
        };
        self.asked = self.asked.saturating_add(pages);
        (pages > 0).then_some(chunk)
    }

    /// The last [`Self::next`] could not be asked for.
    pub fn take_back(&mut self, chunk: &Chunk) {
        self.asked = self.asked.saturating_sub(chunk.pages);
    }

    /// So many of its pages were answered. True when these were the last.
    pub fn came(&mut self, pages: u64) -> bool {
        self.came = self.came.saturating_add(pages);
        self.came >= HUGE_PAGES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_found_from_any_of_its_pages() {
        let whole = Whole::around(1024 + 7, 512 * 9 + 7).expect("they lie alike");
        assert_eq!((whole.frame(), whole.page()), (1024, 512 * 9));
        assert!(whole.has(1024) && whole.has(1535) && !whole.has(1023) && !whole.has(1536));
        assert_eq!(Whole::around(1024, 7), None);
    }

    #[test]
    fn is_asked_for_once_from_end_to_end() {
        let mut whole = Whole::around(512, 2048).expect("they lie alike");
        let mut next = 0;
        for most in [32, 16, 32, 500] {
            let chunk = whole.next(most).expect("more");
            let expected =
                Chunk { frame: 512 + next, page: 2048 + next, pages: most.min(512 - next) };
            assert_eq!(chunk, expected);
            next += chunk.pages;
        }
        assert_eq!(next, 512);
        assert_eq!(whole.next(32), None);
    }

    #[test]
    fn is_complete_when_all_came() {
        let mut whole = Whole::around(0, 0).expect("they lie alike");
        let chunk = whole.next(32).expect("more");
        whole.take_back(&chunk);
        assert_eq!(whole.next(32), Some(chunk));
        assert!(!whole.came(480));
        assert!(!whole.came(31));
        assert!(whole.came(1));
    }
}
