//! One reliable session with one peer, driven by [`crate::Transport`].
//!
//! ```text
//!             hello from the peer: remember it as candidate, owe a hello in answer
//!            ┌──┐
//!            │  v   a datagram that names our number and incarnation
//!  new ──> Connecting ─────────────────────────────────────────────> Up
//!            ^  hello each heartbeat                                 │ │ same, from a candidate:
//!            │                                                       │ └─> Up again: Down (or
//!            └───────────────────────────────────────────────────────┘     Restarted), then Up
//!              silence, bye, violation: Down
//! ```
//! Each side numbers its sessions with the peer. A session is the pair of both sides' incarnations
//! and numbers, and every datagram names all four; nothing of another session is ever taken. A side
//! without a session says hello once per heartbeat, naming nobody; the answer is a hello that names
//! whom it answers, even from a side that has a session: that goes on until the new one is
//! confirmed. A new session begins only when the peer has repeated the number that this side has
//! just chosen, so no delayed or repeated datagram of an old one can end it, nor can a hello alone.
//!
//! Only datagrams of the session itself count as a sign of life: a peer that sends but does not
//! hear goes down at both sides.
//!
//! Within a session:
//!
//! ```text
//! send ─> outbox (a class) ─┐ fragments               fragments ┌─> inbox (a class) ─> messages
//!                           ├─> packet ── the network ── packet ┤
//!      copa + pacer: when ──┘    │ flight                  seen └─> credit: how far to send
//!                   what became of it <──────────── ack: which packets came
//! ```
//! Every packet has its own number, whatever it carries; what a lost one carried leaves again in a
//! later one. The classes share the congestion window: a class may use what it and the higher ones
//! do not, and the fault class does not wait for the pacer either.

mod copa;
mod filter;
mod flight;
mod frame;
mod gather;
mod handshake;
mod inbox;
mod outbox;
mod pacer;
mod payload;
mod pieces;
mod receive;
mod rtt;
mod seen;
mod state;
mod timer;
mod transmit;

pub use gather::Transmit;
pub(crate) use gather::OUTSIDE_MAX;
pub(crate) use outbox::Outgoing;
pub use payload::{Holdable, Piece};
pub(crate) use state::{Context, Link};
