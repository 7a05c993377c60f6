//! Holon's kernel module: wires areas together, holds no logic itself.
//!
//! `event` answers the module's life, `ioctl` the device, `control` owns the machines,
//! `port` carries out what they decide.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

mod event;

kapi::declare_module!(event::HOLON);
