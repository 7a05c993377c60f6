//! A batch of the pager's seeds; the rest of the search is `holon-sim pager FIRST COUNT`.

mod common;

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
    let options = |seed| format!("{:#?}", Options::draw(seed));
    common::batch(40, &SOMETIMES, run, |outcome| outcome.seen, options);
}
