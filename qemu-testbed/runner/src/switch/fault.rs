//! What one direction of a link does to the frames that pass: the fault model.
//!
//! Every frame draws the same number of random values, whatever is switched on, so the verdict on
//! the n-th frame of a direction depends only on the seed, on n, and on the faults set.

use holon_simkit::Rng;
use serde::{Deserialize, Serialize};

const MS_NS: u64 = 1_000_000;
/// What a rate-limited link queues before it drops.
const QUEUE_NS_MAX: u64 = 500 * MS_NS;
/// How long a reordered frame is held back at most.
const REORDER_NS_MAX: u64 = 5 * MS_NS;

/// Faults of one direction. The default is a link without any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Faults {
    /// Nothing passes.
    pub down: bool,
    /// Probability that a frame is lost.
    pub loss: f64,
    /// Added to every frame's way.
    pub delay_ms: u64,
    /// Probability that a frame arrives twice.
    pub dup: f64,
    /// Probability that a frame is held back so that later ones overtake it.
    pub reorder: f64,
    /// Probability that a bit of a frame flips.
    pub corrupt: f64,
    /// Bandwidth; 0 is no limit.
    pub rate_mbit: u64,
}

impl Faults {
    /// Whether frames pass untouched and at once.
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// The generator of one direction, independent of those of the others.
fn chance(seed: u64, from: usize, to: usize) -> Rng {
    let mut rng = Rng::new(seed ^ ((from as u64) << 32) ^ ((to as u64) << 48));
    rng.draw();
    rng
}

/// What a direction has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counters {
    /// Frames that came in.
    pub frames: u64,
    /// Bytes that came in.
    pub bytes: u64,
    /// Frames dropped: link down, lost, or queue full.
    pub dropped: u64,
    /// Frames doubled.
    pub duplicated: u64,
    /// Frames held back.
    pub reordered: u64,
    /// Frames damaged.
    pub corrupted: u64,
}

/// One copy of a frame that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passage {
    /// When it arrives.
    pub due_ns: u64,
    /// A random value that says which bit flips.
    pub corrupt: Option<u64>,
}

/// Zero, one or two copies.
pub(crate) type Verdict = [Option<Passage>; 2];

/// One direction of a link.
#[derive(Clone, Debug)]
pub(crate) struct Direction {
    faults: Faults,
    rng: Rng,
    busy_until_ns: u64,
    /// What happened so far.
    pub counters: Counters,
}

impl Direction {
    /// A direction without faults.
    pub(crate) fn new(seed: u64, from: usize, to: usize) -> Self {
        Self {
            faults: Faults::default(),
            rng: chance(seed, from, to),
            busy_until_ns: 0,
            counters: Counters::default(),
        }
    }

    /// Sets the faults from now on.
    pub(crate) fn set(&mut self, faults: Faults) {
        self.faults = faults;
        self.busy_until_ns = 0;
    }

    /// The faults in force.
    pub(crate) fn faults(&self) -> Faults {
        self.faults
    }

    /// Decides on one frame.
    pub(crate) fn judge(&mut self, now_ns: u64, len: usize) -> Verdict {
        self.counters.frames += 1;
        self.counters.bytes += len as u64;
        if self.faults.is_none() {
            return [Some(Passage { due_ns: now_ns, corrupt: None }), None];
        }
        let f = self.faults;
        let lost = self.rng.unit() < f.loss;
        let doubled = self.rng.unit() < f.dup;
        let held = self.rng.unit() < f.reorder;
        let damaged = self.rng.unit() < f.corrupt;
        let (hold, bit) = (self.rng.draw(), self.rng.draw());

        if f.down || lost {
            self.counters.dropped += 1;
            return [None, None];
        }
        let mut due_ns = now_ns;
        let wire_ns = (len as u64 * 8 * 1000).checked_div(f.rate_mbit);
        if let Some(wire_ns) = wire_ns {
            let start = self.busy_until_ns.max(now_ns);
            if start - now_ns > QUEUE_NS_MAX {
                self.counters.dropped += 1;
                return [None, None];
            }
            self.busy_until_ns = start + wire_ns;
            due_ns = self.busy_until_ns;
        }
        due_ns += f.delay_ms * MS_NS;
        if held {
            self.counters.reordered += 1;
            due_ns += MS_NS + hold % REORDER_NS_MAX;
        }
        self.counters.corrupted += u64::from(damaged);
        self.counters.duplicated += u64::from(doubled);
        let passage = Passage { due_ns, corrupt: damaged.then_some(bit) };
        [Some(passage), doubled.then_some(Passage { due_ns, corrupt: None })]
    }
}

/// Flips one bit behind the Ethernet header. In a UDP datagram it is one of the payload, and the
/// datagram's own checksum is taken off, so that the receiving protocol itself has to notice.
pub(crate) fn corrupt(frame: &mut [u8], random: u64) {
    const ETHERNET: usize = 14;
    const UDP: usize = 8;
    let mut from = ETHERNET;
    let is_ipv4 = frame.get(12..14) == Some(&[0x08, 0x00]);
    if is_ipv4 && frame.get(23) == Some(&17) {
        let udp = ETHERNET + usize::from(frame[14] & 0x0f) * 4;
        if frame.len() > udp + UDP {
            frame[udp + 6..udp + 8].fill(0);
            from = udp + UDP;
        }
    }
    if frame.len() > from {
        let bit = random % ((frame.len() - from) as u64 * 8);
        frame[from + (bit / 8) as usize] ^= 1 << (bit % 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seed: u64, faults: Faults) -> (Vec<Verdict>, Counters) {
        let mut direction = Direction::new(seed, 0, 1);
        direction.set(faults);
        let verdicts = (0..10_000).map(|i| direction.judge(i * 1000, 100)).collect();
        (verdicts, direction.counters)
    }

    #[test]
    fn same_seed_same_verdicts() {
        let faults = Faults {
            loss: 0.1,
            dup: 0.1,
            reorder: 0.1,
            corrupt: 0.1,
            delay_ms: 3,
            ..Faults::default()
        };
        assert_eq!(run(7, faults), run(7, faults));
        assert_ne!(run(7, faults).0, run(8, faults).0);
    }

    #[test]
    fn rates_are_what_was_asked_for() {
        let faults = Faults { loss: 0.2, dup: 0.1, ..Faults::default() };
        let (_, counters) = run(1, faults);
        assert!((1800..2200).contains(&counters.dropped), "{counters:?}");
        assert!((700..900).contains(&counters.duplicated), "{counters:?}");
    }

    #[test]
    fn other_faults_do_not_change_which_frames_are_lost() {
        let lost = |faults| -> Vec<bool> {
            run(3, faults).0.iter().map(|verdict| verdict[0].is_none()).collect()
        };
        let only_loss = Faults { loss: 0.3, ..Faults::default() };
        assert_eq!(lost(only_loss), lost(Faults { corrupt: 0.5, dup: 0.5, ..only_loss }));
    }

    #[test]
    fn down_passes_nothing() {
        let (verdicts, counters) = run(1, Faults { down: true, ..Faults::default() });
        assert!(verdicts.iter().all(|verdict| *verdict == [None, None]));
        assert_eq!(counters.dropped, 10_000);
    }

    #[test]
    fn rate_spaces_frames_and_drops_beyond_the_queue() {
        let mut direction = Direction::new(1, 0, 1);
        direction.set(Faults { rate_mbit: 8, ..Faults::default() });
        let due = |d: &mut Direction| d.judge(0, 1000)[0].map(|passage| passage.due_ns);
        assert_eq!(due(&mut direction), Some(MS_NS));
        assert_eq!(due(&mut direction), Some(2 * MS_NS));
        let passed = (0..2000).filter(|_| due(&mut direction).is_some()).count();
        assert!((490..=500).contains(&passed), "{passed}");
    }

    #[test]
    fn corruption_flips_one_payload_bit_and_drops_the_udp_checksum() {
        let mut frame = vec![0u8; 60];
        frame[12] = 8;
        frame[14] = 0x45;
        frame[23] = 17;
        frame[40] = 0xaa;
        corrupt(&mut frame, 12_345);
        assert_eq!(frame[40], 0);
        let flipped: u32 = frame[42..].iter().map(|byte| byte.count_ones()).sum();
        assert_eq!(flipped, 1);
    }
}
