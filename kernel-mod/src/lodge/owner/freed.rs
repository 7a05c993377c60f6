//! Entries whose page of the pool was given up. Noted in any context, looked at by the thread.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use kapi::Result;

/// A set of numbers, as bits, and a bit for each word of these that is not zero.
pub(super) struct Freed {
    words: Vec<AtomicU64>,
    summary: Vec<AtomicU64>,
    count: AtomicU32,
}

fn zeros(len: usize) -> Result<Vec<AtomicU64>> {
    let mut words = Vec::new();
    words.try_reserve_exact(len)?;
    words.resize_with(len, || AtomicU64::new(0));
    Ok(words)
}

impl Freed {
    /// The empty set, for numbers below `end`.
    pub(super) fn new(end: u32) -> Result<Self> {
        let len = end.div_ceil(64) as usize;
        let words = zeros(len)?;
        Ok(Self { words, summary: zeros(len.div_ceil(64))?, count: AtomicU32::new(0) })
    }

    /// Adds a number. Gives how many there were.
    pub(super) fn add(&self, number: u32) -> u32 {
        let at = number as usize / 64;
        if let (Some(word), Some(summary)) = (self.words.get(at), self.summary.get(at / 64)) {
            word.fetch_or(1 << (number % 64), Ordering::AcqRel);
            summary.fetch_or(1 << (at % 64), Ordering::AcqRel);
        }
        self.count.fetch_add(1, Ordering::AcqRel)
    }

    /// Whether there is any.
    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Takes all out; `each` gets them by words, as the first number and a bit for each.
    pub(super) fn take(&self, mut each: impl FnMut(u32, u64)) {
        self.count.store(0, Ordering::Release);
        for (group, summary) in self.summary.iter().enumerate() {
            let mut named = summary.swap(0, Ordering::AcqRel);
            while named != 0 {
                let at = group * 64 + named.trailing_zeros() as usize;
                named &= named - 1;
                let bits = self.words.get(at).map_or(0, |word| word.swap(0, Ordering::AcqRel));
                if bits != 0 {
                    each(at as u32 * 64, bits);
                }
            }
        }
    }
}
