//! The owner: pages of this node that lodge elsewhere.
//!
//! Purpose: evict, fetch, release and mend, each as batches that are repeated until they are
//! answered. Order of use: feed facts (`peer_*`, `handle_*`, commands), then drain
//! [`Owner::poll_transmit`], [`Owner::poll_over`] and [`Owner::poll_homing`], then wait for
//! [`Owner::poll_timeout`].
//!
//! Contract: all memory is taken in [`Owner::new`] and [`Block::new`], and [`Owner::missing`] says
//! when to take more; nothing on the way out of a page allocates. A page goes from here only after
//! all its holders said that they checked and keep it. A page that can't be had is an error of its
//! fetch, never something else's content.
//!
//! # Invariants
//! - For each holder: what it may have of ours is counted in `used`, and `used <= limit`, unless
//!   the holder itself took the limit back.
//! - An entry that is free has no copy anywhere and is in no batch.

mod drive;
mod entries;
mod entry;
mod evict;
mod fetch;
mod member;
mod mend;
mod op;
mod peers;
mod release;
mod state;

pub use entries::Block;
pub use entry::{CopyStage, EntryId, Loss, PageCopy, Stage};
pub use evict::{EvictRefused, Page};
pub use fetch::{Accepted, FetchRefused};
pub use op::{OpId, OpKind};
pub use peers::{Lender, Link};
pub use state::{Config, Owner, Stats};
