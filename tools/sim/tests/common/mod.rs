//! A batch of seeds, whatever is simulated.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::panic::{catch_unwind, RefUnwindSafe};

/// Runs seeds 0 to `count` (or as many as `HOLON_SIM_SEEDS` says), every tenth twice, and looks
/// whether each of `sometimes` was met: without them the batch proves little.
pub(crate) fn batch<O: PartialEq + Debug>(
    count: u64,
    sometimes: &[&str],
    run: impl Fn(u64) -> O + RefUnwindSafe,
    seen_in: impl Fn(O) -> BTreeMap<String, u64>,
    options: impl Fn(u64) -> String,
) {
    let asked = std::env::var("HOLON_SIM_SEEDS").ok().and_then(|text| text.parse().ok());
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 0..asked.unwrap_or(count) {
        let Ok(outcome) = catch_unwind(|| run(seed)) else {
            panic!("seed {seed}: {}", options(seed));
        };
        if seed % 10 == 0 {
            assert_eq!(outcome, run(seed), "seed {seed}: two runs differ");
        }
        for (what, times) in seen_in(outcome) {
            *seen.entry(what).or_default() += times;
        }
    }
    let missing: Vec<_> = sometimes.iter().filter(|what| !seen.contains_key(**what)).collect();
    assert!(missing.is_empty(), "never happened: {missing:?}\nhappened: {seen:#?}");
}
