//! Time and randomness.

use crate::raw;

/// Nanoseconds of the monotonic clock.
pub fn now_ns() -> u64 {
    // SAFETY: no condition on the caller.
    unsafe { raw::kpi_clock_ns() }
}

/// Nanoseconds since 1970.
pub fn real_ns() -> u64 {
    // SAFETY: no condition on the caller.
    unsafe { raw::kpi_clock_real_ns() }
}

/// Random bytes, fit for identities.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // SAFETY: the array is writable for its length.
    unsafe { raw::kpi_random(bytes.as_mut_ptr(), N) };
    bytes
}
