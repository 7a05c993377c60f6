//! Safe wrappers of what the kernel offers, over the C shims of `shim/` (the seam is `kpi.h`).
//!
//! This crate holds all the module's `unsafe` code. It offers primitives named as in the kernel and
//! takes no decision of Holon's; `kernel-mod/src` drives them. Entry points that the shims call
//! (`kapi_*`) do three things: turn raw arguments into safe values, call a safe function, turn the
//! result into what C expects.
#![no_std]

extern crate alloc as rust_alloc;

/// What `kpi.h` declares, by bindgen.
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    non_camel_case_types,
    clippy::all,
    clippy::undocumented_unsafe_blocks
)]
pub(crate) mod raw {
    include!(concat!(env!("OUT_DIR"), "/raw.rs"));
}

pub mod alloc;
pub mod binfmt;
pub mod chardev;
pub mod clock;
pub mod creds;
pub mod ctl;
pub mod errno;
pub mod exits;
pub mod fail;
pub mod file;
pub mod fileref;
pub mod global;
pub mod lock;
pub mod lodge;
pub mod logger;
pub mod mm;
pub mod module;
pub mod own;
pub mod pack;
pub mod page;
mod panic;
pub mod park;
pub mod rfile;
pub mod shrinker;
pub mod still;
pub mod sysctl;
pub mod task;
pub mod thread;
pub mod uaccess;
pub mod udp;
pub mod wait;
pub mod wanted;
pub mod workqueue;

pub use errno::{Errno, Result};
pub use global::Global;
pub use lock::{Mutex, MutexGuard, SpinLock};
pub use panic::poisoned;
pub use wait::WaitQueue;
