//! Knobs and counters under `/proc/sys/holon`.

use core::{
    ffi::{c_char, c_void, CStr},
    fmt::Write,
    ptr::NonNull,
    sync::atomic::AtomicU64,
};

use rust_alloc::{boxed::Box, vec::Vec};

use crate::{
    errno::{Errno, Result},
    raw,
};

/// Writes the text of an entry.
pub type TextFn = fn(&mut dyn Write);

/// Hears that a knob was set. In the task that did.
pub type ToldFn = fn();

/// What an entry shows.
#[derive(Clone, Copy)]
pub enum Value {
    /// A number that only Holon changes.
    Counter(&'static AtomicU64),
    /// A number that root may set, from the second to the third.
    Knob(&'static AtomicU64, u64, u64),
    /// The same, and then it is told that it was set.
    Told(&'static AtomicU64, u64, u64, &'static ToldFn),
    /// A text made when it is read.
    Text(&'static TextFn),
}

/// One file of a table.
#[derive(Clone, Copy)]
pub struct Entry {
    /// The file's name.
    pub name: &'static CStr,
    /// What it shows.
    pub value: Value,
}

/// A directory of entries; dropping it takes them away.
pub struct Table {
    raw: NonNull<raw::kpi_sysctl_table>,
    // The kernel points to the bounds in here.
    _entries: Box<[raw::kpi_sysctl]>,
}

// SAFETY: only used to be dropped.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

fn number(data: &'static AtomicU64) -> *mut c_void {
    data.as_ptr().cast()
}

fn raw_entry(entry: &Entry) -> raw::kpi_sysctl {
    let mut told = core::ptr::null_mut();
    let (data, min, max, kind) = match entry.value {
        Value::Counter(data) => (number(data), 0, 0, raw::KPI_SYSCTL_COUNTER),
        Value::Knob(data, min, max) => (number(data), min, max, raw::KPI_SYSCTL_KNOB),
        Value::Told(data, min, max, tell) => {
            told = core::ptr::from_ref(tell).cast_mut().cast();
            (number(data), min, max, raw::KPI_SYSCTL_KNOB)
        }
        Value::Text(text) => {
            (core::ptr::from_ref(text).cast_mut().cast(), 0, 0, raw::KPI_SYSCTL_TEXT)
        }
    };
    let name: *const c_char = entry.name.as_ptr();
    raw::kpi_sysctl { name, data, min, max, kind, told }
}

impl Table {
    /// Makes the entries appear under `/proc/sys/<path>`, such as `holon/stats`.
    pub fn new(path: &'static CStr, entries: &[Entry]) -> Result<Self> {
        let mut list = Vec::new();
        list.try_reserve_exact(entries.len())?;
        list.extend(entries.iter().map(raw_entry));
        let list = list.into_boxed_slice();
        // SAFETY: names and data are static, the bounds live in `_entries` as long as the table.
        // The kernel writes numbers as whole aligned words, as an atomic does.
        let raw = unsafe { raw::kpi_sysctl_register(path.as_ptr(), list.as_ptr(), list.len()) };
        NonNull::new(raw).map(|raw| Self { raw, _entries: list }).ok_or(Errno::ENOMEM)
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: a live table, given up; waits for readers.
        unsafe { raw::kpi_sysctl_unregister(self.raw.as_ptr()) }
    }
}

struct Buffer<'a> {
    to: &'a mut [u8],
    len: usize,
}

impl Write for Buffer<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let count = text.len().min(self.to.len() - self.len);
        self.to[self.len..self.len + count].copy_from_slice(&text.as_bytes()[..count]);
        self.len += count;
        Ok(())
    }
}

/// # Safety
/// `data` is the text function of a registered entry, `out` is writable for `len`.
#[no_mangle]
unsafe extern "C" fn kapi_sysctl_text(data: *mut c_void, out: *mut u8, len: usize) -> usize {
    // SAFETY: by the function's contract; the shim zeroed the buffer.
    let (text, to) = unsafe { (*data.cast::<TextFn>(), core::slice::from_raw_parts_mut(out, len)) };
    let mut buffer = Buffer { to, len: 0 };
    text(&mut buffer);
    buffer.len
}

/// # Safety
/// `told` is the function of a registered entry.
#[no_mangle]
unsafe extern "C" fn kapi_sysctl_set(told: *mut c_void) {
    // SAFETY: by the function's contract.
    let told = unsafe { *told.cast::<ToldFn>() };
    told();
}
