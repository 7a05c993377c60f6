//! Nodes that go: cut off until the others give them up, or in order; and what was under way then.

use std::collections::BTreeSet;

use vm_remote::lodge::owner::{CopyStage, EntryId, OpId, Stage};

use super::node::{slot, Life};
use super::options::MS;
use super::world::{News, World};

/// What may be under way between an owner and a holder.
pub(super) const PHASES: [&str; 6] =
    ["an evict", "an evict, all stored", "mending", "a fetch", "handing back", "a release"];

/// What of an owner's is under way with a holder.
fn under_way(life: &Life, entries: u32, with: usize) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    let fetched: BTreeSet<EntryId> = life
        .fetching
        .keys()
        .flat_map(|op: &OpId| (0..32).filter_map(|at| life.owner.entry_at(*op, at)))
        .collect();
    for entry in (0..entries).map(EntryId) {
        let stage = life.owner.stage(entry);
        for copy in life.owner.copies(entry).filter(|copy| copy.slot == slot(with)) {
            found.insert(match (stage, copy.stage) {
                (Stage::Evicting, CopyStage::Sending) => "an evict",
                (Stage::Evicting, CopyStage::Held) => "an evict, all stored",
                (Stage::Lodged, CopyStage::Sending) => "mending",
                (Stage::Lodged, CopyStage::Held) if fetched.contains(&entry) => "a fetch",
                (Stage::Lodged, CopyStage::Unwanted) => "handing back",
                (_, CopyStage::Told) => "a release",
                _ => continue,
            });
        }
    }
    found
}

impl World {
    /// Notes what a node's death meets.
    pub(super) fn saw_phases(&mut self, node: usize) {
        let entries = self.options.entries;
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            let of_owner = self.nodes[other].life.as_ref();
            let amid = of_owner.map(|life| under_way(life, entries, node)).unwrap_or_default();
            amid.iter().for_each(|what| self.saw(&format!("a holder dies amid {what}")));
            let own = self.nodes[node].life.as_ref();
            let amid = own.map(|life| under_way(life, entries, other)).unwrap_or_default();
            amid.iter().for_each(|what| self.saw(&format!("an owner dies amid {what}")));
        }
    }

    /// Kills an owner or a holder amid the phase that the run aims at.
    pub(super) fn kill_amid(&mut self) {
        let Some(phase) = self.options.aim.and_then(|aim| PHASES.get(aim)) else {
            return;
        };
        let is_long_ago = self.now_ns.saturating_sub(self.last_crash_ns) > 300 * MS;
        // Mending is over in a few milliseconds.
        let ppm = if *phase == "mending" { 500_000 } else { 30_000 };
        if !is_long_ago || !self.rng.chance(ppm) || !self.may_crash() {
            return;
        }
        // From a random owner on, the first that has it under way.
        let (count, entries) = (self.nodes.len(), self.options.entries);
        let first = self.rng.index(count);
        let pairs = (0..count * count).map(|at| ((first + at / count) % count, at % count));
        let is_amid = |(owner, holder): &(usize, usize)| {
            let life = self.nodes[*owner].life.as_ref();
            life.is_some_and(|life| under_way(life, entries, *holder).contains(phase))
        };
        let found = pairs.into_iter().find(is_amid);
        let Some((owner, holder)) = found else { return };
        let victim = if self.rng.coin() { owner } else { holder };
        if self.nodes[victim].life.is_some() {
            self.crash(victim);
        }
    }

    /// A node is cut off from all others for so long that these give it up, each in its own time.
    /// It lives on, hears of them again and acts on what it has, until it is made to restart.
    pub(super) fn isolate(&mut self, node: usize) {
        let life = self.nodes[node].lives;
        let span_ms = 200 + self.rng.below(700);
        self.note(format!("node {node} is cut off for {span_ms} ms"));
        self.saw("cut off");
        self.last_crash_ns = self.now_ns + span_ms * MS;
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            let until_ns = self.now_ns + span_ms * MS;
            self.wire.cut(node, other, until_ns);
            self.wire.cut(other, node, until_ns);
            let (silent_ns, other_life) = (100 * MS, self.nodes[other].lives);
            self.tell(silent_ns, News::Silent { at: other, of: node, life });
            self.tell(silent_ns, News::Silent { at: node, of: other, life: other_life });
            let dead_ns = (150 + self.rng.below(span_ms - 150)) * MS;
            self.tell(dead_ns, News::Dead { at: other, of: node, life });
            let heard_ns = (span_ms + 20) * MS;
            self.tell(heard_ns, News::Up { at: node, of: other, life: other_life });
            self.tell(heard_ns, News::Up { at: other, of: node, life });
        }
        let fence_ns = (span_ms + self.rng.below(250)) * MS;
        self.isolated.insert((node, life));
        self.tell(fence_ns, News::Fence { node, life });
    }

    /// A node that was given up must restart.
    pub(super) fn fence(&mut self, node: usize, life: u64) {
        if self.nodes[node].life.is_some() && self.nodes[node].lives == life {
            self.crash(node);
        }
    }

    /// Those that are still to be fenced are.
    pub(super) fn fence_all(&mut self) {
        for (node, life) in std::mem::take(&mut self.isolated) {
            self.fence(node, life);
        }
    }

    /// A node is to leave: its own pages come home, all others go.
    pub(super) fn begin_to_leave(&mut self, node: usize) {
        self.note(format!("node {node} is to leave"));
        let life = self.life(node);
        (life.is_leaving, life.is_drained) = (true, true);
        life.owner.set_goal(0);
        life.holder.drain();
    }

    /// It brings its pages home one after the other, and goes when nothing is anywhere.
    pub(super) fn leave(&mut self, node: usize) {
        let life = self.life(node);
        let away = |page: &super::node::Page| matches!(page.place, super::node::Place::Away(_));
        if let Some(page) = life.pages.iter().position(away) {
            self.touch(node, page);
            return;
        }
        let is_clear = life.owner.in_use() == 0 && life.owner.batches() == 0;
        if !is_clear || !life.holder.is_clear() {
            return;
        }
        self.note(format!("node {node} leaves"));
        self.saw("left in order");
        let number = self.nodes[node].lives;
        self.nodes[node].life = None;
        for at in (0..self.nodes.len()).filter(|at| *at != node) {
            let heard_ns = self.rng.below(20) * MS;
            self.tell(heard_ns, News::Dead { at, of: node, life: number });
        }
        let back_ns = (50 + self.rng.below(500)) * MS;
        self.tell(back_ns, News::Start { node });
    }
}
