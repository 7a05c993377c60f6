//! A batch of seeds; the rest of the search is `holon-sim FIRST COUNT`.

use std::collections::BTreeMap;
use std::panic::catch_unwind;

use holon_sim::{run, Options};

/// Things that the batch must have met, or it proves little.
const SOMETIMES: [&str; 16] = [
    "moved",
    "down",
    "restarted",
    "crash",
    "killed",
    "datagram refused",
    "failed: target-down",
    "failed: aborted",
    "Thaw",
    "BecomeSurrogate",
    "End",
    "Release",
    "Discard",
    "BodyLost",
    "OriginLost",
    "local work hangs",
];

#[test]
fn a_batch_of_seeds_keeps_the_promises() {
    let asked = std::env::var("HOLON_SIM_SEEDS").ok().and_then(|text| text.parse().ok());
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 0..asked.unwrap_or(120) {
        let outcome = catch_unwind(|| run(seed));
        let Ok(outcome) = outcome else {
            panic!("seed {seed}: {:#?}", Options::draw(seed));
        };
        if seed % 10 == 0 {
            assert_eq!(outcome, run(seed), "seed {seed}: two runs differ");
        }
        for (what, times) in outcome.seen {
            *seen.entry(what).or_default() += times;
        }
    }
    let missing: Vec<_> = SOMETIMES.iter().filter(|what| !seen.contains_key(**what)).collect();
    assert!(missing.is_empty(), "never happened: {missing:?}\nhappened: {seen:#?}");
}
