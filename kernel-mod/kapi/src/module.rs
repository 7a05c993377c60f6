//! The module's life: one event handler, and what keeps it loaded.

use rust_alloc::boxed::Box;

use crate::{
    chardev::Handle,
    errno::{to_code, Result},
    logger, raw,
};

/// What happens to the module.
pub enum Event<'a> {
    /// It is loaded. On an error nothing may remain, and it is not.
    Load,
    /// The machine goes down: other nodes should hear of it.
    Shutdown,
    /// It is unloaded: no file is open and no [`Hold`] exists. Cannot be refused.
    Unload(&'a Unloading),
}

/// Says that nothing outside of the event handler runs code of the module: only the module's exit
/// makes one. The handler must stop its threads and registrations before it uses it.
pub struct Unloading(());

/// For a load that fails half-way: nothing of the module can be reached from outside yet, and the
/// caller has ended what it had begun.
pub fn abandon(undo: impl FnOnce(&Unloading)) {
    undo(&Unloading(()));
}

/// What the crate with the module's logic offers.
pub trait Module: Sync {
    /// The module's one event handler.
    fn event(&self, event: Event<'_>) -> Result;
    /// A program opened `/dev/holon`.
    fn open(&self) -> Result<Box<dyn Handle>>;
}

extern "Rust" {
    /// Defined by [`declare_module!`](crate::declare_module).
    fn kapi_the_module() -> &'static dyn Module;
}

/// Names the one static that is the module.
#[macro_export]
macro_rules! declare_module {
    ($module:path) => {
        #[no_mangle]
        fn kapi_the_module() -> &'static dyn $crate::module::Module {
            &$module
        }
    };
}

pub(crate) fn module() -> &'static dyn Module {
    // SAFETY: the macro defines it with this very type.
    unsafe { kapi_the_module() }
}

/// Keeps the module loaded while it exists.
pub struct Hold(());

impl Hold {
    /// Holds the module, unless it is being unloaded.
    pub fn new() -> Option<Self> {
        // SAFETY: no condition on the caller.
        unsafe { raw::kpi_module_get() }.then_some(Self(()))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // SAFETY: got in `new`.
        unsafe { raw::kpi_module_put() }
    }
}

/// The kernel's release, as `uname -r` tells it.
pub fn kernel_release() -> &'static str {
    // SAFETY: a static C string.
    let text = unsafe { core::ffi::CStr::from_ptr(raw::kpi_kernel_release()) };
    text.to_str().unwrap_or("?")
}

#[no_mangle]
extern "C" fn kapi_module_event(event: u32) -> i32 {
    match event {
        raw::KAPI_LOAD => {
            logger::install();
            to_code(module().event(Event::Load))
        }
        raw::KAPI_SHUTDOWN => to_code(module().event(Event::Shutdown)),
        _ => to_code(module().event(Event::Unload(&Unloading(())))),
    }
}
