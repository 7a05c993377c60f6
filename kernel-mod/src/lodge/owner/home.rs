//! Brings pages home that nobody has faulted on.

use kapi::Result;

use super::state::Owning;

/// What is brought home at present.
pub(super) struct Home;

impl Home {
    pub(super) fn new() -> Result<Self> {
        Ok(Self)
    }

    /// Brings some home.
    pub(super) fn turn(&mut self, _owning: &Owning) {}
}
