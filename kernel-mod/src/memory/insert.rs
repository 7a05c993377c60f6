//! Puts far pages into an address space.

use core::sync::atomic::Ordering;

use kapi::{
    mm::{InsertBatch, Mm},
    page::{pool_grow, pool_stat, BATCH_MAX},
    Errno, Result,
};
use vm_remote::tag::Tag;

use super::{knobs, stats, target::TargetSpace, Memory};

/// What may stand where a far page is put.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// Nothing.
    Holes,
    /// A private page of file memory, which is made first if need be.
    Private,
}

/// Pages `[start, start + pages * 4096)`, each with its own number. Gives the number of those that
/// went in: where a page is already, none does.
pub(super) fn insert(
    memory: &Memory,
    space: &TargetSpace,
    mm: &Mm,
    start: u64,
    pages: u64,
    over: Over,
) -> Result<u64> {
    if start % Mm::PAGE != 0 || !space.state(|state| state.accepts_pages()) {
        return Err(Errno::EINVAL);
    }
    let first = start / Mm::PAGE;
    let last = first.checked_add(pages).ok_or(Errno::EINVAL)?;
    Tag::new(space.handle, last).ok_or(Errno::EINVAL)?;
    let mut batch = InsertBatch::new()?;
    let (mut at, mut placed) = (first, 0);
    while at < last {
        let wanted = (last - at).min(BATCH_MAX as u64);
        if over == Over::Private {
            mm.unshare(at * Mm::PAGE, wanted)?;
        }
        let (looked_at, count, dry) = step(memory, space, mm, &mut batch, at, wanted, over)?;
        placed += count;
        if dry {
            grow(memory)?;
        } else if looked_at == 0 {
            return Err(Errno::EIO);
        } else {
            at += looked_at;
        }
    }
    Ok(placed)
}

fn step(
    memory: &Memory,
    space: &TargetSpace,
    mm: &Mm,
    batch: &mut InsertBatch,
    at: u64,
    wanted: u64,
    over: Over,
) -> Result<(u64, u64, bool)> {
    let mut stream = space.stream.lock();
    stream.reserve(BATCH_MAX)?;
    let tag = Tag::new(space.handle, at).ok_or(Errno::EINVAL)?;
    // A page may be given up as soon as it is in: it is counted before.
    memory.targets.expect(space.handle, wanted);
    let result = mm.insert(batch, at * Mm::PAGE, wanted, tag.word(), over == Over::Private);
    let taken = result.map_or(0, |inserted| inserted.taken);
    memory.targets.unexpect(space.handle, wanted - taken);
    let inserted = result?;
    let mut placed = 0;
    for (frame, page) in batch.frames(inserted.looked_at).iter().zip(at..) {
        if *frame != 0 {
            stream.push(*frame, page)?;
            placed += 1;
        }
    }
    stats::PAGES_INSERTED.add(placed);
    space.inserted.fetch_add(placed, Ordering::Relaxed);
    Ok((inserted.looked_at, placed, inserted.dry))
}

/// Adds a chunk, unless somebody else just did.
fn grow(memory: &Memory) -> Result {
    let _one_at_a_time = memory.pool.lock_killable()?;
    let stat = pool_stat();
    if stat.used < stat.pages {
        return Ok(());
    }
    let bytes = knobs::next_chunk(stat).ok_or(Errno::ENOMEM)?;
    pool_grow(bytes).inspect_err(|errno| log::error!("the pool can't grow: {errno}"))
}
