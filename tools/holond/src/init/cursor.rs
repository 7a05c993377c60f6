//! Keeps the next PID of the job's namespace inside this node's range.
//!
//! The kernel hands PIDs out upwards from a cursor. It is put at the slot's start, and put back
//! there before it leaves the slot; PIDs still in use are skipped by the kernel itself.

use holon_api::id::{pid_cursor_must_reset, pid_cursor_start, PIDS_PER_SLOT, SLOTS_MAX};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;

const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";
const PID_MAX: &str = "/proc/sys/kernel/pid_max";
/// Longer than any PID's text.
const TEXT_LEN_MAX: usize = 16;

/// The namespace's cursor.
///
/// Its file is opened once, before the view is built: away from home every path begins at the
/// home's file server, which must not make the job's init wait. Reads and writes of the open file
/// mean the caller's namespace.
pub(super) struct Cursor {
    file: File,
    slot: u32,
    last_seen: u32,
}

impl Cursor {
    /// Sets the namespace up: room for every slot's PIDs, cursor at our own.
    pub(super) fn start(slot: u32) -> io::Result<Self> {
        // Restored processes bring PIDs of any slot, so the limit is that of all slots.
        fs::write(PID_MAX, (PIDS_PER_SLOT * SLOTS_MAX).to_string())?;
        let file = OpenOptions::new().read(true).write(true).open(LAST_PID)?;
        let cursor = Self { file, slot, last_seen: 0 };
        cursor.reset()?;
        Ok(cursor)
    }

    fn reset(&self) -> io::Result<()> {
        self.file.write_all_at(pid_cursor_start(self.slot).to_string().as_bytes(), 0)
    }

    /// Puts it back if it has come too far. True if it had moved much since the last look.
    pub(super) fn guard(&mut self) -> io::Result<bool> {
        let last = read(&self.file)?;
        let busy = last > self.last_seen.saturating_add(PIDS_PER_SLOT / 64);
        self.last_seen = last;
        if pid_cursor_must_reset(self.slot, last) {
            self.reset()?;
        }
        Ok(busy)
    }
}

/// The number in a file, each time from the file's beginning.
fn read(file: &File) -> io::Result<u32> {
    let mut text = [0; TEXT_LEN_MAX];
    let got = file.read_at(&mut text, 0)?;
    let text = std::str::from_utf8(&text[..got]).map_err(io::Error::other)?;
    text.trim().parse().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_file_is_read_and_written_from_its_beginning() {
        let path = std::env::temp_dir().join(format!("holon-cursor-{}", std::process::id()));
        fs::write(&path, "300\n").expect("written");
        let file = OpenOptions::new().read(true).write(true).open(&path).expect("open");
        fs::remove_file(&path).expect("removed: no path is needed any more");
        assert_eq!((read(&file).ok(), read(&file).ok()), (Some(300), Some(300)));
        let far = PIDS_PER_SLOT - 1;
        file.write_all_at(far.to_string().as_bytes(), 0).expect("written");
        let mut cursor = Cursor { file, slot: 0, last_seen: 0 };
        assert!(cursor.guard().expect("read"), "it had moved far");
        cursor.file.set_len(1).expect("cut: the kernel's file has no rest of a longer number");
        assert_eq!(read(&cursor.file).ok(), Some(pid_cursor_start(0)));
    }
}
