//! Buffers for the content of messages, kept ready so that sending and receiving pages needs no
//! memory from outside.
//!
//! There are three sizes; a message gets the smallest that it fits in, whatever length a peer
//! announces. A quarter of the page-sized ones is for pages alone. When a shelf is empty, memory is
//! asked for and may be refused; [`Pool::refill`] stocks up where that does no harm.

use alloc::vec::Vec;

use crate::limits::BUFFER_LEN;

#[derive(Debug)]
struct Shelf {
    buffer_len: usize,
    target: usize,
    buffers: Vec<Vec<u8>>,
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
    misses: u64,
}

fn allocate(len: usize) -> Option<Vec<u8>> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(len).ok()?;
    Some(buffer)
}

impl Pool {
    /// A pool with the given numbers of buffers, filled; `None` when there is no memory.
    pub(crate) fn new(targets: [usize; BUFFER_LEN.len()]) -> Option<Self> {
        let [small, page, large] = BUFFER_LEN;
        let [small_count, page_count, large_count] = targets;
        let shelf = |buffer_len: usize, target: usize| {
            let mut buffers = Vec::new();
            buffers.try_reserve_exact(target).ok()?;
            Some(Shelf { buffer_len, target, buffers })
        };
        let shelves =
            [shelf(small, small_count)?, shelf(page, page_count)?, shelf(large, large_count)?];
        let mut pool = Self { shelves, misses: 0 };
        pool.refill().then_some(pool)
    }

    /// Stocks up; false when there is no memory for all.
    pub(crate) fn refill(&mut self) -> bool {
        for shelf in &mut self.shelves {
            while shelf.buffers.len() < shelf.target {
                let Some(buffer) = allocate(shelf.buffer_len) else {
                    return false;
                };
                shelf.buffers.push(buffer);
            }
        }
        true
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
        if shelf.buffers.len() > kept {
            return shelf.buffers.pop();
        }
        self.misses = self.misses.saturating_add(1);
        allocate(shelf.buffer_len)
    }

    /// Takes a buffer back.
    pub(crate) fn put(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        let fitting = |shelf: &&mut Shelf| {
            shelf.buffer_len == buffer.capacity() && shelf.buffers.len() < shelf.target
        };
        if let Some(shelf) = self.shelves.iter_mut().find(fitting) {
            shelf.buffers.push(buffer);
        }
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
        let mut pool = Pool::new([4, 4, 4]).expect("memory");
        let buffer = pool.take(513, Purpose::Other).expect("memory");
        assert_eq!(buffer.capacity(), 4352);
        pool.put(buffer);
        let others = [(); 3].map(|()| pool.take(4128, Purpose::Other).expect("memory"));
        assert_eq!(pool.misses(), 0);
        assert!(pool.take(4128, Purpose::Other).is_some());
        assert_eq!(pool.misses(), 1);
        assert!(pool.take(4128, Purpose::Page).is_some());
        assert_eq!(pool.misses(), 1);
        others.into_iter().for_each(|buffer| pool.put(buffer));
        assert!(pool.take(65_537, Purpose::Page).is_none());
        assert_eq!(pool.take(0, Purpose::Page).map(|buffer| buffer.capacity()), Some(0));
        assert!(pool.refill());
        pool.put(Vec::with_capacity(77));
        assert!(pool.shelves.iter().all(|shelf| shelf.buffers.len() == shelf.target));
    }
}
