//! `log` records to the kernel's log.

use core::fmt::{self, Write};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::raw;

/// A line that is longer is cut.
const LINE_LEN_MAX: usize = 240;

/// Text of a bounded length, cut at the end of a character.
pub struct Line<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Line<N> {
    /// Empty.
    pub const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    /// What was written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl<const N: usize> Default for Line<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Write for Line<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut end = text.len().min(N - self.len);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.bytes[self.len..self.len + end].copy_from_slice(&text.as_bytes()[..end]);
        self.len += end;
        Ok(())
    }
}

struct KernelLog;

static LOG: KernelLog = KernelLog;

fn kernel_level(level: Level) -> u32 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// Writes one line at a kernel log level (3 error to 7 debug).
pub(crate) fn print(level: u32, text: fmt::Arguments<'_>) {
    let mut line = Line::<LINE_LEN_MAX>::new();
    // Cannot fail: `Line` cuts.
    let _ = line.write_fmt(text);
    let bytes = line.as_bytes();
    // SAFETY: the bytes are readable for their length.
    unsafe { raw::kpi_log(level, bytes.as_ptr(), bytes.len()) }
}

impl Log for KernelLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            print(kernel_level(record.level()), *record.args());
        }
    }

    fn flush(&self) {}
}

/// Sends `log`'s records to the kernel's log from now on.
pub(crate) fn install() {
    // A second call fails and changes nothing.
    let _ = log::set_logger(&LOG);
    log::set_max_level(LevelFilter::Info);
}

/// Chooses what is logged: 0 nothing to 5 everything.
pub fn set_level(level: u64) {
    log::set_max_level(match level {
        0 => LevelFilter::Off,
        1 => LevelFilter::Error,
        2 => LevelFilter::Warn,
        3 => LevelFilter::Info,
        4 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    });
}
