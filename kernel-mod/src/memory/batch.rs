//! Pages that came, on their way home.

use kapi::page::{HomeBatch, Page};
use vm_remote::{limits::FETCH_PAGES_MAX, stream::Chunk, tag::Tag};

use super::{fetch::PageSet, stats, target::TargetSpace};

/// What came with one answer.
pub(super) struct Batch {
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
    /// Whether there is no room for one more.
    pub(super) fn is_full(&self) -> bool {
        self.len == self.frames.len()
    }

    /// Adds the page at an offset of a chunk.
    pub(super) fn push(&mut self, space: &TargetSpace, chunk: &Chunk, offset: u64, page: Page) {
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

    /// Puts all where they belong; gives how many.
    pub(super) fn bring_home(&mut self, home: &mut HomeBatch) -> u64 {
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
