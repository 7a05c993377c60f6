//! Open files, held by reference.

use core::ptr::NonNull;

use rust_alloc::vec::Vec;

use crate::{
    alloc::zeroed_vec,
    errno::{Errno, Result},
    raw,
};

/// What can be told about an open file.
pub use crate::raw::kpi_tfile_info as FileInfo;
pub use crate::raw::{
    KPI_TFILE_ANON as KIND_ANON, KPI_TFILE_BLOCK as KIND_BLOCK, KPI_TFILE_CHAR as KIND_CHAR,
    KPI_TFILE_DIR as KIND_DIR, KPI_TFILE_FIFO as KIND_FIFO, KPI_TFILE_REGULAR as KIND_REGULAR,
    KPI_TFILE_SOCKET as KIND_SOCKET,
};

/// A reference to an open file.
pub struct FileRef(NonNull<raw::kpi_file>);

// SAFETY: a counted reference to an object with its own locks.
unsafe impl Send for FileRef {}
// SAFETY: as above.
unsafe impl Sync for FileRef {}

impl FileRef {
    /// # Safety
    /// `raw` is null or comes with a reference that is given up.
    pub(crate) unsafe fn from_raw(raw: *mut raw::kpi_file) -> Option<Self> {
        NonNull::new(raw).map(Self)
    }

    pub(crate) fn as_raw(&self) -> *mut raw::kpi_file {
        self.0.as_ptr()
    }

    /// The file behind a descriptor of the calling process.
    pub fn of_fd(fd: i32) -> Result<Self> {
        // SAFETY: no condition on the caller; the result is a reference.
        unsafe { Self::from_raw(raw::kpi_file_of_fd(fd)) }.ok_or(Errno::EBADF)
    }

    /// Opens a path (without its terminating zero) with the caller's root and credentials.
    pub fn open(path: &[u8], flags: u32) -> Result<Self> {
        let mut path_z = zeroed_vec(path.len() + 1)?;
        path_z[..path.len()].copy_from_slice(path);
        let mut err = 0;
        // SAFETY: a terminated string, a writable integer; the result is a reference.
        let file =
            unsafe { Self::from_raw(raw::kpi_file_open(path_z.as_ptr(), flags, &raw mut err)) };
        Errno::check(err)?;
        file.ok_or(Errno::EIO)
    }

    /// What it is.
    pub fn info(&self) -> FileInfo {
        let mut info = FileInfo::default();
        // SAFETY: a live file, a writable structure.
        unsafe { raw::kpi_tfile_info(self.as_raw(), &raw mut info) };
        info
    }

    /// Its path as the caller's root shows it; that of an unlinked one ends in " (deleted)".
    pub fn path(&self) -> Result<Vec<u8>> {
        let mut path = zeroed_vec(raw::KPI_FILE_NAME_LEN_MAX as usize)?;
        // SAFETY: a live file, a buffer of that length.
        let n = unsafe { raw::kpi_file_path(self.as_raw(), path.as_mut_ptr(), path.len()) };
        path.truncate(Errno::check_len(n)?);
        Ok(path)
    }

    /// The last component of its path: for anonymous inodes what they are.
    pub fn name(&self) -> [u8; 64] {
        let mut name = [0; 64];
        // SAFETY: a live file, a buffer of that length.
        unsafe { raw::kpi_tfile_name(self.as_raw(), name.as_mut_ptr(), name.len()) };
        name
    }

    /// Sets its position.
    pub fn seek(&self, pos: u64) -> Result {
        // SAFETY: a live file.
        Errno::check(unsafe { raw::kpi_file_seek(self.as_raw(), pos) }).map(drop)
    }

    /// Asks the file's server for its size and times: what was known from the opening is old once
    /// somebody else has written to it. Nothing to do for a local file.
    pub fn refresh(&self) -> Result {
        // SAFETY: a live file.
        Errno::check(unsafe { raw::kpi_file_refresh(self.as_raw()) }).map(drop)
    }

    /// A number that equal files share and that means nothing else.
    pub fn identity(&self) -> usize {
        self.as_raw() as usize
    }
}

impl Clone for FileRef {
    fn clone(&self) -> Self {
        // SAFETY: a live file.
        unsafe { raw::kpi_file_get(self.as_raw()) };
        Self(self.0)
    }
}

impl Drop for FileRef {
    fn drop(&mut self) {
        // SAFETY: we have a reference.
        unsafe { raw::kpi_file_put(self.as_raw()) }
    }
}
