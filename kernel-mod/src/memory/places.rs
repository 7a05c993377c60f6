//! Where a process has pages of its own: what its image lists instead of their content.

use kapi::{
    mm::{AreaKind, Mm, Run as RawRun},
    page::BATCH_MAX,
    thread::fatal_signal_pending,
    Errno, Result,
};
use vm_remote::run::{Run, RunSet};

/// Page numbers, by the kind of memory.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// In anonymous memory.
    pub(crate) anon: RunSet,
    /// Written pages of private file memory.
    pub(crate) written: RunSet,
}

/// Runs of populated page tables looked at per call.
const RUNS: usize = 32;

/// Looks through an address space. It may run meanwhile; then the answer is as of some moment in
/// between for each page.
pub(crate) fn collect(mm: &Mm) -> Result<Places> {
    let mut places = Places::default();
    // A page in swap can't be told from a hole without reading it: then all that may be there
    // counts, and the source says later what is zero.
    let exact = !mm.has_swapped();
    let mut at = 0;
    while let Some(area) = mm.area(at)? {
        match area.kind {
            AreaKind::Anon => add(mm, area.start, area.end, exact, &mut places.anon)?,
            AreaKind::Written => add(mm, area.start, area.end, true, &mut places.written)?,
            AreaKind::Clean | AreaKind::Special => (),
        }
        at = area.end;
        if fatal_signal_pending() {
            return Err(Errno::EINTR);
        }
    }
    Ok(places)
}

fn add(mm: &Mm, start: u64, end: u64, exact: bool, to: &mut RunSet) -> Result {
    let mut runs = [RawRun { start: 0, pages: 0 }; RUNS];
    let mut at = start;
    while at < end {
        let (count, next) = mm.populated(at, end, &mut runs)?;
        for run in runs.iter().take(count) {
            if exact {
                add_present(mm, run, to)?;
            } else {
                add_run(run.start / Mm::PAGE, run.pages, to)?;
            }
        }
        if next <= at {
            return Err(Errno::EIO);
        }
        at = next;
    }
    Ok(())
}

fn add_run(first: u64, pages: u64, to: &mut RunSet) -> Result {
    match Run::new(first, pages) {
        Some(run) => Ok(to.insert(run)?),
        None => Ok(()),
    }
}

/// Adds those pages of a run that are there.
fn add_present(mm: &Mm, run: &RawRun, to: &mut RunSet) -> Result {
    let mut done = 0;
    while done < run.pages {
        let pages = (run.pages - done).min(BATCH_MAX as u64);
        let start = run.start + done * Mm::PAGE;
        let bits = mm.present(start, pages)?;
        let is_there = |at: &u64| bits[(*at / 64) as usize] >> (*at % 64) & 1 != 0;
        let mut at = 0;
        while let Some(from) = (at..pages).find(is_there) {
            let count = (from..pages).take_while(is_there).count() as u64;
            add_run(start / Mm::PAGE + from, count, to)?;
            at = from + count;
        }
        done += pages;
    }
    Ok(())
}
