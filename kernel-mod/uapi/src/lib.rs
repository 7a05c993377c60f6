//! The interface of `/dev/holon`: control numbers, their structures, the events that `read` gives.
//!
//! Shared by the module, the daemon and the tools. Numbers and layouts are only ever added to. All
//! integers are the machine's; every `flags` and `reserved` must be zero unless said otherwise.
#![no_std]
#![forbid(unsafe_code)]

pub mod base;
pub mod event;
pub mod file;
pub mod gate;
pub mod memory;
pub mod number;
pub mod proc;
