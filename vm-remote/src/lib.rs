//! Memory that lives on another node, without page tables, sockets, clocks or locks.
//!
//! Purpose: when a process has moved, its pages follow: on a fault, and in the background. This
//! crate decides what to ask for, how often, what an answer means and when all is over.
//!
//! ```text
//!  node where the process was                       node where it is now
//!  [`source::Source`]  <── PAGE_GET ──  [`fetch::Table`] <── fault
//!       │                                    ^      ^
//!       └──────────── PAGE_DATA ─────────────┘      └── [`stream::Stream`]
//!                <── SPACE_DONE ──  [`target::Target`]
//! ```
//!
//! Contract: everything is driven from outside with facts and the time. Answers of peers are
//! matched, never trusted: at worst they are refused. Memory is only taken when something is
//! created, and its lack is an error.
//!
//! Neighbours: `netproto` has ids, time and the wire formats; the module's `port::page` owns these
//! machines, each under a lock of its own.
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::as_conversions, clippy::indexing_slicing, clippy::unwrap_used)]

extern crate alloc;

pub mod cold;
pub mod fetch;
pub mod gather;
pub mod histogram;
pub mod latency;
pub mod limits;
pub mod lodge;
pub mod prefetch;
pub mod retry;
pub mod run;
pub mod source;
pub mod stream;
pub mod tag;
pub mod target;
pub mod whole;
