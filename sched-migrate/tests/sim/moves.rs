//! Moves that are asked for, and how they end.

use netproto::id::{RequestId, Slot};
use netproto::msg::migrate::ImageKind;
use sched_migrate::{Failure, Report, Request, StartError, Work};

use super::world::{Task, World, PROCESS};

impl World {
    /// Moves the process from wherever it runs.
    pub fn start(&mut self, target: Slot) {
        let Some(at) = self.running_at() else {
            return;
        };
        if self.node(at).paused {
            return;
        }
        self.start_at(at, target);
    }

    pub fn start_at(&mut self, at: Slot, target: Slot) -> bool {
        let work = match self.nodes[at.index()].task {
            Some(Task::Passed) => Work::PlacedAgain,
            // Where it has been placed it is moved like any other.
            _ if self.kind == ImageKind::Exec && at == self.origin => Work::Exec,
            _ => Work::Running,
        };
        self.requests += 1;
        let request = RequestId(self.requests);
        let fetching = self.rng.one_in(10);
        let now = self.now();
        let asked = Request { request, process: PROCESS, work, target, fetching };
        let started = self.node(at).mover.start(now, asked);
        let life = self.node(at).life;
        match started {
            Ok(_) => {
                self.open_requests.insert(request, (at, life));
            }
            Err(error) => {
                self.saw(format!("not started: {error}"));
                assert_ne!(error, StartError::NotHere, "it runs here");
                return false;
            }
        }
        self.drain(at);
        if fetching && self.rng.below(2) == 0 {
            self.node(at).mover.fetched(now, PROCESS);
            self.drain(at);
        }
        true
    }

    pub fn report(&mut self, at: Slot, report: Report) {
        let open = self.open_requests.remove(&report.request);
        let life = self.node(at).life;
        assert_eq!(open, Some((at, life)), "reported twice, or by another: {report:?}");
        let name = match report.result {
            Ok(_) => "moved".to_string(),
            Err(failure) => format!("failed: {}", failure.name()),
        };
        self.saw(name);
        if report.tries > 2 {
            self.saw("prepared while frozen");
        }
        self.reports.push(report);
        if report.result == Err(Failure::Killed) {
            self.finish_kill(at);
        }
    }
}
