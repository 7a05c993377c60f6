//! Datagrams on their way.

use holon_simkit::{Agenda, Rng};

use crate::options::{Options, MS};

/// Delay that every datagram has.
const DELAY_MIN_NS: u64 = MS / 10;

#[derive(Debug)]
struct Flying {
    from: usize,
    to: usize,
    bytes: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Network {
    is_cut: Vec<Vec<bool>>,
    loss_ppm: u64,
    duplicate_ppm: u64,
    corrupt_ppm: u64,
    delay_mean_ns: u64,
    flying: Agenda<Flying>,
}

impl Network {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            is_cut: vec![vec![false; options.nodes]; options.nodes],
            loss_ppm: options.loss_ppm,
            duplicate_ppm: options.duplicate_ppm,
            corrupt_ppm: options.corrupt_ppm,
            delay_mean_ns: options.delay_mean_ns,
            flying: Agenda::new(),
        }
    }

    pub(crate) fn set_cut(&mut self, from: usize, to: usize, is_cut: bool) {
        self.is_cut[from][to] = is_cut;
    }

    /// All cuts and damage end; a little loss stays.
    pub(crate) fn heal(&mut self) {
        self.is_cut.iter_mut().flatten().for_each(|cut| *cut = false);
        self.loss_ppm = self.loss_ppm.min(30_000);
        self.corrupt_ppm = 0;
    }

    pub(crate) fn send(&mut self, now_ns: u64, path: (usize, usize), bytes: &[u8], rng: &mut Rng) {
        let (from, to) = path;
        if self.is_cut[from][to] || rng.chance(self.loss_ppm) {
            return;
        }
        for _ in 0..1 + u64::from(rng.chance(self.duplicate_ppm)) {
            let mut bytes = bytes.to_vec();
            if rng.chance(self.corrupt_ppm) {
                let at = rng.index(bytes.len());
                bytes[at] ^= 1 << rng.below(8);
            }
            let delay_ns = DELAY_MIN_NS + rng.exponential(self.delay_mean_ns);
            self.flying.add(now_ns + delay_ns, Flying { from, to, bytes });
        }
    }

    pub(crate) fn next_at_ns(&self) -> Option<u64> {
        self.flying.next_at_ns()
    }

    /// The next datagram that has arrived, and where.
    pub(crate) fn arrive(&mut self, now_ns: u64) -> Option<(usize, Vec<u8>)> {
        while let Some(flying) = self.flying.take_due(now_ns) {
            if !self.is_cut[flying.from][flying.to] {
                return Some((flying.to, flying.bytes));
            }
        }
        None
    }
}
