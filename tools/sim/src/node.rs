//! One node: what the module's driver holds.

use std::collections::{BTreeMap, VecDeque};

use holon_simkit::Rng;
use netproto::{AttemptId, Class, Config, GlobalPid, Incarnation, Instant, Kind, Slot, Transport};
use sched_migrate::{Mover, Offer, Timing};

use crate::process::Task;

pub(crate) fn slot(node: usize) -> Slot {
    Slot::new(u8::try_from(node).expect("few")).expect("a slot")
}

/// A message that waits for room in its link.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) class: Class,
    pub(crate) kind: Kind,
    pub(crate) payload: Vec<u8>,
}

/// An image of which pieces are still to come.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) offer: Offer,
    pub(crate) len: u32,
}

/// The life of a node between two crashes.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) transport: Transport,
    pub(crate) mover: Mover,
    pub(crate) tasks: BTreeMap<GlobalPid, Task>,
    /// The attempt whose restored body waits here.
    pub(crate) prepared: BTreeMap<GlobalPid, AttemptId>,
    pub(crate) freezing: BTreeMap<GlobalPid, AttemptId>,
    pub(crate) incoming: BTreeMap<(usize, AttemptId), Incoming>,
    pub(crate) outbox: BTreeMap<usize, VecDeque<Letter>>,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) number: u64,
    pub(crate) life: Option<Life>,
    /// Stands still until then.
    pub(crate) paused_until_ns: u64,
    /// Datagrams that came meanwhile.
    pub(crate) waiting: Vec<Vec<u8>>,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self { number: 0, life: None, paused_until_ns: 0, waiting: Vec::new() }
    }

    /// Begins the next life of the node in slot `own`, in a cluster of `count`.
    pub(crate) fn start(&mut self, now: Instant, own: usize, count: usize) {
        self.number += 1;
        self.paused_until_ns = 0;
        self.waiting.clear();
        let mut rng = Rng::new(self.number << 8 | u64::try_from(own).expect("few"));
        let mut incarnation = [0; 16];
        incarnation.chunks_mut(8).for_each(|part| part.copy_from_slice(&rng.draw().to_le_bytes()));
        let config = Config::new(slot(own), Incarnation(incarnation));
        let mut transport = Transport::new(config).expect("good settings");
        for peer in (0..count).filter(|peer| *peer != own) {
            transport.add_peer(now, slot(peer)).expect("a free slot");
        }
        let mover = Mover::new(sched_migrate::Config {
            own: slot(own),
            sources_max: 8,
            targets_max: 8,
            timing: Timing::standard(),
        });
        self.life = Some(Life {
            transport,
            mover,
            tasks: BTreeMap::new(),
            prepared: BTreeMap::new(),
            freezing: BTreeMap::new(),
            incoming: BTreeMap::new(),
            outbox: BTreeMap::new(),
        });
    }

    /// When the node wants to be woken.
    pub(crate) fn timer_ns(&self) -> Option<u64> {
        let life = self.life.as_ref()?;
        let timers = [life.transport.poll_timeout(), life.mover.poll_timeout()];
        let first = timers.into_iter().flatten().min()?;
        Some(first.as_ns().max(self.paused_until_ns))
    }
}
