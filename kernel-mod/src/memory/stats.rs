//! What the area counts.

use core::{
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering},
};

use vm_remote::{
    histogram::{bound_us, bucket},
    limits::HISTOGRAM_BUCKETS,
};

use crate::control::stats::Counter;

/// Pages put into processes as far ones.
pub(super) static PAGES_INSERTED: Counter = Counter::new(c"pages_inserted");
/// Huge pages put in as such.
pub(super) static HUGE_INSERTED: Counter = Counter::new(c"huge_inserted");
/// Huge pages that came home whole.
pub(super) static HUGE_HOME: Counter = Counter::new(c"huge_home");
/// Far pages that a fault brought home.
pub(super) static PAGES_FETCHED_FAULT: Counter = Counter::new(c"pages_fetched_fault");
/// Far pages that the background brought home.
pub(super) static PAGES_FETCHED_STREAM: Counter = Counter::new(c"pages_fetched_stream");
/// Of both: those that were zeros.
pub(super) static PAGES_ZERO: Counter = Counter::new(c"pages_zero");
/// Accesses that got SIGBUS since the page can't be had.
pub(super) static PAGES_LOST: Counter = Counter::new(c"pages_lost");
/// Spaces whose rest can't be had.
pub(super) static SPACES_LOST: Counter = Counter::new(c"spaces_lost");
/// Pages that the background fetched in vain: a fault was faster, or the page was given up.
pub(super) static PAGES_NOT_NEEDED: Counter = Counter::new(c"pages_not_needed");
/// Requests sent again.
pub(super) static REQUESTS_AGAIN: Counter = Counter::new(c"requests_again");
/// Answers that nobody waited for (any more).
pub(super) static ANSWERS_STRAY: Counter = Counter::new(c"answers_stray");
/// Answers whose content did not fit its checksum.
pub(super) static ANSWERS_DAMAGED: Counter = Counter::new(c"answers_damaged");
/// Pages sent.
pub(super) static SERVED_DATA: Counter = Counter::new(c"served_data");
/// Of these: those that were not copied but by the network.
pub(super) static SERVED_IN_PLACE: Counter = Counter::new(c"served_in_place");
/// Pages that the asker was told it keeps itself.
pub(super) static SERVED_HELD: Counter = Counter::new(c"served_held");
/// Of pages brought home: those that lodged here, and did not travel.
pub(super) static PAGES_HELD: Counter = Counter::new(c"pages_held");
/// Pages answered as zeros.
pub(super) static SERVED_ZERO: Counter = Counter::new(c"served_zero");
/// Pages answered as gone.
pub(super) static SERVED_GONE: Counter = Counter::new(c"served_gone");
/// Requests answered as busy: the space is not open yet.
pub(super) static SERVED_BUSY: Counter = Counter::new(c"served_busy");
/// Requests by others than the space's target.
pub(super) static SERVE_REFUSED: Counter = Counter::new(c"serve_refused");
/// Requests that found the queue full.
pub(super) static SERVE_DROPPED: Counter = Counter::new(c"serve_dropped");

/// All, for the table.
pub(super) static ALL: [&Counter; 21] = [
    &PAGES_INSERTED,
    &HUGE_INSERTED,
    &HUGE_HOME,
    &PAGES_FETCHED_FAULT,
    &PAGES_FETCHED_STREAM,
    &PAGES_ZERO,
    &PAGES_LOST,
    &SPACES_LOST,
    &PAGES_NOT_NEEDED,
    &REQUESTS_AGAIN,
    &ANSWERS_STRAY,
    &ANSWERS_DAMAGED,
    &SERVED_DATA,
    &SERVED_IN_PLACE,
    &SERVED_HELD,
    &PAGES_HELD,
    &SERVED_ZERO,
    &SERVED_GONE,
    &SERVED_BUSY,
    &SERVE_REFUSED,
    &SERVE_DROPPED,
];

static LATENCY: [AtomicU64; HISTOGRAM_BUCKETS] = [const { AtomicU64::new(0) }; HISTOGRAM_BUCKETS];

/// A fault was answered after so long.
pub(super) fn fault_took(us: u64) {
    LATENCY[bucket(us)].fetch_add(1, Ordering::Relaxed);
}

/// The histogram: `<64us 17 <128us 3 …`, empty buckets left out.
pub(super) fn latency_text(out: &mut dyn Write) {
    for (at, count) in LATENCY.iter().enumerate() {
        let count = count.load(Ordering::Relaxed);
        let _ = match (count, bound_us(at)) {
            (0, _) => Ok(()),
            (_, Some(bound)) => write!(out, "<{bound}us {count} "),
            (_, None) => write!(out, "more {count} "),
        };
    }
}
