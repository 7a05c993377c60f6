//! A bit for each page of a region.

/// Pages of a region at most: 2 MiB.
pub const REGION_PAGES: usize = 512;

const WORDS: usize = REGION_PAGES / 64;

/// The set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bits([u64; WORDS]);

impl Bits {
    /// No page.
    pub const NONE: Self = Self([0; WORDS]);
    /// Each page.
    pub const ALL: Self = Self([u64::MAX; WORDS]);

    /// The set with these words.
    #[must_use]
    pub const fn from_words(words: [u64; WORDS]) -> Self {
        Self(words)
    }

    /// Adds a page; what is outside is ignored.
    pub fn insert(&mut self, page: u16) {
        if let Some(word) = self.0.get_mut(usize::from(page / 64)) {
            *word |= 1 << (page % 64);
        }
    }

    /// Takes a page out.
    pub fn remove(&mut self, page: u16) {
        if let Some(word) = self.0.get_mut(usize::from(page / 64)) {
            *word &= !(1 << (page % 64));
        }
    }

    /// Whether a page is in it.
    #[must_use]
    pub fn contains(&self, page: u16) -> bool {
        self.0.get(usize::from(page / 64)).is_some_and(|word| word & 1 << (page % 64) != 0)
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.iter().fold(0, |sum, word| sum.saturating_add(word.count_ones()))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    fn with(self, other: Self, merge: impl Fn(u64, u64) -> u64) -> Self {
        let mut words = self.0;
        for (word, other) in words.iter_mut().zip(other.0) {
            *word = merge(*word, other);
        }
        Self(words)
    }

    /// What is in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.with(other, |one, two| one & two)
    }

    /// What is in either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.with(other, |one, two| one | two)
    }

    /// What is in this one only.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        self.with(other, |one, two| one & !two)
    }

    /// The pages, from the lowest on.
    pub fn iter(self) -> impl Iterator<Item = u16> {
        let mut words = self.0;
        let mut at = 0_u16;
        core::iter::from_fn(move || loop {
            let word = words.get_mut(usize::from(at))?;
            if *word == 0 {
                at = at.saturating_add(1);
                continue;
            }
            let bit = u16::try_from(word.trailing_zeros()).ok()?;
            *word &= word.wrapping_sub(1);
            return Some(at.saturating_mul(64).saturating_add(bit));
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn sets() {
        let mut bits = Bits::NONE;
        for page in [0, 63, 64, 511, 512, 9000] {
            bits.insert(page);
        }
        assert_eq!(bits.iter().collect::<Vec<_>>(), [0, 63, 64, 511]);
        bits.remove(63);
        assert!(bits.contains(64) && !bits.contains(63) && !bits.contains(512));
        assert_eq!(Bits::ALL.without(bits).count(), 509);
        assert_eq!(Bits::ALL.and(bits), bits);
        assert_eq!(Bits::NONE.or(bits), bits);
        assert!(Bits::NONE.is_empty());
    }
}
