//! The promises. Checked after every step, and when all has come to rest.

use netproto::Epoch;

use crate::cluster::Cluster;
use crate::options::MS;
use crate::process::Task;

/// A body that its origin has given up must end so soon, its own node's standstills not counted: a
/// silence timeout, and the new session that tells of it.
const DISOWNED_NS_MAX: u64 = 15_000 * MS;

impl Cluster {
    /// Where a process runs, and at which epoch.
    pub(crate) fn bodies(&self, process: usize) -> Vec<(usize, Epoch)> {
        let name = self.processes[process].name;
        let body = |(node, state): (usize, &crate::node::Node)| match state
            .life
            .as_ref()?
            .tasks
            .get(&name)?
        {
            Task::Running(epoch) => Some((node, *epoch)),
            Task::Frozen | Task::Surrogate => None,
        };
        self.nodes.iter().enumerate().filter_map(body).collect()
    }

    /// Whether the origin holds this for the body.
    fn is_owned(&self, process: usize, node: usize, epoch: Epoch) -> bool {
        let process = &self.processes[process];
        let Some(origin) = &self.nodes[process.origin].life else {
            return false;
        };
        match origin.mover.directory().get(process.name) {
            _ if process.has_ended => false,
            None => node == process.origin,
            Some(entry) => {
                let is_there = entry.slot.index() == node;
                is_there && (entry.epoch == epoch || node == process.origin)
            }
        }
    }

    /// At every instant: one place at most, and not for long without leave.
    pub(crate) fn check_instant(&mut self) {
        for process in 0..self.processes.len() {
            let bodies = self.bodies(process);
            if bodies.len() > 1 {
                self.fail(&format!("{} runs at {bodies:?}", self.processes[process].name));
            }
            let disowned = bodies.first().filter(|(node, epoch)| {
                self.is_awake(*node) && !self.is_owned(process, *node, *epoch)
            });
            let now_ns = self.now_ns;
            let is_disowned = disowned.is_some();
            let since = &mut self.processes[process].disowned_since_ns;
            if !is_disowned {
                *since = None;
            } else if now_ns - *since.get_or_insert(now_ns) > DISOWNED_NS_MAX {
                let name = self.processes[process].name;
                self.fail(&format!("{name} runs on at {bodies:?}, which its origin gave up"));
            }
        }
    }

    /// A node is about to die: that excuses the end of what it had, or might just be given.
    pub(crate) fn excuse_crash(&mut self, node: usize) {
        for number in 0..self.processes.len() {
            let name = self.processes[number].name;
            let had = self.nodes[node].life.as_ref().is_some_and(|life| {
                life.tasks.contains_key(&name) || life.prepared.contains_key(&name)
            });
            if had || self.entry_of(number) == Some(node) {
                self.processes[number].excuse.get_or_insert("a node of its crashed");
            }
        }
    }

    /// A session ended while both may live: who holds the process and who keeps its directory may
    /// have lost each other.
    pub(crate) fn excuse_session_end(&mut self, node: usize, peer: usize) {
        for number in 0..self.processes.len() {
            let origin = self.processes[number].origin;
            let name = self.processes[number].name;
            let is_between = origin == node || origin == peer;
            let other = node + peer - origin.min(node + peer);
            let is_elsewhere = is_between && {
                let away = self.nodes[other].life.as_ref();
                let is_there = away.is_some_and(|life| {
                    life.tasks.contains_key(&name) || life.prepared.contains_key(&name)
                });
                is_there || self.entry_of(number) == Some(other)
            };
            if is_elsewhere {
                self.processes[number].excuse.get_or_insert("cut off from its origin");
            }
        }
    }

    /// Where the origin holds the process to be.
    fn entry_of(&self, process: usize) -> Option<usize> {
        let process = &self.processes[process];
        let life = self.nodes[process.origin].life.as_ref()?;
        Some(life.mover.directory().get(process.name)?.slot.index())
    }

    /// Whether nothing is under way.
    pub(crate) fn is_at_rest(&self) -> bool {
        let count = self.nodes.len();
        self.nodes.iter().enumerate().all(|(number, node)| {
            node.life.as_ref().is_some_and(|life| {
                let is_up = |peer: &usize| {
                    let info = life.transport.peer(crate::node::slot(*peer));
                    info.is_some_and(|info| info.state == netproto::PeerState::Up)
                };
                let all_up = (0..count).filter(|peer| *peer != number).all(|peer| is_up(&peer));
                all_up && life.mover.is_idle() && life.outbox.values().all(|box_| box_.is_empty())
            })
        })
    }

    /// When all has come to rest: exactly one place, or rightly none.
    pub(crate) fn check_rest(&self) {
        if !self.is_at_rest() {
            self.fail("does not come to rest after the faults ended");
        }
        if let Some((request, _)) = self.open_requests.first_key_value() {
            self.fail(&format!("{request:?} was never reported"));
        }
        for number in 0..self.processes.len() {
            let process = &self.processes[number];
            let name = process.name;
            for (node, state) in self.nodes.iter().enumerate() {
                let Some(life) = &state.life else { continue };
                if life.prepared.contains_key(&name) {
                    self.fail(&format!("{name}: a prepared body was left at {node}"));
                }
                if life.tasks.get(&name) == Some(&Task::Frozen) {
                    self.fail(&format!("{name} stays stopped at {node}"));
                }
                if life.tasks.get(&name) == Some(&Task::Surrogate) && self.bodies(number).is_empty()
                {
                    self.fail(&format!("{name}: a surrogate stands for nothing at {node}"));
                }
            }
            match self.bodies(number)[..] {
                [] if process.excuse.is_none() => {
                    self.fail(&format!("{name} is dead, and nothing excuses it"));
                }
                [] => (),
                [(node, epoch)] if self.is_owned(number, node, epoch) => (),
                ref bodies => self.fail(&format!("{name} runs at {bodies:?} without leave")),
            }
        }
    }
}
