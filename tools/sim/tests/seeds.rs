//! A batch of seeds; the rest of the search is `holon-sim FIRST COUNT`.

mod common;

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
    let options = |seed| format!("{:#?}", Options::draw(seed));
    common::batch(120, &SOMETIMES, run, |outcome| outcome.seen, options);
}
