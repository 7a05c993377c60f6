//! A set of entry numbers, as bits, that is gone through round and round.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

/// The set. Its size is fixed when it is made.
#[derive(Debug)]
pub struct Marks {
    words: Vec<u64>,
    count: u32,
    cursor: usize,
}

fn place(number: u32) -> (usize, u64) {
    (usize::try_from(number / 64).unwrap_or(usize::MAX), 1 << (number % 64))
}

impl Marks {
    /// The empty set, for numbers below `end`.
    ///
    /// # Errors
    /// No memory.
    pub fn new(end: u32) -> Result<Self, TryReserveError> {
        let len = usize::try_from(end.div_ceil(64)).unwrap_or(usize::MAX);
        let mut words = Vec::new();
        words.try_reserve_exact(len)?;
        words.resize(len, 0);
        Ok(Self { words, count: 0, cursor: 0 })
    }

    /// How many.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a number.
    pub fn insert(&mut self, number: u32) {
        let (at, bit) = place(number);
        if let Some(word) = self.words.get_mut(at).filter(|word| **word & bit == 0) {
            *word |= bit;
            self.count = self.count.saturating_add(1);
        }
    }

    /// Takes a number out.
    pub fn remove(&mut self, number: u32) {
        let (at, bit) = place(number);
        if let Some(word) = self.words.get_mut(at).filter(|word| **word & bit != 0) {
            *word &= !bit;
            self.count = self.count.saturating_sub(1);
        }
    }

    /// Whether a number is in it.
    #[must_use]
    pub fn contains(&self, number: u32) -> bool {
        let (at, bit) = place(number);
        self.words.get(at).is_some_and(|word| word & bit != 0)
    }

    /// Shows numbers to `visit`, `most` at the most and each once, going on where the last round
    /// ended; it ends early when `visit` says so. The set is not changed meanwhile.
    pub fn visit(&mut self, most: u32, mut visit: impl FnMut(u32) -> bool) {
        let mut left = most.min(self.count);
        let len = self.words.len();
        let start = self.cursor;
        for step in 0..len {
            if left == 0 {
                break;
            }
            let at = start.saturating_add(step).checked_rem(len).unwrap_or(0);
            let mut word = self.words.get(at).copied().unwrap_or(0);
            // A word is never left half way: at most 63 more than `most` are shown.
            while word != 0 {
                let number = u32::try_from(at).unwrap_or(u32::MAX).saturating_mul(64);
                left = left.saturating_sub(1);
                if !visit(number.saturating_add(word.trailing_zeros())) {
                    self.cursor = at;
                    return;
                }
                word &= word.wrapping_sub(1);
            }
            self.cursor = at.saturating_add(1).checked_rem(len).unwrap_or(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(marks: &mut Marks, most: u32) -> Vec<u32> {
        let mut seen = Vec::new();
        marks.visit(most, |number| {
            seen.push(number);
            true
        });
        seen
    }

    #[test]
    fn goes_round() {
        let mut marks = Marks::new(300).expect("memory");
        for number in [0, 63, 64, 200, 299] {
            marks.insert(number);
            marks.insert(number);
        }
        assert_eq!(marks.len(), 5);
        assert_eq!(seen(&mut marks, 2), [0, 63]);
        assert_eq!(seen(&mut marks, 2), [64, 200]);
        assert_eq!(seen(&mut marks, 9), [299, 0, 63, 64, 200]);
        marks.remove(64);
        marks.remove(64);
        assert!(!marks.contains(64) && marks.contains(200));
        assert_eq!(marks.len(), 4);
    }

    #[test]
    fn what_is_outside_is_ignored() {
        let mut marks = Marks::new(10).expect("memory");
        marks.insert(1000);
        marks.remove(1000);
        assert!(marks.is_empty());
        assert_eq!(seen(&mut marks, 9), []);
        let mut none = Marks::new(0).expect("memory");
        assert_eq!(seen(&mut none, 9), []);
    }
}
