//! What can happen, and how it reaches the node that it happens to.

use netproto::id::{AttemptId, Epoch, Slot};
use sched_migrate::{Message, Offer};

use super::world::{Task, World, PROCESS};

/// What is delivered.
#[derive(Debug, Clone, Copy)]
pub enum Packet {
    Offer(Offer),
    Final(AttemptId),
    Mover(Message),
    Kill(Epoch),
    Exited(Epoch),
}

#[derive(Debug, Clone, Copy)]
pub enum Local {
    SendOffer { to: Slot, offer: Offer },
    CaptureFailed(AttemptId),
    Freeze(AttemptId),
    Restored { attempt: AttemptId, ok: bool },
    Applied { attempt: AttemptId, ok: bool },
    Discarded(AttemptId),
    PlaceAgain { not_at: Slot },
}

#[derive(Debug, Clone, Copy)]
pub enum Event {
    Deliver {
        from: Slot,
        from_life: u64,
        to: Slot,
        to_life: u64,
        packet: Packet,
    },
    Local {
        at: Slot,
        life: u64,
        local: Local,
    },
    /// `at` learns that a life of `of` has ended, or that one has begun.
    Verdict {
        at: Slot,
        life: u64,
        of: Slot,
        of_life: u64,
        up: bool,
    },
    Restart(Slot),
    Resume(Slot),
    /// Move the process from where it runs.
    Start(Slot),
    Crash(Slot),
    Pause(Slot, u64),
    /// SIGKILL, by someone.
    Kill,
    Abort,
}

impl World {
    pub fn handle(&mut self, event: Event) {
        let place = match event {
            Event::Deliver { to, to_life, .. } => Some((to, to_life)),
            Event::Local { at, life, .. } | Event::Verdict { at, life, .. } => Some((at, life)),
            Event::Restart(_)
            | Event::Resume(_)
            | Event::Start(_)
            | Event::Crash(_)
            | Event::Pause(..)
            | Event::Kill
            | Event::Abort => None,
        };
        if let Some((at, life)) = place {
            let node = self.node(at);
            if !node.alive || node.life != life {
                return;
            }
            if node.paused {
                node.held.push(event);
                return;
            }
        }
        match event {
            Event::Deliver { from, from_life, to, packet, .. } => {
                let known = self.node(to).up.get(&from) == Some(&from_life);
                let lives = self.node(from).alive && self.node(from).life == from_life;
                match (known, lives) {
                    (true, _) => self.deliver(from, to, packet),
                    // The session is not up on this side yet: the link keeps sending.
                    (false, true) => self.after(20_000_000, event),
                    // After the verdict nothing of that life is listened to.
                    (false, false) => {}
                }
            }
            Event::Local { at, local, .. } => self.local(at, local),
            Event::Verdict { at, of, of_life, up, .. } => self.verdict(at, of, of_life, up),
            Event::Restart(at) => self.restart(at),
            Event::Resume(at) => self.resume(at),
            Event::Start(to) => self.start(to),
            Event::Crash(at) => self.crash(at),
            Event::Pause(at, for_ns) => {
                if self.node(at).alive && !self.node(at).paused {
                    self.node(at).paused = true;
                    self.after(for_ns, Event::Resume(at));
                }
            }
            Event::Kill => self.kill(),
            Event::Abort => self.abort(),
        }
    }

    fn deliver(&mut self, from: Slot, to: Slot, packet: Packet) {
        let now = self.now();
        match packet {
            Packet::Offer(offer) => self.node(to).mover.handle_offer(now, from, offer),
            Packet::Final(attempt) => self.node(to).mover.handle_final(now, from, attempt),
            Packet::Mover(message) => {
                // Over the wire, as it would be.
                let encoded = message.encode();
                let decoded = Message::decode(encoded.kind, encoded.payload());
                assert_eq!(decoded, Some(Ok(message)));
                self.node(to).mover.handle_message(now, from, message);
            }
            Packet::Kill(epoch) => {
                if self.node(to).task == Some(Task::Running(epoch)) {
                    self.saw("a body was killed for its source");
                    self.body_exits(to, epoch);
                }
            }
            Packet::Exited(epoch) => {
                if self.node(to).mover.is_current(PROCESS, from, epoch) {
                    self.end_at_origin();
                }
            }
        }
        self.drain(to);
    }
}
