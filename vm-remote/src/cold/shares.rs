//! How much of each job lodges elsewhere, so that no job has more there than it may.

use alloc::vec::Vec;

/// Jobs counted at once.
const JOBS_MAX: usize = 255;

/// Where a job is counted, from 1 on; zero is for pages of no job.
pub type Place = u8;

#[derive(Debug, Clone, Copy)]
struct Share {
    job: u64,
    pages: u32,
}

/// Pages elsewhere, by job. All memory is taken at the start.
#[derive(Debug)]
pub struct Shares(Vec<Share>);

/// There is no memory for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoMemory;

impl Shares {
    /// Of no job yet.
    ///
    /// # Errors
    /// No memory.
    pub fn new() -> Result<Self, NoMemory> {
        let mut shares = Vec::new();
        shares.try_reserve_exact(JOBS_MAX).map_err(|_| NoMemory)?;
        shares.resize(JOBS_MAX, Share { job: 0, pages: 0 });
        Ok(Self(shares))
    }

    /// How many pages more a job may send, that may have `limit` elsewhere (zero: no limit). A job
    /// that can't be counted may send none.
    #[must_use]
    pub fn room(&self, job: u64, limit: u64) -> u64 {
        if job == 0 || limit == 0 {
            return u64::MAX;
        }
        match self.find(job) {
            Some(share) => limit.saturating_sub(u64::from(share.pages)),
            None if self.0.iter().any(|share| share.pages == 0) => limit,
            None => 0,
        }
    }

    /// Counts pages that leave; gives what to name when they end. Job zero is none, and not
    /// counted; nor is one for which there is no place.
    pub fn leave(&mut self, job: u64, pages: u32) -> Place {
        if job == 0 {
            return 0;
        }
        let known = self.0.iter().position(|share| share.pages != 0 && share.job == job);
        let at = known.or_else(|| self.0.iter().position(|share| share.pages == 0));
        let Some((at, share)) = at.and_then(|at| Some((at, self.0.get_mut(at)?))) else {
            return 0;
        };
        *share = Share { job, pages: share.pages.saturating_add(pages) };
        u8::try_from(at).map_or(0, |at| at.saturating_add(1))
    }

    /// Pages stayed after all, or nobody needs them any more.
    pub fn end(&mut self, place: Place, pages: u32) {
        let share = usize::from(place).checked_sub(1).and_then(|at| self.0.get_mut(at));
        if let Some(share) = share {
            share.pages = share.pages.saturating_sub(pages);
        }
    }

    fn find(&self, job: u64) -> Option<&Share> {
        self.0.iter().find(|share| share.pages != 0 && share.job == job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_has_no_more_than_its_limit_elsewhere() {
        let mut shares = Shares::new().expect("memory");
        assert_eq!(shares.room(7, 0), u64::MAX, "no limit");
        assert_eq!(shares.room(0, 10), u64::MAX, "no job");
        assert_eq!(shares.room(7, 10), 10);
        let place = shares.leave(7, 6);
        assert_eq!(shares.leave(7, 4), place, "one place for one job");
        assert_eq!(shares.room(7, 10), 0);
        assert_eq!(shares.room(7, 4), 0, "the limit was lowered");
        assert_eq!(shares.room(8, 10), 10, "another job");
        shares.end(place, 3);
        assert_eq!(shares.room(7, 10), 3);
    }

    #[test]
    fn a_place_is_used_again_when_nothing_is_left() {
        let mut shares = Shares::new().expect("memory");
        for job in 1..=255 {
            assert_ne!(shares.leave(job, 1), 0, "job {job}");
        }
        assert_eq!(shares.room(256, 10), 0, "no place to count it");
        assert_eq!(shares.leave(256, 1), 0);
        shares.end(3, 1);
        assert_eq!(shares.room(256, 10), 10);
        assert_eq!(shares.leave(256, 1), 3);
        assert_eq!(shares.room(3, 10), 0, "the one before has none left");
    }

    #[test]
    fn no_job_is_not_counted() {
        let mut shares = Shares::new().expect("memory");
        assert_eq!(shares.leave(0, 5), 0);
        shares.end(0, 5);
        shares.end(1, 5);
        assert_eq!(shares.room(1, 5), 5);
    }
}
