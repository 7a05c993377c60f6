//! The job init: pid 1 of a job on one node.
//!
//! `holond` starts `holond job-init`, which makes the namespaces, becomes pid 1 in them, builds the
//! view and then serves [`proto`] on a Unix socket: it starts commands, forks restore helpers with
//! wanted PIDs, sends signals, reaps orphans, and keeps the PID cursor in the node's slot. It has
//! one thread, so it may fork freely, and it outlives a restart of the daemon.

mod cursor;
mod main_loop;
pub(crate) mod proto;
mod setup;
mod spawn;
mod view;

pub use setup::run;
pub(crate) use setup::READY;
pub(crate) use view::STAGE;
