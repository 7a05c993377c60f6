//! `/dev/holon`: what an open file of it can do.

use core::{ffi::c_void, ptr::NonNull};

use rust_alloc::boxed::Box;

use crate::{
    errno::{to_code, Errno, Result},
    module::module,
    panic::poisoned,
    raw,
    uaccess::UserSlice,
    wait::WaitQueue,
};

/// What an open `/dev/holon` does. Dropped when its last descriptor is closed.
pub trait Handle: Send + Sync {
    /// A control call; `arg` is what the program gave, mostly an address in it.
    fn ioctl(&self, cmd: u32, arg: u64) -> Result<u64>;
    /// Fills the program's buffer; waits for data if `blocking` says so.
    fn read(&self, to: UserSlice, blocking: Blocking) -> Result<usize>;
    /// Registers with the queues that tell of changes, and says what is ready now.
    fn poll(&self, table: &PollTable<'_>) -> Ready;
}

/// Whether a call may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocking {
    /// It may.
    Wait,
    /// It answers `EAGAIN` instead.
    DontWait,
}

/// What poll reports.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ready {
    /// There is something to read.
    pub readable: bool,
    /// Nothing will come any more.
    pub hangup: bool,
}

impl Ready {
    fn mask(self) -> u32 {
        const EPOLLIN: u32 = 0x0001;
        const EPOLLHUP: u32 = 0x0010;
        const EPOLLRDNORM: u32 = 0x0040;
        let readable = if self.readable { EPOLLIN | EPOLLRDNORM } else { 0 };
        readable | if self.hangup { EPOLLHUP } else { 0 }
    }
}

/// Where a poll call registers the queues that it wants to be woken by.
pub struct PollTable<'a> {
    file: *mut raw::kpi_file,
    raw: *mut raw::kpi_poll,
    _call: core::marker::PhantomData<&'a ()>,
}

impl PollTable<'_> {
    /// # Safety
    /// `file` and `raw` are those of a running poll call that outlives the value.
    pub(crate) unsafe fn new(file: *mut raw::kpi_file, raw: *mut raw::kpi_poll) -> Self {
        Self { file, raw, _call: core::marker::PhantomData }
    }

    /// Wakes the poller when `queue` is woken. The queue must live as long as the open file.
    pub fn register(&self, queue: &WaitQueue) {
        // SAFETY: file and table are those of the poll call that lent us this value.
        unsafe { raw::kpi_poll_wait(self.file, self.raw, queue.as_raw()) }
    }
}

/// The registered device; dropping it takes `/dev/holon` away.
pub struct Registration(());

impl Registration {
    /// Makes `/dev/holon` appear. Opens are answered by [`Module::open`](crate::module::Module).
    pub fn new() -> Result<Self> {
        // SAFETY: the shim's device is static; a second registration is refused by the kernel.
        Errno::check(unsafe { raw::kpi_chardev_register() }).map(|_| Self(()))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: registered by `new`.
        unsafe { raw::kpi_chardev_unregister() }
    }
}

type Stored = Box<dyn Handle>;

/// # Safety
/// `handle` is what `kapi_chardev_open` gave for a file that is still open.
unsafe fn stored<'a>(handle: *mut c_void) -> Result<&'a dyn Handle> {
    if poisoned() {
        return Err(Errno::EIO);
    }
    let handle = NonNull::new(handle.cast::<Stored>()).ok_or(Errno::EBADF)?;
    // SAFETY: by the function's contract; handles are only used by shared reference.
    Ok(unsafe { handle.as_ref() }.as_ref())
}

/// # Safety
/// `out` is writable.
#[no_mangle]
unsafe extern "C" fn kapi_chardev_open(out: *mut *mut c_void) -> i32 {
    let opened = if poisoned() { Err(Errno::EIO) } else { module().open() };
    to_code(opened.map(|handle| {
        let stored: *mut Stored = Box::into_raw(Box::new(handle));
        // SAFETY: by the function's contract.
        unsafe { *out = stored.cast() };
    }))
}

/// # Safety
/// `handle` is from `kapi_chardev_open` and is given up.
#[no_mangle]
unsafe extern "C" fn kapi_chardev_release(handle: *mut c_void) {
    // SAFETY: by the function's contract.
    drop(unsafe { Box::from_raw(handle.cast::<Stored>()) });
}

/// # Safety
/// As [`stored`].
#[no_mangle]
unsafe extern "C" fn kapi_chardev_ioctl(handle: *mut c_void, cmd: u32, arg: u64) -> i64 {
    // SAFETY: by the function's contract.
    let result = unsafe { stored(handle) }.and_then(|handle| handle.ioctl(cmd, arg));
    result.map_or_else(|errno| i64::from(errno.code()), |value| value as i64)
}

/// # Safety
/// As [`stored`].
#[no_mangle]
unsafe extern "C" fn kapi_chardev_read(
    handle: *mut c_void,
    buf: u64,
    len: usize,
    nonblock: bool,
) -> i64 {
    let blocking = if nonblock { Blocking::DontWait } else { Blocking::Wait };
    let to = UserSlice::new(buf, len);
    // SAFETY: by the function's contract.
    let result = unsafe { stored(handle) }.and_then(|handle| handle.read(to, blocking));
    result.map_or_else(|errno| i64::from(errno.code()), |len| len as i64)
}

/// # Safety
/// As [`stored`]; `file` and `table` are those of a running poll call.
#[no_mangle]
unsafe extern "C" fn kapi_chardev_poll(
    handle: *mut c_void,
    file: *mut raw::kpi_file,
    table: *mut raw::kpi_poll,
) -> u32 {
    // SAFETY: by the function's contract.
    let (table, handle) = unsafe { (PollTable::new(file, table), stored(handle)) };
    let ready = handle.map(|handle| handle.poll(&table));
    ready.unwrap_or(Ready { readable: false, hangup: true }).mask()
}
