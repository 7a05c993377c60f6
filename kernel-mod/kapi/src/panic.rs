//! What happens when the module's own assertions fail.

use core::{
    panic::PanicInfo,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{logger, raw};

static POISONED: AtomicBool = AtomicBool::new(false);

/// Whether an assertion of ours failed: from then on every entry point answers `EIO`.
pub fn poisoned() -> bool {
    POISONED.load(Ordering::Relaxed)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    POISONED.store(true, Ordering::Relaxed);
    logger::print(3, format_args!("assertion failed, module is poisoned: {info}"));
    // SAFETY: ends the calling task; Rust code cannot go on from here.
    unsafe { raw::kpi_bug() }
}
