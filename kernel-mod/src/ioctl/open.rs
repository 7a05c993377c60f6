//! An open `/dev/holon`.

use core::sync::atomic::{AtomicU64, Ordering};

use kapi::{
    chardev::{Blocking, Handle, PollTable, Ready},
    uaccess::UserSlice,
    Errno, Result,
};

use super::table;
use crate::{
    areas::AREAS,
    control::{daemon, events, stats},
};

static OPENED: AtomicU64 = AtomicU64::new(0);

/// One opener of the device.
pub(crate) struct OpenFile {
    id: u64,
}

impl OpenFile {
    /// With a number of its own.
    pub(crate) fn new() -> Self {
        Self { id: OPENED.fetch_add(1, Ordering::Relaxed) + 1 }
    }

    /// Its number, never 0.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }
}

impl Handle for OpenFile {
    fn ioctl(&self, cmd: u32, arg: u64) -> Result<u64> {
        table::call(self, cmd, arg).inspect_err(|_| stats::IOCTL_REFUSED.add(1))
    }

    fn read(&self, to: UserSlice, blocking: Blocking) -> Result<usize> {
        if !daemon::is(self.id) {
            return Err(Errno::EBADF);
        }
        events::read(to, blocking)
    }

    fn poll(&self, table: &PollTable<'_>) -> Ready {
        if daemon::is(self.id) {
            events::poll(table)
        } else {
            Ready { readable: false, hangup: true }
        }
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        AREAS.iter().for_each(|area| (area.opener_closed)(self.id));
    }
}
