//! Which packets of the peer were received, and when to tell.

use super::frame::{Ack, Ranges};
use crate::limits::ACK_EVERY;
use crate::time::{Duration, Instant};

/// When the peer is to be told what was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Never,
    At(Instant),
    AtOnce,
}

/// The packets received in a session, as far as it matters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    ranges: Ranges,
    largest_at: Instant,
    due: Due,
    unacked: u32,
}

impl Seen {
    pub(crate) const fn new() -> Self {
        Self { ranges: Ranges::new(), largest_at: Instant::ZERO, due: Due::Never, unacked: 0 }
    }

    fn largest(&self) -> u64 {
        self.ranges.as_slice().first().map_or(0, |(_, last)| *last)
    }

    /// Notes a packet that is to be acknowledged. One that comes out of its turn, or again, is told
    /// at once; the others may wait for company.
    pub(crate) fn on_packet(&mut self, now: Instant, ack_delay: Duration, packet: u64) {
        let largest = self.largest();
        let is_next = packet == largest.saturating_add(1);
        self.insert(packet);
        if packet > largest {
            self.largest_at = now;
        }
        self.unacked = self.unacked.saturating_add(1);
        let is_urgent = !is_next || self.unacked >= ACK_EVERY;
        self.due = match self.due {
            _ if is_urgent => Due::AtOnce,
            Due::Never => Due::At(now.after(ack_delay)),
            due => due,
        };
    }

    fn insert(&mut self, packet: u64) {
        let runs = self.ranges.as_mut_slice();
        // The first run that is not wholly above the packet and apart from it.
        let is_near = |(first, _): &(u64, u64)| *first <= packet.saturating_add(1);
        let at = runs.iter().position(is_near).unwrap_or(runs.len());
        let Some((first, last)) = runs.get_mut(at) else {
            self.ranges.insert(at, (packet, packet));
            return;
        };
        if *first == packet.saturating_add(1) {
            *first = packet;
            let first = *first;
            let next = runs.get(at.saturating_add(1)).copied();
            if let Some((next_first, _)) = next.filter(|next| next.1.saturating_add(1) == first) {
                if let Some(run) = runs.get_mut(at) {
                    run.0 = next_first;
                }
                self.ranges.remove(at.saturating_add(1));
            }
        } else if packet > *last {
            if packet == last.saturating_add(1) {
                *last = packet;
            } else {
                self.ranges.insert(at, (packet, packet));
            }
        }
    }

    /// Whether an acknowledgement must leave now.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        match self.due {
            Due::Never => false,
            Due::At(due) => due <= now,
            Due::AtOnce => true,
        }
    }

    /// When an acknowledgement must leave, if later than at once.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        match self.due {
            Due::At(due) => Some(due),
            Due::Never | Due::AtOnce => None,
        }
    }

    /// The acknowledgement to add to a datagram that leaves: one that is due, even if later.
    pub(crate) fn ack(&self, now: Instant) -> Option<Ack> {
        let is_wanted = self.due != Due::Never;
        is_wanted.then(|| Ack { ranges: self.ranges, delay: now.since(self.largest_at) })
    }

    /// The acknowledgement has left.
    pub(crate) fn on_ack_sent(&mut self) {
        self.due = Due::Never;
        self.unacked = 0;
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn runs_are_what_was_received() {
        let mut x = 99_u64;
        for round in 0..200_u64 {
            let mut seen = Seen::new();
            let mut all = BTreeSet::new();
            for _ in 0..60 {
                x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let packet = 1 + (x >> 33) % (40 + round % 20);
                seen.on_packet(Instant::ZERO, Duration::from_ms(1), packet);
                all.insert(packet);
            }
            let runs = seen.ack(Instant::ZERO).expect("due").ranges;
            let told: BTreeSet<u64> =
                runs.as_slice().iter().flat_map(|run| run.0..=run.1).collect();
            assert_eq!(told, all);
            let pairs = runs.as_slice().windows(2);
            pairs.for_each(|pair| assert!(pair[1].1 + 1 < pair[0].0, "{pair:?}"));
        }
    }

    #[test]
    fn only_the_newest_runs_are_kept() {
        let mut seen = Seen::new();
        for packet in (2..=200).step_by(2) {
            seen.on_packet(Instant::ZERO, Duration::from_ms(1), packet);
        }
        let runs = seen.ack(Instant::ZERO).expect("due").ranges;
        assert_eq!(runs.as_slice().len(), 32);
        assert_eq!(runs.as_slice().last(), Some(&(138, 138)));
        seen.on_packet(Instant::ZERO, Duration::from_ms(1), 3);
        assert_eq!(
            seen.ack(Instant::ZERO).expect("due").ranges.as_slice().last(),
            Some(&(138, 138))
        );
    }

    #[test]
    fn company_is_waited_for_but_not_for_long() {
        let mut seen = Seen::new();
        let delay = Duration::from_ms(1);
        for packet in 1..u64::from(ACK_EVERY) {
            seen.on_packet(Instant::ZERO, delay, packet);
            assert!(!seen.is_due(Instant::ZERO));
            assert_eq!(seen.deadline(), Some(Instant::ZERO.after(delay)));
        }
        assert!(seen.is_due(Instant::ZERO.after(delay)));
        seen.on_packet(Instant::ZERO, delay, ACK_EVERY.into());
        assert!(seen.is_due(Instant::ZERO));
        seen.on_ack_sent();
        assert!(!seen.is_due(Instant::ZERO.after(delay)));
        seen.on_packet(Instant::ZERO, delay, u64::from(ACK_EVERY) + 2);
        assert!(seen.is_due(Instant::ZERO), "a gap");
    }
}
