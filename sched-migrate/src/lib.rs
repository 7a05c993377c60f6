//! Which process may move, where to, and how it is handed off exactly once.
//!
//! - [`eligible`]: the reasons why a process can't move, found before it is disturbed.
//! - [`policy`]: where to place work, and what a drain moves where; pure functions.
//! - [`Mover`]: a node's part in all hand-offs: as the source, as the target, and as the origin
//!   that keeps the directory. Messages, completions of local work, verdicts about peers and time
//!   go in; [`Effect`]s come out. It does no I/O, reads no clock and holds no image.
//!
//! The promise: at every instant at most one node runs a process. The target runs it only after it
//! won the compare-and-swap at the process' origin; the source, once it sent the final part, runs
//! it again only after it won the same one. No time-out decides anything, it only makes a side ask.
//!
//! Neighbours: `netproto` carries the messages, `ckpt` makes and reads the images, the module's
//! driver performs the effects.

#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::as_conversions, clippy::indexing_slicing, clippy::unwrap_used)]

extern crate alloc;

pub mod directory;
pub mod effect;
pub mod eligible;
pub mod failure;
pub mod message;
pub mod mover;
pub mod phase;
pub mod policy;
pub mod source;
pub mod table;
pub mod target;
pub mod timing;

pub use effect::{Effect, Report};
pub use eligible::{Facts, Reason, Reasons};
pub use failure::{Failure, Step};
pub use message::{Message, Offer};
pub use mover::{Config, Gate, Mover, Request, Route, StartError};
pub use source::Work;
pub use timing::Timing;
