//! Buffers for the content of messages, kept ready so that sending and receiving pages needs no
//! memory from outside.
//!
//! There are three sizes; a message gets the smallest that it fits in, whatever length a peer
//! announces. A quarter of the page-sized ones is for pages alone. When a shelf is empty, memory is
//! asked for by the caller's own means, which may refuse and must not wait. What the caller keeps
//! of them is made good by what [`Pool::shortage`] tells it to bring.

use alloc::vec::Vec;

use crate::limits::BUFFER_LEN;

/// Gives an empty buffer with room for so many bytes, if there is memory.
pub type AllocateFn = fn(usize) -> Option<Vec<u8>>;

/// [`AllocateFn`] from the program's own memory.
#[must_use]
pub fn allocate(len: usize) -> Option<Vec<u8>> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(len).ok()?;
    Some(buffer)
}

#[derive(Debug)]
struct Shelf {
    buffer_len: usize,
    target: usize,
    buffers: Vec<Vec<u8>>,
    /// Taken and not yet put back.
    out: usize,
}

/// What a buffer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A page, or what decides about one.
    Page,
    /// Anything else.
    Other,
}

#[derive(Debug)]
pub(crate) struct Pool {
    shelves: [Shelf; BUFFER_LEN.len()],
    allocate: AllocateFn,
    misses: u64,
}

impl Pool {
    /// A pool with the given numbers of buffers, filled; `None` when there is no memory.
    pub(crate) fn new(targets: [usize; BUFFER_LEN.len()], later: AllocateFn) -> Option<Self> {
        let [small, page, large] = BUFFER_LEN;
        let [small_count, page_count, large_count] = targets;
        let shelf = |buffer_len: usize, target: usize| {
            let mut buffers = Vec::new();
            buffers.try_reserve_exact(target).ok()?;
            while buffers.len() < target {
                buffers.push(allocate(buffer_len)?);
            }
            Some(Shelf { buffer_len, target, buffers, out: 0 })
        };
        let shelves =
            [shelf(small, small_count)?, shelf(page, page_count)?, shelf(large, large_count)?];
        Some(Self { shelves, allocate: later, misses: 0 })
    }

    /// The length of a buffer that was kept by the caller and is missing since.
    pub(crate) fn shortage(&self) -> Option<usize> {
        let is_short =
            |shelf: &&Shelf| shelf.buffers.len().saturating_add(shelf.out) < shelf.target;
        self.shelves.iter().find(is_short).map(|shelf| shelf.buffer_len)
    }

    /// An empty buffer with room for `len` bytes.
    pub(crate) fn take(&mut self, len: usize, purpose: Purpose) -> Option<Vec<u8>> {
        if len == 0 {
            return Some(Vec::new());
        }
        let shelf = self.shelves.iter_mut().find(|shelf| shelf.buffer_len >= len)?;
        let kept = match purpose {
            Purpose::Page => 0,
            Purpose::Other => shelf.target / 4,
        };
        let taken = if shelf.buffers.len() > kept {
            shelf.buffers.pop()
        } else {
            self.misses = self.misses.saturating_add(1);
            (self.allocate)(shelf.buffer_len)
        };
        shelf.out = shelf.out.saturating_add(usize::from(taken.is_some()));
        taken
    }

    /// Takes back a buffer that was taken.
    pub(crate) fn put(&mut self, buffer: Vec<u8>) {
        self.forget(&buffer);
        self.give(buffer);
    }

    /// A buffer that was taken is the caller's now.
    pub(crate) fn forget(&mut self, buffer: &Vec<u8>) {
        if let Some(shelf) = self.shelf_of(buffer) {
            shelf.out = shelf.out.saturating_sub(1);
        }
    }

    /// Takes a buffer of the caller's, if one of its length is missing.
    pub(crate) fn give(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        let shelf = self.shelf_of(&buffer);
        if let Some(shelf) = shelf.filter(|shelf| shelf.buffers.len() < shelf.target) {
            shelf.buffers.push(buffer);
        }
    }

    fn shelf_of(&mut self, buffer: &Vec<u8>) -> Option<&mut Shelf> {
        self.shelves.iter_mut().find(|shelf| shelf.buffer_len == buffer.capacity())
    }

    /// How often memory had to be asked for.
    pub(crate) const fn misses(&self) -> u64 {
        self.misses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_the_shelves_and_pages_have_a_reserve() {
        let mut pool = Pool::new([4, 4, 4], allocate).expect("memory");
        let buffer = pool.take(513, Purpose::Other).expect("memory");
        assert_eq!(buffer.capacity(), 4352);
        pool.put(buffer);
        let others = [(); 3].map(|()| pool.take(4128, Purpose::Other).expect("memory"));
        assert_eq!(pool.misses(), 0);
        assert!(pool.take(4128, Purpose::Other).is_some());
        assert_eq!(pool.misses(), 1);
        assert!(pool.take(4128, Purpose::Page).is_some());
        assert_eq!(pool.misses(), 1);
        assert_eq!(pool.shortage(), None, "what is out comes back");
        others.iter().for_each(|buffer| pool.forget(buffer));
        let [first, ..] = others;
        assert_eq!(pool.shortage(), Some(4352));
        pool.give(Vec::with_capacity(77));
        pool.give(first);
        pool.give(allocate(4352).expect("memory"));
        assert_eq!(pool.shortage(), None);
        assert!(pool.take(65_537, Purpose::Page).is_none());
        assert_eq!(pool.take(0, Purpose::Page).map(|buffer| buffer.capacity()), Some(0));
    }

    #[test]
    fn an_empty_shelf_asks_once_and_takes_no_for_an_answer() {
        let mut pool = Pool::new([1, 0, 0], |_| None).expect("memory");
        assert!(pool.take(1, Purpose::Page).is_some());
        assert!(pool.take(1, Purpose::Page).is_none() && pool.take(513, Purpose::Page).is_none());
        assert_eq!((pool.misses(), pool.shortage()), (2, None));
    }
}
