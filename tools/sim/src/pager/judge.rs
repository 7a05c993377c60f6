//! The promises.

use netproto::msg::lodge::Status;
use vm_remote::lodge::owner::{Loss, Stage};
use vm_remote::lodge::Peer;

use super::node::{pattern, peer, Place};
use super::world::World;

impl World {
    /// What a program reads is what it wrote last.
    pub(super) fn judge_content(&mut self, node: usize, page: usize, content: &[u8]) {
        let version = self.life(node).pages[page].version;
        if *content != *pattern(node, page, version) {
            self.fail(&format!("node {node}, page {page}: not what was written last"));
        }
    }

    /// A page within the room that was granted is accepted.
    pub(super) fn judge_refusal(&mut self, node: usize, from: Peer, status: Status) {
        match status {
            Status::NoRoom => {
                let owner = from.slot.index();
                // A holder that heard of its owner's death owes it nothing.
                let is_known = self.life(node).holder.of(from.slot) != (0, 0);
                let is_alive = self.nodes[owner].life.is_some()
                    && from == peer(owner, self.nodes[owner].lives);
                if is_known && is_alive {
                    self.fail(&format!("node {node} has no room for what it granted {from:?}"));
                }
            }
            Status::Damaged => self.saw("damaged while it was stored"),
            Status::Stale => self.saw("late STORE refused"),
            _ => (),
        }
    }

    /// A fetch ended without a page.
    pub(super) fn not_fetched(&mut self, node: usize, page: usize) {
        let Place::Away(entry) = self.life(node).pages[page].place else {
            return;
        };
        match self.life(node).owner.stage(entry) {
            Stage::Lost(loss) => self.lose(node, page, loss),
            Stage::Lodged => self.saw("fetch gave up"),
            stage => self.fail(&format!("node {node}, page {page} is away, and {stage:?}")),
        }
    }

    /// A page is lost: there must be a cause.
    pub(super) fn lose(&mut self, node: usize, page: usize, loss: Loss) {
        self.note(format!("node {node}, page {page}: {loss:?}"));
        let is_given_up = self.given_up.contains(&(node, self.nodes[node].lives));
        let is_excused = match loss {
            Loss::HolderDied(slot) => self.died.contains(&slot.index()),
            Loss::Damaged(slot) => self.rotten.contains(&slot.index()),
            Loss::NotHeld(_) => false,
        };
        // The others have freed all that one had whom they gave up: it is to restart.
        if !is_given_up && (!is_excused || self.options.is_gentle) {
            self.fail(&format!("node {node}, page {page} is lost without a cause: {loss:?}"));
        }
        self.saw(match loss {
            Loss::HolderDied(_) => "lost: holder died",
            Loss::NotHeld(_) => "lost: given up itself",
            Loss::Damaged(_) => "lost: damaged",
        });
        let life = self.life(node);
        if let Place::Away(entry) = life.pages[page].place {
            life.owner.discard(entry);
        }
        let page_state = &mut life.pages[page];
        page_state.version += 1;
        page_state.place = Place::Here(pattern(node, page, page_state.version));
    }

    /// What must hold at every instant.
    pub(super) fn check(&mut self) {
        for (number, node) in self.nodes.iter().enumerate() {
            let Some(life) = &node.life else {
                continue;
            };
            let holder = &life.holder;
            if holder.promised() > holder.frames() || holder.held() > holder.promised() {
                self.fail(&format!("node {number} promised more than it has"));
            }
            if holder.frames() != u32::try_from(life.frames.len()).expect("few") {
                self.fail(&format!("node {number} has lost count of its frames"));
            }
            if holder.tombs() > self.options.tombs {
                self.fail(&format!("node {number} remembers more than it may"));
            }
            let away = life.pages.iter().filter(|page| matches!(page.place, Place::Away(_)));
            if away.count() > life.owner.in_use() {
                self.fail(&format!("node {number}: pages that no entry stands for"));
            }
        }
    }

    /// Whether all pages have the copies they should, as far as there is room for them.
    pub(super) fn is_mended(&mut self) -> bool {
        let is_full = |node: &super::world::Node| {
            node.life.as_ref().is_some_and(|life| life.holder.spare() < 40)
        };
        let is_mended = |node: &super::world::Node| {
            node.life.as_ref().is_some_and(|life| life.owner.to_mend() == 0)
        };
        self.nodes.iter().any(is_full) || self.nodes.iter().all(is_mended)
    }

    /// Whether nothing of anybody is anywhere.
    pub(super) fn is_clear(&mut self) -> bool {
        self.nodes.iter().filter_map(|node| node.life.as_ref()).all(|life| {
            life.owner.in_use() == 0 && life.owner.batches() == 0 && life.holder.is_clear()
        })
    }

    /// What the machines have counted themselves.
    pub(super) fn count_stats(&mut self) {
        if self.options.is_gentle && self.seen.contains_key("a holder with pages dies") {
            self.saw("two copies, one died, none lost");
        }
        for node in 0..self.nodes.len() {
            let (owner, holder) = {
                let life = self.life(node);
                (*life.owner.stats(), *life.holder.stats())
            };
            self.saw_times("read from the other copy", owner.other_copy);
            self.saw_times("mended", owner.mended);
            self.saw_times("misread", owner.misread);
            self.saw_times("answer nobody waited for", owner.stray);
            self.saw_times("sent again", owner.sent_again);
            self.saw_times("release put off: too many to remember", holder.busy);
            self.saw_times("message of no member", holder.stray);
        }
    }
}
