//! Carries out with the kernel's means what the machines decide.

mod driver;
pub(crate) mod net;
mod pages;
