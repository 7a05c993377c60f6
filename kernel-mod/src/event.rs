//! The module's event handler.

use alloc::boxed::Box;

use kapi::{
    chardev::Handle,
    module::{Event, Module},
    Errno, Result,
};

pub(crate) struct Holon;

pub(crate) static HOLON: Holon = Holon;

impl Module for Holon {
    fn event(&self, event: Event<'_>) -> Result {
        match event {
            Event::Load => log::info!("loaded on {}", kapi::module::kernel_release()),
            Event::Shutdown => log::info!("shutdown"),
            Event::Unload(_) => log::info!("unloaded"),
        }
        Ok(())
    }

    fn open(&self) -> Result<Box<dyn Handle>> {
        Err(Errno::ENODEV)
    }
}
