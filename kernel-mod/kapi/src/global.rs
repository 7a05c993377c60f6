//! State that lives from the module's load to its unload.

use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicU8, Ordering},
};

use crate::{
    errno::{Errno, Result},
    module::Unloading,
};

const EMPTY: u8 = 0;
const SETTING: u8 = 1;
const SET: u8 = 2;

/// A value that is set once, at load, and taken away at unload.
///
/// # Invariants
/// `value` is written only in state `SETTING`, by the one who made it so, or under [`Unloading`].
pub struct Global<T> {
    state: AtomicU8,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: shared references are only given out once the value is complete.
unsafe impl<T: Send + Sync> Sync for Global<T> {}

impl<T> Global<T> {
    /// Without a value.
    pub const fn new() -> Self {
        Self { state: AtomicU8::new(EMPTY), value: UnsafeCell::new(None) }
    }

    /// Sets the value; `EEXIST` if there is one.
    pub fn set(&self, value: T) -> Result<&T> {
        self.state
            .compare_exchange(EMPTY, SETTING, Ordering::Acquire, Ordering::Relaxed)
            .map_err(|_| Errno::EEXIST)?;
        // SAFETY: only we are in state SETTING.
        unsafe { *self.value.get() = Some(value) };
        self.state.store(SET, Ordering::Release);
        self.get().ok_or(Errno::EIO)
    }

    /// The value, if it is set.
    pub fn get(&self) -> Option<&T> {
        if self.state.load(Ordering::Acquire) != SET {
            return None;
        }
        // SAFETY: written before the state became SET; only `clear` changes it again.
        unsafe { (*self.value.get()).as_ref() }
    }

    /// Takes the value away.
    pub fn clear(&self, _token: &Unloading) {
        self.state.store(EMPTY, Ordering::Release);
        // SAFETY: the token says that no other context of the module runs, so nobody has a
        // reference.
        unsafe { *self.value.get() = None };
    }
}

impl<T> Default for Global<T> {
    fn default() -> Self {
        Self::new()
    }
}
