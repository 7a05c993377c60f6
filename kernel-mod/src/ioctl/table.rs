//! Control calls as records: what is checked before a handler runs.

use holon_uapi::number::size_of_number;
use kapi::{thread::capable, uaccess, Errno, Result};
use zerocopy::{FromBytes, IntoBytes};

use super::open::OpenFile;
use crate::areas::AREAS;

/// One control call.
pub(crate) struct Record {
    /// The whole number, with direction and size.
    pub(crate) number: u32,
    /// For messages.
    pub(crate) name: &'static str,
    /// What the caller must be capable of.
    pub(crate) capability: Option<u32>,
    /// Length of its structure.
    pub(crate) size: u32,
    /// Gets the address of the structure.
    pub(crate) handler: fn(&OpenFile, u64) -> Result<u64>,
}

impl Record {
    /// A record; its structure's length is the number's.
    pub(crate) const fn new(
        number: u32,
        name: &'static str,
        capability: Option<u32>,
        handler: fn(&OpenFile, u64) -> Result<u64>,
    ) -> Self {
        Self { number, name, capability, size: size_of_number(number) as u32, handler }
    }
}

/// Finds the record of a call, checks what it asks for and runs its handler.
pub(crate) fn call(file: &OpenFile, number: u32, arg: u64) -> Result<u64> {
    let record = AREAS
        .iter()
        .flat_map(|area| area.ioctls)
        .find(|record| record.number == number)
        .ok_or(Errno::ENOTTY)?;
    if record.capability.is_some_and(|capability| !capable(capability)) {
        return Err(Errno::EPERM);
    }
    if record.size != 0 && arg == 0 {
        return Err(Errno::EFAULT);
    }
    (record.handler)(file, arg).inspect_err(|errno| log::debug!("{}: {errno}", record.name))
}

/// Reads the structure of a call.
pub(crate) fn take<T: FromBytes + IntoBytes>(arg: u64) -> Result<T> {
    uaccess::read(arg)
}

/// Refuses bits and fields that are not defined yet.
pub(crate) fn must_be_zero(fields: &[u32]) -> Result {
    if fields.iter().all(|field| *field == 0) {
        Ok(())
    } else {
        Err(Errno::EINVAL)
    }
}
