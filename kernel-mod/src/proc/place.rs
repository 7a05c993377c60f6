//! Which execs are placed, and where.

use alloc::vec::Vec;

use kapi::{Errno, Result};
use netproto::{limits::SLOT_COUNT, Slot};

use crate::port::net;

const SLOTS: usize = SLOT_COUNT as usize;

/// The policy that the daemon gave, and what is under way.
pub(crate) struct Placement {
    /// Names, each ended by a zero.
    names: Vec<u8>,
    weights: [u16; SLOTS],
    outstanding: [u32; SLOTS],
    pub(crate) timeout_ms: u32,
}

impl Default for Placement {
    fn default() -> Self {
        Self { names: Vec::new(), weights: [0; SLOTS], outstanding: [0; SLOTS], timeout_ms: 0 }
    }
}

impl Placement {
    /// Sets the policy. What is under way goes on.
    pub(crate) fn set(&mut self, names: Vec<u8>, weights: [u16; SLOTS], timeout_ms: u32) -> Result {
        if names.last().is_some_and(|last| *last != 0) {
            return Err(Errno::EINVAL);
        }
        self.names = names;
        self.weights = weights;
        self.timeout_ms = timeout_ms;
        Ok(())
    }

    /// Whether any exec may be placed.
    pub(crate) fn is_on(&self) -> bool {
        !self.names.is_empty()
    }

    /// Whether execs of a file are placed.
    pub(crate) fn wants(&self, path: &[u8]) -> bool {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        self.names.split(|byte| *byte == 0).any(|one| !one.is_empty() && one == name)
    }

    /// The node that is furthest below its share.
    pub(crate) fn choose(&self, own: Slot, not_at: Option<Slot>) -> Option<Slot> {
        let usable = |slot: &Slot| {
            let weight = self.weights.get(slot.index()).copied().unwrap_or(0);
            weight > 0 && Some(*slot) != not_at && (*slot == own || net::is_up(*slot))
        };
        Slot::all().filter(usable).min_by_key(|slot| self.crowd(*slot, own))
    }

    /// How full a node would be with one more, in thousandths of its weight; the own one is the
    /// last of equals.
    fn crowd(&self, slot: Slot, own: Slot) -> (u64, bool) {
        let weight = u64::from(self.weights.get(slot.index()).copied().unwrap_or(1).max(1));
        let there = u64::from(self.outstanding.get(slot.index()).copied().unwrap_or(0)) + 1;
        (there * 1000 / weight, slot == own)
    }

    /// An exec goes to a node, or runs here by choice.
    pub(crate) fn begin(&mut self, slot: Slot) {
        if let Some(count) = self.outstanding.get_mut(slot.index()) {
            *count = count.saturating_add(1);
        }
    }

    /// It has ended.
    pub(crate) fn end(&mut self, slot: Slot) {
        if let Some(count) = self.outstanding.get_mut(slot.index()) {
            *count = count.saturating_sub(1);
        }
    }
}
