//! Memory of the calling program, copied in and out; never read in place.

use rust_alloc::vec::Vec;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

use crate::{
    alloc::zeroed_vec,
    errno::{Errno, Result},
    raw,
};

/// A range of the calling program's memory; it need not exist.
#[derive(Clone, Copy, Debug)]
pub struct UserSlice {
    addr: u64,
    len: usize,
}

impl UserSlice {
    /// The range of `len` bytes at `addr`.
    pub fn new(addr: u64, len: usize) -> Self {
        Self { addr, len }
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What remains after the first `count` bytes.
    pub fn skip(&self, count: usize) -> Self {
        let count = count.min(self.len);
        Self { addr: self.addr.wrapping_add(count as u64), len: self.len - count }
    }

    /// Copies the beginning of the range into `to`; `EFAULT` if that is not all there.
    pub fn read_into(&self, to: &mut [u8]) -> Result {
        if to.len() > self.len {
            return Err(Errno::EFAULT);
        }
        // SAFETY: `to` is writable for its length; the kernel checks the other side.
        let rc = unsafe { raw::kpi_copy_from_user(to.as_mut_ptr().cast(), self.addr, to.len()) };
        Errno::check(rc).map(drop)
    }

    /// Copies all of it, `E2BIG` if that is more than `len_max`.
    pub fn read_all(&self, len_max: usize) -> Result<Vec<u8>> {
        if self.len > len_max {
            return Err(Errno::E2BIG);
        }
        let mut bytes = zeroed_vec(self.len)?;
        self.read_into(&mut bytes)?;
        Ok(bytes)
    }

    /// Copies `from` to the beginning of the range.
    pub fn write(&self, from: &[u8]) -> Result {
        if from.len() > self.len {
            return Err(Errno::EFAULT);
        }
        // SAFETY: `from` is readable for its length; the kernel checks the other side.
        let rc = unsafe { raw::kpi_copy_to_user(self.addr, from.as_ptr().cast(), from.len()) };
        Errno::check(rc).map(drop)
    }
}

/// Reads a value at a program's address.
pub fn read<T: FromBytes + IntoBytes>(addr: u64) -> Result<T> {
    let mut value = T::new_zeroed();
    UserSlice::new(addr, size_of::<T>()).read_into(value.as_mut_bytes())?;
    Ok(value)
}

/// Writes a value to a program's address.
pub fn write<T: IntoBytes + Immutable>(addr: u64, value: &T) -> Result {
    UserSlice::new(addr, size_of::<T>()).write(value.as_bytes())
}

/// A zero value, for results that are filled field by field.
pub fn zeroed<T: FromZeros>() -> T {
    T::new_zeroed()
}
