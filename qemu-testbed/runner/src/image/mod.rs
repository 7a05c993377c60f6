//! From packages to a guest that can be started: the root (`root`), the disk, kernel and initramfs
//! (`disk`, `initramfs`, `cpio`), and a booted guest's state to start nodes from (`template`).

mod cpio;
pub(crate) mod disk;
mod initramfs;
mod mirror;
pub(crate) mod root;
pub(crate) mod template;

use anyhow::Result;

use crate::host::{self, Consent};
use crate::ui::Step;

/// Makes all that depends on packages and the recipe alone; quick when it is there already.
pub(crate) fn prepare(consent: Consent) -> Result<disk::Image> {
    host::prepare(consent)?;
    disk::ensure()
}

/// Makes it anew, with the packages of today.
pub(crate) fn prepare_fresh(consent: Consent) -> Result<disk::Image> {
    let step = Step::start("discard the cached root and image");
    disk::discard()?;
    root::discard()?;
    step.done();
    prepare(consent)
}
