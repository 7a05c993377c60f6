//! Holon's kernel module: wires areas together, holds no logic itself.
//!
//! `event` answers the module's life, `ioctl` the device, `control` keeps what a node is and whom
//! to tell, `port` drives the pure machines with what the kernel offers.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

mod areas;
mod control;
mod event;
mod ioctl;
mod lodge;
mod memory;
mod port;
mod proc;

kapi::declare_module!(event::HOLON);
