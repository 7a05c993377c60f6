//! When pages are to go, and how many.
//!
//! ```text
//!        low memory, stalls while it is lowish, the last call
//!   Calm ───────────────────────────────────────> Evicting
//!    ^   enough free for `calm` long                 │ those that went come back at once
//!    ├───────────────────────────────────────────────┤
//!    └──────────────── after `pause` ── Resting <────┘
//! ```
//! Between the two limits of free memory nothing changes, unless tasks stall: that is the
//! hysteresis. Above them stalls have other reasons, such as memory in small pieces, and pages that
//! go would not mend them. `Resting` is for a node whose
//! working set does not fit: to evict what is in use would only add to the stalls.

use netproto::{Duration, Instant};

/// The limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// PSI "some" of memory, in hundredths of a per cent of the last interval, at which it begins
    /// although only `free_high` is not reached.
    pub stall_start: u32,
    /// Free pages below which it begins.
    pub free_low: u64,
    /// And above which it may end.
    pub free_high: u64,
    /// How long it must be calm before it ends.
    pub calm: Duration,
    /// How long to rest when it does not pay.
    pub pause: Duration,
    /// Pages at once at most.
    pub step_max: u32,
    /// Of a hundred that went, so many came back too soon: it does not pay.
    pub returns_max: u32,
}

/// What is known of the last interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// PSI "some", in hundredths of a per cent.
    pub stall: u32,
    /// Free pages.
    pub free: u64,
    /// Pages that somebody asks for: the kernel's reclaim, or who needs room.
    pub asked: u64,
    /// Pages that went, and that came back too soon.
    pub went: u64,
    /// See `went`.
    pub returned: u64,
}

/// Where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing goes.
    Calm,
    /// Pages go; calm since then, if it is.
    Evicting(Option<Instant>),
    /// It did not pay; until then.
    Resting(Instant),
}

/// The decision.
#[derive(Debug, Clone, Copy)]
pub struct Pressure {
    limits: Limits,
    state: State,
    /// Of the pages that went lately, how many there were and how many came back: both fade.
    went: u64,
    returned: u64,
}

impl Pressure {
    /// Calm.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self { limits, state: State::Calm, went: 0, returned: 0 }
    }

    /// Where it is.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Sets the free pages below which it begins and above which it may end.
    pub const fn set_free(&mut self, low: u64, high: u64) {
        (self.limits.free_low, self.limits.free_high) = (low, high);
    }

    fn is_pressed(&self, reading: &Reading) -> bool {
        let limits = &self.limits;
        let is_stalled = reading.stall >= limits.stall_start && reading.free < limits.free_high;
        is_stalled || self.is_short(reading)
    }

    /// Somebody does without memory if nothing goes.
    const fn is_short(&self, reading: &Reading) -> bool {
        reading.free < self.limits.free_low || reading.asked > 0
    }

    fn is_relieved(&self, reading: &Reading) -> bool {
        reading.free >= self.limits.free_high && reading.asked == 0
    }

    fn pays(&self) -> bool {
        let most = self.went.saturating_mul(u64::from(self.limits.returns_max)) / 100;
        self.went < u64::from(self.limits.step_max) || self.returned <= most
    }

    /// How many pages are to go now.
    pub fn poll(&mut self, now: Instant, reading: &Reading) -> u32 {
        self.went = (self.went / 2).saturating_add(reading.went);
        self.returned = (self.returned / 2).saturating_add(reading.returned);
        self.state = match self.state {
            State::Calm if self.is_pressed(reading) => State::Evicting(None),
            State::Calm => State::Calm,
            // Out of memory is worse than to thrash.
            State::Evicting(_) if !self.pays() && !self.is_short(reading) => {
                (self.went, self.returned) = (0, 0);
                State::Resting(now.after(self.limits.pause))
            }
            State::Evicting(since) if self.is_relieved(reading) => match since {
                Some(since) if now.since(since) >= self.limits.calm => State::Calm,
                Some(since) => State::Evicting(Some(since)),
                None => State::Evicting(Some(now)),
            },
            State::Evicting(_) => State::Evicting(None),
            State::Resting(until) if now >= until => State::Calm,
            State::Resting(_) if self.is_short(reading) => State::Evicting(None),
            State::Resting(until) => State::Resting(until),
        };
        match self.state {
            State::Evicting(None) => self.step(reading),
            State::Evicting(Some(_)) | State::Calm | State::Resting(_) => 0,
        }
    }

    /// What is missing, or asked for.
    fn step(&self, reading: &Reading) -> u32 {
        let missing = self.limits.free_high.saturating_sub(reading.free).max(reading.asked);
        u32::try_from(missing).unwrap_or(u32::MAX).min(self.limits.step_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        stall_start: 500,
        free_low: 1_000,
        free_high: 3_000,
        calm: Duration::from_ms(2_000),
        pause: Duration::from_ms(5_000),
        step_max: 512,
        returns_max: 30,
    };
    const QUIET: Reading = Reading { stall: 0, free: 5_000, asked: 0, went: 0, returned: 0 };

    fn at(ms: u64) -> Instant {
        Instant::ZERO.after(Duration::from_ms(ms))
    }

    #[test]
    fn begins_on_each_kind_of_pressure() {
        for reading in [
            Reading { stall: 500, free: 2_999, ..QUIET },
            Reading { free: 999, ..QUIET },
            Reading { asked: 1, ..QUIET },
        ] {
            let mut pressure = Pressure::new(LIMITS);
            assert_eq!(pressure.poll(at(0), &QUIET), 0);
            assert!(pressure.poll(at(1), &reading) > 0, "{reading:?}");
        }
        let mut pressure = Pressure::new(LIMITS);
        let enough = Reading { stall: 10_000, ..QUIET };
        assert_eq!(pressure.poll(at(0), &enough), 0, "they don't wait for want of memory");
    }

    #[test]
    fn stops_when_it_is_calm_for_long_enough() {
        let mut pressure = Pressure::new(LIMITS);
        assert_eq!(pressure.poll(at(0), &Reading { free: 900, ..QUIET }), 512);
        let between = Reading { free: 2_900, stall: 300, ..QUIET };
        assert_eq!(pressure.poll(at(1), &between), 100, "goes on between the limits");
        assert_eq!(pressure.poll(at(2), &QUIET), 0, "nothing more goes");
        assert_eq!(pressure.poll(at(3), &between), 100, "but it is not over");
        assert_eq!(pressure.poll(at(4), &QUIET), 0);
        assert_eq!(pressure.poll(at(2_004), &QUIET), 0);
        assert_eq!(pressure.state(), State::Calm);
        assert_eq!(pressure.poll(at(2_005), &between), 0, "does not begin between the limits");
    }

    #[test]
    fn rests_when_what_went_comes_back() {
        let mut pressure = Pressure::new(LIMITS);
        let bad = Reading { stall: 5_000, free: 2_000, went: 600, returned: 400, ..QUIET };
        assert_eq!(pressure.poll(at(0), &bad), 512, "it was not our doing so far");
        assert_eq!(pressure.poll(at(1), &bad), 0);
        assert_eq!(pressure.state(), State::Resting(at(5_001)));
        assert_eq!(pressure.poll(at(2), &Reading { went: 0, returned: 0, ..bad }), 0);
        let empty = Reading { free: 10, ..bad };
        assert!(pressure.poll(at(3), &empty) > 0, "unless memory is all but gone");
        assert_eq!(pressure.poll(at(4), &bad), 0, "and again");
        let asked = Reading { asked: 100, ..bad };
        assert!(pressure.poll(at(5), &asked) > 0, "or the kernel asks");
    }

    #[test]
    fn goes_on_while_it_pays() {
        let mut pressure = Pressure::new(LIMITS);
        let good = Reading { free: 900, went: 600, returned: 50, ..QUIET };
        assert!((0..100).all(|ms| pressure.poll(at(ms), &good) > 0));
    }
}
