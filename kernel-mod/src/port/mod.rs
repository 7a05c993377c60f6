//! Carries out with the kernel's means what the machines decide.

mod burst;
mod driver;
pub(crate) mod file;
pub(crate) mod net;
mod pages;
mod paths;
#[cfg(feature = "selftest")]
pub(crate) mod selftest;
mod stock;
mod urgent;
