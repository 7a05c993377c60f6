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

mod congestion;
mod frame;
mod handshake;
mod receive;
mod recv;
mod rtt;
mod send;
mod state;
mod timer;
mod transmit;

pub(crate) use state::{Context, Link};
