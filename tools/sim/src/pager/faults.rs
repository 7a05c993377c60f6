//! Nodes that die and come back, paths that are cut, memory that rots or is scarce.

use super::node::{peer, slot, Life};
use super::options::MS;
use super::world::{News, World};

impl World {
    pub(super) fn start(&mut self, node: usize) {
        self.nodes[node].lives += 1;
        let number = self.nodes[node].lives;
        self.note(format!("node {node} starts, life {number}"));
        let mut life = Life::new(node, number, &self.options);
        life.owner.set_goal(64);
        self.nodes[node].life = Some(life);
        for other in 0..self.nodes.len() {
            let delay_ns = MS + self.rng.below(100 * MS);
            self.hear_of_life(other, node, delay_ns);
            self.hear_of_life(node, other, delay_ns);
        }
    }

    /// A node will hear that another lives, if it does.
    pub(super) fn hear_of_life(&mut self, at: usize, of: usize, after_ns: u64) {
        if at != of && self.nodes[of].life.is_some() {
            let life = self.nodes[of].lives;
            self.tell(after_ns, News::Up { at, of, life });
        }
    }

    pub(super) fn crash(&mut self, node: usize) {
        let life = self.nodes[node].lives;
        self.note(format!("node {node} dies"));
        self.saw("crash");
        self.last_crash_ns = self.now_ns;
        self.died.insert(node);
        self.saw_phases(node);
        if self.nodes[node].life.as_ref().is_some_and(|life| life.owner.in_use() > 0) {
            self.saw("an owner with pages elsewhere dies");
        }
        if self.nodes[node].life.as_ref().is_some_and(|life| life.holder.held() > 0) {
            self.saw("a holder with pages dies");
        }
        self.nodes[node].life = None;
        for at in (0..self.nodes.len()).filter(|at| *at != node) {
            let silent_ns = (30 + self.rng.below(150)) * MS;
            let dead_ns = silent_ns + self.rng.below(500) * MS;
            self.tell(silent_ns, News::Silent { at, of: node, life });
            self.tell(dead_ns, News::Dead { at, of: node, life });
        }
        let back_ns = (100 + self.rng.below(1_500)) * MS;
        self.tell(back_ns, News::Start { node });
    }

    /// What a node is told about another, or what happens to it.
    pub(super) fn take(&mut self, news: News) {
        let now = self.now();
        self.note(format!("{news:?}"));
        if let News::Start { node } = news {
            if self.nodes[node].life.is_none() {
                self.start(node);
            }
            return;
        }
        if let News::Fence { node, life } = news {
            self.fence(node, life);
            return;
        }
        let (at, of, number) = match news {
            News::Up { at, of, life }
            | News::Silent { at, of, life }
            | News::Dead { at, of, life } => (at, of, life),
            News::Start { .. } | News::Fence { .. } => return,
        };
        // Membership tells of lives in their order: nobody hears of a former one again.
        let is_past = self.nodes[of].lives != number || self.nodes[of].life.is_none();
        if is_past && matches!(news, News::Up { .. }) {
            return;
        }
        // One that was given up stays so, as the driver sees to, until it restarts.
        if self.given_up.contains(&(of, number)) && matches!(news, News::Up { .. }) {
            self.saw("given up, and heard of again");
            // It is reached, for all that: it is told that nothing of it is there any more.
            if let Some(life) = &mut self.nodes[at].life {
                life.up.insert(of, number);
            }
            return;
        }
        if !is_past && matches!(news, News::Dead { .. }) {
            self.given_up.insert((of, number));
            self.died.insert(of);
        }
        let Some(life) = &mut self.nodes[at].life else {
            return;
        };
        let peer = peer(of, number);
        match news {
            News::Up { .. } => {
                life.up.insert(of, number);
                life.owner.peer_up(now, peer);
                life.holder.peer_up(peer);
            }
            News::Silent { .. } => {
                life.lost(of, number);
                life.owner.peer_silent(now, peer);
                life.holder.peer_silent(peer);
            }
            News::Dead { .. } | News::Start { .. } | News::Fence { .. } => {
                let before = life.holder.stats().dropped;
                life.lost(of, number);
                life.owner.peer_dead(now, peer);
                life.holder.peer_dead(peer);
                let dropped = life.holder.stats().dropped - before;
                self.saw_times("pages of a dead owner freed", dropped);
            }
        }
        if self.is_awake(at) {
            self.pump(at);
        }
    }

    /// Nodes hear how much others could lend.
    pub(super) fn gossip(&mut self) {
        if !(self.now_ns / MS).is_multiple_of(25) {
            return;
        }
        for at in 0..self.nodes.len() {
            for of in (0..self.nodes.len()).filter(|of| *of != at) {
                let is_heard = self.is_awake(of) && !self.wire.is_cut(of, at, self.now_ns);
                if is_heard && self.is_awake(at) {
                    let spare = self.life(of).holder.spare();
                    self.life(at).owner.set_spare(slot(of), spare);
                }
            }
        }
    }

    pub(super) fn may_crash(&self) -> bool {
        let is_mended = |node: &super::world::Node| {
            node.life.as_ref().is_some_and(|life| life.owner.to_mend() == 0)
        };
        let is_long_ago = self.now_ns.saturating_sub(self.last_crash_ns) > 2_300 * MS;
        !self.options.is_gentle || (is_long_ago && self.nodes.iter().all(is_mended))
    }

    pub(super) fn faults(&mut self) {
        let options = self.options.clone();
        self.kill_amid();
        for node in 0..self.nodes.len() {
            if self.nodes[node].life.is_none() {
                continue;
            }
            if self.rng.chance(options.crash_ppm) && self.may_crash() {
                self.crash(node);
                continue;
            }
            if self.rng.chance(options.isolate_ppm) && self.may_crash() {
                self.isolate(node);
            }
            if self.rng.chance(options.leave_ppm) {
                self.begin_to_leave(node);
            }
            if self.rng.chance(options.pause_ppm) {
                self.saw("standstill");
                let until_ns = self.now_ns + self.rng.below(300) * MS;
                self.life(node).is_paused_until_ns = until_ns;
            }
            if self.rng.chance(options.cut_ppm) {
                self.cut(node);
            }
            if self.rng.chance(options.rot_ppm) {
                self.rot(node);
            }
            self.scarcity(node);
        }
    }

    fn cut(&mut self, node: usize) {
        let other = self.rng.index(self.nodes.len());
        if other == node {
            return;
        }
        let span_ns = self.rng.below(1_000) * MS;
        let until_ns = self.now_ns + span_ns;
        let mut paths = vec![(node, other)];
        if self.options.is_one_way {
            self.saw("path cut one way");
        } else {
            paths.push((other, node));
            self.saw("path cut both ways");
        }
        for (from, to) in paths {
            self.wire.cut(from, to, until_ns);
            let life = self.nodes[from].lives;
            if span_ns > 100 * MS {
                self.tell(100 * MS, News::Silent { at: to, of: from, life });
            }
            self.tell(span_ns + 20 * MS, News::Up { at: to, of: from, life });
        }
    }

    fn rot(&mut self, node: usize) {
        let count = self.life(node).frames.len();
        if count == 0 {
            return;
        }
        let at = self.rng.index(count);
        let place = self.rng.index(netproto::limits::PAGE_LEN);
        if let Some(content) = self.life(node).frames.values_mut().nth(at) {
            // Nobody reads what lies behind a short content.
            if let Some(byte) = content.get_mut(place) {
                *byte ^= 0x10;
                self.rotten.insert(node);
            }
        }
    }

    fn scarcity(&mut self, node: usize) {
        let (pressure_ppm, drain_ppm) = (self.options.pressure_ppm, self.options.drain_ppm);
        if self.rng.chance(pressure_ppm) {
            let target = (self.rng.below(3) > 0).then(|| {
                u32::try_from(self.rng.below(u64::from(self.options.frames))).expect("small")
            });
            self.note(format!("node {node}: pressure {target:?}"));
            self.life(node).is_short = target.is_some();
            self.life(node).holder.set_pressure(target);
        }
        if self.life(node).is_leaving {
            return;
        }
        if self.rng.chance(drain_ppm) {
            let is_drained = !self.life(node).is_drained;
            self.note(format!("node {node}: drain {is_drained}"));
            if is_drained {
                self.life(node).holder.drain();
                self.life(node).is_drained = true;
            } else {
                self.relieve(node);
            }
        }
        if self.life(node).is_drained && self.life(node).holder.is_clear() {
            self.saw("drained");
            self.relieve(node);
        }
    }

    /// A holder may lend again.
    pub(super) fn relieve(&mut self, node: usize) {
        if let Some(life) = &mut self.nodes[node].life {
            life.holder.undrain();
            life.holder.set_pressure(None);
            (life.is_drained, life.is_leaving, life.is_short) = (false, false, false);
            life.owner.set_goal(64);
        }
    }
}
