//! A batch of the pager's seeds; the rest of the search is `holon-sim pager FIRST COUNT`.

use std::collections::BTreeMap;
use std::panic::catch_unwind;

use holon_sim::pager::{run, Options};

/// Things that the batch must have met, or it proves little.
const SOMETIMES: [&str; 38] = [
    "an owner with pages elsewhere dies",
    "a holder with pages dies",
    "answer nobody waited for",
    "crash",
    "damaged while it was stored",
    "datagram damaged",
    "datagram for a former life",
    "drained",
    "evict called off",
    "evict failed",
    "evict refused: no batch",
    "evict refused: no entries",
    "evict refused: no room",
    "evicted",
    "exit amid a fetch",
    "exit amid an evict",
    "fetch called off",
    "fetch gave up",
    "fetch joins another",
    "fetch refused: no batch",
    "fetched",
    "hand back",
    "late STORE refused",
    "lost: damaged",
    "lost: holder died",
    "mended",
    "message of no member",
    "misread",
    "no memory for a page that came",
    "pages of a dead owner freed",
    "path cut both ways",
    "path cut one way",
    "read from the other copy",
    "release put off: too many to remember",
    "sent again",
    "sent home",
    "standstill",
    "two copies, one died, none lost",
];

#[test]
fn a_batch_of_seeds_keeps_the_promises() {
    let asked = std::env::var("HOLON_SIM_SEEDS").ok().and_then(|text| text.parse().ok());
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 0..asked.unwrap_or(40) {
        let Ok(outcome) = catch_unwind(|| run(seed)) else {
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
