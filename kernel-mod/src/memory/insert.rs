//! Puts far pages into an address space.

use core::sync::atomic::Ordering;

use kapi::{
    lodge::MmName,
    mm::{How, InsertBatch, Mm},
    page::{pool_grow, pool_stat, BATCH_MAX},
    thread::cond_resched,
    Errno, Result,
};
use vm_remote::{
    limits::HUGE_PAGES,
    run::{Run, RunSet},
    tag::Tag,
};

use super::{
    knobs, stats,
    target::{Placed, TargetSpace},
    Memory,
};

/// What may stand where a far page is put.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// Nothing.
    Holes,
    /// Nothing; huge pages are to be put in as far as that can be.
    HugeHoles,
    /// A private page of file memory, which is made first if need be.
    Private,
}

/// Another task may hold a page for a moment; it is tried again so often.
const TRIES: u32 = 8;

/// Pages `[start, start + pages * 4096)`, each with its own number. Gives the number of those that
/// went in. Those that are far already are passed over; `EBUSY` if any other can't be replaced.
/// With `Ok` each page of the range is far.
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
    let (mut at, mut placed, mut tries) = (first, 0, 0);
    while at < last {
        let wanted = Run::new(at, (last - at).min(BATCH_MAX as u64)).ok_or(Errno::EINVAL)?;
        let far = far_of(space, mm, &mut batch, wanted)?;
        let may_be_huge = over == Over::HugeHoles && far.is_empty() && is_huge(wanted);
        if may_be_huge && step_huge(memory, space, mm, &mut batch, wanted)? {
            placed += wanted.pages();
            (at, tries) = (wanted.end(), 0);
            continue;
        }
        if over == Over::Private {
            let near = far.missing_of(wanted)?;
            near.iter().try_for_each(|run| mm.unshare(run.first() * Mm::PAGE, run.pages()))?;
        }
        let how = if over == Over::Private { How::Replace } else { How::Holes };
        let done = step(memory, space, mm, &mut batch, wanted, how, far)?;
        placed += done.placed;
        if done.dry {
            grow(memory, 1)?;
        } else if done.refused {
            tries += 1;
            if tries == TRIES {
                return Err(Errno::EBUSY);
            }
            cond_resched();
        } else {
            at += done.looked_at;
            tries = 0;
        }
    }
    Ok(placed)
}

fn is_huge(run: Run) -> bool {
    run.first() % HUGE_PAGES == 0 && run.pages() == HUGE_PAGES
}

/// One huge page. False if it can't be one: something is there, or the pool has no whole one.
fn step_huge(
    memory: &Memory,
    space: &TargetSpace,
    mm: &Mm,
    batch: &mut InsertBatch,
    wanted: Run,
) -> Result<bool> {
    // If it can't grow, single pages may find room, or say so.
    let _ = grow(memory, wanted.pages());
    let done = match step(memory, space, mm, batch, wanted, How::Huge, RunSet::new()) {
        Err(Errno::EINVAL) => return Ok(false), // the mapping ends within
        done => done?,
    };
    stats::HUGE_INSERTED.add(u64::from(done.placed == wanted.pages()));
    Ok(done.placed == wanted.pages())
}

/// Those pages of the run that are the space's now: put in, and neither fetched nor unmapped since.
fn far_of(space: &TargetSpace, mm: &Mm, batch: &mut InsertBatch, run: Run) -> Result<RunSet> {
    let mut far = RunSet::new();
    let untouched = space.places.lock().set.missing_of(run)?;
    if untouched.first() == Some(&run) {
        return Ok(far);
    }
    // What a frame carries does not tell: of a huge page it carries it until the last part goes.
    let tags = mm.tags_of(batch, run.first() * Mm::PAGE, run.pages())?;
    for (tag, page) in tags.iter().zip(run.first()..) {
        let ours = Tag::new(space.handle, page).map_or(0, Tag::word);
        if let (true, Some(run)) = (*tag == ours, Run::new(page, 1)) {
            far.insert(run)?;
        }
    }
    Ok(far)
}

struct Done {
    looked_at: u64,
    placed: u64,
    dry: bool,
    refused: bool,
}

fn step(
    memory: &Memory,
    space: &TargetSpace,
    mm: &Mm,
    batch: &mut InsertBatch,
    wanted: Run,
    how: How,
    mut far: RunSet,
) -> Result<Done> {
    let mut places = space.places.lock();
    places.stream.reserve(BATCH_MAX)?;
    places.mm.get_or_insert_with(|| MmName::of(mm));
    let tag = Tag::new(space.handle, wanted.first()).ok_or(Errno::EINVAL)?;
    // A page may be given up as soon as it is in: it is counted before.
    memory.targets.expect(space.handle, wanted.pages());
    // Given up meanwhile, its handle may be another space's: from here on it can't be.
    if !space.state(|state| state.accepts_pages()) {
        memory.targets.unexpect(space.handle, wanted.pages());
        return Err(Errno::EINVAL);
    }
    let start = wanted.first() * Mm::PAGE;
    let result = mm.insert(batch, start, wanted.pages(), tag.word(), how);
    let taken = result.map_or(0, |inserted| inserted.taken);
    memory.targets.unexpect(space.handle, wanted.pages() - taken);
    let inserted = result?;
    let looked_at = Run::new(wanted.first(), inserted.looked_at).ok_or(Errno::EINVAL)?;
    let frames = batch.frames(inserted.looked_at);
    let placed = note(&mut places, frames, looked_at.first(), &mut far)?;
    stats::PAGES_INSERTED.add(placed);
    space.inserted.fetch_add(placed, Ordering::Relaxed);
    Ok(Done {
        looked_at: inserted.looked_at,
        placed,
        dry: inserted.dry,
        refused: !far.missing_of(looked_at)?.is_empty(),
    })
}

/// Notes which pages went in; gives how many.
fn note(places: &mut Placed, frames: &[u64], first: u64, far: &mut RunSet) -> Result<u64> {
    let (mut at, mut placed) = (0, 0);
    while let Some(from) = (at..frames.len()).find(|at| frames[*at] != 0) {
        let count = frames[from..].iter().take_while(|frame| **frame != 0).count();
        at = from + count;
        for (frame, page) in frames[from..at].iter().zip(first + from as u64..) {
            places.stream.push(*frame, page)?;
        }
        if let Some(run) = Run::new(first + from as u64, count as u64) {
            places.set.insert(run)?;
            far.insert(run)?;
        }
        placed += count as u64;
    }
    Ok(placed)
}

/// Whether the pool is to grow before it is empty.
pub(crate) fn pool_is_short() -> bool {
    let stat = pool_stat();
    stat.pages.saturating_sub(stat.used) < knobs::POOL_AHEAD
}

/// Has the pool grow before it is empty. May sleep and allocate, so it may wait for pages to go:
/// not for the thread that has them go.
pub(crate) fn pool_ahead() -> Result {
    let memory = super::get()?;
    let _one_at_a_time = memory.pool.lock();
    let stat = pool_stat();
    if !pool_is_short() {
        return Ok(());
    }
    let bytes = knobs::next_chunk(stat).ok_or(Errno::ENOMEM)?;
    pool_grow(bytes)
}

/// Adds a chunk, unless there are so many free pages by now.
fn grow(memory: &Memory, pages: u64) -> Result {
    let _one_at_a_time = memory.pool.lock_killable()?;
    let stat = pool_stat();
    if stat.pages.saturating_sub(stat.used) >= pages {
        return Ok(());
    }
    let bytes = knobs::next_chunk(stat).ok_or(Errno::ENOMEM)?;
    pool_grow(bytes).inspect_err(|errno| log::error!("the pool can't grow: {errno}"))
}
