//! The packets in flight: what was sent, what became of it, and when to give it up.
//!
//! Every packet has a number of its own, so an acknowledgement always names one transmission. What
//! is told here is what has arrived; what is lost, `loss` finds out.
//!
//! Invariants:
//! - `packets` have the numbers `base..base + packets.len()`, `base` at least 1;
//! - each knows its first entry in `carried`, counted since the session began;
//! - `in_flight` is the bytes of the packets in that state, by class;
//! - nothing grows past what was reserved at the start.

mod loss;

use alloc::collections::VecDeque;

use super::frame::Ack;
use super::rtt::Rtt;
use crate::event::Class;
use crate::limits::{CARRIED_MAX, CLASS_COUNT, FLIGHT_MAX};
use crate::time::{Duration, Instant};

/// Widest reordering window, in quarters of the least round trip.
const REORDER_QUARTERS_MAX: u64 = 16;
/// Entries that all packets in flight together may have.
const CARRIED_TOTAL: usize = 2 * FLIGHT_MAX;

/// What a packet carried that must arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carried {
    Fragment {
        class: Class,
        number: u64,
        index: u8,
        /// Which cutting of the message the index counts in.
        cutting: u8,
    },
    Credit(Class),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    InFlight,
    Lost,
    Acked,
}

#[derive(Debug, Clone, Copy)]
struct Packet {
    sent_at: Instant,
    first: u64,
    bytes: u16,
    class: Class,
    count: u8,
    state: State,
}

/// What became of a frame that must arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Arrived,
    Lost,
}

/// What an acknowledgement, or the time, did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Outcome {
    /// Bytes acknowledged for the first time.
    pub(crate) acked_bytes: u64,
    /// Bytes given up, and packets.
    pub(crate) lost_bytes: u64,
    pub(crate) lost_packets: u64,
    /// Round trip of the packet sent last among them, and that packet.
    pub(crate) sample: Option<(Duration, Sent)>,
    /// A packet of a later round than the last was acknowledged.
    pub(crate) is_round: bool,
    /// The timeout ran out.
    pub(crate) is_timeout: bool,
    /// A sign of the last packet is to be asked for.
    pub(crate) is_probe: bool,
}

/// What is known of a packet that has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    at: Instant,
    pub(crate) bytes: u16,
    pub(crate) class: Class,
}

/// An acknowledgement of what was never sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadAck;

#[derive(Debug)]
pub(crate) struct Flight {
    base: u64,
    packets: VecDeque<Packet>,
    carried: VecDeque<Carried>,
    carried_base: u64,
    in_flight: [u64; CLASS_COUNT],
    count_in_flight: usize,
    /// The urgent packet sent last of those acknowledged, and the other one: number and round trip.
    latest: [Option<(u64, Duration)>; 2],
    /// The round ends when a packet from this number on is acknowledged.
    round_end: u64,
    is_reordered: bool,
    reorder_quarters: u64,
    widened_at: Instant,
    /// When time alone makes the next packet lost.
    reorder_at: Option<Instant>,
    timer_from: Option<Instant>,
    doublings: u32,
    is_probed: bool,
    is_probe_owed: bool,
    /// Longest packet that has arrived, and longest that was given up.
    arrived_bytes_max: u16,
    lost_bytes_max: u16,
}

impl Flight {
    /// With all the room that it will ever need; `None` when there is no memory.
    #[inline(never)]
    pub(crate) fn new() -> Option<Self> {
        let mut packets = VecDeque::new();
        packets.try_reserve_exact(FLIGHT_MAX).ok()?;
        let mut carried = VecDeque::new();
        carried.try_reserve_exact(CARRIED_TOTAL).ok()?;
        Some(Self {
            base: 1,
            packets,
            carried,
            carried_base: 0,
            in_flight: [0; CLASS_COUNT],
            count_in_flight: 0,
            latest: [None; 2],
            round_end: 1,
            is_reordered: false,
            reorder_quarters: 1,
            widened_at: Instant::ZERO,
            reorder_at: None,
            timer_from: None,
            doublings: 0,
            is_probed: false,
            is_probe_owed: false,
            arrived_bytes_max: 0,
            lost_bytes_max: 0,
        })
    }

    /// Forgets everything, for a new session.
    pub(crate) fn reset(&mut self) {
        self.packets.clear();
        self.carried.clear();
        (self.base, self.carried_base, self.round_end) = (1, 0, 1);
        self.in_flight = [0; CLASS_COUNT];
        self.count_in_flight = 0;
        self.latest = [None; 2];
        (self.is_reordered, self.reorder_quarters) = (false, 1);
        (self.reorder_at, self.timer_from) = (None, None);
        self.doublings = 0;
        (self.is_probed, self.is_probe_owed) = (false, false);
        (self.arrived_bytes_max, self.lost_bytes_max) = (0, 0);
    }

    /// The number of the next packet.
    pub(crate) fn next(&self) -> u64 {
        self.base.saturating_add(u64::try_from(self.packets.len()).unwrap_or(u64::MAX))
    }

    /// Whether one more packet can be remembered.
    pub(crate) fn has_room(&self) -> bool {
        self.packets.len() < FLIGHT_MAX
            && self.carried.len().saturating_add(CARRIED_MAX) <= CARRIED_TOTAL
    }

    /// Bytes in flight of a class and all higher ones.
    pub(crate) fn bytes_down_to(&self, class: Class) -> u64 {
        let [fault, control, bulk] = self.in_flight;
        match class {
            Class::Fault => fault,
            Class::Control => fault.saturating_add(control),
            Class::Bulk => fault.saturating_add(control).saturating_add(bulk),
        }
    }

    /// A packet has left, with the next number.
    pub(crate) fn on_sent(&mut self, now: Instant, bytes: u16, class: Class, carried: &[Carried]) {
        debug_assert!(self.has_room() && carried.len() <= CARRIED_MAX);
        let held = u64::try_from(self.carried.len()).unwrap_or(u64::MAX);
        let first = self.carried_base.saturating_add(held);
        self.carried.extend(carried.iter().copied());
        let count = u8::try_from(carried.len()).unwrap_or(u8::MAX);
        let state = State::InFlight;
        self.packets.push_back(Packet { sent_at: now, first, bytes, class, count, state });
        self.enter(class, bytes);
        self.timer_from.get_or_insert(now);
        self.is_probe_owed = false;
    }

    fn enter(&mut self, class: Class, bytes: u16) {
        let sum = class.of_mut(&mut self.in_flight);
        *sum = sum.saturating_add(u64::from(bytes));
        self.count_in_flight = self.count_in_flight.saturating_add(1);
    }

    fn leave(&mut self, class: Class, bytes: u16) {
        let sum = class.of_mut(&mut self.in_flight);
        *sum = sum.saturating_sub(u64::from(bytes));
        self.count_in_flight = self.count_in_flight.saturating_sub(1);
    }

    /// Takes an acknowledgement and tells the fate of what it settles.
    pub(crate) fn on_ack(
        &mut self,
        now: Instant,
        ack: &Ack,
        rtt: &mut Rtt,
        mut tell: impl FnMut(Carried, Fate),
    ) -> Result<Outcome, BadAck> {
        let runs = ack.ranges.as_slice();
        let largest = runs.first().map_or(0, |(_, last)| *last);
        if largest >= self.next() {
            return Err(BadAck);
        }
        let mut outcome = Outcome::default();
        let mut newest = None;
        for (first, last) in runs.iter().rev() {
            for number in (*first).max(self.base)..=*last {
                if let Some(sent) = self.settle(now, number, &mut outcome, &mut tell) {
                    newest = Some((number, sent));
                    self.note_latest(now, number, sent);
                }
            }
        }
        let Some((number, sent)) = newest else {
            return Ok(outcome);
        };
        // Only the largest's delay is told.
        if number == largest {
            let sample = rtt.on_sample(now, now.since(sent.at), ack.delay);
            outcome.sample = Some((sample, sent));
        }
        if number >= self.round_end {
            self.round_end = self.next();
            outcome.is_round = true;
        }
        self.doublings = 0;
        self.is_probed = false;
        self.is_probe_owed = false;
        self.detect_lost(now, rtt, &mut outcome, &mut tell);
        self.timer_from = (self.count_in_flight > 0).then_some(now);
        self.release(now, rtt);
        Ok(outcome)
    }

    /// Notes the packet sent last of those acknowledged. Urgent ones may overtake the others on the
    /// way, so they say nothing of these.
    fn note_latest(&mut self, now: Instant, number: u64, sent: Sent) {
        let own = Some((number, now.since(sent.at)));
        let [urgent, others] = &mut self.latest;
        let latest = if sent.class == Class::Fault { urgent } else { others };
        if latest.is_none_or(|latest| number > latest.0) {
            *latest = own;
        } else {
            self.is_reordered = true;
        }
    }

    /// The packet whose arrival tells what else should have arrived: for the class of that.
    fn latest_for(&self, class: Class) -> Option<(u64, Duration)> {
        let [urgent, others] = self.latest;
        match class {
            Class::Fault => urgent.max(others),
            Class::Control | Class::Bulk => others,
        }
    }

    /// A packet was acknowledged; what is known of it, if that is news.
    fn settle(
        &mut self,
        now: Instant,
        number: u64,
        outcome: &mut Outcome,
        tell: &mut impl FnMut(Carried, Fate),
    ) -> Option<Sent> {
        let index = usize::try_from(number.checked_sub(self.base)?).ok()?;
        let packet = self.packets.get_mut(index)?;
        let before = packet.state;
        packet.state = State::Acked;
        let packet = *packet;
        self.arrived_bytes_max = self.arrived_bytes_max.max(packet.bytes);
        match before {
            State::Acked => return None,
            State::InFlight => self.leave(packet.class, packet.bytes),
            // It was only late: be more patient.
            State::Lost => {
                self.is_reordered = true;
                self.reorder_quarters =
                    self.reorder_quarters.saturating_add(1).min(REORDER_QUARTERS_MAX);
                self.widened_at = now;
            }
        }
        outcome.acked_bytes = outcome.acked_bytes.saturating_add(u64::from(packet.bytes));
        self.each_carried(&packet, |carried| tell(carried, Fate::Arrived));
        Some(Sent { at: packet.sent_at, bytes: packet.bytes, class: packet.class })
    }

    fn each_carried(&self, packet: &Packet, mut act: impl FnMut(Carried)) {
        let offset = packet.first.checked_sub(self.carried_base);
        let Some(start) = offset.and_then(|offset| usize::try_from(offset).ok()) else {
            return;
        };
        self.carried.iter().skip(start).take(usize::from(packet.count)).copied().for_each(&mut act);
    }

    /// Forgets settled packets from the front on. One that was given up is remembered for two round
    /// trips: if it arrives after all, that is worth knowing.
    fn release(&mut self, now: Instant, rtt: &Rtt) {
        let patience = rtt.smoothed().unwrap_or(Duration::ZERO).times(2);
        let is_full = self.packets.len() > FLIGHT_MAX / 2;
        while let Some(packet) = self.packets.front() {
            let is_over = match packet.state {
                State::InFlight => false,
                State::Acked => true,
                State::Lost => is_full || packet.sent_at.after(patience) <= now,
            };
            if !is_over {
                return;
            }
            let count = usize::from(packet.count);
            self.carried.drain(..count.min(self.carried.len()));
            self.carried_base = self.carried_base.saturating_add(u64::from(packet.count));
            self.packets.pop_front();
            self.base = self.base.saturating_add(1);
        }
    }

    /// Whether a packet must leave whatever the congestion window says: to ask for a sign.
    pub(crate) const fn is_probe_owed(&self) -> bool {
        self.is_probe_owed
    }
}

#[cfg(test)]
mod tests;
