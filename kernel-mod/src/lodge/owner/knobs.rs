//! What root may set for pages of this node that go elsewhere.

use alloc::{collections::TryReserveError, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering};

use kapi::{
    page::PAGE_LEN,
    sysctl::{Entry, TextFn, ToldFn, Value},
};
use netproto::Duration;
use vm_remote::retry::Policy;

use super::{evict, need, stats};
use crate::port::net;

/// Pages elsewhere at most: 80 bytes are kept for each.
pub(super) const ENTRIES_MAX: u32 = 1 << 24;

/// Whose pages may go: 0 nobody's, 1 those of jobs, 2 all processes of this node.
static SCOPE: AtomicU64 = AtomicU64::new(1);
/// What one job may have elsewhere, in MiB; zero: no limit.
static JOB_MAX_MB: AtomicU64 = AtomicU64::new(0);
/// Holders that each page is kept by.
static COPIES: AtomicU64 = AtomicU64::new(1);
/// Evicts so many of the coldest pages now; falls as they are looked at.
static FORCE_PAGES: AtomicU64 = AtomicU64::new(0);
/// Pages that room is kept reserved for.
static RESERVE_PAGES: AtomicU64 = AtomicU64::new(2048);
/// All pages are to come home; falls to 0 when they have.
static RECALL: AtomicU64 = AtomicU64::new(0);
/// What a program is likely to touch next is fetched before it does.
static PREFETCH: AtomicU64 = AtomicU64::new(1);
/// What is sent for a page is packed if that makes it shorter.
static PACK: AtomicU64 = AtomicU64::new(1);
static FETCH_FIRST_MS: AtomicU64 = AtomicU64::new(100);
/// The least wait before a page that a task waits for is asked for again.
static FETCH_LEAST_MS: AtomicU64 = AtomicU64::new(5);
static GIVE_UP_MS: AtomicU64 = AtomicU64::new(30_000);

/// It needs no wait until the next look.
static FORCED: ToldFn = evict::poke;

static LATENCY: TextFn = stats::latency_text;
static OWNER: TextFn = stats::owner_text;

/// Whose pages may go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Nobody's.
    None,
    /// Those of jobs.
    Jobs,
    /// All processes' of this node.
    All,
}

pub(super) fn scope() -> Scope {
    match SCOPE.load(Ordering::Relaxed) {
        0 => Scope::None,
        1 => Scope::Jobs,
        _ => Scope::All,
    }
}

/// Pages that one job may have elsewhere; zero: no limit.
pub(super) fn job_max_pages() -> u64 {
    JOB_MAX_MB.load(Ordering::Relaxed) * ((1 << 20) / PAGE_LEN as u64)
}

pub(super) fn copies() -> u8 {
    if COPIES.load(Ordering::Relaxed) == 2 {
        2
    } else {
        1
    }
}

pub(super) fn reserve_pages() -> u32 {
    u32::try_from(RESERVE_PAGES.load(Ordering::Relaxed)).unwrap_or(u32::MAX)
}

/// Whether pages are fetched ahead.
pub(super) fn prefetches() -> bool {
    PREFETCH.load(Ordering::Relaxed) != 0
}

/// Whether pages are packed.
pub(super) fn packs() -> bool {
    PACK.load(Ordering::Relaxed) != 0
}

/// Whether all pages are to come home.
pub(super) fn recalls() -> bool {
    RECALL.load(Ordering::Relaxed) != 0
}

/// They have.
pub(super) fn end_recall() {
    RECALL.store(0, Ordering::Relaxed);
}

/// Takes what is to be evicted by force.
pub(super) fn take_force() -> u64 {
    FORCE_PAGES.swap(0, Ordering::Relaxed)
}

fn scaled(first: u64, longest: u64, give_up: u64) -> Policy {
    let (first, longest) = (Duration::from_ms(first), Duration::from_ms(longest));
    let policy = Policy { first, longest, give_up: Duration::from_ms(give_up) };
    policy.scaled(u64::from(net::timescale()))
}

/// How fetches are repeated. The link repeats what is lost by itself; this is for what a peer
/// could not take, or has forgotten.
pub(super) fn fetch_policy() -> Policy {
    let first = FETCH_FIRST_MS.load(Ordering::Relaxed);
    scaled(first, 10 * first, GIVE_UP_MS.load(Ordering::Relaxed))
}

/// How soon at least a page that a task waits for is asked for again; the measured round trip says
/// when, up to what the policy says.
pub(super) fn fetch_least() -> Duration {
    let least = Duration::from_ms(FETCH_LEAST_MS.load(Ordering::Relaxed));
    least.times(u64::from(net::timescale()))
}

/// How stores are: they queue behind each other.
pub(super) fn evict_policy() -> Policy {
    scaled(1_000, 2_000, 10_000)
}

/// Adds the files.
pub(super) fn entries(entries: &mut Vec<Entry>) -> Result<(), TryReserveError> {
    let knobs = [
        (c"scope", &SCOPE, 0, 2),
        (c"job_max_mb", &JOB_MAX_MB, 0, 1 << 24),
        (c"copies", &COPIES, 1, 2),
        (c"reserve_pages", &RESERVE_PAGES, 0, 1 << 24),
        (c"recall", &RECALL, 0, 1),
        (c"prefetch", &PREFETCH, 0, 1),
        (c"pack", &PACK, 0, 1),
        (c"fetch_first_ms", &FETCH_FIRST_MS, 1, 10_000),
        (c"fetch_least_ms", &FETCH_LEAST_MS, 1, 10_000),
        (c"give_up_ms", &GIVE_UP_MS, 100, 3_600_000),
    ];
    entries.try_reserve(stats::ALL.len() + knobs.len() + 4)?;
    entries.extend(stats::ALL.iter().map(|counter| counter.entry()));
    entries.extend(
        knobs.map(|(name, knob, min, max)| Entry { name, value: Value::Knob(knob, min, max) }),
    );
    let value = Value::Told(&FORCE_PAGES, 0, 1 << 32, &FORCED);
    entries.push(Entry { name: c"force_pages", value });
    entries.push(Entry { name: c"kept_pages", value: Value::Counter(&need::KEPT) });
    let texts = [(c"lodged_latency", &LATENCY), (c"owner", &OWNER)];
    entries.extend(texts.map(|(name, text)| Entry { name, value: Value::Text(text) }));
    Ok(())
}
