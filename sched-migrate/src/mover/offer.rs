//! What other nodes want to hand over to here.

use netproto::id::{AttemptId, Slot};
use netproto::msg::migrate::Refused;
use netproto::time::Instant;

use super::state::attempt_slot;
use super::{mask, Mover};
use crate::effect::Effect;
use crate::failure::Failure;
use crate::message::{Message, Offer};
use crate::phase::TargetPhase;
use crate::target::Target;

impl Mover {
    /// Whether an offer would be refused, and why: to be asked at the first piece of an image, so
    /// that no memory is spent on the rest.
    pub fn screen(&self, from: Slot, offer: &Offer) -> Option<Failure> {
        let own = self.config.own;
        if attempt_slot(offer.attempt) != u64::from(from.get()) || from == own {
            return Some(Failure::BadImage);
        }
        if self.peers_foreign & mask(from) != 0 {
            return Some(Failure::Version);
        }
        // What comes home is no new work.
        if self.gate.cordoned && offer.origin != own {
            return Some(Failure::Cordoned);
        }
        if offer.origin != own && self.peers_up & mask(offer.origin) == 0 {
            return Some(Failure::OriginUnreachable);
        }
        if offer.origin == own && !self.is_current(offer.process, from, offer.epoch) {
            return Some(Failure::Stale);
        }
        let runs_here =
            self.bodies.get(offer.process).is_some() || self.sources.get(offer.process).is_some();
        if runs_here || !self.may_supersede(from, offer) {
            return Some(Failure::Busy);
        }
        let coming =
            self.targets.iter().filter(|(_, target)| target.phase() != TargetPhase::Discarding);
        let full = self.targets.len() >= self.config.targets_max
            || self.bodies.len().saturating_add(coming.count()) >= self.gate.bodies_max;
        full.then_some(Failure::Full)
    }

    /// Older attempts of the same source at the same process give way, unless one of them may be
    /// about to win; so do those that are being dropped.
    fn may_supersede(&self, from: Slot, offer: &Offer) -> bool {
        let mut same =
            self.targets.iter().filter(|(_, target)| target.offer().process == offer.process);
        same.all(|(attempt, target)| match target.phase() {
            TargetPhase::Discarding => true,
            TargetPhase::Claiming => false,
            _ => target.source() == from && attempt < offer.attempt,
        })
    }

    /// A whole manifest is here, could be read and was found fit for this node.
    pub fn handle_offer(&mut self, now: Instant, from: Slot, offer: Offer) {
        self.now = now;
        self.stats.offered += 1;
        if self.targets.get(offer.attempt).is_some() {
            self.stats.stale += 1;
        } else if self.aborted.contains(&Some(offer.attempt)) {
            self.stats.aborted_early += 1;
        } else if let Some(failure) = self.screen(from, &offer) {
            self.refuse(now, from, offer.attempt, failure);
        } else if self.take(from, offer).is_err() {
            self.refuse(now, from, offer.attempt, Failure::NoMemory);
        }
        self.pump();
    }

    fn take(
        &mut self,
        from: Slot,
        offer: Offer,
    ) -> Result<(), alloc::collections::TryReserveError> {
        self.reserve_effects()?;
        // So that the release can't fail for want of memory.
        self.bodies.reserve(self.targets.len().saturating_add(1))?;
        self.targets.insert(offer.attempt, Target::new(offer, from))?;
        while let Some(older) = self.superseded_by(&offer) {
            self.with_target(older, Target::abort);
        }
        self.begin_waiting(offer.process);
        Ok(())
    }

    fn superseded_by(&self, offer: &Offer) -> Option<AttemptId> {
        let mut older = self.targets.iter().filter(|(attempt, target)| {
            *attempt != offer.attempt
                && target.offer().process == offer.process
                && target.phase() != TargetPhase::Discarding
        });
        older.next().map(|(attempt, _)| attempt)
    }

    /// An image can't be taken: it could not be assembled or read, or does not fit this node.
    pub fn refuse(&mut self, now: Instant, from: Slot, attempt: AttemptId, failure: Failure) {
        self.now = now;
        self.stats.offers_refused += 1;
        match failure {
            Failure::Cordoned => self.stats.refused_cordoned += 1,
            Failure::Full | Failure::NoMemory => self.stats.refused_full += 1,
            Failure::Version | Failure::Kernel => self.stats.refused_version += 1,
            _ => {}
        }
        let message = Message::Refused(Refused { attempt, reason: failure.number() });
        self.effects.push(Effect::Send { to: from, message });
    }

    /// A whole final part is here and could be read.
    pub fn handle_final(&mut self, now: Instant, from: Slot, attempt: AttemptId) {
        self.now = now;
        match self.targets.get(attempt) {
            Some(target) if target.source() == from => self.with_target(attempt, Target::finalize),
            _ => {
                self.stats.stale += 1;
                self.refuse(now, from, attempt, Failure::Unknown);
            }
        }
        self.pump();
    }
}
