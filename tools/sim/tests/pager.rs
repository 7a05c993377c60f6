//! A batch of the pager's seeds; the rest of the search is `holon-sim pager FIRST COUNT`.

mod common;

use holon_sim::pager::{run, Options};

/// Things that the batch must have met, or it proves little.
const SOMETIMES: [&str; 56] = [
    "a holder dies amid a fetch",
    "a holder dies amid a release",
    "a holder dies amid an evict",
    "a holder dies amid an evict, all stored",
    "a holder dies amid handing back",
    "a holder dies amid mending",
    "a holder with pages dies",
    "an owner dies amid a fetch",
    "an owner dies amid a release",
    "an owner dies amid an evict",
    "an owner dies amid an evict, all stored",
    "an owner dies amid handing back",
    "an owner dies amid mending",
    "an owner with pages elsewhere dies",
    "answer nobody waited for",
    "crash",
    "cut off",
    "damaged while it was sent",
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
    "given up, and heard of again",
    "hand back",
    "late STORE refused",
    "left in order",
    "lost: damaged",
    "lost: given up itself",
    "lost: holder died",
    "mended",
    "message of no member",
    "misread",
    "no memory at owner and holder",
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
