//! The image of a process, as a stream of versioned records.
//!
//! An image has two parts. The [`Manifest`] is taken while the process runs and is read by the
//! target's kernel and by its user-mode restore helper. The [`Final`] is taken at the freeze and is
//! read by the target's kernel only. [`diff()`] tells whether a final part can carry what changed
//! between the two.
//!
//! Every record has a number, a version, a length and a checksum. Numbers are never reused and
//! fields are only added, at the end. What is decoded was bounded and checked: a decoder returns an
//! error for any bytes that an encoder would not have written, and allocates no more than a small
//! multiple of the bytes that it was given.
//!
//! The crate has no `std`, no `unsafe` code and no infallible allocation.

#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::as_conversions, clippy::indexing_slicing, clippy::unwrap_used)]

extern crate alloc;

pub mod bytes;
pub mod diff;
pub mod error;
pub mod freeze;
pub mod id;
pub mod image;
pub mod limits;
pub mod manifest;
pub mod object;
pub mod stream;

pub use bytes::Bytes;
pub use diff::{diff, Carry, Compatible, Incompatible};
pub use error::{DecodeError, EncodeError};
pub use freeze::Final;
pub use manifest::{Body, Manifest};
