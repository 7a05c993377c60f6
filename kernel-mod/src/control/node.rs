//! Who this node is, from load to unload.

use kapi::{clock, module::Unloading, Global, Result};
use netproto::Incarnation;

/// The module's version, which peers compare before they hand processes over.
pub(crate) const MODULE_VERSION: u32 = 1;
/// What this module can do beyond its version's basics.
pub(crate) const FEATURES: u64 = 0;

static INCARNATION: Global<Incarnation> = Global::new();

/// Draws the incarnation.
pub(super) fn load() -> Result {
    let mut bytes = clock::random::<16>();
    // All zero means "not known"; one chance in 2^128.
    bytes[0] |= u8::from(bytes == [0; 16]);
    INCARNATION.set(Incarnation(bytes)).map(|_| ())
}

/// Forgets it.
pub(super) fn unload(token: &Unloading) {
    INCARNATION.clear(token);
}

/// This life of this node.
pub(crate) fn incarnation() -> Incarnation {
    INCARNATION.get().copied().unwrap_or(Incarnation::NONE)
}
