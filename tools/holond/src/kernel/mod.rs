//! The module: loading it, and `/dev/holon`.

pub(crate) mod device;
pub(crate) mod event;
pub(crate) mod memory;
pub(crate) mod module;
pub(crate) mod process;

pub(crate) use device::Device;
pub(crate) use process::Stop;
