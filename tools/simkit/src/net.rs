//! The simulated network: datagrams on their way, and the faults of each direction.

use crate::{Agenda, Rng};

/// What one direction between two nodes does to datagrams.
#[derive(Debug, Clone, Copy, Default)]
pub struct Path {
    /// Lost, of a million.
    pub loss_ppm: u64,
    /// Doubled, of a million.
    pub duplicate_ppm: u64,
    /// Damaged, of a million.
    pub corrupt_ppm: u64,
    /// How long each takes at least.
    pub delay_min_ns: u64,
    /// Mean of an exponential delay on top, which reorders by itself.
    pub delay_mean_ns: u64,
    /// Nothing arrives, nor does what is under way.
    pub is_cut: bool,
    /// Longer datagrams vanish.
    pub len_max: Option<usize>,
}

impl Path {
    /// One without faults.
    #[must_use]
    pub fn clean() -> Self {
        Self { delay_min_ns: 100_000, ..Self::default() }
    }
}

/// From, to, bytes.
pub type Datagram = (usize, usize, Vec<u8>);

/// Datagrams under way between nodes 0 and up.
#[derive(Debug)]
pub struct Net {
    paths: Vec<Vec<Path>>,
    flying: Agenda<Datagram>,
    /// How many were ever sent.
    pub sent: u64,
    /// Everything that was ever sent, when asked for.
    pub record: Option<Vec<Datagram>>,
}

impl Net {
    /// A clean network of so many nodes.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        Self {
            paths: vec![vec![Path::clean(); nodes]; nodes],
            flying: Agenda::new(),
            sent: 0,
            record: None,
        }
    }

    /// One direction between two nodes.
    pub fn path(&mut self, from: usize, to: usize) -> &mut Path {
        &mut self.paths[from][to]
    }

    /// Changes all directions.
    pub fn each_path(&mut self, mut change: impl FnMut(&mut Path)) {
        self.paths.iter_mut().flatten().for_each(&mut change);
    }

    /// All cuts and damage end; of the loss no more stays than this.
    pub fn heal(&mut self, loss_ppm_max: u64) {
        self.each_path(|path| {
            path.is_cut = false;
            path.loss_ppm = path.loss_ppm.min(loss_ppm_max);
            path.corrupt_ppm = 0;
        });
    }

    /// Sends a datagram into whatever the path does to it.
    pub fn send(&mut self, now_ns: u64, ends: (usize, usize), bytes: &[u8], rng: &mut Rng) {
        let (from, to) = ends;
        self.sent += 1;
        if let Some(record) = &mut self.record {
            record.push((from, to, bytes.to_vec()));
        }
        let path = self.paths[from][to];
        let is_too_long = path.len_max.is_some_and(|len_max| bytes.len() > len_max);
        if path.is_cut || is_too_long || rng.chance(path.loss_ppm) {
            return;
        }
        let copies = if rng.chance(path.duplicate_ppm) { 2 } else { 1 };
        for _ in 0..copies {
            let mut bytes = bytes.to_vec();
            if rng.chance(path.corrupt_ppm) {
                damage(&mut bytes, rng);
            }
            let delay_ns = path.delay_min_ns + rng.exponential(path.delay_mean_ns);
            self.flying.add(now_ns + delay_ns, (from, to, bytes));
        }
    }

    /// When the next one arrives.
    #[must_use]
    pub fn next_at_ns(&self) -> Option<u64> {
        self.flying.next_at_ns()
    }

    /// The next one that has arrived by now.
    pub fn arrive(&mut self, now_ns: u64) -> Option<Datagram> {
        while let Some((from, to, bytes)) = self.flying.take_due(now_ns) {
            if !self.paths[from][to].is_cut {
                return Some((from, to, bytes));
            }
        }
        None
    }
}

/// Cut short, too long, or with bits flipped.
fn damage(bytes: &mut Vec<u8>, rng: &mut Rng) {
    match rng.below(3) {
        0 => bytes.truncate(rng.index(bytes.len())),
        1 => bytes.push(rng.byte()),
        _ => {
            for _ in 0..rng.between(1, 4) {
                let at = rng.index(bytes.len());
                bytes[at] ^= 1 << rng.below(8);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    /// How many of a thousand datagrams arrive, and how many of them undamaged.
    fn arrived(path: Path) -> (usize, usize) {
        let (mut net, mut rng) = (Net::new(2), Rng::new(1));
        *net.path(0, 1) = path;
        (0..1000).for_each(|at_ns| net.send(at_ns, (0, 1), &[7; 100], &mut rng));
        let all: Vec<_> = std::iter::from_fn(|| net.arrive(SECOND_NS)).collect();
        let whole = all.iter().filter(|(from, to, bytes)| {
            assert_eq!((*from, *to), (0, 1));
            bytes[..] == [7; 100]
        });
        (all.len(), whole.count())
    }

    #[test]
    fn each_fault_does_what_it_says() {
        let clean = Path::clean();
        assert_eq!(arrived(clean), (1000, 1000));
        assert_eq!(arrived(Path { is_cut: true, ..clean }), (0, 0));
        assert_eq!(arrived(Path { loss_ppm: 1_000_000, ..clean }), (0, 0));
        assert_eq!(arrived(Path { len_max: Some(99), ..clean }), (0, 0));
        assert_eq!(arrived(Path { len_max: Some(100), ..clean }), (1000, 1000));
        assert_eq!(arrived(Path { duplicate_ppm: 1_000_000, ..clean }), (2000, 2000));
        let (all, whole) = arrived(Path { corrupt_ppm: 1_000_000, ..clean });
        // Bits that are flipped twice are whole again.
        assert!(all == 1000 && whole < 10, "{whole} of {all}");
    }

    #[test]
    fn a_cut_takes_what_is_under_way() {
        let (mut net, mut rng) = (Net::new(2), Rng::new(1));
        net.send(0, (0, 1), b"x", &mut rng);
        net.path(0, 1).is_cut = true;
        assert_eq!(net.arrive(SECOND_NS), None);
        net.heal(0);
        net.send(0, (0, 1), b"y", &mut rng);
        assert_eq!(net.arrive(SECOND_NS), Some((0, 1, b"y".to_vec())));
    }
}
