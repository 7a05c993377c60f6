//! When the next packet may leave, so that a window does not leave in one burst.

use crate::time::{Duration, Instant};

/// A driver that came late may make up for so much.
const LATENESS_MAX: Duration = Duration::from_ms(10);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Pacer {
    next_at: Instant,
    /// Nothing but the pacer kept the next packet back when the last one left.
    is_waited_for: bool,
}

impl Pacer {
    pub(crate) const fn new() -> Self {
        Self { next_at: Instant::ZERO, is_waited_for: false }
    }

    /// Whether a packet may leave.
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        self.next_at <= now
    }

    /// When the next packet may leave.
    pub(crate) const fn next_at(&self) -> Instant {
        self.next_at
    }

    /// A packet has left; the next one that waits may leave `spacing` after it. If packets were
    /// waiting, what the driver was late by is made up for; time in which there was nothing to send
    /// is not.
    pub(crate) fn on_sent(&mut self, now: Instant, spacing: Duration, is_waited_for: bool) {
        let due = if self.is_waited_for && now.since(self.next_at) <= LATENESS_MAX {
            self.next_at
        } else {
            self.next_at.max(now)
        };
        self.next_at = due.after(spacing);
        self.is_waited_for = is_waited_for;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_made_up_for_and_idleness_is_not() {
        let ms = |ms: u64| Instant::from_ns(ms * 1_000_000);
        let spacing = Duration::from_ms(2);
        let mut pacer = Pacer::new();
        pacer.on_sent(ms(100), spacing, true);
        assert!(!pacer.is_open(ms(101)) && pacer.is_open(ms(102)));
        pacer.on_sent(ms(105), spacing, true);
        assert_eq!(pacer.next_at(), ms(104), "three late: one more at once");
        pacer.on_sent(ms(105), spacing, false);
        assert_eq!(pacer.next_at(), ms(106));
        pacer.on_sent(ms(112), spacing, true);
        assert_eq!(pacer.next_at(), ms(114), "there was nothing to send");
        pacer.on_sent(ms(200), spacing, true);
        assert_eq!(pacer.next_at(), ms(202), "too late to make up for");
        pacer.on_sent(ms(201), spacing, true);
        assert_eq!(pacer.next_at(), ms(204), "a fault that did not wait is still counted");
    }
}
