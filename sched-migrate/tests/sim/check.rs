//! What must hold.

use netproto::id::Slot;
use sched_migrate::phase::TargetPhase;

use super::world::{slot, Task, World, PROCESS};

impl World {
    /// Where the process runs, by looking at the tasks.
    pub fn running_at(&self) -> Option<Slot> {
        let mut running = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.alive && matches!(node.task, Some(Task::Running(_))));
        let (index, _) = running.next()?;
        Some(slot(u8::try_from(index).expect("few")))
    }

    /// At every instant: one place at most.
    pub fn check_instant(&mut self) {
        let running = self
            .nodes
            .iter()
            .filter(|node| node.alive && matches!(node.task, Some(Task::Running(_))));
        let count = running.count();
        if count > 1 {
            self.fail("it runs at two places");
        }
    }

    /// A node is about to crash: does that excuse the end of the process?
    pub fn note_crash(&mut self, at: Slot) {
        let origin = self.origin;
        if at == origin {
            self.excuse.get_or_insert("its origin crashed");
            return;
        }
        if !self.nodes[origin.index()].alive {
            return;
        }
        let node = &self.nodes[at.index()];
        let phase = node.prepared.and_then(|attempt| node.mover.target_phase(attempt));
        // Its claim may be granted after its death.
        let claims = phase == Some(TargetPhase::Claiming);
        let entry = self.nodes[origin.index()].mover.directory().get(PROCESS);
        if claims || entry.is_some_and(|entry| entry.slot == at) {
            let task = self.nodes[origin.index()].task;
            let again = task == Some(Task::Passed) || (task == Some(Task::Surrogate) && self.kept);
            if !again {
                self.excuse.get_or_insert("its node crashed");
            }
            self.saw("the node that had it crashed");
        }
    }

    /// When all has come to rest: exactly one place, or rightly none.
    pub fn check_rest(&mut self) {
        for index in 0..self.nodes.len() {
            if !self.nodes[index].alive {
                continue;
            }
            if !self.nodes[index].mover.is_idle() {
                self.fail("a hand-off never ended");
            }
            if self.nodes[index].prepared.is_some() {
                self.fail("a prepared body was left behind");
            }
            if matches!(self.nodes[index].task, Some(Task::Frozen | Task::Passed)) {
                self.fail("it stays stopped");
            }
        }
        if let Some((request, _)) = self.open_requests.first_key_value() {
            let text = format!("{request:?} was never reported");
            self.fail(&text);
        }
        match self.running_at() {
            Some(at) => self.check_running(at),
            None => self.check_dead(),
        }
    }

    fn check_running(&mut self, at: Slot) {
        let origin = self.origin;
        let Some(Task::Running(epoch)) = self.nodes[at.index()].task else {
            unreachable!("it runs there");
        };
        if !self.nodes[origin.index()].alive || self.ended {
            self.fail("it runs without its origin");
        }
        let entry = self.nodes[origin.index()].mover.directory().get(PROCESS);
        match entry {
            // It never left, or was given an entry for a move that did not come about.
            None if at == origin => {}
            Some(entry) if entry.slot == at && (entry.epoch == epoch || at == origin) => {}
            _ => self.fail("the directory does not know where it runs"),
        }
        if at != origin && self.nodes[origin.index()].task != Some(Task::Surrogate) {
            self.fail("it runs without its surrogate");
        }
    }

    fn check_dead(&mut self) {
        if self.excuse.is_none() {
            self.fail("it is dead, and nobody killed it");
        }
        let surrogate = self.nodes.iter().any(|node| node.task == Some(Task::Surrogate));
        if surrogate {
            self.fail("its surrogate stands for nothing");
        }
    }

    pub fn fail(&self, what: &str) -> ! {
        let from = self.trace.len().saturating_sub(120);
        for line in &self.trace[from..] {
            eprintln!("{line}");
        }
        panic!("{what}");
    }
}
