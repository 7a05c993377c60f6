//! Nodes that come and go.

use netproto::id::{AttemptId, GlobalPid, Slot};
use netproto::time::Instant;

use super::{mask, Mover};
use crate::effect::Effect;

impl Mover {
    /// A node is up. If it was restarted, [`Mover::handle_peer_down`] comes first.
    pub fn handle_peer_up(&mut self, slot: Slot) {
        self.peers_up |= mask(slot);
    }

    /// The same, but its module is of another version: nothing is handed over to it or taken from
    /// it. What was handed over before goes on.
    pub fn handle_foreign_peer_up(&mut self, slot: Slot) {
        self.handle_peer_up(slot);
        self.peers_foreign |= mask(slot);
    }

    /// A node is down: what it was is gone and does not come back, only another incarnation of it.
    pub fn handle_peer_down(&mut self, now: Instant, slot: Slot) {
        self.now = now;
        self.peers_up &= !mask(slot);
        self.peers_foreign &= !mask(slot);
        // Attempts first: a source whose claim at a directory here is decided by the answer must
        // be told before the entry changes hands.
        let mut last = None;
        while let Some(process) = self.source_after(last) {
            last = Some(process);
            self.with_source(process, |source, cx| source.peer_down(slot, cx));
            self.pump();
        }
        let mut last = None;
        while let Some(attempt) = self.target_after(last) {
            last = Some(attempt);
            self.with_target(attempt, |target, cx| target.peer_down(slot, cx));
            self.pump();
        }
        let mut last = None;
        while let Some(process) = self.entry_after(last, slot) {
            last = Some(process);
            self.lose_body(process, slot);
        }
        self.lose_origin(slot);
    }

    fn source_after(&self, last: Option<GlobalPid>) -> Option<GlobalPid> {
        self.sources.iter().map(|(process, _)| process).find(|process| Some(*process) > last)
    }

    fn target_after(&self, last: Option<AttemptId>) -> Option<AttemptId> {
        self.targets.iter().map(|(attempt, _)| attempt).find(|attempt| Some(*attempt) > last)
    }

    fn entry_after(&self, last: Option<GlobalPid>, slot: Slot) -> Option<GlobalPid> {
        let there = self.directory.iter().filter(|(_, entry)| entry.slot == slot);
        there.map(|(process, _)| process).find(|process| Some(*process) > last)
    }

    fn lose_body(&mut self, process: GlobalPid, slot: Slot) {
        let own = self.config.own;
        if let Some(entry) = self.directory.take_back(process, slot, own) {
            self.effects.push(Effect::BodyLost { process, slot, epoch: entry.epoch });
        }
    }

    fn lose_origin(&mut self, slot: Slot) {
        let effects = &mut self.effects;
        self.bodies.retain(|process, body| {
            if body.origin == slot {
                effects.push(Effect::OriginLost { process });
            }
            body.origin != slot
        });
    }
}
