//! When to send a request again, and when to give up.
//!
//! ```text
//!  poll ─> Send ─> poll ─> Wait(first) ─> Send ─> Wait(2 first) … Wait(longest) … ─> GiveUp
//! ```
//! An answer to a part of the request starts both over.

use netproto::{Duration, Instant};

use crate::limits::RETRY_DOUBLINGS_MAX;

/// The waits, already scaled to the machine's pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Before the second sending.
    pub first: Duration,
    /// Between two sendings at most.
    pub longest: Duration,
    /// Without any answer, from the first sending on.
    pub give_up: Duration,
}

impl Policy {
    /// This policy on a machine `scale` times slower.
    #[must_use]
    pub const fn scaled(self, scale: u64) -> Self {
        Self {
            first: self.first.times(scale),
            longest: self.longest.times(scale),
            give_up: self.give_up.times(scale),
        }
    }
}

impl Default for Policy {
    /// For a local network of real machines: a round trip takes well under a millisecond, and
    /// membership tells of a dead peer long before the end.
    fn default() -> Self {
        Self {
            first: Duration::from_ms(20),
            longest: Duration::from_ms(250),
            give_up: Duration::from_ms(30_000),
        }
    }
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Send it (again).
    Send,
    /// Nothing for this long.
    Wait(Duration),
    /// It has been tried for long enough.
    GiveUp,
}

/// One request's sendings.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    policy: Policy,
    since: Instant,
    next: Instant,
    sendings: u32,
}

impl Retry {
    /// Starts now.
    #[must_use]
    pub const fn new(policy: Policy, now: Instant) -> Self {
        Self {
            policy,
            since: now,
            next: now,
            sendings: 0,
        }
    }

    /// What to do at `now`. After [`Step::Send`] the caller has sent.
    pub fn poll(&mut self, now: Instant) -> Step {
        if now.since(self.since) >= self.policy.give_up {
            return Step::GiveUp;
        }
        if now < self.next {
            let until_end = self.since.after(self.policy.give_up).since(now);
            let until_next = self.next.since(now);
            return Step::Wait(until_next.min(until_end));
        }
        let doublings = self.sendings.min(RETRY_DOUBLINGS_MAX);
        let pause = self
            .policy
            .first
            .times(1 << doublings)
            .min(self.policy.longest);
        self.sendings = self.sendings.saturating_add(1);
        self.next = now.after(pause);
        Step::Send
    }

    /// A part of the request was answered.
    pub fn progress(&mut self, now: Instant) {
        self.since = now;
        self.sendings = 1;
        self.next = now.after(self.policy.first);
    }

    /// How often it was sent.
    #[must_use]
    pub const fn sendings(&self) -> u32 {
        self.sendings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Instant {
        Instant::ZERO.after(Duration::from_ms(ms))
    }

    fn policy() -> Policy {
        Policy {
            first: Duration::from_ms(10),
            longest: Duration::from_ms(30),
            give_up: Duration::from_ms(100),
        }
    }

    #[test]
    fn waits_double_up_to_the_longest_and_end() {
        let mut retry = Retry::new(policy(), ms(0));
        assert_eq!(retry.poll(ms(0)), Step::Send);
        assert_eq!(retry.poll(ms(0)), Step::Wait(Duration::from_ms(10)));
        assert_eq!(retry.poll(ms(10)), Step::Send);
        assert_eq!(retry.poll(ms(10)), Step::Wait(Duration::from_ms(20)));
        assert_eq!(retry.poll(ms(30)), Step::Send);
        assert_eq!(
            retry.poll(ms(30)),
            Step::Wait(Duration::from_ms(30)),
            "longest"
        );
        assert_eq!(retry.poll(ms(90)), Step::Send);
        assert_eq!(
            retry.poll(ms(90)),
            Step::Wait(Duration::from_ms(10)),
            "not past the end"
        );
        assert_eq!(retry.poll(ms(100)), Step::GiveUp);
    }

    #[test]
    fn progress_starts_over() {
        let mut retry = Retry::new(policy(), ms(0));
        assert_eq!(retry.poll(ms(0)), Step::Send);
        assert_eq!(retry.poll(ms(95)), Step::Send);
        retry.progress(ms(99));
        assert_eq!(retry.poll(ms(100)), Step::Wait(Duration::from_ms(9)));
        assert_eq!(retry.poll(ms(109)), Step::Send);
        assert_eq!(retry.poll(ms(199)), Step::GiveUp);
    }

    #[test]
    fn a_clock_that_steps_back_only_waits() {
        let mut retry = Retry::new(policy(), ms(50));
        assert_eq!(retry.poll(ms(50)), Step::Send);
        assert!(matches!(retry.poll(ms(0)), Step::Wait(_)));
    }

    #[test]
    fn scaling_stretches_all() {
        let slow = policy().scaled(3);
        assert_eq!(slow.first, Duration::from_ms(30));
        assert_eq!(slow.give_up, Duration::from_ms(300));
    }
}
