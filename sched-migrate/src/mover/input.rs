//! Messages, completions and time.

use netproto::id::{AttemptId, Epoch, GlobalPid, Slot};
use netproto::msg::migrate::{Abort, Cas, CasOutcome, CasResult, Committed, Prepared, Refused};
use netproto::time::Instant;

use super::state::attempt_slot;
use super::{Mover, ABORTED_LEN};
use crate::directory::{Entry, Swap};
use crate::effect::Effect;
use crate::failure::Failure;
use crate::message::Message;
use crate::source::Source;
use crate::target::Target;

impl Mover {
    /// A message came.
    pub fn handle_message(&mut self, now: Instant, from: Slot, message: Message) {
        self.now = now;
        self.dispatch(from, message);
        self.pump();
    }

    fn dispatch(&mut self, from: Slot, message: Message) {
        match message {
            Message::Prepared(message) => self.handle_prepared(from, message),
            Message::Refused(message) => self.handle_refused(from, message),
            Message::Abort(message) => self.handle_abort(from, message),
            Message::Cas(message) => self.handle_cas(from, message),
            Message::CasResult(message) => self.handle_cas_result(from, message),
            Message::Committed(message) => self.handle_committed(from, message),
        }
    }

    /// Takes the messages that the node sent to itself. Each leads to at most one more.
    pub(super) fn pump(&mut self) {
        while let Some(message) = self.effects.pop_local() {
            self.dispatch(self.config.own, message);
        }
    }

    fn source_of(&self, attempt: AttemptId) -> Option<(GlobalPid, &Source)> {
        self.sources.iter().find(|(_, source)| source.attempt() == attempt)
    }

    /// The process of an attempt whose target is `from`.
    fn sent_to(&self, attempt: AttemptId, from: Slot) -> Option<GlobalPid> {
        let (process, source) = self.source_of(attempt)?;
        (source.target() == from).then_some(process)
    }

    fn handle_prepared(&mut self, from: Slot, message: Prepared) {
        let Some(process) = self.sent_to(message.attempt, from) else {
            // Its source gave it up, and the word of it was too early to be understood.
            self.stats.stale += 1;
            let abort = Abort { attempt: message.attempt, reason: Failure::Aborted.number() };
            self.effects.push(Effect::Send { to: from, message: Message::Abort(abort) });
            return;
        };
        self.with_source(process, Source::prepared);
    }

    fn handle_refused(&mut self, from: Slot, message: Refused) {
        let Some(process) = self.sent_to(message.attempt, from) else {
            self.stats.stale += 1;
            return;
        };
        let failure = Failure::from_number(message.reason);
        self.with_source(process, |source, cx| source.refused(failure, cx));
    }

    fn handle_committed(&mut self, from: Slot, message: Committed) {
        let Some(process) = self.sent_to(message.attempt, from) else {
            self.stats.stale += 1;
            return;
        };
        self.with_source(process, |source, cx| {
            if message.epoch > source.epoch() {
                source.committed(message.epoch, cx);
            }
        });
    }

    fn handle_abort(&mut self, from: Slot, message: Abort) {
        let attempt = message.attempt;
        match self.targets.get(attempt) {
            Some(target) if target.source() == from => self.with_target(attempt, Target::abort),
            // Nobody gives up what is not its own, not even before it is here.
            None if attempt_slot(attempt) == u64::from(from.get()) => self.note_aborted(attempt),
            Some(_) | None => self.stats.stale += 1,
        }
    }

    /// The image may still be under way, in a class that is slower than this message's.
    pub(super) fn note_aborted(&mut self, attempt: AttemptId) {
        if let Some(place) = self.aborted.get_mut(self.aborted_next) {
            *place = Some(attempt);
        }
        self.aborted_next = (self.aborted_next + 1) % ABORTED_LEN;
    }

    fn handle_cas(&mut self, from: Slot, message: Cas) {
        let Cas { attempt, process, expect_epoch, new_slot } = message;
        if new_slot != from {
            // A node can claim a process for itself only.
            self.stats.stale += 1;
            return;
        }
        let own = self.config.own;
        let nowhere = Entry { slot: own, epoch: expect_epoch };
        let (outcome, entry) = match self.swap(process, expect_epoch, new_slot) {
            Swap::Won(entry) => (CasOutcome::Won, entry),
            Swap::Lost(entry) => (CasOutcome::Lost, entry),
            Swap::Unknown => (CasOutcome::Unknown, nowhere),
        };
        let Entry { slot, epoch } = entry;
        if outcome == CasOutcome::Won {
            self.stats.swaps_won += 1;
            if slot != own {
                self.effects.push(Effect::Moved { process, slot, epoch });
            }
        } else {
            self.stats.swaps_lost += 1;
        }
        let message = Message::CasResult(CasResult { attempt, outcome, slot, epoch });
        self.effects.push(Effect::Send { to: from, message });
    }

    /// Asks the directory, but for a process that runs here: that is nobody's before FINAL was
    /// sent.
    fn swap(&mut self, process: GlobalPid, expect: Epoch, slot: Slot) -> Swap {
        let promised = |source: &Source| source.phase().is_promised();
        match (self.sources.get(process), self.directory.get(process)) {
            (Some(source), Some(entry)) if !promised(source) => Swap::Lost(entry),
            _ => self.directory.swap(process, expect, slot),
        }
    }

    fn handle_cas_result(&mut self, from: Slot, message: CasResult) {
        let asked = self.source_of(message.attempt).filter(|(_, source)| source.origin() == from);
        if let Some((process, _)) = asked {
            match message.outcome {
                CasOutcome::Won => self.stats.reclaimed += 1,
                CasOutcome::Lost | CasOutcome::Unknown => self.stats.reclaim_lost += 1,
            }
            self.with_source(process, |source, cx| source.cas_result(message, cx));
            return;
        }
        let Some(target) = self.targets.get(message.attempt) else {
            self.stats.stale += 1;
            return;
        };
        let offer = *target.offer();
        if offer.origin != from {
            self.stats.stale += 1;
            return;
        }
        let mut released = None;
        self.with_target(message.attempt, |target, cx| released = target.cas_result(message, cx));
        if let Some(epoch) = released {
            self.settle_body(offer.process, offer.origin, epoch);
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        // Each of these leaves its source or target without a deadline that is due.
        while let Some(process) = self.source_due(now) {
            self.with_source(process, Source::timeout);
        }
        while let Some(attempt) = self.target_due(now) {
            self.with_target(attempt, Target::timeout);
        }
        self.pump();
    }

    fn source_due(&self, now: Instant) -> Option<GlobalPid> {
        let mut sources = self.sources.iter();
        let due = |source: &Source| source.deadline().is_some_and(|deadline| deadline <= now);
        sources.find(|(_, source)| due(source)).map(|(process, _)| process)
    }

    fn target_due(&self, now: Instant) -> Option<AttemptId> {
        let mut targets = self.targets.iter();
        let due = |target: &Target| target.deadline().is_some_and(|deadline| deadline <= now);
        targets.find(|(_, target)| due(target)).map(|(attempt, _)| attempt)
    }

    fn complete_source(
        &mut self,
        now: Instant,
        attempt: AttemptId,
        input: impl FnOnce(&mut Source, &mut crate::source::Context<'_>),
    ) {
        self.now = now;
        if let Some((process, _)) = self.source_of(attempt) {
            self.with_source(process, input);
        }
        self.pump();
    }

    /// [`Effect::Freeze`] is done, and the final part can carry what changed.
    pub fn frozen(&mut self, now: Instant, attempt: AttemptId) {
        self.complete_source(now, attempt, Source::frozen);
    }

    /// [`Effect::Freeze`] is done, and too much has changed.
    pub fn incompatible(&mut self, now: Instant, attempt: AttemptId) {
        self.complete_source(now, attempt, Source::incompatible);
    }

    /// [`Effect::Prepare`] or [`Effect::Freeze`] failed. For an exec: before the point of no
    /// return.
    pub fn capture_failed(&mut self, now: Instant, attempt: AttemptId, failure: Failure) {
        self.complete_source(now, attempt, |source, cx| source.capture_failed(failure, cx));
    }

    fn command_source(&mut self, now: Instant, process: GlobalPid, failure: Failure) {
        self.now = now;
        self.with_source(process, |source, cx| source.abort(failure, cx));
        self.pump();
    }

    /// Someone wants the move to stop. If it is too late, it is not stopped.
    pub fn abort(&mut self, now: Instant, process: GlobalPid) {
        self.command_source(now, process, Failure::Aborted);
    }

    /// The process was killed while it was being moved away.
    pub fn killed(&mut self, now: Instant, process: GlobalPid) {
        self.command_source(now, process, Failure::Killed);
    }

    /// The memory of the last move is here.
    pub fn fetched(&mut self, now: Instant, process: GlobalPid) {
        self.now = now;
        self.with_source(process, Source::fetched);
        self.pump();
    }

    /// The process has ended: here, or as its surrogate was told. It is forgotten.
    pub fn ended(&mut self, now: Instant, process: GlobalPid) {
        self.command_source(now, process, Failure::Killed);
        self.directory.remove(process);
        self.bodies.remove(process);
    }

    fn complete_target(
        &mut self,
        now: Instant,
        attempt: AttemptId,
        input: impl FnOnce(&mut Target, &mut crate::target::Context<'_>),
    ) {
        self.now = now;
        self.with_target(attempt, input);
        self.pump();
    }

    /// [`Effect::Restore`] is done.
    pub fn restored(&mut self, now: Instant, attempt: AttemptId) {
        self.complete_target(now, attempt, Target::restored);
    }

    /// [`Effect::Restore`] or [`Effect::Apply`] failed, or what they made died.
    pub fn restore_failed(&mut self, now: Instant, attempt: AttemptId, failure: Failure) {
        self.complete_target(now, attempt, |target, cx| target.failed(failure, cx));
    }

    /// [`Effect::Apply`] is done; so much memory is still at the source.
    pub fn applied(&mut self, now: Instant, attempt: AttemptId, fetch_bytes: u64) {
        self.complete_target(now, attempt, |target, cx| target.applied(fetch_bytes, cx));
    }

    /// [`Effect::Discard`] is done.
    pub fn discarded(&mut self, now: Instant, attempt: AttemptId) {
        self.complete_target(now, attempt, Target::discarded);
    }
}
