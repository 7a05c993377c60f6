//! Why a process can't move, found before it is disturbed.
//!
//! The module fills [`Facts`] by looking at the live task from outside; [`check`] turns them into
//! [`Reasons`]. Every reason has a code that never changes its meaning, a short name, a sentence,
//! and what would help.

mod facts;
mod reason;
mod reasons;
mod text;

pub use facts::{check, Facts, Flags, OpenKinds, State};
pub use reason::Reason;
pub use reasons::Reasons;
