//! Time as the host gives it. A host that is a virtual machine itself may have its processors taken
//! away for most of a minute ("steal"): what is waited for stands still meanwhile, and so do limits
//! that are measured by this.

use std::fs;
use std::time::{Duration, Instant};

/// Stolen time is believed up to this: a limit grows tenfold at most.
const SHARE_MIN: f64 = 0.1;

/// What the host's processors did so far, in ticks of all of them.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ticks {
    /// They ran something of ours.
    ran: u64,
    /// They had something to run, and others ran.
    stolen: u64,
}

impl Ticks {
    /// Now, where the host tells.
    fn now() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    /// Reads the line for all processors (proc_stat(5)): user, nice, system, idle, iowait, irq,
    /// softirq, steal; what guests ran is part of user.
    fn parse(text: &str) -> Option<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let all: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let ran = [0, 1, 2, 5, 6].iter().map(|place| all.get(*place)).sum::<Option<u64>>()?;
        Some(Self { ran, stolen: *all.get(7)? })
    }

    /// Of the time that was asked for since then, what was given.
    fn share_since(self, then: Self) -> f64 {
        let ran = self.ran.saturating_sub(then.ran) as f64;
        let stolen = self.stolen.saturating_sub(then.stolen) as f64;
        if ran + stolen == 0.0 {
            1.0
        } else {
            (ran / (ran + stolen)).max(SHARE_MIN)
        }
    }
}

/// Runs as long as the host's processors are ours.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    started: Instant,
    ticks: Option<Ticks>,
}

impl Stopwatch {
    /// From now on.
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), ticks: Ticks::now() }
    }

    /// What was given since then; all of the time where the host does not tell.
    pub(crate) fn elapsed(&self) -> Duration {
        let share = match (Ticks::now(), self.ticks) {
            (Some(now), Some(then)) => now.share_since(then),
            _ => 1.0,
        };
        self.started.elapsed().mul_f64(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  100 10 20 5000 7 3 2 65 40 0\ncpu0 1 1 1 1 1 1 1 1 0 0\nintr 5\n";

    #[test]
    fn reads_what_ran_and_what_was_stolen() {
        assert_eq!(Ticks::parse(STAT), Some(Ticks { ran: 135, stolen: 65 }));
    }

    #[test]
    fn a_host_that_does_not_tell_is_not_read() {
        assert_eq!(Ticks::parse("cpu  1 2 3\n"), None);
        assert_eq!(Ticks::parse(""), None);
    }

    #[test]
    fn time_that_was_stolen_does_not_count() {
        let then = Ticks { ran: 100, stolen: 50 };
        let at = |ran, stolen| Ticks { ran, stolen }.share_since(then);
        assert_eq!(at(200, 50), 1.0);
        assert_eq!(at(200, 150), 0.5);
        assert_eq!(at(100, 50), 1.0, "nothing was asked for");
        assert_eq!(at(100, 950), SHARE_MIN, "a limit ends in the end");
    }
}
