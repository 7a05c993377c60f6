//! Which packets are lost.
//!
//! Loss is told by time (RACK, RFC 8985): a packet is lost when one sent after it has arrived and
//! it could have arrived as well, give or take a reordering window, which grows when it proves too
//! short. The tail of a flight is probed once, then the retransmission timeout (RFC 6298) runs.

use super::{Carried, Fate, Flight, Outcome, State};
use crate::limits::REORDER_PACKETS_MAX;
use crate::link::rtt::Rtt;
use crate::time::{Duration, Instant};

/// Round trips after which a reordering window that was widened is narrow again.
const REORDER_ROUNDS: u64 = 16;
/// Timeouts in a row after which long packets are suspected.
const DOUBLINGS_LONG: u32 = 3;

impl Flight {
    /// How much later than it could have a packet may arrive.
    fn reorder_window(&self, rtt: &Rtt) -> Duration {
        let least = rtt.least().unwrap_or(Duration::ZERO);
        let most = rtt.smoothed().unwrap_or(Duration::ZERO);
        least.times(self.reorder_quarters).over(4).min(most)
    }

    /// Gives up what should have arrived by now (RFC 8985, 6.2 step 5).
    pub(super) fn detect_lost(
        &mut self,
        now: Instant,
        rtt: &Rtt,
        outcome: &mut Outcome,
        tell: &mut impl FnMut(Carried, Fate),
    ) {
        self.reorder_at = None;
        let rounds = rtt.smoothed().unwrap_or(Duration::ZERO).times(REORDER_ROUNDS);
        if self.reorder_quarters > 1 && now.since(self.widened_at) > rounds {
            self.reorder_quarters = 1;
        }
        let window = self.reorder_window(rtt);
        let last = self.latest.iter().flatten().map(|latest| latest.0).max().unwrap_or(0);
        let before = usize::try_from(last.saturating_sub(self.base)).unwrap_or(usize::MAX);
        for index in 0..before.min(self.packets.len()) {
            let Some(packet) = self.packets.get(index).copied() else {
                return;
            };
            let number = self.base.saturating_add(u64::try_from(index).unwrap_or(u64::MAX));
            let latest = self.latest_for(packet.class).filter(|latest| latest.0 > number);
            let Some((latest, round_trip)) = latest.filter(|_| packet.state == State::InFlight)
            else {
                continue;
            };
            let is_passed =
                !self.is_reordered && latest.saturating_sub(number) >= REORDER_PACKETS_MAX;
            let due = packet.sent_at.after(round_trip.plus(window));
            if is_passed || due <= now {
                self.give_up(index, outcome, tell);
            } else {
                self.reorder_at = Some(self.reorder_at.map_or(due, |at| at.min(due)));
            }
        }
    }

    fn give_up(
        &mut self,
        index: usize,
        outcome: &mut Outcome,
        tell: &mut impl FnMut(Carried, Fate),
    ) {
        let Some(packet) = self.packets.get_mut(index) else {
            return;
        };
        packet.state = State::Lost;
        let packet = *packet;
        self.leave(packet.class, packet.bytes);
        self.lost_bytes_max = self.lost_bytes_max.max(packet.bytes);
        outcome.lost_bytes = outcome.lost_bytes.saturating_add(u64::from(packet.bytes));
        outcome.lost_packets = outcome.lost_packets.saturating_add(1);
        self.each_carried(&packet, |carried| tell(carried, Fate::Lost));
    }

    /// When time does something next, and how urgent waiting for it is.
    pub(crate) fn deadline(&self, rtt: &Rtt) -> Option<Instant> {
        let from = self.timer_from;
        let timeout = from.map(|from| from.after(rtt.rto(self.doublings)));
        let can_probe = !self.is_probed && self.doublings == 0;
        let probe = from.filter(|_| can_probe).map(|from| from.after(rtt.probe_timeout()));
        [self.reorder_at, probe, timeout].into_iter().flatten().min()
    }

    /// Lets time pass.
    pub(crate) fn on_time(
        &mut self,
        now: Instant,
        rtt: &Rtt,
        mut tell: impl FnMut(Carried, Fate),
    ) -> Outcome {
        let mut outcome = Outcome::default();
        if self.reorder_at.is_some_and(|at| at <= now) {
            self.detect_lost(now, rtt, &mut outcome, &mut tell);
            if self.count_in_flight == 0 {
                self.timer_from = None;
            }
        }
        let Some(from) = self.timer_from else {
            self.release(now, rtt);
            return outcome;
        };
        if from.after(rtt.rto(self.doublings)) <= now {
            self.time_out(now, rtt, &mut outcome, &mut tell);
        } else if !self.is_probed && self.doublings == 0 && from.after(rtt.probe_timeout()) <= now {
            self.is_probed = true;
            self.is_probe_owed = true;
            outcome.is_probe = true;
            self.repeat_last(&mut tell);
            // The timeout runs from the probe on (RFC 8985, 7.3).
            self.timer_from = Some(now);
        }
        self.release(now, rtt);
        outcome
    }

    /// The last packet's content is to be sent again, though nothing says that it is lost.
    fn repeat_last(&self, tell: &mut impl FnMut(Carried, Fate)) {
        let last = self.packets.iter().rev().find(|packet| packet.state == State::InFlight);
        if let Some(packet) = last {
            self.each_carried(packet, |carried| tell(carried, Fate::Lost));
        }
    }

    /// Gives up all that was sent long enough ago, at least the first.
    fn time_out(
        &mut self,
        now: Instant,
        rtt: &Rtt,
        outcome: &mut Outcome,
        tell: &mut impl FnMut(Carried, Fate),
    ) {
        let trips = self.latest.iter().flatten().map(|latest| latest.1);
        let round_trip = trips.max().unwrap_or(Duration::ZERO);
        let patience = round_trip.plus(self.reorder_window(rtt));
        let mut is_first = true;
        for index in 0..self.packets.len() {
            let Some(packet) = self.packets.get(index).copied() else {
                break;
            };
            if packet.state != State::InFlight {
                continue;
            }
            if is_first || packet.sent_at.after(patience) <= now {
                self.give_up(index, outcome, tell);
            }
            is_first = false;
        }
        self.doublings = self.doublings.saturating_add(1);
        self.timer_from = (self.count_in_flight > 0).then_some(now);
        outcome.is_timeout = true;
    }

    /// Whether packets of `bytes` do not arrive though shorter ones may: the timeout ran out again
    /// and again, and none so long has ever arrived.
    pub(crate) fn has_long_losses(&self, bytes: u16) -> bool {
        self.doublings >= DOUBLINGS_LONG
            && self.arrived_bytes_max < bytes
            && self.lost_bytes_max >= bytes
    }
}
