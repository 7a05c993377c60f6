//! Round trip estimate and retransmission timeout, after RFC 6298.

use crate::config::Config;
use crate::limits::RTO_DOUBLINGS_MAX;
use crate::time::Duration;

/// The estimate of one session. All classes share it, for they share the path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rtt {
    smoothed: Option<Duration>,
    variation: Duration,
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
            rto_initial: config.rto_initial,
            rto_min: config.rto_min,
            rto_max: config.rto_max,
            ack_delay: config.ack_delay,
        }
    }

    pub(crate) const fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// Takes a measured round trip of something that was sent once only.
    pub(crate) fn on_sample(&mut self, sample: Duration) {
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
    }

    /// The timeout after it has run out `doublings` times without progress.
    pub(crate) fn rto(&self, doublings: u32) -> Duration {
        let base = match self.smoothed {
            None => self.rto_initial,
            Some(smoothed) => smoothed.plus(self.variation.times(4)).plus(self.ack_delay),
        };
        let factor = 1_u64 << doublings.min(RTO_DOUBLINGS_MAX);
        base.max(self.rto_min).times(factor).min(self.rto_max)
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
        assert_eq!(rtt.rto(0), config.rto_initial);
        rtt.on_sample(Duration::from_ms(20));
        assert_eq!(rtt.rto(0), Duration::from_ms(20 + 40 + 1));
        assert_eq!(rtt.rto(1), Duration::from_ms(122));
        assert_eq!(rtt.rto(40), config.rto_max);
        for _ in 0..200 {
            rtt.on_sample(Duration::from_us(100));
        }
        assert_eq!(rtt.rto(0), config.rto_min);
        assert!(rtt.smoothed() < Some(Duration::from_us(110)));
        rtt.on_sample(Duration::from_ns(u64::MAX));
        assert_eq!(rtt.rto(0), config.rto_max);
    }
}
