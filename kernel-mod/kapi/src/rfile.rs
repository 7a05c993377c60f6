//! Files of ours: open files whose operations are the module's.

use core::{
    ffi::{c_void, CStr},
    marker::PhantomData,
    ptr::NonNull,
};

use rust_alloc::{boxed::Box, sync::Arc};

use crate::{
    chardev::{Blocking, PollTable},
    errno::{to_code, Errno, Result},
    file::{At, Info},
    fileref::FileRef,
    panic::poisoned,
    raw,
    wait::WaitQueue,
};

/// What an open file of ours does. Dropped after its last user closed it.
pub trait Operations: Send + Sync {
    /// Reads into the program's memory.
    fn read(&self, to: &mut Buffers<'_>, at: At, blocking: Blocking) -> Result<usize>;
    /// Writes what is in the program's memory.
    fn write(&self, from: &mut Buffers<'_>, at: At, blocking: Blocking) -> Result<usize>;
    /// Registers with the queue that tells of changes, and says what is ready (`EPOLL*`).
    fn poll(&self, table: &PollTable<'_>, events: u32) -> u32;
    /// A control call.
    fn ioctl(&self, cmd: u32, arg: u64) -> Result<u64>;
    /// Moves the position.
    fn llseek(&self, offset: i64, whence: u32) -> Result<u64>;
    /// Writes to disk what is not there yet.
    fn fsync(&self, data_only: bool) -> Result;
    /// What it was when it was opened.
    fn origin(&self) -> Info;
    /// What it is now.
    fn stat(&self) -> Result<Info>;
    /// The slot where it stands and its number there.
    fn place(&self) -> (u32, u64);
}

/// The memory that a read fills or a write empties, from its beginning on.
pub struct Buffers<'a> {
    raw: NonNull<raw::kpi_iter>,
    _call: PhantomData<&'a mut ()>,
}

impl Buffers<'_> {
    /// Bytes that are left.
    pub fn len(&self) -> usize {
        // SAFETY: the iterator of the running call.
        unsafe { raw::kpi_iter_len(self.raw.as_ptr()) }
    }

    /// Whether none are left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies into it; how many bytes went in.
    pub fn put(&mut self, from: &[u8]) -> usize {
        // SAFETY: the iterator of the running call; `from` is readable for its length.
        unsafe { raw::kpi_iter_put(self.raw.as_ptr(), from.as_ptr(), from.len()) }
    }

    /// Copies out of it; how many bytes came.
    pub fn take(&mut self, to: &mut [u8]) -> usize {
        // SAFETY: the iterator of the running call; `to` is writable for its length.
        unsafe { raw::kpi_iter_take(self.raw.as_ptr(), to.as_mut_ptr(), to.len()) }
    }
}

type Stored = Arc<dyn Operations>;

/// A new open file of ours that looks like `info` and `name` in `/proc` and to stat.
pub fn create(operations: Stored, info: &Info, name: &CStr, flags: u32) -> Result<FileRef> {
    let ctx: *mut Stored = Box::into_raw(Box::new(operations));
    let info = info.to_raw();
    let mut out = core::ptr::null_mut();
    // SAFETY: the shim copies info and name; `kapi_rfile_release` takes the box over in any case.
    let rc = unsafe {
        raw::kpi_rfile_new(ctx.cast(), &raw const info, name.as_ptr(), flags, &raw mut out)
    };
    Errno::check(rc)?;
    // SAFETY: a new file, whose one reference is ours.
    unsafe { FileRef::from_raw(out) }.ok_or(Errno::EIO)
}

/// The operations of a file of ours; `None` for any other file.
pub fn operations_of(file: &FileRef) -> Option<&dyn Operations> {
    // SAFETY: a live file.
    let ctx = unsafe { raw::kpi_rfile_ctx(file.as_raw()) };
    // SAFETY: what `create` gave it, alive as long as the file.
    (!ctx.is_null()).then(|| unsafe { stored(ctx) })
}

/// Wakes those who poll, with what became ready (`EPOLL*`).
pub fn wake_poll(queue: &WaitQueue, events: u32) {
    // SAFETY: a live queue.
    unsafe { raw::kpi_waitq_wake_poll(queue.as_raw(), events) }
}

/// The signal for who writes where nobody reads, to the calling task.
pub fn sigpipe() {
    // SAFETY: no condition on the caller.
    unsafe { raw::kpi_sigpipe() }
}

/// # Safety
/// `ctx` is from `create`, of a file that is still open.
unsafe fn stored<'a>(ctx: *mut c_void) -> &'a dyn Operations {
    // SAFETY: by the function's contract; it is only used by shared reference.
    unsafe { (*ctx.cast::<Stored>()).as_ref() }
}

/// # Safety
/// As [`stored`].
unsafe fn healthy<'a>(ctx: *mut c_void) -> Result<&'a dyn Operations> {
    if poisoned() {
        return Err(Errno::EIO);
    }
    // SAFETY: by the function's contract.
    Ok(unsafe { stored(ctx) })
}

fn to_len(result: Result<usize>) -> i64 {
    result.map_or_else(|errno| errno.code().into(), |len| len as i64)
}

fn to_value(result: Result<u64>) -> i64 {
    result.map_or_else(|errno| errno.code().into(), |value| value as i64)
}

fn blocking(nowait: bool) -> Blocking {
    match nowait {
        true => Blocking::DontWait,
        false => Blocking::Wait,
    }
}

/// # Safety
/// As [`stored`]; `to` is the iterator of a running read.
#[no_mangle]
unsafe extern "C" fn kapi_rfile_read(
    ctx: *mut c_void,
    to: NonNull<raw::kpi_iter>,
    pos: i64,
    nowait: bool,
) -> i64 {
    let mut to = Buffers { raw: to, _call: PhantomData };
    // SAFETY: by the function's contract.
    let ops = unsafe { healthy(ctx) };
    to_len(ops.and_then(|ops| ops.read(&mut to, At::from_raw(pos), blocking(nowait))))
}

/// # Safety
/// As [`stored`]; `from` is the iterator of a running write.
#[no_mangle]
unsafe extern "C" fn kapi_rfile_write(
    ctx: *mut c_void,
    from: NonNull<raw::kpi_iter>,
    pos: i64,
    nowait: bool,
) -> i64 {
    let mut from = Buffers { raw: from, _call: PhantomData };
    // SAFETY: by the function's contract.
    let ops = unsafe { healthy(ctx) };
    to_len(ops.and_then(|ops| ops.write(&mut from, At::from_raw(pos), blocking(nowait))))
}

/// # Safety
/// As [`stored`]; `file` and `table` are those of a running poll call.
#[no_mangle]
unsafe extern "C" fn kapi_rfile_poll(
    ctx: *mut c_void,
    file: *mut raw::kpi_file,
    table: *mut raw::kpi_poll,
    events: u32,
) -> u32 {
    const EPOLLERR_HUP: u32 = 0x18;
    // SAFETY: by the function's contract.
    let (table, ops) = unsafe { (PollTable::new(file, table), healthy(ctx)) };
    ops.map_or(EPOLLERR_HUP, |ops| ops.poll(&table, events))
}

/// # Safety
/// As [`stored`].
#[no_mangle]
unsafe extern "C" fn kapi_rfile_ioctl(ctx: *mut c_void, cmd: u32, arg: u64) -> i64 {
    // SAFETY: by the function's contract.
    to_value(unsafe { healthy(ctx) }.and_then(|ops| ops.ioctl(cmd, arg)))
}

/// # Safety
/// As [`stored`].
#[no_mangle]
unsafe extern "C" fn kapi_rfile_llseek(ctx: *mut c_void, offset: i64, whence: u32) -> i64 {
    // SAFETY: by the function's contract.
    to_value(unsafe { healthy(ctx) }.and_then(|ops| ops.llseek(offset, whence)))
}

/// # Safety
/// As [`stored`].
#[no_mangle]
unsafe extern "C" fn kapi_rfile_fsync(ctx: *mut c_void, data_only: bool) -> i32 {
    // SAFETY: by the function's contract.
    to_code(unsafe { healthy(ctx) }.and_then(|ops| ops.fsync(data_only)))
}

/// # Safety
/// As [`stored`]; `out` is writable.
#[no_mangle]
unsafe extern "C" fn kapi_rfile_stat(ctx: *mut c_void, out: *mut raw::kpi_file_info) -> i32 {
    // SAFETY: by the function's contract.
    let stat = unsafe { healthy(ctx) }.and_then(|ops| ops.stat());
    to_code(stat.map(|info| {
        // SAFETY: by the function's contract.
        unsafe { *out = info.to_raw() };
    }))
}

/// # Safety
/// As [`stored`]; `slot` and `id` are writable.
#[no_mangle]
unsafe extern "C" fn kapi_rfile_ident(ctx: *mut c_void, slot: *mut u32, id: *mut u64) {
    // SAFETY: by the function's contract.
    unsafe { (*slot, *id) = stored(ctx).place() }
}

/// # Safety
/// `ctx` is from `create` and is given up.
#[no_mangle]
unsafe extern "C" fn kapi_rfile_release(ctx: *mut c_void) {
    // SAFETY: by the function's contract.
    drop(unsafe { Box::from_raw(ctx.cast::<Stored>()) });
}
