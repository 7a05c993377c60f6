//! The target of a hand-off: see [`crate::phase`] for the diagram.
//!
//! Invariants:
//! - The process is released only after the origin's "won", and then once.
//! - REFUSED is sent only when nothing of the process is left here, and never after a claim that
//!   may still win.
//! - Every way out but the release has [`Effect::Discard`] done, if anything was made.

use netproto::id::{Epoch, Slot};
use netproto::msg::migrate::{Cas, CasOutcome, CasResult, Committed, Prepared, Refused};
use netproto::time::Instant;

use crate::effect::{Arrival, Effect, Effects};
use crate::failure::Failure;
use crate::message::{Message, Offer};
use crate::phase::TargetPhase as Phase;
use crate::timing::Timing;

/// Effects that one input can make a target ask for: the release and COMMITTED.
pub(crate) const EFFECTS_MAX: usize = 2;

/// What a target needs from its node.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) own: Slot,
    pub(crate) timing: &'a Timing,
    pub(crate) effects: &'a mut Effects,
}

/// One attempt of a source to move a process here.
#[derive(Debug)]
pub struct Target {
    offer: Offer,
    source: Slot,
    phase: Phase,
    deadline: Option<Instant>,
    /// What the source is told once all is dropped.
    refusal: Option<Failure>,
    fetch_bytes: u64,
}

impl Target {
    pub(crate) fn new(offer: Offer, source: Slot) -> Self {
        Self { offer, source, phase: Phase::Waiting, deadline: None, refusal: None, fetch_bytes: 0 }
    }

    /// What was offered.
    pub const fn offer(&self) -> &Offer {
        &self.offer
    }

    /// Who offered it.
    pub const fn source(&self) -> Slot {
        self.source
    }

    /// Where it is.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn become_phase(&mut self, next: Phase) {
        debug_assert!(self.phase.may_become(next), "{:?} to {next:?}", self.phase);
        self.phase = next;
    }

    fn arrival(&self, own: Slot) -> Arrival {
        match self.offer.origin == own {
            true => Arrival::Home,
            false => Arrival::Guest,
        }
    }

    /// Nothing of an older attempt is in the way: begins.
    pub(crate) fn begin(&mut self, cx: &mut Context<'_>) {
        if self.phase != Phase::Waiting {
            return;
        }
        self.become_phase(Phase::Restoring);
        self.deadline = Some(cx.now.after(cx.timing.restore));
        cx.effects.push(Effect::Restore {
            attempt: self.offer.attempt,
            process: self.offer.process,
            arrival: self.arrival(cx.own),
        });
    }

    /// The helper is ready.
    pub(crate) fn restored(&mut self, cx: &mut Context<'_>) {
        if self.phase != Phase::Restoring {
            return;
        }
        self.become_phase(Phase::Prepared);
        self.deadline = Some(cx.now.after(cx.timing.prepared));
        let message = Message::Prepared(Prepared { attempt: self.offer.attempt });
        cx.effects.push(Effect::Send { to: self.source, message });
    }

    /// The final part is here.
    pub(crate) fn finalize(&mut self, cx: &mut Context<'_>) {
        if self.phase == Phase::Discarding {
            // The source could not know yet: it needs an answer.
            self.refusal.get_or_insert(Failure::Unknown);
        }
        if self.phase != Phase::Prepared {
            return;
        }
        self.become_phase(Phase::Applying);
        self.deadline = Some(cx.now.after(cx.timing.apply));
        cx.effects.push(Effect::Apply { attempt: self.offer.attempt, process: self.offer.process });
    }

    /// The final part is applied: the process could run.
    pub(crate) fn applied(&mut self, fetch_bytes: u64, cx: &mut Context<'_>) {
        if self.phase != Phase::Applying {
            return;
        }
        self.become_phase(Phase::Claiming);
        // From here on only the origin's answer counts, or its death.
        self.deadline = None;
        self.fetch_bytes = fetch_bytes;
        let cas = Cas {
            attempt: self.offer.attempt,
            process: self.offer.process,
            expect_epoch: self.offer.epoch,
            new_slot: cx.own,
        };
        cx.effects.push(Effect::Send { to: self.offer.origin, message: Message::Cas(cas) });
    }

    /// The origin answered. Returns the epoch at which the process runs here, if it does.
    pub(crate) fn cas_result(&mut self, result: CasResult, cx: &mut Context<'_>) -> Option<Epoch> {
        if self.phase != Phase::Claiming {
            return None;
        }
        match result.outcome {
            CasOutcome::Won => {
                self.become_phase(Phase::Ended);
                let epoch = result.epoch;
                cx.effects.push(Effect::Release {
                    attempt: self.offer.attempt,
                    process: self.offer.process,
                    origin: self.offer.origin,
                    epoch,
                });
                let committed =
                    Committed { attempt: self.offer.attempt, epoch, fetch_bytes: self.fetch_bytes };
                let message = Message::Committed(committed);
                cx.effects.push(Effect::Send { to: self.source, message });
                Some(epoch)
            }
            CasOutcome::Lost | CasOutcome::Unknown => {
                // The source has it again, or it has ended: who asks knows.
                self.discard(None, cx);
                None
            }
        }
    }

    /// The source gave up, or a newer attempt of it is here.
    pub(crate) fn abort(&mut self, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Waiting | Phase::Restoring | Phase::Prepared | Phase::Applying => {
                self.discard(None, cx);
            }
            // The origin decides; its answer is under way.
            Phase::Claiming => {}
            Phase::Discarding => self.refusal = None,
            Phase::Ended => {}
        }
    }

    /// What was to be made here failed, or died.
    pub(crate) fn failed(&mut self, failure: Failure, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Waiting | Phase::Restoring | Phase::Prepared | Phase::Applying => {
                self.discard(Some(failure), cx);
            }
            // If it wins, the release finds the body dead, and its end is reported as any other.
            Phase::Claiming | Phase::Discarding | Phase::Ended => {}
        }
    }

    /// A node is down.
    pub(crate) fn peer_down(&mut self, slot: Slot, cx: &mut Context<'_>) {
        if slot == self.source {
            // Its memory is gone with it. A claim under way may win all the same; then the
            // process meets the loss at its first missing page.
            self.abort(cx);
        }
        if slot == self.offer.origin {
            match self.phase {
                Phase::Claiming => self.discard(Some(Failure::OriginUnreachable), cx),
                _ => self.failed(Failure::OriginUnreachable, cx),
            }
        }
    }

    /// Time has passed.
    pub(crate) fn timeout(&mut self, cx: &mut Context<'_>) {
        if self.deadline.is_some_and(|deadline| deadline <= cx.now) {
            self.deadline = None;
            self.failed(Failure::Timeout, cx);
        }
    }

    fn discard(&mut self, refusal: Option<Failure>, cx: &mut Context<'_>) {
        self.deadline = None;
        self.refusal = refusal;
        if self.phase == Phase::Waiting {
            self.end(cx);
            return;
        }
        self.become_phase(Phase::Discarding);
        cx.effects.push(Effect::Discard {
            attempt: self.offer.attempt,
            process: self.offer.process,
            arrival: self.arrival(cx.own),
        });
    }

    /// All that was made is dropped.
    pub(crate) fn discarded(&mut self, cx: &mut Context<'_>) {
        if self.phase == Phase::Discarding {
            self.end(cx);
        }
    }

    fn end(&mut self, cx: &mut Context<'_>) {
        self.become_phase(Phase::Ended);
        if let Some(failure) = self.refusal.take() {
            let refused = Refused { attempt: self.offer.attempt, reason: failure.number() };
            cx.effects.push(Effect::Send { to: self.source, message: Message::Refused(refused) });
        }
    }
}
