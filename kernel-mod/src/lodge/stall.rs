//! How long programs of this node wait for memory, as the daemon measures it.

use core::{
    fmt::Write,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use holon_uapi::memory as uapi;
use kapi::{
    clock,
    sysctl::{Entry, TextFn, Value},
    Errno, Result,
};

use crate::ioctl::{
    open::OpenFile,
    table::{must_be_zero, take},
};

const WHOLE: u32 = 10_000;

static SHARE: AtomicU32 = AtomicU32::new(0);
static TOLD_NS: AtomicU64 = AtomicU64::new(0);

static TEXT: TextFn = |out: &mut dyn Write| {
    let _ = write!(out, "{}", share());
};

/// For the area's table.
pub(super) fn entry() -> Entry {
    Entry { name: c"stall", value: Value::Text(&TEXT) }
}

/// Takes a `MemStall`.
pub(super) fn set(_file: &OpenFile, arg: u64) -> Result<u64> {
    let stall: uapi::MemStall = take(arg)?;
    must_be_zero(&[stall.reserved])?;
    if stall.share > WHOLE {
        return Err(Errno::EINVAL);
    }
    SHARE.store(stall.share, Ordering::Relaxed);
    TOLD_NS.store(clock::now_ns(), Ordering::Relaxed);
    Ok(0)
}

/// Of the last interval, in hundredths of a per cent; none if nobody has measured it lately.
pub(super) fn share() -> u32 {
    let age_ns = clock::now_ns().saturating_sub(TOLD_NS.load(Ordering::Relaxed));
    if age_ns > uapi::STALL_FRESH_MS * 1_000_000 {
        return 0;
    }
    SHARE.load(Ordering::Relaxed)
}
