//! The simulated network: datagrams on their way, and the faults of each direction.

use holon_simkit::{Agenda, Rng};

/// What one direction between two nodes does to datagrams.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Path {
    pub(crate) loss_ppm: u64,
    pub(crate) duplicate_ppm: u64,
    pub(crate) corrupt_ppm: u64,
    pub(crate) delay_min_ns: u64,
    /// Mean of an exponential delay on top, which reorders by itself.
    pub(crate) delay_mean_ns: u64,
    pub(crate) is_cut: bool,
}

impl Path {
    pub(crate) fn clean() -> Self {
        Self { delay_min_ns: 100_000, ..Self::default() }
    }
}

#[derive(Debug)]
struct Flying {
    from: usize,
    to: usize,
    bytes: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Net {
    paths: Vec<Vec<Path>>,
    flying: Agenda<Flying>,
    pub(crate) sent: u64,
    /// Everything that was ever sent, when asked for.
    pub(crate) record: Option<Vec<(usize, usize, Vec<u8>)>>,
}

impl Net {
    pub(crate) fn new(nodes: usize) -> Self {
        Self {
            paths: vec![vec![Path::clean(); nodes]; nodes],
            flying: Agenda::new(),
            sent: 0,
            record: None,
        }
    }

    pub(crate) fn path(&mut self, from: usize, to: usize) -> &mut Path {
        &mut self.paths[from][to]
    }

    pub(crate) fn each_path(&mut self, mut change: impl FnMut(&mut Path)) {
        self.paths.iter_mut().flatten().for_each(&mut change);
    }

    pub(crate) fn send(
        &mut self,
        now_ns: u64,
        from: usize,
        to: usize,
        bytes: &[u8],
        rng: &mut Rng,
    ) {
        self.sent += 1;
        if let Some(record) = &mut self.record {
            record.push((from, to, bytes.to_vec()));
        }
        let path = self.paths[from][to];
        if path.is_cut || rng.chance(path.loss_ppm) {
            return;
        }
        let copies = if rng.chance(path.duplicate_ppm) { 2 } else { 1 };
        for _ in 0..copies {
            let mut bytes = bytes.to_vec();
            if rng.chance(path.corrupt_ppm) {
                damage(&mut bytes, rng);
            }
            let delay_ns = path.delay_min_ns + rng.exponential(path.delay_mean_ns);
            self.flying.add(now_ns + delay_ns, Flying { from, to, bytes });
        }
    }

    pub(crate) fn next_at_ns(&self) -> Option<u64> {
        self.flying.next_at_ns()
    }

    /// The next datagram that has arrived. A cut also takes what was under way.
    pub(crate) fn arrive(&mut self, now_ns: u64) -> Option<(usize, usize, Vec<u8>)> {
        while let Some(flying) = self.flying.take_due(now_ns) {
            if !self.paths[flying.from][flying.to].is_cut {
                return Some((flying.from, flying.to, flying.bytes));
            }
        }
        None
    }
}

fn damage(bytes: &mut Vec<u8>, rng: &mut Rng) {
    match rng.below(3) {
        0 => {
            bytes.truncate(rng.index(bytes.len()));
        }
        1 => bytes.push(rng.byte()),
        _ => {
            for _ in 0..rng.between(1, 4) {
                let at = rng.index(bytes.len());
                bytes[at] ^= 1 << rng.below(8);
            }
        }
    }
}
