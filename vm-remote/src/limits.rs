//! Every bound of this crate, and the relations that the code relies on.

use netproto::limits::PAGE_COUNT_MAX;

/// Pages in one request at most: one bit each in a word.
pub const FETCH_PAGES_MAX: u16 = 32;

/// Pages of a huge one: 2 MiB.
pub const HUGE_PAGES: u64 = 512;

/// Spaces that a node can be target of at the same time.
pub const TARGETS_MAX: u32 = 4096;

/// Bits of a page number: user addresses have at most 56 bits, 12 of them within the page.
pub const PAGE_NUMBER_BITS: u32 = 44;

/// Doublings of the wait between two sendings at most.
pub const RETRY_DOUBLINGS_MAX: u32 = 4;

/// Buckets of a latency histogram: up to 2^23 us (8 s), and all above.
pub const HISTOGRAM_BUCKETS: usize = 24;

const _: () = {
    assert!(FETCH_PAGES_MAX == 32, "a fetch keeps its pages' state in u32 masks");
    assert!(FETCH_PAGES_MAX <= PAGE_COUNT_MAX, "a fetch is one request");
    assert!(TARGETS_MAX < 1 << (64 - PAGE_NUMBER_BITS), "a handle and a page number fit a tag");
};
