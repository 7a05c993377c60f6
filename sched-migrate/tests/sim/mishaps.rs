//! What befalls nodes and the process: deaths, pauses, kills, and what peers make of them.

use netproto::id::Slot;

use super::event::Event;
use super::world::{mover, slot, Node, Task, World, NODES, PROCESS};

impl World {
    pub fn verdict(&mut self, at: Slot, of: Slot, of_life: u64, up: bool) {
        let now = self.now();
        if up {
            // A peer that came again: its old life ended, whether that was noticed or not.
            if self.node(at).up.contains_key(&of) {
                self.node(at).mover.handle_peer_down(now, of);
                self.drain(at);
            }
            self.node(at).up.insert(of, of_life);
            self.node(at).mover.handle_peer_up(of);
        } else if self.node(at).up.get(&of) == Some(&of_life) {
            self.node(at).up.remove(&of);
            self.node(at).mover.handle_peer_down(now, of);
        }
        self.drain(at);
    }

    pub fn crash(&mut self, at: Slot) {
        if !self.node(at).alive {
            return;
        }
        self.note_crash(at);
        let life = self.node(at).life;
        let node = self.node(at);
        node.alive = false;
        node.paused = false;
        node.task = None;
        node.prepared = None;
        node.freezing = None;
        node.held.clear();
        node.up.clear();
        self.open_requests.retain(|_, (slot, _)| *slot != at);
        for other in (0..NODES).map(slot).filter(|other| *other != at) {
            let other_life = self.node(other).life;
            let delay = 300_000_000 + self.rng.below(1_500_000_000);
            let verdict =
                Event::Verdict { at: other, life: other_life, of: at, of_life: life, up: false };
            self.after(delay, verdict);
        }
    }

    pub fn restart(&mut self, at: Slot) {
        if self.node(at).alive {
            return;
        }
        let node = self.node(at);
        node.mover = mover(at.get());
        node.life += 1;
        node.alive = true;
        let life = node.life;
        for other in (0..NODES).map(slot).filter(|other| *other != at) {
            if !self.node(other).alive {
                continue;
            }
            let other_life = self.node(other).life;
            let delay = self.delay_ns();
            let up =
                Event::Verdict { at: other, life: other_life, of: at, of_life: life, up: true };
            self.after(delay, up);
            let delay = self.delay_ns();
            let up = Event::Verdict { at, life, of: other, of_life: other_life, up: true };
            self.after(delay, up);
        }
    }

    pub fn resume(&mut self, at: Slot) {
        if !self.node(at).paused {
            return;
        }
        self.node(at).paused = false;
        for event in std::mem::take(&mut self.node(at).held) {
            self.handle(event);
        }
    }

    pub fn kill(&mut self) {
        let Some(at) = self.running_at() else {
            // Frozen: its source is told.
            let frozen = |node: &Node| matches!(node.task, Some(Task::Frozen | Task::Passed));
            if let Some(index) = self.nodes.iter().position(frozen) {
                let at = slot(u8::try_from(index).expect("few"));
                self.excuse.get_or_insert("killed while it was stopped");
                self.saw("killed while it was stopped");
                let now = self.now();
                self.node(at).mover.killed(now, PROCESS);
                self.drain(at);
                self.finish_kill(at);
            }
            return;
        };
        let Some(Task::Running(epoch)) = self.node(at).task else {
            return;
        };
        self.excuse.get_or_insert("killed");
        self.body_exits(at, epoch);
    }

    /// If the source got it back, it dies there now.
    pub fn finish_kill(&mut self, at: Slot) {
        if let Some(Task::Running(epoch)) = self.node(at).task {
            self.body_exits(at, epoch);
        }
    }

    pub fn abort(&mut self) {
        let now = self.now();
        for number in 0..NODES {
            let at = slot(number);
            if self.node(at).alive && !self.node(at).paused {
                self.node(at).mover.abort(now, PROCESS);
                self.drain(at);
            }
        }
    }
}
