//! How much memory is kept available: for files, and for what programs take before pages have gone.
//!
//! What is kept so is missing for programs: where it is more than files need, pages go that come
//! back. What is too little has the kernel throw out files that are in use, for it finds nothing
//! else. Both are seen afterwards: by file pages that come back soon after they went (the kernel's
//! workingset detection), and by our pages that do. Each file page says that the reserve is a page
//! too small, each of ours that it is two too large, for it has to go again. So it comes to rest
//! where one costs as much as the other, as in the kernel's own balance of files and swap. It
//! fades, so that what files needed once is not missing for ever.

/// The least reserve is this part of memory.
const LEAST_PART: u64 = 512;

/// But no more pages than this, 256 MiB: how much a program takes until pages have gone does not
/// grow with memory.
const LEAST_MAX: u64 = 1 << 16;

/// The largest is this part of memory.
const MOST_PART: u64 = 12;

/// File pages that weigh as much as one of ours.
const OURS_WEIGHS: u64 = 2;

/// What is above the least fades by this part at each call.
const FADES_PART: u64 = 64;

/// The reserve, in pages.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reserve {
    pages: u64,
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
    /// Of memory with `total` pages, of which `files` pages of files and `ours` of our own came
    /// back since the last call.
    pub fn turn(&mut self, total: u64, files: u64, ours: u64) -> Marks {
        let least = (total / LEAST_PART).min(LEAST_MAX);
        let most = (total / MOST_PART).max(least);
        let faded = self.pages.saturating_sub(least).div_ceil(FADES_PART);
        let ours = ours.saturating_mul(OURS_WEIGHS);
        let kept = self.pages.saturating_sub(faded).saturating_add(files).saturating_sub(ours);
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

    #[test]
    fn it_is_small_while_nothing_comes_back() {
        let mut reserve = Reserve::default();
        let marks = Marks { low: LEAST, high: 2 * LEAST };
        assert_eq!(reserve.turn(TOTAL, 0, 0), marks);
        assert_eq!(reserve.turn(TOTAL, 0, 1_000), marks, "and never smaller");
        assert_eq!(reserve.turn(1 << 26, 0, 0).low, LEAST_MAX);
    }

    #[test]
    fn it_grows_for_files_that_come_back() {
        let mut reserve = Reserve::default();
        reserve.turn(TOTAL, 0, 0);
        assert_eq!(reserve.turn(TOTAL, 6_400, 0).low, LEAST + 6_400);
        let after = LEAST + 6_300;
        assert_eq!(reserve.turn(TOTAL, 300, 150).low, after, "pages come back as well");
        assert_eq!(reserve.turn(TOTAL, u64::MAX, 0).low, MOST, "but no larger than this");
        let fades = (MOST - LEAST).div_ceil(FADES_PART);
        assert_eq!(reserve.turn(TOTAL, 0, 50).low, MOST - fades - 100, "and is not stuck there");
    }

    #[test]
    fn it_fades() {
        let mut reserve = Reserve::default();
        reserve.turn(TOTAL, u64::MAX, 0);
        let mut falls = core::iter::from_fn(|| Some(reserve.turn(TOTAL, 0, 0).low)).take(1_000);
        assert!(falls.any(|low| low == LEAST));
    }

    #[test]
    fn it_goes_with_memory() {
        let mut reserve = Reserve::default();
        reserve.turn(TOTAL, u64::MAX, 0);
        assert_eq!(reserve.turn(TOTAL / 4, 0, 0).low, TOTAL / 4 / MOST_PART);
        assert_eq!(reserve.turn(0, 9, 0), Marks { low: 0, high: 0 });
    }
}
