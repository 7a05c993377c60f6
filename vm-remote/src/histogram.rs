//! Latencies in buckets of powers of two.

use crate::limits::HISTOGRAM_BUCKETS;

/// The bucket of a latency: 0 for below 1 us, `n` for `[2^(n-1), 2^n)` us, the last for all above.
#[must_use]
pub fn bucket(latency_us: u64) -> usize {
    let bits = u64::BITS - latency_us.leading_zeros();
    usize::try_from(bits).map_or(HISTOGRAM_BUCKETS - 1, |bits| bits.min(HISTOGRAM_BUCKETS - 1))
}

/// The first latency above a bucket, in microseconds; `None` for the last.
#[must_use]
pub fn bound_us(bucket: usize) -> Option<u64> {
    if bucket + 1 >= HISTOGRAM_BUCKETS {
        return None;
    }
    u32::try_from(bucket).ok().and_then(|bits| 1u64.checked_shl(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_cover_all_latencies() {
        assert_eq!(bucket(0), 0);
        assert_eq!(bucket(1), 1);
        assert_eq!(bucket(2), 2);
        assert_eq!(bucket(3), 2);
        assert_eq!(bucket(4), 3);
        assert_eq!(bucket(u64::MAX), HISTOGRAM_BUCKETS - 1);
        for latency in [0, 1, 5, 1000, 1 << 22] {
            assert!(latency < bound_us(bucket(latency)).unwrap_or(u64::MAX));
        }
        assert_eq!(bound_us(HISTOGRAM_BUCKETS - 1), None);
    }
}
