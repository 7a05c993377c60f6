//! What a [`Mover`](crate::Mover) asks its driver to do.

use alloc::collections::{TryReserveError, VecDeque};

use netproto::id::{AttemptId, Epoch, GlobalPid, RequestId, Slot};
use netproto::msg::migrate::ImageKind;
use netproto::time::Duration;

use crate::failure::Failure;
use crate::message::Message;

/// Something to do. Effects come in the order in which they must be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Send a message to another node. If it is down, the message may be dropped: what waits for
    /// the answer ends by [`Mover::handle_peer_down`]. If the link has no room just now, it must
    /// wait for room, and keep its place before later ones.
    ///
    /// [`Mover::handle_peer_down`]: crate::Mover::handle_peer_down
    Send {
        /// To whom.
        to: Slot,
        /// What.
        message: Message,
    },
    /// Source: take the manifest and send it. Then nothing, or [`Mover::capture_failed`].
    ///
    /// [`Mover::capture_failed`]: crate::Mover::capture_failed
    Prepare {
        /// The attempt, to be the image's.
        attempt: AttemptId,
        /// The process.
        process: GlobalPid,
        /// Running, or about to execute.
        kind: ImageKind,
        /// To whom.
        target: Slot,
        /// The process' origin.
        origin: Slot,
        /// The process' epoch.
        epoch: Epoch,
    },
    /// Source: stop the process (unless it is stopped already from the attempt before), capture it
    /// and compare with the attempt's manifest. For an exec: pass the point of no return, unless it
    /// is passed already. Then [`Mover::frozen`], [`Mover::incompatible`] or
    /// [`Mover::capture_failed`].
    ///
    /// [`Mover::frozen`]: crate::Mover::frozen
    /// [`Mover::incompatible`]: crate::Mover::incompatible
    /// [`Mover::capture_failed`]: crate::Mover::capture_failed
    Freeze {
        /// The attempt.
        attempt: AttemptId,
        /// The process.
        process: GlobalPid,
    },
    /// Source: send the final part that was made at the freeze (for an exec, an empty one).
    SendFinal {
        /// The attempt.
        attempt: AttemptId,
        /// The process.
        process: GlobalPid,
        /// To whom.
        target: Slot,
    },
    /// Source: drop all that was made for the attempt, at its end or before another one.
    DropImage {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Source: let the process go on here, at this epoch. Also ends a [`Effect::Freeze`] that has
    /// not come to its end.
    Thaw {
        /// The process.
        process: GlobalPid,
        /// Its epoch.
        epoch: Epoch,
    },
    /// Source, which is the origin too: the process runs elsewhere; its task here becomes the
    /// surrogate, its memory waits to be fetched. Signals that came to it after its capture are for
    /// the body.
    BecomeSurrogate {
        /// The process.
        process: GlobalPid,
        /// Where its body is.
        slot: Slot,
        /// The body's epoch.
        epoch: Epoch,
    },
    /// Source, which is not the origin: the process runs elsewhere; its task here ends without
    /// being noticed, its memory waits to be fetched. Signals that came to it after its capture
    /// are for the body.
    End {
        /// The process.
        process: GlobalPid,
        /// Where its body is.
        slot: Slot,
        /// The body's epoch.
        epoch: Epoch,
    },
    /// Source: the placed exec did not start at its target and won't, and it has passed the point
    /// of no return here. Place the kept image again ([`Work::PlacedAgain`]) or execute it here, at
    /// this epoch. Also ends a [`Effect::Freeze`] that has not come to its end.
    ///
    /// [`Work::PlacedAgain`]: crate::source::Work::PlacedAgain
    PlaceAgain {
        /// The process.
        process: GlobalPid,
        /// Its epoch.
        epoch: Epoch,
        /// Where it did not start.
        not_at: Slot,
    },
    /// Source: end the process for good. Its origin is down, or has forgotten it.
    Kill {
        /// The process.
        process: GlobalPid,
        /// Why.
        failure: Failure,
    },
    /// Target: have the process made ready from its manifest. Then [`Mover::restored`] or
    /// [`Mover::restore_failed`].
    ///
    /// [`Mover::restored`]: crate::Mover::restored
    /// [`Mover::restore_failed`]: crate::Mover::restore_failed
    Restore {
        /// The attempt.
        attempt: AttemptId,
        /// The process.
        process: GlobalPid,
        /// Into which task.
        arrival: Arrival,
    },
    /// Target: apply the final part. Then [`Mover::applied`] or [`Mover::restore_failed`].
    ///
    /// [`Mover::applied`]: crate::Mover::applied
    /// [`Mover::restore_failed`]: crate::Mover::restore_failed
    Apply {
        /// The attempt.
        attempt: AttemptId,
        /// The process.
        process: GlobalPid,
    },
    /// Target: let the process run here, from now on at this epoch.
    Release {
        /// The attempt.
        attempt: AttemptId,
        /// The process.
        process: GlobalPid,
        /// Its origin.
        origin: Slot,
        /// Its epoch.
        epoch: Epoch,
    },
    /// Target: drop all that was made for the attempt, then [`Mover::discarded`]. What came into a
    /// surrogate's task becomes that surrogate again.
    ///
    /// [`Mover::discarded`]: crate::Mover::discarded
    Discard {
        /// The attempt.
        attempt: AttemptId,
        /// The process.
        process: GlobalPid,
        /// Where it was to be made.
        arrival: Arrival,
    },
    /// Origin: the body is elsewhere now, or has another epoch. The surrogate's signals go there.
    Moved {
        /// The process.
        process: GlobalPid,
        /// Where its body is.
        slot: Slot,
        /// The body's epoch.
        epoch: Epoch,
    },
    /// Origin: the node that the body was on is down. The surrogate ends with "node lost", or
    /// places its kept exec again. What the lost body might still say has a lower epoch.
    BodyLost {
        /// The process.
        process: GlobalPid,
        /// Where its body was.
        slot: Slot,
        /// The surrogate's epoch from now on.
        epoch: Epoch,
    },
    /// A body's node: the origin is down. The body ends with "origin lost".
    OriginLost {
        /// The process.
        process: GlobalPid,
    },
    /// Source: the process was killed while its target took it over: kill it there.
    KillBody {
        /// The process.
        process: GlobalPid,
        /// Where its body is.
        slot: Slot,
        /// The body's epoch.
        epoch: Epoch,
    },
    /// The request has ended.
    Report(Report),
}

/// How a process comes to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// Into a task that the job's init makes for it.
    Guest,
    /// Home to its origin, into the task of the surrogate that stands for it.
    Home,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// The request.
    pub request: RequestId,
    /// The process.
    pub process: GlobalPid,
    /// Where it was to go.
    pub target: Slot,
    /// The epoch that it has there, or why it is not there.
    pub result: Result<Epoch, Failure>,
    /// How long it was stopped.
    pub frozen: Duration,
    /// How long all took.
    pub total: Duration,
    /// How often it was prepared.
    pub tries: u8,
}

/// Effects that wait to be taken.
///
/// Room for what all attempts together can ask for between two looks of the driver is reserved when
/// an attempt starts, so that no effect is lost for want of memory.
#[derive(Debug)]
pub(crate) struct Effects {
    own: Slot,
    queue: VecDeque<Effect>,
    /// Messages of this node to itself, which never leave it.
    local: VecDeque<Message>,
}

impl Effects {
    pub(crate) const fn new(own: Slot) -> Self {
        Self { own, queue: VecDeque::new(), local: VecDeque::new() }
    }

    pub(crate) fn reserve(&mut self, more: usize) -> Result<(), TryReserveError> {
        self.queue.try_reserve(more)?;
        self.local.try_reserve(more)
    }

    pub(crate) fn push(&mut self, effect: Effect) {
        match effect {
            Effect::Send { to, message } if to == self.own => self.local.push_back(message),
            _ => self.queue.push_back(effect),
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Effect> {
        self.queue.pop_front()
    }

    pub(crate) fn pop_local(&mut self) -> Option<Message> {
        self.local.pop_front()
    }
}
