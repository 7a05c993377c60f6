//! The holder: other nodes' pages that lodge here.
//!
//! Purpose: how much each owner may lodge, which frame has which page, and how all of it leaves
//! again. Answers are given at once; nothing is repeated from here but HAND_BACK.
//!
//! Contract: frames are set aside before room is granted, so what was granted is always accepted,
//! and what was accepted is kept until its owner releases it or is dead. Nothing is allocated after
//! [`Holder::new`].
//!
//! # Invariants
//! - The sum of all limits is at most the number of frames.
//! - What an owner has here is at most its limit.
//! - A frame is free, or has exactly one record.

mod keep;
mod lend;
mod state;
mod table;

pub use keep::Store;
pub use state::{Config, Holder, Stats};
pub use table::Frame;
