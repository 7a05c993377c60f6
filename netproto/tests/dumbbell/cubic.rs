//! A TCP sender and receiver with CUBIC (RFC 9438) and ideal selective acknowledgement, to compare
//! with: no handshake, always data to send, 1448 bytes in a segment, an ack for every second one.

use std::collections::{BTreeMap, BTreeSet};

/// Payload of a segment, and what it takes on an Ethernet wire.
pub(crate) const SEGMENT_LEN: u64 = 1448;
pub(crate) const SEGMENT_WIRE: u64 = 1538;

const C: f64 = 0.4;
const BETA: f64 = 0.7;
const RTO_MIN_NS: u64 = 200_000_000;

#[derive(Debug, Clone, Copy)]
struct Sent {
    /// Which transmission carried it last.
    transmission: u64,
    at_ns: u64,
}

#[derive(Debug)]
pub(crate) struct Cubic {
    window: f64,
    threshold: f64,
    window_max: f64,
    estimate: f64,
    window_prior: f64,
    k: f64,
    epoch_ns: Option<u64>,
    next: u64,
    transmissions: u64,
    in_flight: BTreeMap<u64, Sent>,
    lost: BTreeSet<u64>,
    by_transmission: BTreeMap<u64, u64>,
    latest_acked: u64,
    /// Losses of transmissions before this one belong to a decrease already made.
    recovery: u64,
    smoothed_ns: f64,
    progress_ns: u64,
    /// The receiver's side.
    received: BTreeSet<u64>,
    expected: u64,
    unacked: Vec<(u64, u64)>,
}

impl Cubic {
    pub(crate) fn new() -> Self {
        Self {
            window: 10.0,
            threshold: f64::MAX,
            window_max: 0.0,
            estimate: 0.0,
            window_prior: 0.0,
            k: 0.0,
            epoch_ns: None,
            next: 0,
            transmissions: 0,
            in_flight: BTreeMap::new(),
            lost: BTreeSet::new(),
            by_transmission: BTreeMap::new(),
            latest_acked: 0,
            recovery: 0,
            smoothed_ns: 0.0,
            progress_ns: 0,
            received: BTreeSet::new(),
            expected: 0,
            unacked: Vec::new(),
        }
    }

    /// Bytes that the receiving program has got, in order.
    pub(crate) fn delivered(&self) -> u64 {
        self.expected * SEGMENT_LEN
    }

    /// The next segment to send: its number and its transmission's.
    pub(crate) fn poll(&mut self, now_ns: u64) -> Option<(u64, u64)> {
        if self.in_flight.len() as f64 >= self.window.floor() {
            return None;
        }
        let segment = self.lost.pop_first().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        });
        self.transmissions += 1;
        if self.in_flight.is_empty() {
            self.progress_ns = now_ns;
        }
        let sent = Sent { transmission: self.transmissions, at_ns: now_ns };
        self.in_flight.insert(segment, sent);
        self.by_transmission.insert(self.transmissions, segment);
        Some((segment, self.transmissions))
    }

    /// A segment arrives at the receiver: the ack that it sends, if any.
    pub(crate) fn receive(&mut self, segment: u64, transmission: u64) -> Vec<(u64, u64)> {
        let in_order = segment == self.expected;
        if segment >= self.expected {
            self.received.insert(segment);
        }
        while self.received.remove(&self.expected) {
            self.expected += 1;
        }
        self.unacked.push((segment, transmission));
        if self.unacked.len() >= 2 || !in_order {
            std::mem::take(&mut self.unacked)
        } else {
            Vec::new()
        }
    }

    /// The ack arrives at the sender.
    pub(crate) fn acked(&mut self, now_ns: u64, segments: &[(u64, u64)]) {
        let mut count = 0.0;
        for (segment, transmission) in segments {
            self.latest_acked = self.latest_acked.max(*transmission);
            let is_lost = self.lost.remove(segment);
            if let Some(sent) = self.in_flight.remove(segment) {
                self.by_transmission.remove(&sent.transmission);
                if sent.transmission == *transmission {
                    self.measure((now_ns - sent.at_ns) as f64);
                }
                count += 1.0;
            } else if is_lost {
                count += 1.0;
            }
        }
        if count > 0.0 {
            self.progress_ns = now_ns;
        }
        self.find_lost(now_ns);
        if self.latest_acked >= self.recovery {
            self.grow(now_ns, count);
        }
    }

    fn measure(&mut self, sample_ns: f64) {
        self.smoothed_ns = if self.smoothed_ns == 0.0 {
            sample_ns
        } else {
            self.smoothed_ns * 0.875 + sample_ns * 0.125
        };
    }

    fn find_lost(&mut self, now_ns: u64) {
        while let Some((transmission, segment)) = self.by_transmission.first_key_value() {
            let (transmission, segment) = (*transmission, *segment);
            if transmission + 3 > self.latest_acked {
                return;
            }
            self.by_transmission.pop_first();
            self.in_flight.remove(&segment);
            self.lost.insert(segment);
            if transmission >= self.recovery {
                self.decrease(now_ns);
                self.recovery = self.transmissions + 1;
            }
        }
    }

    fn decrease(&mut self, _now_ns: u64) {
        self.epoch_ns = None;
        // Fast convergence (4.7).
        self.window_max = if self.window < self.window_max {
            self.window * (1.0 + BETA) / 2.0
        } else {
            self.window
        };
        self.window_prior = self.window;
        self.window = (self.window * BETA).max(2.0);
        self.threshold = self.window;
    }

    fn grow(&mut self, now_ns: u64, count: f64) {
        if self.window < self.threshold {
            self.window += count;
            return;
        }
        let epoch_ns = *self.epoch_ns.get_or_insert_with(|| {
            self.k = ((self.window_max - self.window).max(0.0) / C).cbrt();
            self.estimate = self.window;
            self.window_max = self.window_max.max(self.window);
            now_ns
        });
        let t = (now_ns - epoch_ns) as f64 / 1e9;
        let curve = |t: f64| C * (t - self.k).powi(3) + self.window_max;
        let alpha = if self.estimate >= self.window_prior {
            1.0
        } else {
            3.0 * (1.0 - BETA) / (1.0 + BETA)
        };
        let at_present = curve(t);
        let target = curve(t + self.smoothed_ns / 1e9).clamp(self.window, 1.5 * self.window);
        self.estimate += alpha * count / self.window;
        if at_present < self.estimate {
            self.window = self.window.max(self.estimate);
        } else {
            self.window += (target - self.window) / self.window * count;
        }
    }

    /// When the retransmission timer runs out.
    pub(crate) fn deadline_ns(&self) -> Option<u64> {
        let rto = (self.smoothed_ns * 2.0) as u64;
        (!self.in_flight.is_empty()).then_some(self.progress_ns + rto.max(RTO_MIN_NS))
    }

    pub(crate) fn on_time(&mut self, now_ns: u64) {
        if self.deadline_ns().is_some_and(|at| at <= now_ns) {
            self.lost.extend(self.in_flight.keys());
            self.in_flight.clear();
            self.by_transmission.clear();
            self.decrease(now_ns);
            self.threshold = self.window;
            self.window = 1.0;
            self.recovery = self.transmissions + 1;
            self.progress_ns = now_ns;
        }
    }
}
