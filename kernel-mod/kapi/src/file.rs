//! What an open file is, single steps on it that never wait, and being told when it changes.

use core::ptr::NonNull;

use rust_alloc::vec::Vec;

use crate::{
    alloc::zeroed_vec,
    errno::{Errno, Result},
    fileref::FileRef,
    raw, Global,
};

/// Longest name of a file.
const NAME_LEN_MAX: usize = raw::KPI_FILE_NAME_LEN_MAX as usize;
/// Bytes of the longest ioctl argument that steps know.
pub const IOCTL_LEN_MAX: usize = raw::KPI_IOCTL_LEN_MAX as usize;

/// What stands behind an open file. The numbers are those of the seam, and may go over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// A regular file with a name.
    Regular = raw::KPI_FILE_REGULAR,
    /// A regular file whose name is gone.
    Deleted = raw::KPI_FILE_DELETED,
    /// A directory.
    Directory = raw::KPI_FILE_DIR,
    /// An end of a pipe.
    Pipe = raw::KPI_FILE_PIPE,
    /// An end of a named pipe.
    Fifo = raw::KPI_FILE_FIFO,
    /// A terminal, either side.
    Terminal = raw::KPI_FILE_TTY,
    /// Another character device.
    Device = raw::KPI_FILE_CHAR,
    /// A block device.
    Block = raw::KPI_FILE_BLOCK,
    /// A socket.
    Socket = raw::KPI_FILE_SOCKET,
    /// Something without a file: eventfd, epoll and the like.
    Anonymous = raw::KPI_FILE_ANON,
    /// A file of ours: it stands on another node.
    Remote = raw::KPI_FILE_OURS,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Regular,
        Self::Deleted,
        Self::Directory,
        Self::Pipe,
        Self::Fifo,
        Self::Terminal,
        Self::Device,
        Self::Block,
        Self::Socket,
        Self::Anonymous,
        Self::Remote,
    ];

    /// The kind with this number.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// Its number.
    pub const fn number(self) -> u32 {
        self as u32
    }
}

/// What is known about an open file.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// What stands behind it.
    pub kind: Kind,
    /// `O_*` of the open file.
    pub flags: u32,
    /// It was opened to be read.
    pub readable: bool,
    /// It was opened to be written.
    pub writable: bool,
    /// Single steps are possible, here or where it stands, so other nodes can have it.
    pub steps: bool,
    /// `st_mode`.
    pub mode: u32,
    /// Owner, as in the first user namespace.
    pub uid: u32,
    /// Group, as in the first user namespace.
    pub gid: u32,
    /// Device that it is, in the kernel's 32-bit coding.
    pub rdev: u32,
    /// Device that it is on, in the same coding.
    pub dev: u32,
    /// Names that it has.
    pub nlink: u32,
    /// Preferred size of requests.
    pub blksize: u32,
    /// Inode number.
    pub ino: u64,
    /// Bytes in it.
    pub size: i64,
    /// The open file's position.
    pub pos: i64,
}

impl Info {
    pub(crate) fn from_raw(raw: &raw::kpi_file_info) -> Self {
        Self {
            kind: Kind::from_number(raw.kind).unwrap_or(Kind::Anonymous),
            flags: raw.flags,
            readable: raw.readable != 0,
            writable: raw.writable != 0,
            steps: raw.steps != 0,
            mode: raw.mode,
            uid: raw.uid,
            gid: raw.gid,
            rdev: raw.rdev,
            dev: raw.dev,
            nlink: raw.nlink,
            blksize: raw.blksize,
            ino: raw.ino,
            size: raw.size,
            pos: raw.pos,
        }
    }

    pub(crate) fn to_raw(self) -> raw::kpi_file_info {
        raw::kpi_file_info {
            kind: self.kind.number(),
            flags: self.flags,
            readable: self.readable.into(),
            writable: self.writable.into(),
            steps: self.steps.into(),
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            rdev: self.rdev,
            dev: self.dev,
            nlink: self.nlink,
            blksize: self.blksize,
            ino: self.ino,
            size: self.size,
            pos: self.pos,
        }
    }
}

/// Where a read or write takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// At the open file's own position, if it has one.
    Position,
    /// At an offset; the position stays as it is.
    Offset(u64),
}

impl At {
    pub(crate) fn from_raw(pos: i64) -> Self {
        u64::try_from(pos).map_or(Self::Position, Self::Offset)
    }

    fn raw(self) -> Result<i64> {
        match self {
            Self::Position => Ok(-1),
            Self::Offset(offset) => i64::try_from(offset).map_err(|_| Errno::EINVAL),
        }
    }
}

/// How an ioctl uses its argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoctlArg {
    /// As a number.
    Number,
    /// It points to that many bytes that are read.
    In(usize),
    /// It points to that many bytes that are written.
    Out(usize),
}

/// How this ioctl uses its argument; `None` if steps do not know it.
pub fn ioctl_arg(cmd: u32) -> Option<IoctlArg> {
    let mut len = 0;
    // SAFETY: `len` is writable.
    match unsafe { raw::kpi_ioctl_dir(cmd, &raw mut len) } {
        raw::KPI_IOCTL_NUMBER => Some(IoctlArg::Number),
        raw::KPI_IOCTL_IN => Some(IoctlArg::In(len)),
        raw::KPI_IOCTL_OUT => Some(IoctlArg::Out(len)),
        _ => None,
    }
}

impl FileRef {
    /// Gives the file a new descriptor in the calling task; flags: 0 or `O_CLOEXEC`.
    pub fn install(&self, flags: u32) -> Result<u32> {
        // SAFETY: a live file; the descriptor gets a reference of its own.
        Errno::check(unsafe { raw::kpi_file_install(self.as_raw(), flags) })
    }

    /// What it is, in full.
    pub fn describe(&self) -> Info {
        let mut info = raw::kpi_file_info::default();
        // SAFETY: a live file; `info` is writable.
        unsafe { raw::kpi_file_info(self.as_raw(), &raw mut info) };
        Info::from_raw(&info)
    }

    /// Its path seen from the calling task's root, or a name such as `pipe:[7]`.
    pub fn display_name(&self) -> Result<Vec<u8>> {
        let mut name = zeroed_vec(NAME_LEN_MAX)?;
        // SAFETY: a live file; `name` is writable for its length.
        let len = unsafe { raw::kpi_file_name(self.as_raw(), name.as_mut_ptr(), NAME_LEN_MAX) };
        name.truncate(Errno::check_len(len)?);
        Ok(name)
    }

    /// One read that never waits for the other side: `EAGAIN`. In kernel threads only.
    pub fn step_read(&self, to: &mut [u8], at: At) -> Result<usize> {
        let at = at.raw()?;
        // SAFETY: a live file; `to` is writable for its length.
        Errno::check_len(unsafe {
            raw::kpi_step_read(self.as_raw(), to.as_mut_ptr(), to.len(), at)
        })
    }

    /// One write that never waits for the other side: `EAGAIN`. In kernel threads only.
    pub fn step_write(&self, from: &[u8], at: At) -> Result<usize> {
        let at = at.raw()?;
        // SAFETY: a live file; `from` is readable for its length.
        Errno::check_len(unsafe {
            raw::kpi_step_write(self.as_raw(), from.as_ptr(), from.len(), at)
        })
    }

    /// What it is ready for, `EPOLL*`.
    pub fn step_poll(&self) -> u32 {
        // SAFETY: a live file.
        unsafe { raw::kpi_step_poll(self.as_raw()) }
    }

    /// Moves the position.
    pub fn step_llseek(&self, offset: i64, whence: u32) -> Result<u64> {
        // SAFETY: a live file.
        let pos = unsafe { raw::kpi_step_llseek(self.as_raw(), offset, whence) };
        Errno::check_len(pos).map(|pos| pos as u64)
    }

    /// Writes to disk what is not there yet.
    pub fn step_fsync(&self, data_only: bool) -> Result {
        // SAFETY: a live file.
        Errno::check(unsafe { raw::kpi_step_fsync(self.as_raw(), data_only) }).map(drop)
    }

    /// How long a read without data waits, in ms; `None`: for ever.
    pub fn read_patience_ms(&self) -> Option<u64> {
        // SAFETY: a live file.
        u64::try_from(unsafe { raw::kpi_step_read_patience(self.as_raw()) }).ok()
    }

    /// Carries out an ioctl that [`ioctl_arg`] knows; `buffer` is its argument and its result.
    pub fn step_ioctl(&self, cmd: u32, arg: u64, buffer: &mut [u8; IOCTL_LEN_MAX]) -> Result<u64> {
        // SAFETY: a live file; the buffer is as long as any argument.
        let rc = unsafe { raw::kpi_step_ioctl(self.as_raw(), cmd, arg, buffer.as_mut_ptr()) };
        Errno::check_len(rc).map(|value| value as u64)
    }
}

static HANDLER: Global<fn(u64)> = Global::new();

/// The worker threads that run watches' handlers; dropping it runs what is queued to its end.
pub struct Watching(());

impl Watching {
    /// Starts them. `handler` gets the number of a watch that was kicked or whose file changed, and
    /// never runs twice at the same time for one watch. Only one handler can be set.
    pub fn start(handler: fn(u64)) -> Result<Self> {
        HANDLER.set(handler)?;
        // SAFETY: called once, by the line above.
        Errno::check(unsafe { raw::kpi_watch_init() }).map(|_| Self(()))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // SAFETY: started; who drops this has dropped all watches.
        unsafe { raw::kpi_watch_exit() }
    }
}

/// Runs the handler when a file changed. Keeps the file.
///
/// # Invariants
/// `raw` is a live watch that only this value knows.
pub struct Watch {
    raw: NonNull<raw::kpi_watch>,
}

// SAFETY: the kernel's work items may be used from any context.
unsafe impl Send for Watch {}
// SAFETY: as above.
unsafe impl Sync for Watch {}

impl Watch {
    /// Of `file`; the handler gets `id`.
    pub fn new(file: &FileRef, id: u64) -> Result<Self> {
        // SAFETY: a live file; the watch takes a reference of its own.
        let raw = NonNull::new(unsafe { raw::kpi_watch_new(file.as_raw(), id) });
        raw.map(|raw| Self { raw }).ok_or(Errno::ENOMEM)
    }

    /// Runs the handler soon.
    pub fn kick(&self) {
        // SAFETY: a live watch.
        unsafe { raw::kpi_watch_kick(self.raw.as_ptr()) }
    }

    /// Runs the handler after a while; only the last such call counts.
    pub fn kick_after_ms(&self, delay_ms: u32) {
        // SAFETY: a live watch.
        unsafe { raw::kpi_watch_kick_after(self.raw.as_ptr(), delay_ms) }
    }

    /// Runs the handler once at the next change: look at the file after this. True if it changed
    /// since the watch was armed last. In the handler only.
    pub fn arm(&self) -> bool {
        // SAFETY: a live watch; the handler does not run twice at the same time.
        unsafe { raw::kpi_watch_arm(self.raw.as_ptr()) }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // SAFETY: a live watch, given up; it ends in a worker.
        unsafe { raw::kpi_watch_free(self.raw.as_ptr()) }
    }
}

#[no_mangle]
extern "C" fn kapi_watch_run(id: u64) {
    if let Some(handler) = HANDLER.get() {
        handler(id);
    }
}
