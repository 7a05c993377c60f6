//! Opening a process's files again, under their numbers.

use crate::kernel::Device;
use crate::sys;
use ckpt::object::file::{FileKind, Files};
use nix::errno::Errno;
use nix::fcntl::{fcntl, open, FcntlArg, OFlag};
use nix::sys::stat::Mode;
use nix::unistd::{lseek, Whence};
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// Opens every description at a number from `spare_min` on, then puts it where its descriptors are.
///
/// The two steps keep a file that happens to get a number which another needs from being closed.
pub(super) fn open_all(device: &Device, files: &Files, spare_min: u32) -> nix::Result<()> {
    let spare = i32::try_from(spare_min).map_err(|_| Errno::EMFILE)?;
    let mut opened: Vec<OwnedFd> = Vec::new();
    for description in &files.descriptions {
        let file = open_one(device, description)?;
        let high = fcntl(&file, FcntlArg::F_DUPFD_CLOEXEC(spare))?;
        opened.push(sys::take_fd(high).map_err(|_| Errno::EBADF)?);
    }
    for fd in &files.fds {
        let index = usize::try_from(fd.group).unwrap_or(usize::MAX);
        let file = opened.get(index).ok_or(Errno::EBADF)?;
        let number = i32::try_from(fd.fd).map_err(|_| Errno::EBADF)?;
        sys::place_fd(file.as_fd(), number)?;
    }
    Ok(())
}

fn open_one(device: &Device, kind: &FileKind) -> nix::Result<OwnedFd> {
    match kind {
        FileKind::Path { path, flags, position, .. } => {
            let file = open_path(path, *flags)?;
            let is_plain = *flags & libc::O_PATH.unsigned_abs() == 0;
            if is_plain && *position > 0 {
                let position = i64::try_from(*position).map_err(|_| Errno::EOVERFLOW)?;
                lseek(&file, position, Whence::SeekSet)?;
            }
            Ok(file)
        }
        FileKind::Dev { path, flags } => open_path(path, *flags),
        FileKind::Remote { holder, file, flags, .. } => {
            device.file_open(u32::from(holder.get()), file.0, *flags)
        }
    }
}

fn open_path(path: &[u8], flags: u32) -> nix::Result<OwnedFd> {
    let flags = OFlag::from_bits_retain(i32::try_from(flags).map_err(|_| Errno::EINVAL)?);
    let harmful = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_TRUNC;
    let flags = (flags & !harmful) | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
    open(OsStr::from_bytes(path), flags, Mode::empty())
}
