//! Congestion control: Copa (Arun and Balakrishnan, NSDI 2018), in integers.
//!
//! The window moves towards the rate `1 / (delta * queueing delay)` packets a second, where the
//! queueing delay is the standing round trip less the least one. Alone on a link that keeps about
//! `1 / delta` packets queued and empties the queue every few round trips; a queue that does not
//! get nearly empty for five round trips is kept full by somebody else, and then `1 / delta` grows
//! by one each round trip and is halved by a loss, so that a flow that fills queues does not starve
//! this one. Without such company a loss alone means nothing: it may be the wire's.
//!
//! Where hosts or the network take packets in bunches, the bunch is what the paper calls a packet:
//! what a rate and a queue are counted in. A bunch is what is acknowledged at one instant, beyond
//! what an acknowledgement waits for anyway, as the average byte sees it, and not longer than what
//! leaves a host in one piece. Without it a host that is late by `t` for what comes looks like a
//! queue of `t`, and the window stays at the two packets in `t` that the paper allows. It is the
//! aggregation that BBR (draft-ietf-ccwg-bbr, `extra_acked`) adds to its window, and as there
//! (`send_quantum`) so much may leave at once.
//!
//! Three more things are not in the paper. Delays below `slack` are taken for none, so that the
//! noise of fast networks is not taken for a queue. A round with more than an eighth lost shrinks
//! the window whoever is to blame. The window does not grow while it is not used.

use super::filter::{Best, Filter};
use crate::config::Config;
use crate::limits::ACK_EVERY;
use crate::time::{Duration, Instant};

/// Packets that may leave before anything is known.
const PACKETS_INITIAL: u64 = 16;
const PACKETS_MIN: u64 = 4;
/// For how long the least round trip counts: the path may change.
const LEAST_WINDOW: Duration = Duration::from_ms(10_000);
/// Packets by which a window that is in use may be unused when an acknowledgement comes.
const PACKETS_UNUSED: u64 = 8;
/// `1 / delta` when alone.
const INVERSE_DELTA: u64 = 2;
const INVERSE_DELTA_MAX: u64 = 1 << 12;
const VELOCITY_MAX: u64 = 1 << 10;
/// Rounds without a nearly empty queue that mean company.
const ROUNDS_FULL: u32 = 5;
/// A retreat's rounds, and the rounds before the first and between later ones.
const RETREAT_ROUNDS: u32 = 3;
const RETREAT_FIRST: u32 = 16;
const RETREAT_EVERY_MAX: u32 = 256;
/// Rounds in one direction before the velocity doubles.
const ROUNDS_STEADY: u32 = 3;
/// Longest bunch that counts: what leaves a host in one piece.
const BUNCH_MAX: u64 = 1 << 16;
/// Windows over which bunches are averaged.
const BUNCH_WINDOWS: u64 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

/// What an acknowledgement told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) acked_bytes: u64,
    pub(crate) lost_bytes: u64,
    /// Round trip of a packet of full length: short ones are faster, and would make the path look
    /// shorter than it is.
    pub(crate) sample: Option<Duration>,
    pub(crate) smoothed: Option<Duration>,
    pub(crate) is_round: bool,
    /// In flight before it came.
    pub(crate) used_bytes: u64,
}

/// The state of one session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Copa {
    packet_bytes: u64,
    window_max: u64,
    window: u64,
    slack: Duration,
    least: Filter,
    standing: Filter,
    most: Filter,
    is_starting: bool,
    inverse_delta: u64,
    /// At the end of the last competition.
    inverse_delta_before: u64,
    velocity: u64,
    direction: Direction,
    steady_rounds: u32,
    window_at_round: u64,
    /// Since the queue was nearly empty.
    full_rounds: u32,
    was_empty: bool,
    has_lost: bool,
    round_acked: u64,
    round_lost: u64,
    /// Bytes that are acknowledged at one instant, as the average byte sees it, and those of the
    /// present one so far.
    bunch: u64,
    instant: (Instant, u64),
    /// While it is tried whether the queue empties without this flow.
    retreat: Option<Retreat>,
    /// Rounds until the next try, and between the last and that.
    retreat_in: u32,
    retreat_every: u32,
}

#[derive(Debug, Clone, Copy)]
struct Retreat {
    window_before: u64,
    rounds: u32,
}

impl Copa {
    pub(crate) fn new(config: &Config, packet_bytes: u64, window_max: u64) -> Self {
        let window = packet_bytes.saturating_mul(PACKETS_INITIAL);
        Self {
            packet_bytes,
            window_max,
            window,
            slack: config.queue_slack,
            least: Filter::new(Best::Least),
            standing: Filter::new(Best::Least),
            most: Filter::new(Best::Most),
            is_starting: true,
            inverse_delta: INVERSE_DELTA,
            inverse_delta_before: INVERSE_DELTA,
            velocity: 1,
            direction: Direction::Up,
            steady_rounds: 0,
            window_at_round: window,
            full_rounds: 0,
            was_empty: false,
            has_lost: false,
            round_acked: 0,
            round_lost: 0,
            bunch: 0,
            instant: (Instant::ZERO, 0),
            retreat: None,
            retreat_in: RETREAT_FIRST,
            retreat_every: RETREAT_FIRST,
        }
    }

    /// How many bytes may be in flight.
    pub(crate) const fn window(&self) -> u64 {
        self.window
    }

    /// Whether a flow that fills queues seems to share the link.
    pub(crate) const fn is_competing(&self) -> bool {
        self.full_rounds >= ROUNDS_FULL
    }

    /// How long after one packet of `bytes` the next may leave.
    pub(crate) fn spacing(&self, bytes: u64) -> Duration {
        let Some(standing) = self.standing.get() else {
            return Duration::ZERO;
        };
        // Faster than the window allows in a round trip: the window holds, the pacing only spreads.
        let rate =
            if self.is_starting { self.window.saturating_mul(2) } else { self.window / 4 * 5 };
        Duration::from_ns(scale(standing.as_ns(), bytes, rate))
    }

    /// How much earlier than it is due a packet may leave: one bunch may leave at once, as it is
    /// acknowledged at once (a quantum, as BBR calls it). None where packets are taken one by one.
    pub(crate) fn ahead(&self) -> Duration {
        self.spacing(self.unit().saturating_sub(self.packet_bytes))
    }

    /// Takes what an acknowledgement told.
    pub(crate) fn on_ack(&mut self, now: Instant, arrival: &Arrival) {
        self.round_acked = self.round_acked.saturating_add(arrival.acked_bytes);
        self.on_lost(arrival.lost_bytes);
        self.note_bunch(now, arrival.acked_bytes);
        if let (Some(sample), Some(smoothed)) = (arrival.sample, arrival.smoothed) {
            self.least.add(now, LEAST_WINDOW, sample);
            self.standing.add(now, smoothed.over(2), sample);
            self.most.add(now, smoothed.times(4), sample);
        }
        if let (Some(standing), Some(least)) = (self.standing.get(), self.least.get()) {
            self.note_queue(standing.minus(least), least);
            if self.retreat.is_none() {
                self.steer(arrival, standing, least);
            }
        }
        if arrival.is_round {
            self.end_round();
        }
        self.clamp();
    }

    /// Bytes were given up.
    pub(crate) fn on_lost(&mut self, bytes: u64) {
        if bytes > 0 {
            self.has_lost = true;
            self.round_lost = self.round_lost.saturating_add(bytes);
        }
    }

    /// The retransmission timeout ran out.
    pub(crate) fn on_timeout(&mut self) {
        self.window = self.packet_bytes.saturating_mul(PACKETS_MIN);
        self.is_starting = true;
        (self.inverse_delta, self.inverse_delta_before) = (INVERSE_DELTA, INVERSE_DELTA);
        self.velocity = 1;
        self.steady_rounds = 0;
        self.retreat = None;
        (self.round_acked, self.round_lost) = (0, 0);
    }

    /// What the network and the hosts carry as one: a packet, or more where packets are taken in
    /// bunches.
    fn unit(&self) -> u64 {
        let usual = self.packet_bytes.saturating_mul(u64::from(ACK_EVERY).saturating_sub(1));
        self.bunch.saturating_sub(usual).clamp(self.packet_bytes, BUNCH_MAX.max(self.packet_bytes))
    }

    fn note_bunch(&mut self, now: Instant, acked: u64) {
        let (at, before) = self.instant;
        if at == now {
            self.instant.1 = before.saturating_add(acked);
            return;
        }
        self.instant = (now, acked);
        // As much of the average as these bytes are of some windows.
        let whole = self.window.saturating_mul(BUNCH_WINDOWS).max(before);
        self.bunch = if before > self.bunch {
            self.bunch.saturating_add(scale(before.saturating_sub(self.bunch), before, whole))
        } else {
            self.bunch.saturating_sub(scale(self.bunch.saturating_sub(before), before, whole))
        };
    }

    fn note_queue(&mut self, queueing: Duration, least: Duration) {
        let spread = self.most.get().unwrap_or(least).minus(least);
        // How long the packets of ours take that we, and another flow like this, keep queued alone.
        // A starved flow would take any queue for its own: then what counts is the path.
        let own = |packets: u64| {
            let kept = self.unit().saturating_mul(packets);
            Duration::from_ns(scale(kept, least.as_ns(), self.window))
        };
        let short = least.over(8).max(self.slack.times(10));
        let empty = own(2 * INVERSE_DELTA).min(own(INVERSE_DELTA).max(short));
        if queueing.minus(self.slack) <= empty.max(spread.over(10)) {
            self.was_empty = true;
        }
    }

    /// One step towards the target rate.
    fn steer(&mut self, arrival: &Arrival, standing: Duration, least: Duration) {
        let queueing = standing.minus(least).minus(self.slack);
        // window / standing <= packet / (delta * queueing), without divisions.
        let rate = u128::from(self.window).saturating_mul(u128::from(queueing.as_ns()));
        let target = u128::from(self.unit().saturating_mul(self.inverse_delta))
            .saturating_mul(u128::from(standing.as_ns()));
        let is_below = rate <= target;
        let reserve =
            self.packet_bytes.saturating_mul(PACKETS_UNUSED).max(self.window / 4).max(self.unit());
        if is_below && arrival.used_bytes.saturating_add(reserve) < self.window {
            return;
        }
        if self.is_starting {
            if is_below {
                self.window = self.window.saturating_add(arrival.acked_bytes);
                return;
            }
            // Of what is in flight the path holds this much; the rest is the queue.
            self.is_starting = false;
            self.window = scale(self.window, least.as_ns(), standing.as_ns());
            self.window_at_round = self.window;
            return;
        }
        let step = self.step(arrival.acked_bytes);
        self.window = if is_below {
            self.window.saturating_add(step)
        } else {
            self.window.saturating_sub(step)
        };
    }

    /// By how much the window changes: `velocity / (delta * window)` packets for each packet
    /// acknowledged. Bunches do not make it more than doubling in a round, which would overshoot.
    fn step(&self, acked: u64) -> u64 {
        let factor = self.velocity.saturating_mul(self.inverse_delta);
        let of = |unit: u64| scale(acked, factor.saturating_mul(unit), self.window);
        of(self.unit()).min(acked.max(of(self.packet_bytes)))
    }

    fn end_round(&mut self) {
        let was_competing = self.is_competing();
        self.full_rounds = if self.was_empty { 0 } else { self.full_rounds.saturating_add(1) };
        self.was_empty = false;
        match (was_competing, self.is_competing()) {
            (false, false) => (),
            (true, false) => self.leave_competition(),
            (false, true) => self.inverse_delta = self.inverse_delta_before,
            (true, true) if self.retreat_in_round() => (),
            (true, true) if self.has_lost => {
                self.inverse_delta = (self.inverse_delta / 2).max(INVERSE_DELTA);
            }
            (true, true) => {
                self.inverse_delta = self.inverse_delta.saturating_add(1).min(INVERSE_DELTA_MAX);
            }
        }
        self.has_lost = false;
        let sent = self.round_acked.saturating_add(self.round_lost);
        if self.retreat.is_none()
            && self.round_lost.saturating_mul(8) > sent
            && self.round_lost > 4 * self.packet_bytes
        {
            self.window = self.window / 10 * 7;
            self.is_starting = false;
            self.velocity = 1;
        }
        (self.round_acked, self.round_lost) = (0, 0);
        if self.retreat.is_none() {
            self.turn();
        }
    }

    /// The queue has emptied. If that took no retreat, the other flow has only made a pause.
    fn leave_competition(&mut self) {
        let was_alone = self.retreat.take().is_some();
        self.inverse_delta_before = if was_alone { INVERSE_DELTA } else { self.inverse_delta };
        self.inverse_delta = INVERSE_DELTA;
        if was_alone {
            self.retreat_every = RETREAT_FIRST;
        }
        self.retreat_in = self.retreat_every;
    }

    /// Whether there is a retreat in this round. Noise can look like company, and then this flow
    /// would keep the queue full all by itself: so now and then it leaves only what the path holds
    /// in flight for some rounds. If that empties the queue, nobody else fills it.
    fn retreat_in_round(&mut self) -> bool {
        if let Some(retreat) = &mut self.retreat {
            retreat.rounds = retreat.rounds.saturating_sub(1);
            if retreat.rounds > 0 {
                return true;
            }
            self.window = retreat.window_before;
            self.window_at_round = self.window;
            self.retreat = None;
            self.retreat_every = self.retreat_every.saturating_mul(2).min(RETREAT_EVERY_MAX);
            self.retreat_in = self.retreat_every;
            return false;
        }
        self.retreat_in = self.retreat_in.saturating_sub(1);
        let (Some(standing), Some(least)) = (self.standing.get(), self.least.get()) else {
            return false;
        };
        if self.retreat_in > 0 {
            return false;
        }
        self.retreat = Some(Retreat { window_before: self.window, rounds: RETREAT_ROUNDS });
        self.window = scale(self.window, least.as_ns(), standing.as_ns()) / 4 * 3;
        true
    }

    /// Doubles the velocity after some rounds in one direction.
    fn turn(&mut self) {
        let direction =
            if self.window > self.window_at_round { Direction::Up } else { Direction::Down };
        self.window_at_round = self.window;
        if direction != self.direction || self.is_starting {
            self.direction = direction;
            self.velocity = 1;
            self.steady_rounds = 0;
            return;
        }
        self.steady_rounds = self.steady_rounds.saturating_add(1);
        if self.steady_rounds >= ROUNDS_STEADY {
            self.velocity = self.velocity.saturating_mul(2).min(VELOCITY_MAX);
        }
    }

    fn clamp(&mut self) {
        let least = self.packet_bytes.saturating_mul(PACKETS_MIN);
        self.window = self.window.clamp(least, self.window_max.max(least));
    }
}

/// `factor * part / whole`.
fn scale(factor: u64, part: u64, whole: u64) -> u64 {
    let scaled = u128::from(factor).saturating_mul(u128::from(part)) / u128::from(whole.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
