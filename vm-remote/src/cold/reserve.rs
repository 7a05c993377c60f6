//! How much memory is kept available: for files, and for what programs take before pages have gone.
//!
//! What is kept so is missing for programs: where it is more than files need, pages go that come
//! back. What is too little has the kernel throw out files that are in use, for it finds nothing
//! else. Both are seen afterwards: by file pages that come back soon after they went (the kernel's
//! workingset detection), and by our pages that do. Each file page says that the reserve is a page
//! too small, each of ours that it is too large, by two if there are as many of programs' pages as
//! of files', for it has to go again. Where there are more of them it says less: one page more or
//! less would be one among many, and a program that goes through more than there is has its pages
//! come back whatever it is given. So it comes to rest where a page of one is used as much as a
//! page of the other, by what that costs. It fades, so that what files needed once is not missing
//! for ever.

/// The least reserve is this part of memory.
const LEAST_PART: u64 = 512;

/// But no more pages than this, 256 MiB: how much a program takes until pages have gone does not
/// grow with memory.
const LEAST_MAX: u64 = 1 << 16;

/// The largest is this part of memory.
const MOST_PART: u64 = 12;

/// File pages that weigh as much as one of ours, where there are as many of either.
const OURS_WEIGHS: u64 = 2;

/// What is above the least fades by this part at each call: with a call each 50 to 100 ms, by half
/// in one to two and a half minutes. Less is lost to what it keeps than to the files that go while
/// it is found again.
const FADES_PART: u64 = 2048;

/// The reserve, in pages.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reserve {
    pages: u64,
}

/// Pages of files, and of programs that may go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pages {
    /// Of files.
    pub files: u64,
    /// Of ours.
    pub ours: u64,
}

/// Limits of what is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// Pages go below this.
    pub low: u64,
    /// And until there are so many.
    pub high: u64,
}

impl Reserve {
    /// Of memory with `total` pages, of which so many are `here` now and so many came `back` since
    /// the last call. It does not grow while fewer are `available` than it is: it would be
    /// no nearer, and too large then.
    pub fn turn(&mut self, total: u64, available: u64, here: Pages, back: Pages) -> Marks {
        let least = (total / LEAST_PART).min(LEAST_MAX);
        let most = (total / MOST_PART).max(least);
        let faded = self.pages.saturating_sub(least).div_ceil(FADES_PART);
        let ours = back.ours.saturating_mul(OURS_WEIGHS).saturating_mul(here.files);
        let ours = ours / here.ours.max(1);
        let files = if available < self.pages { 0 } else { back.files };
        let kept = self.pages.saturating_sub(faded).saturating_add(files);
        let kept = kept.saturating_sub(ours);
        self.pages = kept.clamp(least, most);
        Marks { low: self.pages, high: self.pages.saturating_add(least) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOTAL: u64 = 480_000;
    const LEAST: u64 = TOTAL / LEAST_PART;
    const MOST: u64 = TOTAL / MOST_PART;

    /// As many of either.
    const EVEN: Pages = Pages { files: 20_000, ours: 20_000 };

    fn turn(reserve: &mut Reserve, files: u64, ours: u64) -> u64 {
        reserve.turn(TOTAL, TOTAL, EVEN, Pages { files, ours }).low
    }

    #[test]
    fn it_is_small_while_nothing_comes_back() {
        let mut reserve = Reserve::default();
        let marks = Marks { low: LEAST, high: 2 * LEAST };
        assert_eq!(reserve.turn(TOTAL, TOTAL, EVEN, Pages::default()), marks);
        assert_eq!(turn(&mut reserve, 0, 1_000), LEAST, "and never smaller");
        assert_eq!(reserve.turn(1 << 26, TOTAL, EVEN, Pages::default()).low, LEAST_MAX);
    }

    #[test]
    fn it_grows_for_files_that_come_back() {
        let mut reserve = Reserve::default();
        turn(&mut reserve, 0, 0);
        assert_eq!(turn(&mut reserve, 4_096, 0), LEAST + 4_096);
        assert_eq!(turn(&mut reserve, 300, 150), LEAST + 4_094, "pages come back as well");
        assert_eq!(turn(&mut reserve, u64::MAX, 0), MOST, "but no larger than this");
        let fades = (MOST - LEAST).div_ceil(FADES_PART);
        assert_eq!(turn(&mut reserve, 0, 50), MOST - fades - 100, "and is not stuck there");
    }

    #[test]
    fn what_counts_is_how_much_each_page_is_used() {
        let back = Pages { files: 1_000, ours: 1_000 };
        let raised = LEAST + 4_096;
        let fades = 4_096 / FADES_PART;
        let after = |here| {
            let mut reserve = Reserve::default();
            turn(&mut reserve, 0, 0);
            turn(&mut reserve, 4_096, 0);
            reserve.turn(TOTAL, TOTAL, here, back).low + fades
        };
        let here = |files, ours| Pages { files, ours };
        assert_eq!(after(EVEN), raised - 1_000, "two for one");
        assert_eq!(after(here(10_000, 20_000)), raised, "as much for each");
        assert_eq!(after(here(10_000, 40_000)), raised + 500, "files are used more");
        assert_eq!(after(here(20_000, 10_000)), raised - 3_000, "ours are");
        assert_eq!(after(here(10_000, 0)), LEAST + fades, "nothing is known of ours yet");
        assert_eq!(after(here(u64::MAX, 1)), LEAST + fades);
    }

    #[test]
    fn it_does_not_grow_before_it_is_there() {
        let mut reserve = Reserve::default();
        let back = Pages { files: 500, ours: 0 };
        assert_eq!(reserve.turn(TOTAL, 0, EVEN, back).low, LEAST);
        assert_eq!(reserve.turn(TOTAL, LEAST - 1, EVEN, back).low, LEAST);
        assert_eq!(reserve.turn(TOTAL, LEAST, EVEN, back).low, LEAST + 500);
        assert_eq!(reserve.turn(TOTAL, LEAST, EVEN, back).low, LEAST + 499);
    }

    #[test]
    fn it_fades() {
        let mut reserve = Reserve::default();
        turn(&mut reserve, u64::MAX, 0);
        let mut falls = core::iter::from_fn(|| Some(turn(&mut reserve, 0, 0))).take(20_000);
        let half = falls.position(|low| low <= LEAST.midpoint(MOST)).expect("it falls");
        assert!((1_000..2_000).contains(&half), "{half} calls");
        assert!(falls.any(|low| low == LEAST));
    }

    #[test]
    fn it_goes_with_memory() {
        let mut reserve = Reserve::default();
        turn(&mut reserve, u64::MAX, 0);
        let marks = reserve.turn(TOTAL / 4, TOTAL, EVEN, Pages::default());
        assert_eq!(marks.low, TOTAL / 4 / MOST_PART);
        let nothing = reserve.turn(0, 0, EVEN, Pages { files: 9, ours: 0 });
        assert_eq!(nothing, Marks { low: 0, high: 0 });
    }
}
