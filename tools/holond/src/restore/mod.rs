//! The user-mode half of making a process from an image.
//!
//! Runs in a child of the job's init that has the wanted PID already ([`run`]), or in a surrogate
//! that the module let exec `holon-restore` because its process comes home ([`run_at_home`]). It
//! does what system calls can do (files, directory, limits, identity) and then execs: the image
//! file, which the module's loader turns into the process, or for a placed exec the program itself.
//!
//! What fails is told to the module by step and errno; the process then goes on where it was.

mod context;
mod files;
mod helper;

pub(crate) use helper::run;
pub use helper::run_at_home;
