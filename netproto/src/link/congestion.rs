//! Congestion window of the bulk class, counted in fragments.
//!
//! Additive increase, multiplicative decrease: from 10 fragments it grows by one with each that is
//! acknowledged up to the threshold, and above it by one per window; it is halved once per window
//! in which a fragment was lost, and falls to 4 when the retransmission timeout runs out. The other
//! classes are short and urgent; they are held by their own windows only and do not count here.
//! There is no pacing: a window leaves in one burst of at most 128 fragments.

use crate::limits::WINDOW_LEN;

const WINDOW_INITIAL: u64 = 10;
const WINDOW_MIN: u64 = 4;

/// The state of one session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Congestion {
    window: u64,
    threshold: u64,
    /// Acknowledged fragments that have not yet made the window grow.
    credit: u64,
    /// Losses of what was sent before this order number belong to a decrease already made.
    recovered_at: u64,
}

impl Congestion {
    pub(crate) const fn new() -> Self {
        Self { window: WINDOW_INITIAL, threshold: WINDOW_LEN, credit: 0, recovered_at: 0 }
    }

    /// How many fragments may be in flight.
    pub(crate) const fn window(&self) -> u64 {
        self.window
    }

    /// `count` fragments were acknowledged for the first time.
    pub(crate) fn on_acked(&mut self, count: u64) {
        if self.window < self.threshold {
            self.window = self.window.saturating_add(count).min(self.threshold);
        } else {
            self.credit = self.credit.saturating_add(count);
            if self.credit >= self.window {
                self.credit = self.credit.saturating_sub(self.window);
                self.window = self.window.saturating_add(1).min(WINDOW_LEN);
            }
        }
    }

    /// A fragment sent as number `order` is lost; `order_next` is the next to be sent.
    pub(crate) fn on_loss(&mut self, order: u64, order_next: u64) {
        if order >= self.recovered_at {
            self.window = (self.window / 2).max(WINDOW_MIN);
            self.threshold = self.window;
            self.credit = 0;
            self.recovered_at = order_next;
        }
    }

    /// The retransmission timeout ran out; `order_next` is the next to be sent.
    pub(crate) fn on_timeout(&mut self, order_next: u64) {
        self.threshold = (self.window / 2).max(WINDOW_MIN);
        self.window = WINDOW_MIN;
        self.credit = 0;
        self.recovered_at = order_next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_shrinks_within_its_bounds() {
        let mut c = Congestion::new();
        c.on_acked(5);
        assert_eq!(c.window(), 15);
        c.on_acked(u64::MAX);
        assert_eq!(c.window(), WINDOW_LEN);
        c.on_loss(10, 30);
        assert_eq!(c.window(), 64);
        c.on_loss(29, 40);
        assert_eq!(c.window(), 64, "one decrease per window");
        c.on_loss(30, 50);
        assert_eq!(c.window(), 32);
        c.on_acked(31);
        assert_eq!(c.window(), 32);
        c.on_acked(1);
        assert_eq!(c.window(), 33);
        c.on_timeout(60);
        assert_eq!(c.window(), WINDOW_MIN);
        for order in 60..100 {
            c.on_loss(order, order + 1);
        }
        assert_eq!(c.window(), WINDOW_MIN);
        c.on_acked(WINDOW_MIN);
        assert_eq!(c.window(), 5);
    }
}
