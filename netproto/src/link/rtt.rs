//! Round trip estimate and retransmission timeout, after RFC 6298.

use super::filter::{Best, Filter};
use crate::config::Config;
use crate::limits::RTO_DOUBLINGS_MAX;
use crate::time::{Duration, Instant};

/// For how long the least round trip counts: the path may change.
const LEAST_WINDOW: Duration = Duration::from_ms(10_000);

/// The estimate of one session. All classes share it, for they share the path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rtt {
    smoothed: Option<Duration>,
    variation: Duration,
    least: Filter,
    rto_initial: Duration,
    rto_min: Duration,
    rto_max: Duration,
    /// The peer may hold an acknowledgement back so long.
    ack_delay: Duration,
}

impl Rtt {
    pub(crate) const fn new(config: &Config) -> Self {
        Self {
            smoothed: None,
            variation: Duration::ZERO,
            least: Filter::new(Best::Least),
            rto_initial: config.rto_initial,
            rto_min: config.rto_min,
            rto_max: config.rto_max,
            ack_delay: config.ack_delay,
        }
    }

    pub(crate) const fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// The least of the last seconds.
    pub(crate) fn least(&self) -> Option<Duration> {
        self.least.get()
    }

    /// Takes a measured round trip, of which the peer says that it held the answer back for
    /// `held`; gives it without that. It can't make a round trip shorter than the least.
    pub(crate) fn on_sample(&mut self, now: Instant, raw: Duration, held: Duration) -> Duration {
        let least = self.least.get().unwrap_or(raw);
        let sample = if raw > least { raw.minus(held).max(least) } else { raw };
        self.least.add(now, LEAST_WINDOW, raw);
        match self.smoothed {
            None => {
                self.smoothed = Some(sample);
                self.variation = sample.over(2);
            }
            Some(smoothed) => {
                let error =
                    if sample > smoothed { sample.minus(smoothed) } else { smoothed.minus(sample) };
                self.variation = self.variation.times(3).plus(error).over(4);
                self.smoothed = Some(smoothed.times(7).plus(sample).over(8));
            }
        }
        sample
    }

    /// The timeout after it has run out `doublings` times without progress.
    pub(crate) fn rto(&self, doublings: u32) -> Duration {
        let base = match self.smoothed {
            None => self.rto_initial,
            // The margin has a floor, as the measured variation of a quiet path is nearly none.
            Some(smoothed) => {
                smoothed.plus(self.variation.times(4).max(self.rto_min)).plus(self.ack_delay)
            }
        };
        let factor = 1_u64 << doublings.min(RTO_DOUBLINGS_MAX);
        base.times(factor).min(self.rto_max)
    }

    /// How long to wait for a sign of the last packet before one is sent to ask for it (RFC 8985,
    /// 7.2); never longer than the timeout.
    pub(crate) fn probe_timeout(&self) -> Duration {
        let patience = match self.smoothed {
            None => self.rto_initial,
            Some(smoothed) => smoothed.times(2).plus(self.ack_delay),
        };
        patience.min(self.rto(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Incarnation, Slot};

    #[test]
    fn follows_the_samples_and_stays_in_its_range() {
        let slot = Slot::new(1).expect("in range");
        let config = Config::new(slot, Incarnation([1; 16]));
        let mut rtt = Rtt::new(&config);
        let none = Duration::ZERO;
        assert_eq!(rtt.rto(0), config.rto_initial);
        rtt.on_sample(Instant::ZERO, Duration::from_ms(20), none);
        assert_eq!(rtt.rto(0), Duration::from_ms(20 + 40 + 1));
        assert_eq!(rtt.probe_timeout(), Duration::from_ms(41));
        assert_eq!(rtt.rto(1), Duration::from_ms(122));
        assert_eq!(rtt.rto(40), config.rto_max);
        for ms in 0..200 {
            rtt.on_sample(Instant::from_ns(ms * 1_000_000), Duration::from_us(100), none);
        }
        let smoothed = rtt.smoothed().expect("measured");
        assert!(smoothed < Duration::from_us(110));
        assert_eq!(rtt.rto(0), smoothed.plus(config.rto_min).plus(config.ack_delay));
        rtt.on_sample(Instant::ZERO, Duration::from_ns(u64::MAX), none);
        assert_eq!(rtt.rto(0), config.rto_max);
    }

    #[test]
    fn what_the_peer_held_back_is_not_the_path() {
        let slot = Slot::new(1).expect("in range");
        let mut rtt = Rtt::new(&Config::new(slot, Incarnation([1; 16])));
        let ms = Duration::from_ms;
        assert_eq!(rtt.on_sample(Instant::ZERO, ms(10), ms(9)), ms(10), "nothing to compare with");
        assert_eq!(rtt.on_sample(Instant::ZERO, ms(15), ms(2)), ms(13));
        assert_eq!(rtt.on_sample(Instant::ZERO, ms(15), ms(9)), ms(10), "never below the least");
        assert_eq!(rtt.on_sample(Instant::ZERO, ms(8), ms(8)), ms(8));
        assert_eq!(rtt.least(), Some(ms(8)));
    }
}
