//! The one table of message numbers, and the payload of each message.
//!
//! Each payload is a typed struct with `KIND`, `LEN`, `encode() -> [u8; LEN]` and `decode`. A kind
//! whose payload goes on after its head has `decode(bytes) -> (Self, rest)`; the others refuse
//! trailing bytes. Send as
//! `transport.send(now, slot, P::KIND.class(), P::KIND, &[&payload.encode(), rest])`.

mod check;
pub mod file;
mod image;
mod kind;
pub mod lodge;
pub mod member;
pub mod migrate;
pub mod page;
mod process;
pub mod space;
pub mod surrogate;

pub use kind::Kind;

use check::{check_piece, split};
pub(crate) use check::{check_zero, exact};
use process::ProcessWire;
