//! Latencies by their size, and what a node tells of its remote memory.
//!
//! The buckets are log-linear, as in HdrHistogram: eight in each doubling, so a value is known to
//! an eighth. All are counters that only grow: two readings give what was between them.

/// Buckets in a doubling, as a power of two.
const STEP_BITS: u32 = 3;

/// How many buckets there are: 34 doublings, from below 8 ns to 2^36 ns (69 s), and all above in
/// the last bucket.
pub const BUCKETS: usize = 34 << STEP_BITS;

/// The bucket of a latency.
#[must_use]
pub fn bucket(ns: u64) -> usize {
    let bits = u64::BITS.saturating_sub(ns.leading_zeros());
    let Some(doubling) = bits.checked_sub(STEP_BITS).filter(|doubling| *doubling > 0) else {
        return usize::try_from(ns).unwrap_or(0);
    };
    // The bits below the highest one tell the step in the doubling.
    let step = (ns >> doubling.saturating_sub(1)) & ((1 << STEP_BITS) - 1);
    let at = (u64::from(doubling) << STEP_BITS).saturating_add(step);
    usize::try_from(at).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The lowest latency of a bucket, in ns.
#[must_use]
pub fn floor_ns(bucket: usize) -> u64 {
    let at = u64::try_from(bucket.min(BUCKETS - 1)).unwrap_or(0);
    let (doubling, step) = (at >> STEP_BITS, at & ((1 << STEP_BITS) - 1));
    match doubling.checked_sub(1) {
        None => step,
        Some(shift) => (step | 1 << STEP_BITS) << shift,
    }
}

/// How often each was met. 2.1 KiB: one for each kind of latency, not for each process.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    /// Without any.
    #[must_use]
    pub const fn new() -> Self {
        Self { counts: [0; BUCKETS], max_ns: 0 }
    }

    /// One more.
    pub fn record(&mut self, ns: u64) {
        if let Some(count) = self.counts.get_mut(bucket(ns)) {
            *count = count.saturating_add(1);
        }
        self.max_ns = self.max_ns.max(ns);
    }

    /// How many in one bucket.
    #[must_use]
    pub fn in_bucket(&self, bucket: usize) -> u64 {
        self.counts.get(bucket).copied().unwrap_or(0)
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The longest.
    #[must_use]
    pub const fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// The latency that `per_mille` of all are below or at, to an eighth upwards; `None` without
    /// any.
    #[must_use]
    pub fn quantile_ns(&self, per_mille: u32) -> Option<u64> {
        let all = self.count();
        let rank = all.saturating_mul(u64::from(per_mille.min(1000))).div_ceil(1000).max(1);
        let mut sum = 0_u64;
        for (bucket, count) in self.counts.iter().enumerate() {
            sum = sum.saturating_add(*count);
            if sum >= rank {
                return Some(floor_ns(bucket.saturating_add(1)).min(self.max_ns));
            }
        }
        None
    }

    /// Those of another, too.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// The buckets that have any: lowest latency and count.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let some = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        some.map(|(bucket, count)| (floor_ns(bucket), *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_begins_where_the_last_one_ends() {
        for at in 0..BUCKETS {
            assert_eq!(bucket(floor_ns(at)), at);
            assert!(at == 0 || bucket(floor_ns(at) - 1) == at - 1, "{at}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_right_to_an_eighth() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile_ns(500), None);
        (1..=100_000).for_each(|ns| histogram.record(ns));
        for (per_mille, exact) in [(500, 50_000), (990, 99_000), (999, 99_900)] {
            let found = histogram.quantile_ns(per_mille).expect("some");
            assert!(found >= exact && found <= exact + exact / 8, "{per_mille}: {found}");
        }
        assert_eq!(histogram.quantile_ns(1000), Some(100_000));
        let mut twice = histogram.clone();
        twice.add(&histogram);
        assert_eq!(twice.count(), 200_000);
        assert_eq!(twice.iter().map(|(_, count)| count).sum::<u64>(), 200_000);
    }
}
