//! Control calls about remote files.

use alloc::vec::Vec;

use holon_uapi::file as uapi;
use kapi::{fileref::FileRef, lock_class, thread::CAP_SYS_ADMIN, uaccess, Errno, Mutex, Result};
use netproto::FileId;

use super::{
    files,
    handover::{hand_over, slot_of, take_over, HandOver},
};
use crate::ioctl::{
    open::OpenFile,
    table::{must_be_zero, take, Record},
};

/// Files that one opener of the device can make available.
const EXPORTS_MAX: usize = 1024;

/// The calls. Opening is for the helper of a restore too, which has the device from its parent.
pub(super) static RECORDS: &[Record] = &[
    Record::new(uapi::FILE_OPEN, "file_open", None, open),
    Record::new(uapi::FILE_EXPORT, "file_export", Some(CAP_SYS_ADMIN), export),
];

fn open(_file: &OpenFile, arg: u64) -> Result<u64> {
    let mut wanted: uapi::FileOpen = take(arg)?;
    must_be_zero(&[wanted.reserved])?;
    let file = take_over(slot_of(wanted.slot)?, FileId(wanted.file), wanted.flags)?;
    wanted.fd = i32::try_from(file.install(0)?).map_err(|_| Errno::EIO)?;
    uaccess::write(arg, &wanted).map(|()| 0)
}

fn export(opener: &OpenFile, arg: u64) -> Result<u64> {
    let mut wanted: uapi::FileExport = take(arg)?;
    let exported = hand_over(&FileRef::of_fd(wanted.fd)?)?;
    wanted.slot = exported.holder.get().into();
    wanted.file = exported.file.0;
    files()?.exports.add(opener.id(), exported)?;
    uaccess::write(arg, &wanted).map(|()| 0)
}

/// What openers of the device made available; it ends with their descriptor.
pub(super) struct Exports {
    list: Mutex<Vec<(u64, HandOver)>>,
}

impl Exports {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { list: Mutex::new(lock_class!(c"holon-file-exports"), Vec::new())? })
    }

    fn add(&self, opener: u64, export: HandOver) -> Result {
        let mut list = self.list.lock();
        if list.iter().filter(|(owner, _)| *owner == opener).count() >= EXPORTS_MAX {
            return Err(Errno::ENOSPC);
        }
        list.try_reserve(1)?;
        list.push((opener, export));
        Ok(())
    }

    /// Ends those of one opener.
    pub(super) fn closed(&self, opener: u64) {
        let mut gone = Vec::new();
        let mut list = self.list.lock();
        while let Some(index) = list.iter().position(|(owner, _)| *owner == opener) {
            gone.push(list.swap_remove(index));
        }
        drop(list);
        drop(gone);
    }
}
