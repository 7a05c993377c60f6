//! Pages of this node's processes that lodge on other nodes, and other nodes' pages that lodge
//! here: drives the machines of `vm_remote::lodge`.
//!
//! ```text
//!  net's thread ── message ──> area ──RESERVE, STORE, FETCH, RELEASE──────────> holder
//!                                └────GRANT, STORED, PAGES, RELEASED, ...─────> owner
//!  net's softirq ── lodge_get ──> holder, lodge_piece ──> owner: what a task waits for
//!  session, verdict ─> peers (one order of facts for both) ─> holder, owner
//!                                                             both ── wire ──> the peer
//! ```
//! Locks, outermost first: `Peers`; the holder's or the owner's; the transport's.

mod area;
mod content;
mod holder;
mod ioctl;
mod knobs;
mod owner;
mod peers;
mod report;
mod stall;
mod stats;
mod wire;

pub(crate) use area::{lodge_get, lodge_piece, AREA};
pub(crate) use holder::{gate, set_gate, with_held};
pub(crate) use owner::{held as far, kept_by, make_room, page_freed, page_wanted};
