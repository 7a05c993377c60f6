//! Datagrams of the pager: an envelope with both incarnations and a checksum, and the message in
//! its wire format.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use netproto::msg::lodge::{Batch, Item};
use netproto::wire::checksum;
use netproto::Kind;

use super::options::{Options, MS};
use holon_simkit::Rng;

/// Kind, sender, receiver, lives of both, checksum.
const ENVELOPE_LEN: usize = 2 + 2 + 16 + 4;

/// A message that was taken out of its envelope.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) kind: Kind,
    pub(super) from: usize,
    pub(super) from_life: u64,
    pub(super) to_life: u64,
    pub(super) payload: Vec<u8>,
}

pub(super) fn seal(kind: Kind, path: (usize, usize), lives: (u64, u64), payload: &[u8]) -> Vec<u8> {
    let slots = [path.0, path.1].map(|slot| u8::try_from(slot).expect("a slot"));
    let head = [&kind.0.to_le_bytes()[..], &slots, &lives.0.to_le_bytes(), &lives.1.to_le_bytes()]
        .concat();
    let sum = checksum(&[&head, payload]);
    [&head, &sum.to_le_bytes()[..], payload].concat()
}

/// `None` if it was damaged.
pub(super) fn open(bytes: &[u8]) -> Option<Letter> {
    let (head, rest) = bytes.split_at_checked(ENVELOPE_LEN - 4)?;
    let (sum, payload) = rest.split_first_chunk::<4>()?;
    if checksum(&[head, payload]) != u32::from_le_bytes(*sum) {
        return None;
    }
    let word = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("8 bytes"));
    Some(Letter {
        kind: Kind(u16::from_le_bytes([head[0], head[1]])),
        from: usize::from(head[2]),
        from_life: word(4),
        to_life: word(12),
        payload: payload.to_vec(),
    })
}

/// A batch in its wire format.
pub(super) fn batch(head: &Batch, items: &[Item], contents: &[&[u8]]) -> Vec<u8> {
    let mut bytes = head.encode().to_vec();
    items.iter().for_each(|item| bytes.extend(item.encode()));
    contents.iter().for_each(|content| bytes.extend_from_slice(content));
    bytes
}

/// What takes a datagram where it arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// A link: it finds damage, and repeats.
    Link,
    /// Who waits for it.
    Urgent,
}

/// A datagram that has arrived, or is on its way.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Flying {
    at_ns: u64,
    number: u64,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) way: Way,
    pub(super) bytes: Vec<u8>,
}

/// Datagrams on their way.
#[derive(Debug)]
pub(super) struct Wire {
    /// When each path is whole again.
    cut_until_ns: Vec<Vec<u64>>,
    /// How late each node answers, on the mean.
    slow_ns: Vec<u64>,
    loss_ppm: u64,
    duplicate_ppm: u64,
    corrupt_ppm: u64,
    delay_mean_ns: u64,
    flying: BinaryHeap<Reverse<Flying>>,
    number: u64,
}

impl Wire {
    pub(super) fn new(options: &Options) -> Self {
        let mut slow_ns = vec![0; options.nodes];
        slow_ns[0] = options.slow_ns;
        Self {
            cut_until_ns: vec![vec![0; options.nodes]; options.nodes],
            slow_ns,
            loss_ppm: options.loss_ppm,
            duplicate_ppm: options.duplicate_ppm,
            corrupt_ppm: options.corrupt_ppm,
            delay_mean_ns: options.delay_mean_ns,
            flying: BinaryHeap::new(),
            number: 0,
        }
    }

    pub(super) fn cut(&mut self, from: usize, to: usize, until_ns: u64) {
        self.cut_until_ns[from][to] = until_ns;
    }

    pub(super) fn is_cut(&self, from: usize, to: usize, now_ns: u64) -> bool {
        self.cut_until_ns[from][to] > now_ns
    }

    /// All that is wrong ends; a little loss and reordering stays.
    pub(super) fn heal(&mut self) {
        self.cut_until_ns.iter_mut().flatten().for_each(|until| *until = 0);
        self.slow_ns.iter_mut().for_each(|slow| *slow = 0);
        self.loss_ppm = self.loss_ppm.min(20_000);
        self.corrupt_ppm = 0;
    }

    pub(super) fn send(
        &mut self,
        now_ns: u64,
        path: (usize, usize),
        (way, bytes): (Way, &[u8]),
        rng: &mut Rng,
    ) {
        let (from, to) = path;
        if self.is_cut(from, to, now_ns) || rng.chance(self.loss_ppm) {
            return;
        }
        for _ in 0..1 + u64::from(rng.chance(self.duplicate_ppm)) {
            let mut bytes = bytes.to_vec();
            if rng.chance(self.corrupt_ppm) {
                let at = rng.index(bytes.len());
                bytes[at] ^= 1 << rng.below(8);
            }
            self.number += 1;
            let slow_ns = self.slow_ns[to] + self.slow_ns[from];
            // Now and then one is very late: it meets what came much later.
            let late_ns = if rng.chance(3_000) { rng.below(800 * MS) } else { 0 };
            let delay_ns = MS / 10 + rng.exponential(self.delay_mean_ns) + rng.exponential(slow_ns);
            self.flying.push(Reverse(Flying {
                at_ns: now_ns + delay_ns + late_ns,
                number: self.number,
                from,
                to,
                way,
                bytes,
            }));
        }
    }

    pub(super) fn next_at_ns(&self) -> Option<u64> {
        self.flying.peek().map(|Reverse(flying)| flying.at_ns)
    }

    pub(super) fn arrive(&mut self, now_ns: u64) -> Option<Flying> {
        while self.next_at_ns().is_some_and(|at_ns| at_ns <= now_ns) {
            let Reverse(flying) = self.flying.pop()?;
            if !self.is_cut(flying.from, flying.to, now_ns) {
                return Some(flying);
            }
        }
        None
    }
}
