//! Emptying a node: cordon, plan, move, wait, and a word on whether it may be switched off.

pub(crate) mod plan;
mod run;

pub(crate) use run::{serve, undrain};
