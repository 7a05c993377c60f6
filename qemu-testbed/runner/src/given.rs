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
    /// How many there are.
    processors: u64,
    /// They ran something of ours.
    ran: u64,
    /// They had nothing to run.
    idle: u64,
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
        let sum =
            |places: &[usize]| places.iter().map(|place| all.get(*place)).sum::<Option<u64>>();
        let is_one = |line: &&str| {
            let number = line.strip_prefix("cpu");
            number.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
        };
        Some(Self {
            processors: text.lines().filter(is_one).count() as u64,
            ran: sum(&[0, 1, 2, 5, 6])?,
            idle: sum(&[3, 4])?,
            stolen: sum(&[7])?,
        })
    }

    /// What was given of the time since then.
    fn share_since(self, then: Self) -> f64 {
        let [ran, idle, stolen] =
            [(self.ran, then.ran), (self.idle, then.idle), (self.stolen, then.stolen)]
                .map(|(now, then)| now.saturating_sub(then) as f64);
        if stolen == 0.0 {
            return 1.0;
        }
        // Of what was asked for, and of one processor's time: who asks for little loses little.
        let lost = stolen / (ran + stolen);
        let of_one = stolen * self.processors as f64 / (ran + idle + stolen);
        (1.0 - lost.min(of_one)).max(SHARE_MIN)
    }
}

/// Runs as long as the host's processors are ours.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    given: Duration,
    looked: Instant,
    ticks: Option<Ticks>,
}

impl Stopwatch {
    /// From now on.
    pub(crate) fn start() -> Self {
        Self { given: Duration::ZERO, looked: Instant::now(), ticks: Ticks::now() }
    }

    /// What was given since then; all of the time where the host does not tell. It is reckoned from
    /// one call to the next, so calls should be some seconds apart at most.
    pub(crate) fn elapsed(&mut self) -> Duration {
        self.look(Instant::now(), Ticks::now())
    }

    fn look(&mut self, looked: Instant, ticks: Option<Ticks>) -> Duration {
        let share = match (ticks, self.ticks) {
            (Some(now), Some(then)) => now.share_since(then),
            _ => 1.0,
        };
        self.given += (looked - self.looked).mul_f64(share);
        (self.looked, self.ticks) = (looked, ticks);
        self.given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  100 10 20 5000 7 3 2 65 40 0\n\
                        cpu0 50 5 10 2500 4 2 1 30 20 0\n\
                        cpu1 50 5 10 2500 3 1 1 35 20 0\n\
                        intr 5\n";

    #[test]
    fn reads_what_ran_and_what_was_stolen() {
        let wanted = Ticks { processors: 2, ran: 135, idle: 5007, stolen: 65 };
        assert_eq!(Ticks::parse(STAT), Some(wanted));
    }

    #[test]
    fn a_host_that_does_not_tell_is_not_read() {
        assert_eq!(Ticks::parse("cpu  1 2 3\n"), None);
        assert_eq!(Ticks::parse(""), None);
    }

    #[test]
    fn time_that_was_stolen_does_not_count() {
        let then = Ticks { processors: 2, ran: 100, idle: 50, stolen: 50 };
        let after = |ran: u64, idle: u64, stolen: u64| {
            let now = Ticks { ran: 100 + ran, idle: 50 + idle, stolen: 50 + stolen, ..then };
            now.share_since(then)
        };
        assert_eq!(after(200, 0, 0), 1.0);
        assert_eq!(after(0, 200, 0), 1.0, "nothing was asked for");
        assert_eq!(after(100, 0, 100), 0.5, "half of both processors");
        assert_eq!(after(0, 100, 100), SHARE_MIN, "all of the one that was wanted");
        assert_eq!(after(5, 190, 5), 0.95, "half of little");
        assert_eq!(after(0, 0, 200), SHARE_MIN, "a limit ends in the end");
    }

    #[test]
    fn a_stopwatch_adds_up_what_was_given() {
        let (looked, second) = (Instant::now(), Duration::from_secs(1));
        let ticks = Ticks { processors: 2, ran: 0, idle: 0, stolen: 0 };
        let mut watch = Stopwatch { given: Duration::ZERO, looked, ticks: Some(ticks) };
        let all = Ticks { ran: 200, ..ticks };
        assert_eq!(watch.look(looked + second, Some(all)), second);
        let half = Ticks { ran: 300, stolen: 100, ..ticks };
        assert_eq!(watch.look(looked + 2 * second, Some(half)), second + second / 2);
        assert_eq!(watch.look(looked + 3 * second, None), 2 * second + second / 2);
    }
}
