//! What a driver does with messages and effects: tasks that freeze, thaw, are restored and run.

use netproto::msg::migrate::{Final, Prepare};
use netproto::msg::surrogate::{Exited, Signal, SignalFlags};
use netproto::{AttemptId, Class, Epoch, Kind, Message};
use sched_migrate::effect::Arrival;
use sched_migrate::{Effect, Failure, Offer, Report, Step};

use crate::cluster::{index, Cluster, Local};
use crate::node::{slot, Incoming};
use crate::process::Task;

/// Bytes of an image in one message.
const PIECE_LEN: usize = 20_000;
const SIGKILL: i32 = 9;

impl Cluster {
    /// A message came.
    pub(crate) fn message(&mut self, node: usize, message: Message) {
        let from = index(message.from);
        self.note(format!("{node}: {:?} from {from}", message.kind));
        let now = self.now();
        let payload = &message.payload;
        match message.kind {
            Kind::MIGRATE_PREPARE => self.piece(node, from, payload),
            Kind::MIGRATE_FINAL => {
                let (head, _) = Final::decode(payload).expect("sent whole");
                self.life(node).mover.handle_final(now, slot(from), head.attempt);
            }
            Kind::SURROGATE_EXITED => {
                let exited = Exited::decode(payload).expect("sent whole");
                let mover = &self.life(node).mover;
                if mover.is_current(exited.process, slot(from), exited.epoch) {
                    self.end_at_origin(self.number_of(exited.process));
                }
            }
            Kind::SURROGATE_SIGNAL => {
                let signal = Signal::decode(payload).expect("sent whole");
                let running = Some(&Task::Running(signal.epoch));
                if self.life(node).tasks.get(&signal.process) == running {
                    self.body_exits(node, self.number_of(signal.process), signal.epoch);
                }
            }
            kind => {
                let decoded = sched_migrate::Message::decode(kind, payload);
                let message = decoded.expect("no other kinds are sent").expect("sent whole");
                self.life(node).mover.handle_message(now, slot(from), message);
            }
        }
    }

    fn piece(&mut self, node: usize, from: usize, payload: &[u8]) {
        let now = self.now();
        let (head, piece) = Prepare::decode(payload).expect("sent whole");
        assert!(piece.iter().all(|byte| *byte == head.attempt.0.to_le_bytes()[0]), "image");
        let offer = Offer {
            attempt: head.attempt,
            process: head.process,
            kind: head.kind,
            origin: head.origin,
            epoch: head.epoch,
        };
        let life = self.life(node);
        let key = (from, head.attempt);
        let incoming = life.incoming.entry(key).or_insert(Incoming { offer, len: 0 });
        assert_eq!(incoming.len, head.offset, "pieces in order");
        incoming.len += u32::try_from(piece.len()).expect("short");
        if incoming.len == head.total_len {
            let offer = incoming.offer;
            life.incoming.remove(&key);
            life.mover.handle_offer(now, slot(from), offer);
        }
    }

    fn send_image(&mut self, node: usize, to: usize, offer: &Offer) {
        let most = self.options.image_len_max;
        let total = usize::try_from(1 + self.rng.below(most)).expect("small");
        let image = vec![offer.attempt.0.to_le_bytes()[0]; total];
        for (number, piece) in image.chunks(PIECE_LEN).enumerate() {
            let head = Prepare {
                attempt: offer.attempt,
                process: offer.process,
                origin: offer.origin,
                kind: offer.kind,
                epoch: offer.epoch,
                total_len: u32::try_from(total).expect("small"),
                offset: u32::try_from(number * PIECE_LEN).expect("small"),
            };
            let bytes = [&head.encode()[..], piece].concat();
            self.send(node, to, Class::Bulk, Prepare::KIND, &bytes);
        }
    }

    /// Does what the mover asks for.
    pub(crate) fn perform(&mut self, node: usize, effect: Effect) {
        let text = format!("{effect:?}");
        self.saw(text.split([' ', '(']).next().unwrap_or_default());
        match effect {
            Effect::Send { .. } | Effect::SendFinal { .. } | Effect::KillBody { .. } => {
                self.say(node, effect);
            }
            Effect::Prepare { .. }
            | Effect::Freeze { .. }
            | Effect::Restore { .. }
            | Effect::Apply { .. }
            | Effect::Discard { .. } => self.work(node, effect),
            Effect::DropImage { .. } | Effect::Moved { .. } => (),
            Effect::Report(report) => self.report(node, &report),
            Effect::Thaw { process, .. }
            | Effect::BecomeSurrogate { process, .. }
            | Effect::End { process, .. }
            | Effect::PlaceAgain { process, .. }
            | Effect::Kill { process, .. }
            | Effect::Release { process, .. }
            | Effect::BodyLost { process, .. }
            | Effect::OriginLost { process } => self.settle(node, self.number_of(process), effect),
        }
    }

    /// The effects that are messages.
    fn say(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::Send { to, message } => {
                let encoded = message.encode();
                let (kind, payload) = (encoded.kind, encoded.payload());
                self.send(node, index(to), Class::Control, kind, payload);
            }
            Effect::SendFinal { attempt, process, target } => {
                let task = self.life(node).tasks.get(&process);
                assert_eq!(task, Some(&Task::Frozen), "FINAL of what is not stopped");
                let head = Final { attempt, total_len: 3, offset: 0 };
                let bytes = [&head.encode()[..], b"end"].concat();
                self.send(node, index(target), Class::Control, Final::KIND, &bytes);
            }
            Effect::KillBody { process, slot, epoch } => {
                let signal = Signal {
                    process,
                    epoch,
                    signo: SIGKILL,
                    code: 0,
                    sender_pid: 0,
                    sender_uid: 0,
                    flags: SignalFlags::PROCESS,
                    value: 0,
                };
                let bytes = signal.encode();
                self.send(node, index(slot), Class::Control, Signal::KIND, &bytes);
            }
            _ => unreachable!("not a message"),
        }
    }

    /// The effects that take time.
    fn work(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::Prepare { attempt, process, kind, target, origin, epoch } => {
                let offer = Offer { attempt, process, kind, origin, epoch };
                let local = if self.rng.chance(self.options.failure_ppm) {
                    Local::CaptureFailed(attempt)
                } else {
                    let to = index(target);
                    Local::SendImage { to, offer }
                };
                self.after(node, local);
            }
            Effect::Freeze { attempt, process } => {
                self.life(node).freezing.insert(process, attempt);
                let process = self.number_of(process);
                self.perhaps(node, Local::Freeze { process, attempt });
            }
            Effect::Restore { attempt, process, arrival } => {
                self.restore(node, self.number_of(process), attempt, arrival)
            }
            Effect::Apply { attempt, process } => {
                let prepared = self.life(node).prepared.get(&process);
                assert_eq!(prepared, Some(&attempt), "applied to nothing");
                let is_good = !self.rng.chance(self.options.failure_ppm);
                self.perhaps(node, Local::Applied { attempt, is_good });
            }
            Effect::Discard { attempt, process, .. } => {
                let process = self.number_of(process);
                self.after(node, Local::Discarded { process, attempt });
            }
            _ => unreachable!("not work"),
        }
    }

    /// The effects that decide what a task is from now on.
    fn settle(&mut self, node: usize, process: usize, effect: Effect) {
        let name = self.processes[process].name;
        let is_origin = self.processes[process].origin == node;
        let life = self.life(node);
        let task = life.tasks.get(&name).copied();
        match effect {
            Effect::Thaw { epoch, .. } => {
                life.freezing.remove(&name);
                assert_ne!(task, Some(Task::Surrogate), "thaws what can't go on");
                if task.is_some() {
                    self.run_at(node, process, epoch);
                }
            }
            Effect::BecomeSurrogate { .. } => {
                assert!(is_origin && task == Some(Task::Frozen), "a running process given away");
                life.tasks.insert(name, Task::Surrogate);
            }
            Effect::End { .. } => {
                assert!(!is_origin && task == Some(Task::Frozen), "a running process given away");
                life.tasks.remove(&name);
            }
            Effect::Release { attempt, epoch, .. } => {
                assert_eq!(life.prepared.remove(&name), Some(attempt), "released twice");
                self.run_at(node, process, epoch);
            }
            Effect::BodyLost { .. } => {
                assert!(is_origin);
                self.end_at_origin(process);
            }
            Effect::Kill { .. } | Effect::OriginLost { .. } => {
                life.tasks.remove(&name);
            }
            _ => unreachable!("no exec is placed here"),
        }
    }

    /// Local work that now and then never ends.
    fn perhaps(&mut self, node: usize, local: Local) {
        if self.rng.chance(self.options.hang_ppm) {
            self.saw("local work hangs");
        } else {
            self.after(node, local);
        }
    }

    fn restore(&mut self, node: usize, process: usize, attempt: AttemptId, arrival: Arrival) {
        let name = self.processes[process].name;
        let is_origin = self.processes[process].origin == node;
        assert_eq!(arrival == Arrival::Home, is_origin);
        let life = self.life(node);
        let expected = is_origin.then_some(&Task::Surrogate);
        assert_eq!(life.tasks.get(&name), expected, "restored beside itself");
        assert_eq!(life.prepared.insert(name, attempt), None, "two bodies with one PID");
        let is_good = !self.rng.chance(self.options.failure_ppm);
        self.perhaps(node, Local::Restored { attempt, is_good });
    }

    /// Local work is done.
    pub(crate) fn local(&mut self, node: usize, local: Local) {
        let now = self.now();
        let helper = Failure::Helper { step: Step::Fork, errno: 11 };
        match local {
            Local::SendImage { to, offer } => self.send_image(node, to, &offer),
            Local::CaptureFailed(attempt) => {
                let failure = Failure::Capture { errno: 12 };
                self.life(node).mover.capture_failed(now, attempt, failure);
            }
            Local::Freeze { process, attempt } => self.freeze(node, process, attempt),
            Local::Restored { attempt, is_good: true } => {
                self.life(node).mover.restored(now, attempt);
            }
            Local::Applied { attempt, is_good: true } => {
                self.life(node).mover.applied(now, attempt, 4096);
            }
            Local::Restored { attempt, .. } | Local::Applied { attempt, .. } => {
                self.life(node).mover.restore_failed(now, attempt, helper);
            }
            Local::Discarded { process, attempt } => {
                let name = self.processes[process].name;
                let life = self.life(node);
                if life.prepared.get(&name) == Some(&attempt) {
                    life.prepared.remove(&name);
                }
                life.mover.discarded(now, attempt);
            }
        }
    }

    fn freeze(&mut self, node: usize, process: usize, attempt: AttemptId) {
        let now = self.now();
        let name = self.processes[process].name;
        let changed = self.rng.chance(self.options.incompatible_ppm);
        let life = self.life(node);
        if life.freezing.get(&name) != Some(&attempt) {
            return;
        }
        life.freezing.remove(&name);
        match life.tasks.get(&name) {
            None | Some(Task::Surrogate) => {
                life.mover.capture_failed(now, attempt, Failure::Killed);
            }
            Some(Task::Running(_)) if changed => {
                life.tasks.insert(name, Task::Frozen);
                life.mover.incompatible(now, attempt);
            }
            // Nothing changes while it is frozen.
            Some(Task::Running(_) | Task::Frozen) => {
                life.tasks.insert(name, Task::Frozen);
                life.mover.frozen(now, attempt);
            }
        }
    }

    /// From now on the process runs there.
    pub(crate) fn run_at(&mut self, node: usize, process: usize, epoch: Epoch) {
        let name = self.processes[process].name;
        self.life(node).tasks.insert(name, Task::Running(epoch));
        // What never left its origin has no epoch yet.
        if epoch != Epoch(0) {
            let ran = &mut self.processes[process].ran;
            let first = *ran.entry(epoch).or_insert(node);
            let last = ran.last_key_value().map(|(last, _)| *last);
            if first != node || last != Some(epoch) {
                self.fail(&format!("{name}: epoch {} ran on node {first} too, or is old", epoch.0));
            }
        }
    }

    /// The process ends where it runs.
    pub(crate) fn body_exits(&mut self, node: usize, process: usize, epoch: Epoch) {
        let now = self.now();
        let (name, origin) = (self.processes[process].name, self.processes[process].origin);
        self.processes[process].excuse.get_or_insert("killed");
        self.saw("killed");
        if origin == node {
            self.end_at_origin(process);
            return;
        }
        let life = self.life(node);
        life.tasks.remove(&name);
        life.mover.ended(now, name);
        let exited =
            Exited { process: name, epoch, status: 9, utime_ns: 0, stime_ns: 0, maxrss_kb: 0 };
        self.send(node, origin, Class::Control, Exited::KIND, &exited.encode());
    }

    /// The origin learns of the end.
    fn end_at_origin(&mut self, process: usize) {
        let (now, name) = (self.now(), self.processes[process].name);
        let origin = self.processes[process].origin;
        self.processes[process].has_ended = true;
        let life = self.life(origin);
        life.tasks.remove(&name);
        life.mover.ended(now, name);
    }

    fn report(&mut self, node: usize, report: &Report) {
        let open = self.open_requests.remove(&report.request);
        if open != Some((node, self.nodes[node].number)) {
            self.fail(&format!("reported twice, or by another: {report:?}"));
        }
        self.saw(match report.result {
            Ok(_) => "moved".to_string(),
            Err(failure) => format!("failed: {}", failure.name()),
        });
    }
}
