//! What the owner counts besides what the machine does.

use core::fmt::Write;

use super::owning;
use crate::control::stats::Counter;

/// Parts of a page that nobody waited for (any more).
pub(super) static PIECES_STRAY: Counter = Counter::new(c"pieces_stray");
/// Pages that a fault brought home.
pub(super) static FETCHED_FAULT: Counter = Counter::new(c"fetched_fault");
/// Pages that came along, since they were likely to be wanted next.
pub(super) static FETCHED_AHEAD: Counter = Counter::new(c"fetched_ahead");
/// Pages that were called home.
pub(super) static FETCHED_HOME: Counter = Counter::new(c"fetched_home");
/// Faults that waited for a page which was on its way already.
pub(super) static JOINED: Counter = Counter::new(c"faults_joined");
/// Faults that waited for room among the batches.
pub(super) static NO_BATCH: Counter = Counter::new(c"faults_waited_for_batch");
/// Accesses that got SIGBUS since the page can't be had.
pub(super) static LOST: Counter = Counter::new(c"pages_lost");
/// Pages copied and sent.
pub(super) static COPIED: Counter = Counter::new(c"pages_copied");
/// Bytes that were sent for them.
pub(super) static PACKED_BYTES: Counter = Counter::new(c"packed_bytes");
/// Pages that went.
pub(super) static EVICTED: Counter = Counter::new(c"pages_evicted");
/// Pages that were stored, and stayed since they were used meanwhile.
pub(super) static STAYED: Counter = Counter::new(c"pages_stayed");
/// Batches that no holder took.
pub(super) static REFUSED: Counter = Counter::new(c"batches_refused");
/// Times that pages stayed since their job has as many elsewhere as it may.
pub(super) static JOB_FULL: Counter = Counter::new(c"job_limit_met");
/// Address spaces that were being changed when they were to be looked at.
pub(super) static BUSY_SPACES: Counter = Counter::new(c"spaces_busy");
/// Contents that fit their seal, but make no page.
pub(super) static NOT_UNPACKED: Counter = Counter::new(c"pages_not_unpacked");
/// Pages to be moved on for which there was no buffer.
pub(super) static MENDS_WITHOUT_BUFFER: Counter = Counter::new(c"mends_without_buffer");
/// Rounds of sampling.
pub(super) static ROUNDS: Counter = Counter::new(c"sample_rounds");

/// The kernel was about to kill a process for memory.
pub(super) static LAST_CALLS: Counter = Counter::new(c"last_calls");
/// Pages that the kernel's reclaim asked for.
pub(super) static RECLAIM_ASKED: Counter = Counter::new(c"reclaim_asked");

/// Pages that went while a task waited for room for those that come.
pub(super) static ROOM_MADE: Counter = Counter::new(c"room_made");

/// Times that none went in such a wait, or that of reclaim.
pub(super) static WAITED_IN_VAIN: Counter = Counter::new(c"waited_in_vain");

/// All, for the table.
pub(super) static ALL: [&Counter; 21] = [
    &PIECES_STRAY,
    &FETCHED_FAULT,
    &FETCHED_AHEAD,
    &FETCHED_HOME,
    &JOINED,
    &NO_BATCH,
    &LOST,
    &COPIED,
    &PACKED_BYTES,
    &EVICTED,
    &STAYED,
    &REFUSED,
    &JOB_FULL,
    &BUSY_SPACES,
    &NOT_UNPACKED,
    &MENDS_WITHOUT_BUFFER,
    &ROUNDS,
    &LAST_CALLS,
    &RECLAIM_ASKED,
    &ROOM_MADE,
    &WAITED_IN_VAIN,
];

/// Latencies of faults.
pub(super) fn latency_text(out: &mut dyn Write) {
    let Some(owning) = owning() else { return };
    let (mut count, mut max, mut quantiles) = (0, 0, [0; 4]);
    {
        let state = owning.state.lock();
        for (place, per_mille) in quantiles.iter_mut().zip([500, 900, 990, 999]) {
            *place = state.latency.quantile_ns(per_mille).unwrap_or(0) / 1000;
        }
        count += state.latency.count();
        max += state.latency.max_ns() / 1000;
    }
    let [half, p90, p99, p999] = quantiles;
    let _ = write!(
        out,
        "count {count} median_us {half} p90_us {p90} p99_us {p99} p999_us {p999} max_us {max}"
    );
}

/// What is where.
pub(super) fn owner_text(out: &mut dyn Write) {
    let Some(owning) = owning() else { return };
    let far = owning.far.load(core::sync::atomic::Ordering::Relaxed);
    let state = owning.state.lock();
    let (in_use, batches) = (state.owner.in_use(), state.owner.batches());
    let (unused, to_mend, stats) =
        (state.owner.unused(), state.owner.to_mend(), *state.owner.stats());
    drop(state);
    let _ = write!(
        out,
        "far {far} entries {in_use} batches {batches} reserved {unused} to_mend {to_mend} \
         lost {} mended {} misread {} other_copy {} stray {} sent_again {} released {}",
        stats.lost,
        stats.mended,
        stats.misread,
        stats.other_copy,
        stats.stray,
        stats.sent_again,
        stats.released
    );
}
