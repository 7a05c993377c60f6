//! Where a process has pages of its own: what its image lists instead of their content.

use kapi::{
    mm::{Area, AreaKind, Mm, Run as RawRun},
    thread::fatal_signal_pending,
    Errno, Result,
};
use vm_remote::{
    limits::HUGE_PAGES,
    run::{Run, RunSet},
};

/// Page numbers, by the kind of memory.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// In anonymous memory.
    pub(crate) anon: RunSet,
    /// Written pages of private file memory.
    pub(crate) written: RunSet,
    /// Of the anonymous ones, which are huge: numbers of huge pages.
    pub(crate) huge: RunSet,
}

/// Runs of populated page tables looked at per call.
const RUNS: usize = 32;

/// Looks through an address space. It may run meanwhile; then the answer is as of some moment in
/// between for each page.
pub(crate) fn collect(mm: &Mm) -> Result<Places> {
    collect_again(mm, &RunSet::new())
}

/// As [`collect`], but pages of `known` are not looked at: they count as there, wherever memory is
/// mapped that could have them. Costs next to nothing where page tables hold only known pages; made
/// for a process that is stopped meanwhile. If a known page is gone, the source will answer with
/// what its process would read there.
pub(crate) fn collect_again(mm: &Mm, known: &RunSet) -> Result<Places> {
    let mut places = Places::default();
    // A page in swap can't be told from a hole without reading it: then all that may be there
    // counts, and the source says later what is zero.
    let exact = !mm.has_swapped();
    let mut at = 0;
    while let Some(area) = mm.area(at)? {
        match area.kind {
            AreaKind::Anon => {
                let to = To { pages: &mut places.anon, huge: &mut places.huge };
                add(mm, &area, exact, known, to)?;
            }
            AreaKind::Written => {
                let to = To { pages: &mut places.written, huge: &mut places.huge };
                add(mm, &area, true, known, to)?;
            }
            AreaKind::Clean | AreaKind::Special => (),
        }
        at = area.end;
        if fatal_signal_pending() {
            return Err(Errno::EINTR);
        }
    }
    Ok(places)
}

/// Where what is found goes.
struct To<'a> {
    pages: &'a mut RunSet,
    huge: &'a mut RunSet,
}

fn add(mm: &Mm, area: &Area, exact: bool, known: &RunSet, mut to: To<'_>) -> Result {
    let mut runs = [RawRun { start: 0, pages: 0 }; RUNS];
    if let Some(all) = Run::new(area.start / Mm::PAGE, (area.end - area.start) / Mm::PAGE) {
        known.within(all).try_for_each(|part| to.pages.insert(part))?;
    }
    let mut at = area.start;
    while at < area.end {
        let (count, next) = mm.populated(at, area.end, &mut runs)?;
        for run in runs.iter().take(count) {
            let Some(run) = Run::new(run.start / Mm::PAGE, run.pages) else {
                continue;
            };
            for part in known.missing_of(run)? {
                add_present(mm, part, exact, &mut to)?;
            }
        }
        if next <= at {
            return Err(Errno::EIO);
        }
        at = next;
    }
    Ok(())
}

/// Adds those pages of a run that are there; all, if that can't be told exactly.
fn add_present(mm: &Mm, run: Run, exact: bool, to: &mut To<'_>) -> Result {
    let mut first = run.first();
    while first < run.end() {
        // Never parts of two huge pages.
        let pages = (run.end() - first).min(HUGE_PAGES - first % HUGE_PAGES);
        let present = mm.present(first * Mm::PAGE, pages)?;
        let is_there = |at: &u64| !exact || present.has(*at);
        let mut at = 0;
        while let Some(from) = (at..pages).find(is_there) {
            let count = (from..pages).take_while(is_there).count() as u64;
            if let Some(part) = Run::new(first + from, count) {
                to.pages.insert(part)?;
            }
            at = from + count;
        }
        if let (HUGE_PAGES, Some(huge)) = (present.huge(), Run::new(first / HUGE_PAGES, 1)) {
            to.huge.insert(huge)?;
        }
        first += pages;
    }
    Ok(())
}
