//! The smallest (or largest) of the samples of a moving window of time, from three of them.
//!
//! Keeps the best sample, the second best since it, and the third best since that, at least a
//! quarter and a half of the window apart, so that when the best one is too old another is at hand.

use crate::time::{Duration, Instant};

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    value: Duration,
}

/// Which sample is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Best {
    Least,
    Most,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Filter {
    best: Best,
    samples: Option<[Sample; 3]>,
}

impl Filter {
    pub(crate) const fn new(best: Best) -> Self {
        Self { best, samples: None }
    }

    pub(crate) fn get(&self) -> Option<Duration> {
        self.samples.map(|[first, _, _]| first.value)
    }

    /// Adds a sample and forgets those older than `window`.
    pub(crate) fn add(&mut self, now: Instant, window: Duration, value: Duration) {
        let new = Sample { at: now, value };
        let is_as_good = |old: Sample| match self.best {
            Best::Least => value <= old.value,
            Best::Most => value >= old.value,
        };
        let age = |old: Sample| now.since(old.at);
        let Some([first, second, third]) = self.samples else {
            self.samples = Some([new; 3]);
            return;
        };
        if is_as_good(first) || age(third) > window {
            self.samples = Some([new; 3]);
            return;
        }
        let mut kept = if is_as_good(second) {
            [first, new, new]
        } else if is_as_good(third) {
            [first, second, new]
        } else {
            [first, second, third]
        };
        let [first, second, third] = kept;
        if age(first) > window {
            kept = if age(second) > window { [third, new, new] } else { [second, third, new] };
        } else if second.at == first.at && age(first) > window.over(4) {
            kept = [first, new, new];
        } else if third.at == second.at && age(first) > window.over(2) {
            kept = [first, second, new];
        }
        self.samples = Some(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// Never better than the truth, and as good as the truth of the window's last half or so.
    #[test]
    fn is_close_to_the_true_best() {
        let window = Duration::from_ms(100);
        let mut filter = Filter::new(Best::Least);
        let mut all: Vec<(u64, u64)> = Vec::new();
        let mut x = 12345_u64;
        for ms in 0..5000_u64 {
            x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let value = 1000 + (x >> 33) % 1000 + (ms / 7 % 50) * 20;
            all.push((ms, value));
            filter.add(Instant::from_ns(ms * 1_000_000), window, Duration::from_us(value));
            let least_of = |span: u64| {
                all.iter().filter(|(at, _)| at + span >= ms).map(|(_, v)| *v).min().unwrap_or(0)
            };
            let got = filter.get().expect("a sample").as_us();
            assert!(got >= least_of(100) && got <= least_of(24), "at {ms}: {got}");
        }
    }

    #[test]
    fn most_is_the_other_way_round() {
        let mut filter = Filter::new(Best::Most);
        assert_eq!(filter.get(), None);
        for (ms, us) in [(0, 5), (1, 9), (2, 3)] {
            let at = Instant::from_ns(ms * 1_000_000);
            filter.add(at, Duration::from_ms(10), Duration::from_us(us));
        }
        assert_eq!(filter.get(), Some(Duration::from_us(9)));
        filter.add(Instant::from_ns(60_000_000), Duration::from_ms(10), Duration::from_us(1));
        assert_eq!(filter.get(), Some(Duration::from_us(1)));
    }
}
