//! What a driver does with effects: tasks that freeze, thaw, are restored and run.

use netproto::id::{AttemptId, Epoch, Slot};
use netproto::msg::migrate::ImageKind;
use sched_migrate::effect::Arrival;
use sched_migrate::{Effect, Failure, Offer, Step};

use super::event::{Event, Local, Packet};
use super::world::{slot, Task, World, NODES, PROCESS};

impl World {
    /// Local work, done after a while, or never if it hangs.
    fn later(&mut self, at: Slot, local: Local) {
        let life = self.node(at).life;
        let delay = self.delay_ns();
        self.after(delay, Event::Local { at, life, local });
    }

    fn hangs(&mut self) -> bool {
        let odds = self.odds.hangs;
        let hangs = self.rng.one_in(odds);
        if hangs {
            self.saw("local work hangs");
        }
        hangs
    }

    pub fn perform(&mut self, at: Slot, effect: Effect) {
        let name = effect_name(&effect);
        self.saw(name);
        match effect {
            Effect::Send { to, message } => self.send(at, to, Packet::Mover(message)),
            Effect::Prepare { attempt, process, kind, target, origin, epoch } => {
                let offer = Offer { attempt, process, kind, origin, epoch };
                let odds = self.odds.capture_fails;
                match self.rng.one_in(odds) {
                    true => self.later(at, Local::CaptureFailed(attempt)),
                    false => self.later(at, Local::SendOffer { to: target, offer }),
                }
            }
            Effect::Freeze { attempt, .. } => {
                self.node(at).freezing = Some(attempt);
                let exec = self.kind == ImageKind::Exec && at == self.origin;
                if exec || !self.hangs() {
                    self.later(at, Local::Freeze(attempt));
                }
            }
            Effect::SendFinal { attempt, target, .. } => {
                let stopped = matches!(self.node(at).task, Some(Task::Frozen | Task::Passed));
                assert!(stopped, "FINAL of what is not stopped");
                self.send(at, target, Packet::Final(attempt));
            }
            Effect::DropImage { .. } => {}
            Effect::Thaw { epoch, .. } => self.thaw(at, epoch),
            Effect::BecomeSurrogate { .. } => {
                assert_eq!(at, self.origin);
                self.stop_for_good(at);
                self.kept = self.node(at).task == Some(Task::Passed);
                self.node(at).task = Some(Task::Surrogate);
            }
            Effect::End { .. } => {
                assert_ne!(at, self.origin);
                self.stop_for_good(at);
                self.node(at).task = None;
            }
            Effect::PlaceAgain { not_at, .. } => self.later(at, Local::PlaceAgain { not_at }),
            Effect::Kill { .. } => self.node(at).task = None,
            Effect::Restore { attempt, arrival, .. } => self.restore(at, attempt, arrival),
            Effect::Apply { attempt, .. } => {
                assert_eq!(self.node(at).prepared, Some(attempt), "applied to nothing");
                let odds = self.odds.restore_fails;
                let ok = !self.rng.one_in(odds);
                if !self.hangs() {
                    self.later(at, Local::Applied { attempt, ok });
                }
            }
            Effect::Release { attempt, epoch, .. } => {
                assert_eq!(self.node(at).prepared.take(), Some(attempt), "released twice");
                self.run_at(at, epoch);
            }
            Effect::Discard { attempt, .. } => self.later(at, Local::Discarded(attempt)),
            Effect::Moved { .. } => assert_eq!(at, self.origin),
            Effect::BodyLost { slot, .. } => self.body_lost(at, slot),
            Effect::OriginLost { .. } => self.node(at).task = None,
            Effect::KillBody { slot, epoch, .. } => self.send(at, slot, Packet::Kill(epoch)),
            Effect::Report(report) => self.report(at, report),
        }
    }

    fn thaw(&mut self, at: Slot, epoch: Epoch) {
        self.node(at).freezing = None;
        match self.node(at).task {
            Some(Task::Frozen | Task::Running(_)) => self.run_at(at, epoch),
            // It died while it was stopped.
            None => {}
            Some(Task::Passed | Task::Surrogate) => panic!("thaws what can't go on"),
        }
    }

    fn stop_for_good(&mut self, at: Slot) {
        let task = self.node(at).task;
        let stopped = matches!(task, Some(Task::Frozen | Task::Passed) | None);
        assert!(stopped, "a running process was given away");
    }

    fn restore(&mut self, at: Slot, attempt: AttemptId, arrival: Arrival) {
        assert_eq!(self.node(at).prepared, None, "two bodies with one PID");
        assert_eq!(arrival == Arrival::Home, at == self.origin);
        match arrival {
            Arrival::Home => assert_eq!(self.node(at).task, Some(Task::Surrogate)),
            Arrival::Guest => assert_eq!(self.node(at).task, None),
        }
        self.node(at).prepared = Some(attempt);
        let odds = self.odds.restore_fails;
        let ok = !self.rng.one_in(odds);
        if !self.hangs() {
            self.later(at, Local::Restored { attempt, ok });
        }
    }

    fn body_lost(&mut self, at: Slot, lost: Slot) {
        assert_eq!(at, self.origin);
        assert!(!self.node(lost).alive || self.node(lost).task.is_none(), "not lost");
        if !self.kept {
            self.end_at_origin();
            return;
        }
        self.node(at).task = Some(Task::Passed);
        self.later(at, Local::PlaceAgain { not_at: lost });
    }

    pub fn local(&mut self, at: Slot, local: Local) {
        let now = self.now();
        match local {
            Local::SendOffer { to, offer } => self.send(at, to, Packet::Offer(offer)),
            Local::CaptureFailed(attempt) => {
                let failure = Failure::Capture { errno: 12 };
                self.node(at).mover.capture_failed(now, attempt, failure);
            }
            Local::Freeze(attempt) => self.freeze(at, attempt),
            Local::Restored { attempt, ok: true } => self.node(at).mover.restored(now, attempt),
            Local::Applied { attempt, ok: true } => {
                self.node(at).mover.applied(now, attempt, 4096);
            }
            Local::Restored { attempt, .. } | Local::Applied { attempt, .. } => {
                let failure = Failure::Helper { step: Step::Fork, errno: 11 };
                self.node(at).mover.restore_failed(now, attempt, failure);
            }
            Local::Discarded(attempt) => {
                if self.node(at).prepared == Some(attempt) {
                    self.node(at).prepared = None;
                }
                self.node(at).mover.discarded(now, attempt);
            }
            Local::PlaceAgain { not_at } => self.place_again(at, not_at),
        }
        self.drain(at);
    }

    fn freeze(&mut self, at: Slot, attempt: AttemptId) {
        let now = self.now();
        if self.node(at).freezing != Some(attempt) {
            return;
        }
        self.node(at).freezing = None;
        let odds = self.odds;
        if self.node(at).task.is_none() {
            self.node(at).mover.capture_failed(now, attempt, Failure::Killed);
            return;
        }
        let passed = self.node(at).task == Some(Task::Passed);
        if !passed && self.rng.one_in(odds.capture_fails) {
            let failure = Failure::Capture { errno: 4 };
            self.node(at).mover.capture_failed(now, attempt, failure);
            return;
        }
        if self.kind == ImageKind::Exec && at == self.origin {
            self.node(at).task = Some(Task::Passed);
            self.node(at).mover.frozen(now, attempt);
            return;
        }
        let was_frozen = self.node(at).task == Some(Task::Frozen);
        self.node(at).task = Some(Task::Frozen);
        // Nothing changes while it is frozen.
        match !was_frozen && self.rng.one_in(odds.incompatible) {
            true => self.node(at).mover.incompatible(now, attempt),
            false => self.node(at).mover.frozen(now, attempt),
        }
    }

    /// Offers the kept exec to another node, or executes it here.
    fn place_again(&mut self, at: Slot, not_at: Slot) {
        if self.node(at).task != Some(Task::Passed) {
            return;
        }
        self.node(at).freezing = None;
        let mut others = (0..NODES).map(slot).filter(|other| *other != at && *other != not_at);
        if let Some(other) = others.next() {
            if self.start_at(at, other) {
                self.saw("placed again");
                return;
            }
        }
        self.saw("executed here after all");
        let epoch = self.node(at).mover.directory().get(PROCESS).expect("it was placed").epoch;
        self.run_at(at, epoch);
    }

    pub fn run_at(&mut self, at: Slot, epoch: Epoch) {
        self.node(at).task = Some(Task::Running(epoch));
        // A process that never left its origin has no epoch yet.
        if epoch != Epoch(0) {
            let first = *self.ran.entry(epoch).or_insert(at);
            assert_eq!(first, at, "two nodes ran epoch {epoch:?}");
            let (last, _) = self.ran.last_key_value().expect("inserted");
            assert_eq!(*last, epoch, "an older epoch runs after a newer one");
        }
    }

    /// The process ends where it runs, of itself or killed.
    pub fn body_exits(&mut self, at: Slot, epoch: Epoch) {
        let now = self.now();
        self.node(at).task = None;
        if at == self.origin {
            self.end_at_origin();
            return;
        }
        self.node(at).mover.ended(now, PROCESS);
        self.drain(at);
        let origin = self.origin;
        self.send(at, origin, Packet::Exited(epoch));
    }

    pub fn end_at_origin(&mut self) {
        let (origin, now) = (self.origin, self.now());
        self.ended = true;
        self.node(origin).task = None;
        self.node(origin).mover.ended(now, PROCESS);
        self.drain(origin);
        // What could still come of an end: nothing runs here again.
        self.node(origin).task = None;
    }
}

fn effect_name(effect: &Effect) -> String {
    let text = format!("{effect:?}");
    text.split([' ', '(', '{']).next().unwrap_or_default().to_string()
}
