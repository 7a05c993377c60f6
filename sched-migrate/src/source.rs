//! The source of a hand-off: see [`crate::phase`] for the diagram.
//!
//! Invariants:
//! - The process is thawed without asking the origin only while FINAL was not sent.
//! - Once FINAL was sent, exactly one of thaw, surrogate, end or kill follows, after the origin's
//!   answer, the target's COMMITTED or the origin's death; and it follows once.
//! - Every way out drops the image and reports once.

use netproto::id::{AttemptId, Epoch, GlobalPid, RequestId, Slot};
use netproto::msg::migrate::{Abort, Cas, CasOutcome, CasResult, ImageKind};
use netproto::time::{Duration, Instant};

use crate::effect::{Effect, Effects, Report};
use crate::failure::Failure;
use crate::message::Message;
use crate::phase::SourcePhase as Phase;
use crate::timing::Timing;

/// After so many preparations that the freeze found out of date, the process stays frozen while it
/// is prepared once more.
pub const TRIES_THAWED_MAX: u8 = 2;

/// Effects that one input can make a source ask for: the longest way is from an incompatible freeze
/// to a new preparation.
pub(crate) const EFFECTS_MAX: usize = 6;

/// What a source needs from its node.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) own: Slot,
    pub(crate) timing: &'a Timing,
    pub(crate) next_attempt: &'a mut dyn FnMut() -> AttemptId,
    pub(crate) effects: &'a mut Effects,
}

/// What is known when a process is to be moved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    pub(crate) request: RequestId,
    pub(crate) process: GlobalPid,
    pub(crate) work: Work,
    pub(crate) target: Slot,
    pub(crate) origin: Slot,
    pub(crate) epoch: Epoch,
}

/// What is to be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A running process.
    Running,
    /// A process that is about to execute a file and can still do so here.
    Exec,
    /// An exec whose placement was lost: see [`Effect::PlaceAgain`].
    PlacedAgain,
}

impl Work {
    /// What its image describes.
    pub const fn image_kind(self) -> ImageKind {
        match self {
            Self::Running => ImageKind::Live,
            Self::Exec | Self::PlacedAgain => ImageKind::Exec,
        }
    }
}

/// Whether the process can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    Runs,
    Stopping,
    Stopped,
    /// An exec past the point of no return: it can only be executed again, from its image.
    Passed,
}

/// One request's way, over all its attempts.
#[derive(Debug)]
pub struct Source {
    start: Start,
    attempt: AttemptId,
    phase: Phase,
    hold: Hold,
    tries: u8,
    /// Why it is being given up, from the moment that it is.
    cause: Option<Failure>,
    deadline: Option<Instant>,
    started_at: Instant,
    held_at: Option<Instant>,
    frozen: Duration,
    outcome: Option<Outcome>,
}

/// How a source's way ended, for the node's own records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The process stays, at this epoch.
    Stays(Epoch),
    /// The process is elsewhere.
    Left,
    /// The process is dead.
    Dead,
}

impl Source {
    pub(crate) fn new(start: Start, attempt: AttemptId, now: Instant) -> Self {
        Self {
            start,
            attempt,
            phase: Phase::Waiting,
            hold: match start.work {
                Work::Running | Work::Exec => Hold::Runs,
                Work::PlacedAgain => Hold::Passed,
            },
            tries: 0,
            cause: None,
            deadline: None,
            started_at: now,
            held_at: None,
            frozen: Duration::ZERO,
            outcome: None,
        }
    }

    pub(crate) const fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    pub(crate) const fn epoch(&self) -> Epoch {
        self.start.epoch
    }

    /// The attempt that is under way.
    pub const fn attempt(&self) -> AttemptId {
        self.attempt
    }

    /// Where it is.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Where the process is to go.
    pub const fn target(&self) -> Slot {
        self.start.target
    }

    /// The process' origin.
    pub const fn origin(&self) -> Slot {
        self.start.origin
    }

    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn become_phase(&mut self, next: Phase) {
        debug_assert!(self.phase.may_become(next), "{:?} to {next:?}", self.phase);
        self.phase = next;
    }

    /// Begins: at once, or when the last move's memory is here.
    pub(crate) fn begin(&mut self, fetching: bool, cx: &mut Context<'_>) {
        if fetching {
            self.deadline = Some(cx.now.after(cx.timing.fetch));
        } else {
            self.prepare(cx);
        }
    }

    /// The last move's memory is here.
    pub(crate) fn fetched(&mut self, cx: &mut Context<'_>) {
        if self.phase == Phase::Waiting {
            self.prepare(cx);
        }
    }

    fn prepare(&mut self, cx: &mut Context<'_>) {
        self.become_phase(Phase::Preparing);
        self.tries = self.tries.saturating_add(1);
        self.deadline = Some(cx.now.after(cx.timing.prepare));
        cx.effects.push(Effect::Prepare {
            attempt: self.attempt,
            process: self.start.process,
            kind: self.start.work.image_kind(),
            target: self.start.target,
            origin: self.start.origin,
            epoch: self.start.epoch,
        });
    }

    /// The target is ready.
    pub(crate) fn prepared(&mut self, cx: &mut Context<'_>) {
        if self.phase != Phase::Preparing {
            return;
        }
        self.become_phase(Phase::Freezing);
        if self.hold == Hold::Runs {
            self.hold = Hold::Stopping;
            self.held_at = Some(cx.now);
        }
        self.deadline = Some(cx.now.after(cx.timing.freeze));
        cx.effects.push(Effect::Freeze { attempt: self.attempt, process: self.start.process });
    }

    /// The process is stopped and captured, and the final part can carry what changed.
    pub(crate) fn frozen(&mut self, cx: &mut Context<'_>) {
        if self.phase != Phase::Freezing {
            return;
        }
        self.hold = match self.start.work {
            Work::Running => Hold::Stopped,
            Work::Exec | Work::PlacedAgain => Hold::Passed,
        };
        if let Some(failure) = self.cause {
            // An exec that was lost on its way past the point of no return.
            self.give_up(failure, cx);
            return;
        }
        self.become_phase(Phase::Committing);
        self.deadline = Some(cx.now.after(cx.timing.commit));
        cx.effects.push(Effect::SendFinal {
            attempt: self.attempt,
            process: self.start.process,
            target: self.start.target,
        });
    }

    /// The process could not be captured, or the exec failed before the point of no return.
    pub(crate) fn capture_failed(&mut self, failure: Failure, cx: &mut Context<'_>) {
        if self.phase.is_promised() || self.phase == Phase::Ended {
            return;
        }
        if self.start.work == Work::Exec {
            self.hold = Hold::Runs;
            self.note_frozen(cx.now);
        }
        self.give_up(failure, cx);
    }

    /// The process is stopped, and too much has changed since it was prepared.
    pub(crate) fn incompatible(&mut self, cx: &mut Context<'_>) {
        if self.phase != Phase::Freezing || self.start.work != Work::Running {
            return;
        }
        self.hold = Hold::Stopped;
        if self.tries > TRIES_THAWED_MAX {
            // Nothing can have changed while it was frozen: the capture itself is at fault.
            self.give_up(Failure::Capture { errno: 0 }, cx);
            return;
        }
        self.send_abort(Failure::Aborted, cx);
        cx.effects.push(Effect::DropImage { attempt: self.attempt });
        if self.tries < TRIES_THAWED_MAX {
            self.thaw(self.start.epoch, cx);
        }
        self.attempt = (cx.next_attempt)();
        self.prepare(cx);
    }

    /// The target gave up.
    pub(crate) fn refused(&mut self, failure: Failure, cx: &mut Context<'_>) {
        self.leave(failure, cx);
    }

    /// The target runs the process.
    pub(crate) fn committed(&mut self, epoch: Epoch, cx: &mut Context<'_>) {
        // While reclaiming, the origin's answer is waited for: it says the same, and it must not
        // come when nobody waits for it any more.
        if self.phase == Phase::Committing {
            self.gone(self.start.target, epoch, cx);
        }
    }

    /// A node is down.
    pub(crate) fn peer_down(&mut self, slot: Slot, cx: &mut Context<'_>) {
        if slot == self.start.origin {
            self.lose_origin(Failure::OriginDown, cx);
        } else if slot == self.start.target {
            self.leave(Failure::TargetDown, cx);
        }
    }

    /// Time has passed.
    pub(crate) fn timeout(&mut self, cx: &mut Context<'_>) {
        if self.deadline.is_none_or(|deadline| deadline > cx.now) {
            return;
        }
        self.deadline = None;
        match self.phase {
            Phase::Waiting => self.leave(Failure::Fetching, cx),
            _ => self.leave(Failure::Timeout, cx),
        }
    }

    /// Someone wants it to end: a user, the killed process itself, or the capture that failed.
    pub(crate) fn abort(&mut self, failure: Failure, cx: &mut Context<'_>) {
        if self.phase == Phase::Reclaiming && failure == Failure::Killed {
            // The stronger wish: what is killed here must not go on elsewhere.
            self.cause = Some(failure);
        }
        self.leave(failure, cx);
    }

    /// Gives up in the way that the phase allows.
    fn leave(&mut self, failure: Failure, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Freezing if self.start.work == Work::Exec => {
                // Whether it has passed the point of no return is known when it says so, soon.
                self.deadline = None;
                self.cause.get_or_insert(failure);
            }
            Phase::Waiting | Phase::Preparing | Phase::Freezing => self.give_up(failure, cx),
            Phase::Committing => self.reclaim(failure, cx),
            // The origin's answer comes, or the verdict that it is down.
            Phase::Reclaiming | Phase::Ended => {}
        }
    }

    fn lose_origin(&mut self, failure: Failure, cx: &mut Context<'_>) {
        if self.phase == Phase::Ended {
            return;
        }
        if self.start.origin == self.start.target {
            // It was coming home; there is nobody to tell.
        } else if !self.phase.is_promised() {
            self.send_abort(failure, cx);
        }
        cx.effects.push(Effect::Kill { process: self.start.process, failure });
        self.finish(Outcome::Dead, Err(failure), cx);
    }

    /// Gives up before FINAL: the process stays here, without asking anybody.
    fn give_up(&mut self, failure: Failure, cx: &mut Context<'_>) {
        debug_assert!(!self.phase.is_promised(), "given up after FINAL");
        if self.phase != Phase::Waiting {
            self.send_abort(failure, cx);
        }
        self.stay(self.start.epoch, cx);
        self.finish(Outcome::Stays(self.start.epoch), Err(failure), cx);
    }

    /// Asks the origin for the process after FINAL.
    fn reclaim(&mut self, failure: Failure, cx: &mut Context<'_>) {
        self.become_phase(Phase::Reclaiming);
        self.cause = Some(failure);
        self.deadline = None;
        let cas = Cas {
            attempt: self.attempt,
            process: self.start.process,
            expect_epoch: self.start.epoch,
            new_slot: cx.own,
        };
        cx.effects.push(Effect::Send { to: self.start.origin, message: Message::Cas(cas) });
    }

    /// The origin answered.
    pub(crate) fn cas_result(&mut self, result: CasResult, cx: &mut Context<'_>) {
        if self.phase != Phase::Reclaiming {
            return;
        }
        match result.outcome {
            CasOutcome::Won => {
                let failure = self.cause.unwrap_or(Failure::Timeout);
                self.send_abort(failure, cx);
                self.stay(result.epoch, cx);
                self.finish(Outcome::Stays(result.epoch), Err(failure), cx);
            }
            CasOutcome::Lost => self.gone(result.slot, result.epoch, cx),
            CasOutcome::Unknown => {
                // The origin has ended the process meanwhile.
                let failure = Failure::Killed;
                cx.effects.push(Effect::Kill { process: self.start.process, failure });
                self.finish(Outcome::Dead, Err(failure), cx);
            }
        }
    }

    /// The process runs elsewhere.
    fn gone(&mut self, slot: Slot, epoch: Epoch, cx: &mut Context<'_>) {
        let process = self.start.process;
        cx.effects.push(match self.start.origin == cx.own {
            true => Effect::BecomeSurrogate { process, slot, epoch },
            false => Effect::End { process, slot, epoch },
        });
        if self.cause == Some(Failure::Killed) {
            cx.effects.push(Effect::KillBody { process, slot, epoch });
        }
        self.finish(Outcome::Left, Ok(epoch), cx);
    }

    /// The process stays: it goes on here, at `epoch`.
    fn stay(&mut self, epoch: Epoch, cx: &mut Context<'_>) {
        match self.hold {
            Hold::Runs => {}
            Hold::Stopping | Hold::Stopped => self.thaw(epoch, cx),
            Hold::Passed => cx.effects.push(Effect::PlaceAgain {
                process: self.start.process,
                epoch,
                not_at: self.start.target,
            }),
        }
    }

    fn thaw(&mut self, epoch: Epoch, cx: &mut Context<'_>) {
        self.hold = Hold::Runs;
        self.note_frozen(cx.now);
        cx.effects.push(Effect::Thaw { process: self.start.process, epoch });
    }

    fn note_frozen(&mut self, now: Instant) {
        if let Some(since) = self.held_at.take() {
            self.frozen = self.frozen.plus(now.since(since));
        }
    }

    fn send_abort(&mut self, failure: Failure, cx: &mut Context<'_>) {
        let abort = Abort { attempt: self.attempt, reason: failure.number() };
        let message = Message::Abort(abort);
        cx.effects.push(Effect::Send { to: self.start.target, message });
    }

    fn finish(&mut self, outcome: Outcome, result: Result<Epoch, Failure>, cx: &mut Context<'_>) {
        self.become_phase(Phase::Ended);
        self.outcome = Some(outcome);
        self.deadline = None;
        self.note_frozen(cx.now);
        cx.effects.push(Effect::DropImage { attempt: self.attempt });
        cx.effects.push(Effect::Report(Report {
            request: self.start.request,
            process: self.start.process,
            target: self.start.target,
            result,
            frozen: self.frozen,
            total: cx.now.since(self.started_at),
            tries: self.tries,
        }));
    }
}
