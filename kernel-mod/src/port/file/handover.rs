//! Handing an open file to a process's next node, and taking it there.

use alloc::{ffi::CString, sync::Arc};

use kapi::{
    file::{Info, Kind},
    fileref::FileRef,
    rfile, Errno, Result,
};
use netproto::{msg::file::Status, FileId, Slot};

use super::{
    calls,
    client::{info_of, Client, Handle},
    files, FILES,
};
use crate::port::net;

/// `O_ACCMODE`, `O_APPEND`, `O_NONBLOCK`, `O_LARGEFILE`: what a stand-in takes over.
const FLAGS: u32 = 0o003 | 0o2000 | 0o4000 | 0o100_000;
/// Longest name that a stand-in shows.
const NAME_LEN_MAX: usize = 255;

/// What keeps the file available until the other node has a reference of its own.
enum Keep {
    /// A file of this node, with a reference of our own slot.
    Served,
    /// A file of another node: the stand-in keeps its reference.
    Remote { _file: FileRef },
}

/// A file on its way to another node. Drop it when the other node has it, or will never have it.
pub(crate) struct HandOver {
    /// The node where it stands.
    pub(crate) holder: Slot,
    /// Its number there.
    pub(crate) file: FileId,
    /// What it is; of a stand-in what it stands for.
    pub(crate) info: Info,
    keep: Keep,
}

impl Drop for HandOver {
    fn drop(&mut self) {
        if let (Keep::Served, Some(files)) = (&self.keep, FILES.get()) {
            files.table.give(self.file, self.holder, 1);
        }
    }
}

/// Makes an open file available to other nodes. The same open file always gets the same number.
/// `EOPNOTSUPP` if its kind can't be served.
pub(crate) fn hand_over(file: &FileRef) -> Result<HandOver> {
    let info = file.describe();
    if let Some(stand_in) = rfile::operations_of(file) {
        let (slot, id) = stand_in.place();
        let info = Info { flags: info.flags, ..stand_in.origin() };
        let keep = Keep::Remote { _file: file.clone() };
        return Ok(HandOver { holder: slot_of(slot)?, file: FileId(id), info, keep });
    }
    if !info.steps || info.kind == Kind::Remote {
        return Err(Errno::EOPNOTSUPP);
    }
    let holder = net::own_slot().ok_or(Errno::ENOTCONN)?;
    let id = files()?.table.add(file, holder)?;
    Ok(HandOver { holder, file: id, info, keep: Keep::Served })
}

pub(super) fn slot_of(number: u32) -> Result<Slot> {
    u8::try_from(number).ok().and_then(Slot::new).ok_or(Errno::EINVAL)
}

/// The file that was handed over: the very file on its own node, else a stand-in.
pub(crate) fn take_over(holder: Slot, file: FileId, flags: u32) -> Result<FileRef> {
    if net::own_slot() == Some(holder) {
        let object = files()?.table.get(file.0).ok_or(Errno::ESTALE)?;
        return Ok(object.file().clone());
    }
    let data = files()?.calls.open(holder, file)?;
    let stand_in = Status::decode(&data)
        .map_err(|_| Errno::EPROTO)
        .and_then(|(status, name)| Ok((info_of(&status, flags & FLAGS)?, name_of(name)?)));
    match stand_in {
        Ok((info, name)) => make(holder, file, info, &name),
        Err(errno) => {
            calls::close(holder, file);
            Err(errno)
        }
    }
}

fn make(holder: Slot, file: FileId, info: Info, name: &CString) -> Result<FileRef> {
    let client = Client::new(holder, file, info)?;
    files()?.clients.add(&client)?;
    if !net::is_up(holder) {
        // The session ended before the client was listed.
        return Err(Errno::EIO);
    }
    rfile::create(Arc::new(Handle(client)), &info, name, info.flags)
}

fn name_of(bytes: &[u8]) -> Result<CString> {
    let bytes = bytes.get(..bytes.len().min(NAME_LEN_MAX)).unwrap_or_default();
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let mut name = alloc::vec::Vec::new();
    name.try_reserve_exact(end + 1)?;
    name.extend_from_slice(&bytes[..end]);
    CString::new(name).map_err(|_| Errno::EPROTO)
}
