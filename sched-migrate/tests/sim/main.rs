//! Hand-offs on three simulated nodes: whatever is lost, late, paused or killed, a process runs at
//! one place at most at every instant, and at exactly one (or none, and then rightly) in the end.
//!
//! The movers are the real ones. Links are reliable and in order per class, as `netproto`'s are,
//! and end with a node's death; the local work (freezing, restoring) takes any time and may fail or
//! hang.

#![allow(unreachable_pub, reason = "modules of one test")]

mod check;
mod event;
mod exhaustive;
mod local;
mod mishaps;
mod moves;
mod random;
mod world;
