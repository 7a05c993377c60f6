//! Queries, and the records that outlive an attempt.

use alloc::collections::TryReserveError;

use netproto::id::{AttemptId, Epoch, GlobalPid, Slot};

use super::{Body, Mover, Route, StartError};
use crate::directory::Directory;
use crate::phase::{SourcePhase, TargetPhase};
use crate::source::{self, Outcome, Source};
use crate::target::{self, Target};

/// Where in an attempt's number its source's slot is: so it is unique in the cluster.
const ATTEMPT_SLOT_SHIFT: u32 = 56;

/// The node that made an attempt's number.
pub(super) fn attempt_slot(attempt: AttemptId) -> u64 {
    attempt.0 >> ATTEMPT_SLOT_SHIFT
}

fn make_attempt(own: Slot, count: &mut u64) -> AttemptId {
    *count += 1;
    AttemptId((u64::from(own.get()) << ATTEMPT_SLOT_SHIFT) | *count)
}

impl Mover {
    /// Where a process is, as far as this node has to know; `None` if it knows nothing of it.
    pub fn route(&self, process: GlobalPid) -> Option<Route> {
        if let Some(body) = self.bodies.get(process) {
            return Some(Route::Body { origin: body.origin, epoch: body.epoch });
        }
        let entry = self.directory.get(process)?;
        match entry.slot == self.config.own {
            true => Some(Route::Here),
            false => Some(Route::Away { slot: entry.slot, epoch: entry.epoch }),
        }
    }

    /// Whether what `from` says of a body at `epoch` is to be believed: nothing but the body that
    /// the directory names is.
    pub fn is_current(&self, process: GlobalPid, from: Slot, epoch: Epoch) -> bool {
        let entry = self.directory.get(process);
        entry.is_some_and(|entry| entry.slot == from && entry.epoch == epoch)
    }

    /// The processes whose origin is here.
    pub const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// How many bodies are here whose origin is elsewhere.
    pub fn bodies(&self) -> usize {
        self.bodies.len()
    }

    /// The phase of the hand-off of a process away from here.
    pub fn source_phase(&self, process: GlobalPid) -> Option<SourcePhase> {
        self.sources.get(process).map(Source::phase)
    }

    /// The phase of an attempt to hand a process over to here.
    pub fn target_phase(&self, attempt: AttemptId) -> Option<TargetPhase> {
        self.targets.get(attempt).map(Target::phase)
    }

    /// Whether no hand-off is under way here.
    pub fn is_idle(&self) -> bool {
        self.sources.is_empty() && self.targets.is_empty()
    }

    pub(super) fn next_attempt(&mut self) -> AttemptId {
        make_attempt(self.config.own, &mut self.attempts)
    }

    /// Origin and epoch of a process that runs here; one that never left gets its entry.
    pub(super) fn whereabouts(&mut self, process: GlobalPid) -> Result<(Slot, Epoch), StartError> {
        if let Some(body) = self.bodies.get(process) {
            return Ok((body.origin, body.epoch));
        }
        let own = self.config.own;
        let entry = self.directory.enter(process, own).map_err(|_| StartError::NoMemory)?;
        match entry.slot == own {
            true => Ok((own, entry.epoch)),
            false => Err(StartError::NotHere),
        }
    }

    /// Makes room for all that the attempts, entries and bodies can ask for at once: every one of
    /// them may when a node goes down.
    pub(super) fn reserve_effects(&mut self) -> Result<(), TryReserveError> {
        const MARGIN: usize = 8;
        let sources = (self.sources.len() + 1).saturating_mul(source::EFFECTS_MAX);
        let targets = (self.targets.len() + 1).saturating_mul(target::EFFECTS_MAX);
        let others = self.directory.len() + self.bodies.len() + MARGIN;
        self.effects.reserve(sources.saturating_add(targets).saturating_add(others))
    }

    /// Gives a source an input.
    pub(super) fn with_source(
        &mut self,
        process: GlobalPid,
        input: impl FnOnce(&mut Source, &mut source::Context<'_>),
    ) {
        let own = self.config.own;
        let Some(source) = self.sources.get_mut(process) else {
            return;
        };
        let attempts = &mut self.attempts;
        let mut next_attempt = || make_attempt(own, attempts);
        let mut context = source::Context {
            now: self.now,
            own,
            timing: &self.config.timing,
            next_attempt: &mut next_attempt,
            effects: &mut self.effects,
        };
        input(source, &mut context);
        if let Some(outcome) = source.outcome() {
            self.sources.remove(process);
            self.settle(process, outcome);
        }
    }

    fn settle(&mut self, process: GlobalPid, outcome: Outcome) {
        match outcome {
            Outcome::Stays(epoch) => {
                self.stats.stayed += 1;
                if let Some(body) = self.bodies.get_mut(process) {
                    body.epoch = epoch;
                }
            }
            Outcome::Left => {
                self.stats.left += 1;
                self.bodies.remove(process);
            }
            Outcome::Dead => {
                self.bodies.remove(process);
            }
        }
    }

    /// Gives a target an input.
    pub(super) fn with_target(
        &mut self,
        attempt: AttemptId,
        input: impl FnOnce(&mut Target, &mut target::Context<'_>),
    ) {
        let Some(target) = self.targets.get_mut(attempt) else {
            return;
        };
        let mut context = target::Context {
            now: self.now,
            own: self.config.own,
            timing: &self.config.timing,
            effects: &mut self.effects,
        };
        input(target, &mut context);
        if target.phase() == TargetPhase::Ended {
            let process = target.offer().process;
            self.targets.remove(attempt);
            self.begin_waiting(process);
        }
    }

    /// Starts the attempt that waited for others of the same process to go.
    pub(super) fn begin_waiting(&mut self, process: GlobalPid) {
        if let Some(attempt) = self.only_target_of(process) {
            self.with_target(attempt, Target::begin);
        }
    }

    fn only_target_of(&self, process: GlobalPid) -> Option<AttemptId> {
        let mut same = self.targets.iter().filter(|(_, target)| target.offer().process == process);
        match (same.next(), same.next()) {
            (Some((attempt, _)), None) => Some(attempt),
            _ => None,
        }
    }

    /// A process runs here that came from elsewhere.
    pub(super) fn settle_body(&mut self, process: GlobalPid, origin: Slot, epoch: Epoch) {
        self.stats.released += 1;
        if origin != self.config.own {
            // Room was made when the offer was taken.
            let _ = self.bodies.insert(process, Body { origin, epoch });
        }
    }
}
