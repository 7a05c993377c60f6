//! Memory of processes that have moved: pages that are still where the process was.
//!
//! ```text
//!  fault ──> fetch ──PAGE_GET──> (peer) serve ──> source: the address space that was left
//!  stream ─────┘ <── pieces (to a fault), PAGE_DATA (to the stream) ── (peer)
//!  insert: fills a new address space with pages of the pool, each tagged with its place
//! ```
//! [`space`] is what the rest of the module uses, [`places`] tells where a process has pages.
//!
//! Locks, outermost first: `Sources` mutex; `TargetSpace::places`; spin locks (each alone).

mod area;
mod batch;
mod fault;
mod fetch;
mod insert;
mod knobs;
pub(crate) mod places;
mod reply;
#[cfg(feature = "selftest")]
mod selftest;
mod serve;
mod source;
pub(crate) mod space;
mod stats;
mod stream;
mod target;
mod whole;
mod wire;

use area::{get, Memory};
pub(crate) use area::{page_get, space_piece, AREA};
pub(crate) use insert::{pool_ahead, pool_is_short};
pub(crate) use knobs::POOL_AHEAD;
