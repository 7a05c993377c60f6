//! Which pages are cold, and when any are to go.
//!
//! ```text
//!  accessed bits ──> [`regions::Regions`] ──> the next region, and which of its pages
//!  faults ─────────>        ^ came back a moment ago: not again
//!  PSI, shrinker ──> [`pressure::Pressure`] ──> how many pages, until it is calm
//!  what came back ─> [`reserve::Reserve`] ──> how much memory is kept available
//!  job's limit ────> [`shares::Shares`] ──> how many of them may be that job's
//! ```

pub mod bits;
pub mod pressure;
pub mod regions;
pub mod reserve;
pub mod shares;
