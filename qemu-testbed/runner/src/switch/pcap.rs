//! Capture files of bounded size, one per link, in the classic pcap format.

use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

/// A file that has grown to this size becomes `NAME.1`, which replaces the one before.
const FILE_LEN_MAX: u64 = 16 << 20;
const SNAP_LEN: usize = 65_535;
const LINKTYPE_ETHERNET: u32 = 1;
const HEADER_LEN: usize = 24;
const RECORD_LEN: usize = 16;
const MAGIC_NS: u32 = 0xa1b2_3c4d;

/// One link's capture.
#[derive(Debug)]
pub(crate) struct Capture {
    path: PathBuf,
    file: BufWriter<File>,
    len: u64,
    dirty: bool,
}

impl Capture {
    /// Starts a new capture; what an earlier one left under this name is gone.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        match fs::remove_file(rotated(path)) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                Err(e).with_context(|| format!("remove the old {}", path.display()))
            }
            _ => Self::begin(path),
        }
    }

    fn begin(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
        let mut file = BufWriter::with_capacity(1 << 16, file);
        file.write_all(&header())?;
        Ok(Self { path: path.to_owned(), file, len: 0, dirty: true })
    }

    /// Adds a frame.
    pub(crate) fn record(&mut self, frame: &[u8]) -> Result<()> {
        if self.len > FILE_LEN_MAX {
            self.rotate()?;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let kept = &frame[..frame.len().min(SNAP_LEN)];
        let mut record = [0u8; RECORD_LEN];
        record[0..4].copy_from_slice(&(now.as_secs() as u32).to_le_bytes());
        record[4..8].copy_from_slice(&now.subsec_nanos().to_le_bytes());
        record[8..12].copy_from_slice(&(kept.len() as u32).to_le_bytes());
        record[12..16].copy_from_slice(&(frame.len() as u32).to_le_bytes());
        self.file.write_all(&record)?;
        self.file.write_all(kept)?;
        self.len += (record.len() + kept.len()) as u64;
        self.dirty = true;
        Ok(())
    }

    /// Whether something has not reached the file yet.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Brings all to the file.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.dirty = false;
        self.file.flush().context("flush capture")
    }

    fn rotate(&mut self) -> Result<()> {
        self.flush()?;
        fs::rename(&self.path, rotated(&self.path))?;
        *self = Self::begin(&self.path)?;
        Ok(())
    }
}

/// Where a full file goes.
fn rotated(path: &Path) -> PathBuf {
    let mut old = path.to_owned().into_os_string();
    old.push(".1");
    old.into()
}

/// The frames of a capture file; one that is being written may end in the middle of the last.
pub(crate) fn frames(mut file: &[u8]) -> impl Iterator<Item = &[u8]> {
    file = file.get(HEADER_LEN..).unwrap_or_default();
    std::iter::from_fn(move || {
        let record = file.get(..RECORD_LEN)?;
        let len = u32::from_le_bytes(record[8..12].try_into().ok()?);
        let end = RECORD_LEN + usize::try_from(len).ok()?;
        let frame = file.get(RECORD_LEN..end)?;
        file = &file[end..];
        Some(frame)
    })
}

fn header() -> [u8; HEADER_LEN] {
    let mut header = [0u8; HEADER_LEN];
    header[0..4].copy_from_slice(&MAGIC_NS.to_le_bytes());
    header[4..6].copy_from_slice(&2u16.to_le_bytes());
    header[6..8].copy_from_slice(&4u16.to_le_bytes());
    header[16..20].copy_from_slice(&(SNAP_LEN as u32).to_le_bytes());
    header[20..24].copy_from_slice(&LINKTYPE_ETHERNET.to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_back() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("link.pcap");
        let mut capture = Capture::create(&path).expect("create");
        for frame in [&b"first"[..], b"", b"third"] {
            capture.record(frame).expect("record");
        }
        capture.flush().expect("flush");
        let file = fs::read(&path).expect("read");
        assert_eq!(frames(&file).collect::<Vec<_>>(), [&b"first"[..], b"", b"third"]);
        assert_eq!(frames(&file[..file.len() - 1]).count(), 2, "the last is cut");
        assert_eq!(frames(&[]).count(), 0);
    }

    #[test]
    fn stays_bounded() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("link.pcap");
        let mut capture = Capture::create(&path).expect("create");
        for _ in 0..40_000 {
            capture.record(&[7; 1500]).expect("record");
        }
        capture.flush().expect("flush");
        let size = |p: &Path| fs::metadata(p).expect("metadata").len();
        assert!(size(&path) < FILE_LEN_MAX + 4096);
        assert!(size(&dir.path().join("link.pcap.1")) < FILE_LEN_MAX + 4096);
        // The next cluster's capture has nothing of this one's.
        Capture::create(&path).expect("create");
        assert!(!dir.path().join("link.pcap.1").exists());
    }
}
