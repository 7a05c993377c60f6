//! The switch without its sockets: MAC learning, links, and the frames under way.
//!
//! `ingress` takes a frame and says what goes out at once; `poll_due` gives the delayed ones. It
//! reads no clock.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::fault::{self, Direction, Faults};

/// A port is a node's index, from 0.
pub(crate) type Port = usize;

const ETHERNET_HEADER: usize = 14;

/// A frame that is under way.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flight {
    due_ns: u64,
    /// Frames due at the same time leave in the order in which they came.
    serial: u64,
    from: Port,
    to: Port,
    frame: Vec<u8>,
}

/// All links between `ports` ports.
#[derive(Debug)]
pub(crate) struct Fabric {
    ports: usize,
    directions: Vec<Direction>,
    learnt: HashMap<[u8; 6], Port>,
    flights: BinaryHeap<Reverse<Flight>>,
    serial: u64,
}

impl Fabric {
    /// A fabric without faults; all randomness comes from `seed`.
    pub(crate) fn new(ports: usize, seed: u64) -> Self {
        let directions = (0..ports * ports)
            .map(|index| Direction::new(seed, index / ports, index % ports))
            .collect();
        Self { ports, directions, learnt: HashMap::new(), flights: BinaryHeap::new(), serial: 0 }
    }

    /// The direction from one port to another.
    pub(crate) fn direction(&mut self, from: Port, to: Port) -> &mut Direction {
        &mut self.directions[from * self.ports + to]
    }

    /// Takes all faults away.
    pub(crate) fn clear(&mut self) {
        for direction in &mut self.directions {
            direction.set(Faults::default());
        }
    }

    /// Forgets where the stations behind a port are, and what is under way to it.
    pub(crate) fn unplug(&mut self, port: Port) {
        self.learnt.retain(|_, at| *at != port);
        self.flights.retain(|Reverse(flight)| flight.to != port);
    }

    /// Takes a frame from a port. `deliver` is called for each copy that goes out at once, with
    /// the ports that it passes between.
    pub(crate) fn ingress(
        &mut self,
        now_ns: u64,
        from: Port,
        frame: &[u8],
        mut deliver: impl FnMut(Port, Port, &[u8]),
    ) {
        let Some((target, source)) = addresses(frame) else {
            return;
        };
        if source[0] & 1 == 0 {
            self.learnt.insert(source, from);
        }
        match self.learnt.get(&target) {
            Some(to) if *to == from => {}
            Some(to) => self.pass(now_ns, from, *to, frame, &mut deliver),
            None => {
                for to in (0..self.ports).filter(|to| *to != from) {
                    self.pass(now_ns, from, to, frame, &mut deliver);
                }
            }
        }
    }

    fn pass(
        &mut self,
        now_ns: u64,
        from: Port,
        to: Port,
        frame: &[u8],
        deliver: &mut impl FnMut(Port, Port, &[u8]),
    ) {
        let verdict = self.direction(from, to).judge(now_ns, frame.len());
        for passage in verdict.into_iter().flatten() {
            if passage.due_ns <= now_ns && passage.corrupt.is_none() {
                deliver(from, to, frame);
                continue;
            }
            let mut frame = frame.to_vec();
            if let Some(random) = passage.corrupt {
                fault::corrupt(&mut frame, random);
            }
            if passage.due_ns <= now_ns {
                deliver(from, to, &frame);
            } else {
                self.serial += 1;
                let (due_ns, serial) = (passage.due_ns, self.serial);
                self.flights.push(Reverse(Flight { due_ns, serial, from, to, frame }));
            }
        }
    }

    /// When the next delayed frame is due.
    pub(crate) fn next_due_ns(&self) -> Option<u64> {
        self.flights.peek().map(|Reverse(flight)| flight.due_ns)
    }

    /// Delivers the frames whose time has come.
    pub(crate) fn poll_due(&mut self, now_ns: u64, mut deliver: impl FnMut(Port, Port, &[u8])) {
        while self.next_due_ns().is_some_and(|due_ns| due_ns <= now_ns) {
            if let Some(Reverse(flight)) = self.flights.pop() {
                deliver(flight.from, flight.to, &flight.frame);
            }
        }
    }
}

fn addresses(frame: &[u8]) -> Option<([u8; 6], [u8; 6])> {
    if frame.len() < ETHERNET_HEADER {
        return None;
    }
    Some((frame[0..6].try_into().ok()?, frame[6..12].try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(to: u8, from: u8, tag: u8) -> Vec<u8> {
        let mut frame = vec![0u8; 60];
        frame[0..6].copy_from_slice(&[2, 0, 0, 0, 0, to]);
        frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, from]);
        frame[20] = tag;
        frame
    }

    fn send(fabric: &mut Fabric, now_ns: u64, from: Port, frame: &[u8]) -> Vec<Port> {
        let mut reached = Vec::new();
        fabric.ingress(now_ns, from, frame, |_, to, _| reached.push(to));
        reached
    }

    #[test]
    fn floods_until_it_has_learnt() {
        let mut fabric = Fabric::new(3, 1);
        assert_eq!(send(&mut fabric, 0, 0, &frame(2, 1, 0)), [1, 2]);
        assert_eq!(send(&mut fabric, 0, 1, &frame(1, 2, 0)), [0]);
        assert_eq!(send(&mut fabric, 0, 0, &frame(2, 1, 0)), [1]);
        fabric.unplug(1);
        assert_eq!(send(&mut fabric, 0, 0, &frame(2, 1, 0)), [1, 2]);
    }

    #[test]
    fn a_one_way_cut_leaves_the_other_way() {
        let mut fabric = Fabric::new(2, 1);
        fabric.direction(0, 1).set(Faults { down: true, ..Faults::default() });
        assert!(send(&mut fabric, 0, 0, &frame(2, 1, 0)).is_empty());
        assert_eq!(send(&mut fabric, 0, 1, &frame(1, 2, 0)), [0]);
        fabric.clear();
        assert_eq!(send(&mut fabric, 0, 0, &frame(2, 1, 0)), [1]);
    }

    #[test]
    fn delayed_frames_keep_their_order_and_come_when_due() {
        let mut fabric = Fabric::new(2, 1);
        fabric.direction(0, 1).set(Faults { delay_ms: 5, ..Faults::default() });
        for tag in 0..4 {
            assert!(send(&mut fabric, 0, 0, &frame(2, 1, tag)).is_empty());
        }
        fabric.poll_due(4_999_999, |_, _, _| panic!("too early"));
        assert_eq!(fabric.next_due_ns(), Some(5_000_000));
        let mut tags = Vec::new();
        fabric.poll_due(5_000_000, |_, to, frame| tags.push((to, frame[20])));
        assert_eq!(tags, [(1, 0), (1, 1), (1, 2), (1, 3)]);
    }

    #[test]
    fn reordering_lets_later_frames_overtake() {
        let mut fabric = Fabric::new(2, 9);
        fabric.direction(0, 1).set(Faults { reorder: 0.3, ..Faults::default() });
        let mut tags = Vec::new();
        for tag in 0..50u8 {
            fabric.ingress(u64::from(tag), 0, &frame(2, 1, tag), |_, _, f| tags.push(f[20]));
        }
        fabric.poll_due(u64::MAX, |_, _, f| tags.push(f[20]));
        assert_eq!(tags.len(), 50);
        assert!(!tags.is_sorted());
    }

    #[test]
    fn runts_are_ignored() {
        let mut fabric = Fabric::new(2, 1);
        assert!(send(&mut fabric, 0, 0, &[1, 2, 3]).is_empty());
    }
}
