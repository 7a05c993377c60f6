//! Allocations that fail on demand: only in modules built with the feature `selftest`.
//!
//! A test sets [`FAIL_IN`] to a number and does something: the allocation with that number fails,
//! as if there were no memory, and no other. What is left of the number when it is done says
//! whether there were as many.

#[cfg(feature = "selftest")]
use core::sync::atomic::{AtomicU64, Ordering};

/// Allocations until one fails; 0: none does.
#[cfg(feature = "selftest")]
pub static FAIL_IN: AtomicU64 = AtomicU64::new(0);

/// Whether this allocation is the one that fails.
#[cfg(feature = "selftest")]
pub(crate) fn is_due() -> bool {
    let next = |left: u64| left.checked_sub(1);
    FAIL_IN.fetch_update(Ordering::AcqRel, Ordering::Relaxed, next) == Ok(1)
}

/// Whether this allocation is the one that fails.
#[cfg(not(feature = "selftest"))]
pub(crate) const fn is_due() -> bool {
    false
}
