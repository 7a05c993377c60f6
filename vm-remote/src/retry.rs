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

/// The usual round trip, as answers tell it: a mean and a mean deviation, both smoothed.
///
/// Only answers to requests that were sent once count: of another it is not known which sending
/// was answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoundTrip {
    mean_ns: u64,
    deviation_ns: u64,
    doublings: u32,
}

impl RoundTrip {
    /// Nothing is known yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { mean_ns: 0, deviation_ns: 0, doublings: 0 }
    }

    /// An answer took so long.
    pub fn sample(&mut self, took: Duration) {
        let took = took.as_ns();
        self.doublings = 0;
        if self.mean_ns == 0 {
            (self.mean_ns, self.deviation_ns) = (took, took / 2);
            return;
        }
        let off = took.abs_diff(self.mean_ns);
        self.deviation_ns = smooth(self.deviation_ns, off, 4);
        self.mean_ns = smooth(self.mean_ns, took, 8);
    }

    /// An answer came to a request that was sent more than once. Either one was lost, or round
    /// trips have become longer than is waited for: until a clear one tells, the wait doubles.
    pub fn unclear(&mut self) {
        self.doublings = self.doublings.saturating_add(1).min(RETRY_DOUBLINGS_MAX);
    }

    /// The policy with a first wait that fits: at least a quarter of the given one, so that one
    /// late wake-up does not look like a loss, and never more than it.
    #[must_use]
    pub fn tune(&self, policy: Policy) -> Policy {
        self.tune_above(policy, policy.first.over(4))
    }

    /// As [`Self::tune`], with another lower bound.
    #[must_use]
    pub fn tune_above(&self, policy: Policy, least: Duration) -> Policy {
        if self.mean_ns == 0 {
            return policy;
        }
        let usual = self.mean_ns.saturating_add(self.deviation_ns.saturating_mul(4));
        let first = Duration::from_ns(usual).max(least).times(1 << self.doublings);
        Policy { first: first.min(policy.first), ..policy }
    }
}

fn smooth(old: u64, new: u64, parts: u64) -> u64 {
    let kept = old.saturating_sub(old.checked_div(parts).unwrap_or(0));
    kept.saturating_add(new.checked_div(parts).unwrap_or(0))
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
        Self { policy, since: now, next: now, sendings: 0 }
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
        let pause = self.policy.first.times(1 << doublings).min(self.policy.longest);
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

    /// A later request was answered whole: what is open of this one is likely to be lost.
    pub fn hurry(&mut self, now: Instant) {
        self.next = self.next.min(now);
    }

    /// When it was first sent, or a part of it last answered.
    #[must_use]
    pub const fn since(&self) -> Instant {
        self.since
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
        assert_eq!(retry.poll(ms(30)), Step::Wait(Duration::from_ms(30)), "longest");
        assert_eq!(retry.poll(ms(90)), Step::Send);
        assert_eq!(retry.poll(ms(90)), Step::Wait(Duration::from_ms(10)), "not past the end");
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
    fn a_likely_loss_is_repeated_at_once() {
        let mut retry = Retry::new(policy(), ms(0));
        assert_eq!(retry.poll(ms(0)), Step::Send);
        retry.hurry(ms(1));
        assert_eq!(retry.poll(ms(1)), Step::Send);
        assert_eq!(retry.poll(ms(1)), Step::Wait(Duration::from_ms(20)));
    }

    #[test]
    fn the_first_wait_follows_the_round_trip() {
        let mut trip = RoundTrip::new();
        assert_eq!(trip.tune(policy()), policy(), "nothing known");
        for _ in 0..100 {
            trip.sample(Duration::from_us(4000));
        }
        let first = trip.tune(policy()).first;
        assert!(first >= Duration::from_us(4000) && first < Duration::from_us(5000), "{first:?}");
        for _ in 0..100 {
            trip.sample(Duration::from_us(10));
        }
        assert_eq!(trip.tune(policy()).first, Duration::from_us(2500), "not below the floor");
        trip.sample(Duration::from_ms(10_000));
        assert_eq!(trip.tune(policy()).first, policy().first, "not above the given one");
    }

    #[test]
    fn unclear_answers_double_the_first_wait_until_a_clear_one() {
        let mut trip = RoundTrip::new();
        trip.unclear();
        assert_eq!(trip.tune(policy()), policy(), "nothing known");
        let least = Duration::from_us(500);
        for _ in 0..100 {
            trip.sample(Duration::from_us(10));
        }
        assert_eq!(trip.tune_above(policy(), least).first, least);
        trip.unclear();
        trip.unclear();
        assert_eq!(trip.tune_above(policy(), least).first, Duration::from_ms(2));
        (0..2).for_each(|_| trip.unclear());
        assert_eq!(trip.tune_above(policy(), least).first, Duration::from_ms(8));
        (0..40).for_each(|_| trip.unclear());
        let twice = least.times(2);
        assert_eq!(trip.tune_above(policy(), twice).first, policy().first, "not above the given");
        trip.sample(Duration::from_us(10));
        assert_eq!(trip.tune_above(policy(), least).first, least);
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
