//! Sets of pages as sorted runs.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

/// Pages `first..first + pages`, never empty, never past the end of the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Run {
    first: u64,
    pages: u64,
}

impl Run {
    /// The run; `None` if it is empty or too long.
    #[must_use]
    pub const fn new(first: u64, pages: u64) -> Option<Self> {
        match first.checked_add(pages) {
            Some(_) if pages > 0 => Some(Self { first, pages }),
            _ => None,
        }
    }

    const fn between(first: u64, end: u64) -> Option<Self> {
        Self::new(first, end.saturating_sub(first))
    }

    /// The first page.
    #[must_use]
    pub const fn first(self) -> u64 {
        self.first
    }

    /// How many pages.
    #[must_use]
    pub const fn pages(self) -> u64 {
        self.pages
    }

    /// The page after the last.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.first.saturating_add(self.pages)
    }
}

/// A set of pages.
///
/// # Invariants
/// The runs are sorted, and between two of them at least one page is missing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RunSet {
    runs: Vec<Run>,
}

impl RunSet {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { runs: Vec::new() }
    }

    /// The runs in order.
    pub fn iter(&self) -> impl Iterator<Item = Run> + '_ {
        self.runs.iter().copied()
    }

    /// How many runs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Whether there is no page.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many pages.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.runs.iter().fold(0, |sum: u64, run| sum.saturating_add(run.pages))
    }

    /// Whether the page is in the set.
    #[must_use]
    pub fn contains(&self, page: u64) -> bool {
        let after = self.runs.partition_point(|run| run.first <= page);
        after.checked_sub(1).and_then(|at| self.runs.get(at)).is_some_and(|run| page < run.end())
    }

    /// The pages of the set that are in `run`.
    pub fn within(&self, run: Run) -> impl Iterator<Item = Run> + '_ {
        let from = self.runs.partition_point(|other| other.end() <= run.first);
        let touched = self.runs.get(from..).unwrap_or_default().iter();
        let part =
            move |other: &Run| Run::between(other.first.max(run.first), other.end().min(run.end()));
        touched.take_while(move |other| other.first < run.end()).filter_map(part)
    }

    /// Adds the pages of `run`.
    ///
    /// # Errors
    /// No memory; nothing has changed then.
    pub fn insert(&mut self, run: Run) -> Result<(), TryReserveError> {
        let from = self.runs.partition_point(|other| other.end() < run.first);
        let to = self.runs.partition_point(|other| other.first <= run.end());
        let touched = self.runs.get(from..to).unwrap_or_default();
        let first = touched.first().map_or(run.first, |other| other.first.min(run.first));
        let end = touched.last().map_or(run.end(), |other| other.end().max(run.end()));
        let Some(joined) = Run::between(first, end) else {
            return Ok(());
        };
        self.runs.try_reserve(1)?;
        self.runs.splice(from..to.max(from), [joined]);
        Ok(())
    }

    /// The parts of `run` that are not in the set.
    ///
    /// # Errors
    /// No memory.
    pub fn missing_of(&self, run: Run) -> Result<Vec<Run>, TryReserveError> {
        let mut missing = Vec::new();
        let mut at = run.first;
        let from = self.runs.partition_point(|other| other.end() <= run.first);
        let present = self.runs.get(from..).unwrap_or_default();
        for other in present.iter().take_while(|other| other.first < run.end()) {
            if let Some(gap) = Run::between(at, other.first) {
                missing.try_reserve(1)?;
                missing.push(gap);
            }
            at = at.max(other.end());
        }
        if let Some(gap) = Run::between(at, run.end()) {
            missing.try_reserve(1)?;
            missing.push(gap);
        }
        Ok(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    fn run(first: u64, pages: u64) -> Run {
        Run::new(first, pages).expect("a good run")
    }

    #[test]
    fn wrong_runs_are_refused() {
        assert_eq!(Run::new(5, 0), None);
        assert_eq!(Run::new(u64::MAX, 1), None);
        assert_eq!(run(5, 2).end(), 7);
    }

    #[test]
    fn neighbours_join() {
        let mut set = RunSet::new();
        for first in [10, 14, 12, 2] {
            set.insert(run(first, 2)).expect("memory");
        }
        assert_eq!(set.iter().collect::<Vec<_>>(), [run(2, 2), run(10, 6)]);
        assert_eq!(set.pages(), 8);
        assert_eq!(set.missing_of(run(0, 20)).expect("memory"), [run(0, 2), run(4, 6), run(16, 4)]);
        assert_eq!(set.missing_of(run(11, 3)).expect("memory"), []);
    }

    /// Against a plain set of numbers, with a small generator of our own.
    #[test]
    fn agrees_with_a_plain_set() {
        let mut seed = 1u64;
        let mut next = |below: u64| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        for _ in 0..200 {
            let (mut set, mut plain) = (RunSet::new(), BTreeSet::new());
            for _ in 0..20 {
                let new = run(next(100), 1 + next(9));
                let missing: Vec<u64> = set
                    .missing_of(new)
                    .expect("memory")
                    .iter()
                    .flat_map(|part| part.first()..part.end())
                    .collect();
                let expected: Vec<u64> =
                    (new.first()..new.end()).filter(|page| !plain.contains(page)).collect();
                assert_eq!(missing, expected);
                let present: Vec<u64> =
                    set.within(new).flat_map(|part| part.first()..part.end()).collect();
                let expected: Vec<u64> =
                    (new.first()..new.end()).filter(|page| plain.contains(page)).collect();
                assert_eq!(present, expected);
                set.insert(new).expect("memory");
                plain.extend(new.first()..new.end());
                assert_eq!(set.pages(), u64::try_from(plain.len()).expect("small"));
                assert!((0..120).all(|page| set.contains(page) == plain.contains(&page)));
                let later = set.iter().skip(1);
                assert!(set.iter().zip(later).all(|(one, next)| one.end() < next.first()));
            }
        }
    }
}
