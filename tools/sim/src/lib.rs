//! A cluster in one thread: several nodes' transports and movers, as the module runs them, over a
//! simulated network, with tasks that are no more than their states.
//!
//! Purpose: what the crates promise one by one must hold for them together, under partitions, loss,
//! crashes and standstills. A seed draws everything; seed and commit make a run again.
//!
//! Contract: [`run`] lives through one seed and says what happened, or panics with the last events
//! and the broken promise. The promises: a process runs at one place at most, at every instant; no
//! epoch runs on two nodes; a body that its origin has given up ends in time; once the faults are
//! over all hand-offs end, each request is reported once, and a process is dead only if something
//! excuses it.
#![forbid(unsafe_code)]

mod cluster;
mod judge;
mod node;
mod options;
pub mod pager;
mod process;
mod story;
mod tasks;
pub mod trace;

pub use options::Options;
pub use story::{run, Outcome};
