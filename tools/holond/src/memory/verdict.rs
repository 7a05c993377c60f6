//! When a node is given up for good, as far as memory goes.
//!
//! Silence alone decides nothing: a node that can't be heard may be heard by others, and be back in
//! a moment with all that it has. Only when more than half of the configured nodes have not heard
//! it for so long is it given up: what of ours was only there is lost from then on (its users hear
//! of it instead of waiting), copies are made again elsewhere, and what it had here is freed. It
//! can't be taken back: that life of the node is not listened to any more. If it is heard of again
//! it is told so, and gives up the teller: else it would keep pages that nobody asks for, and its
//! processes would wait for some that are no more.

use super::blast;
use crate::node::{Node, ANSWER_TIME};
use crate::peer::message::{GivenUp, PeerReply, PeerRequest};
use crate::tasks;
use holon_api::rows::EventRow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Gives up who is due; each second.
pub(crate) fn look(node: &Arc<Node>) {
    if node.device.is_none() || !node.has_quorum() {
        return;
    }
    let time = lost_after(node);
    let due: Vec<u32> = {
        let mut state = node.state();
        let due = state.down_since.iter().filter(|(_, since)| since.elapsed() >= time);
        let due: Vec<u32> = due.map(|(slot, _)| *slot).collect();
        // Asked once a second, by one thread.
        due.into_iter().filter(|slot| state.given_up.insert(*slot)).collect()
    };
    for slot in due {
        let node = node.clone();
        tasks::spawn(move || {
            if !decide(&node, slot) {
                node.state().given_up.remove(&slot);
            }
        });
    }
}

fn lost_after(node: &Node) -> Duration {
    node.time(node.config.memory.lost_after)
}

/// Asks the others, and does as they say. False if it is to be asked again.
fn decide(node: &Arc<Node>, slot: u32) -> bool {
    let time = lost_after(node);
    let votes = node.ask_each(&node.all_up(), &PeerRequest::DownFor { slot }, ANSWER_TIME);
    let answers = votes.into_iter().map(|(_, reply)| match reply {
        Ok(PeerReply::DownFor { ms }) => ms.map(Duration::from_millis),
        _ => None,
    });
    if !is_lost(answers, time, |count| node.config.is_majority(count)) {
        return false;
    }
    give_up(node, slot)
}

/// Whether enough nodes have missed it for long enough.
fn is_lost(
    answers: impl Iterator<Item = Option<Duration>>,
    time: Duration,
    is_majority: impl Fn(usize) -> bool,
) -> bool {
    is_majority(answers.flatten().filter(|down| *down >= time).count())
}

fn give_up(node: &Node, slot: u32) -> bool {
    let Some(device) = &node.device else { return true };
    let hurt = blast::names(node, Some(slot));
    match device.give_up(slot) {
        Ok(true) => tell(node, slot, "most nodes have not heard it for too long", hurt),
        // It was known to be no more, or never was there.
        Ok(false) => {}
        Err(errno) => {
            log::error!("{} can't be given up: {errno}", node.config.name(slot));
            return false;
        }
    }
    true
}

/// What a peer is to be told that was given up in this life of it.
pub(crate) fn given_up(node: &Node, slot: u32) -> Option<GivenUp> {
    let device = node.device.as_ref()?;
    let yours = device.given_up(slot).ok().flatten()?;
    Some(GivenUp { mine: device.incarnation().ok()?, yours })
}

/// A peer says that it has given this node up.
pub(crate) fn heard(node: &Node, from: u32, lives: &GivenUp) {
    let Some(device) = &node.device else { return };
    let is_teller =
        device.life_of(from).is_ok_and(|life| life.is_some_and(|it| it.0 == lives.mine));
    let is_meant = is_teller && device.incarnation() == Ok(lives.yours);
    let is_known = device.given_up(from) == Ok(Some(lives.mine));
    if !is_meant || is_known {
        return;
    }
    let hurt = blast::names(node, Some(from));
    match device.give_up_life(from, lives.mine) {
        Ok(true) => {
            let why = "it has given this node up; to take part again, load the module here anew";
            tell(node, from, why, hurt);
        }
        // It has a new life already, or another word of it was quicker.
        Ok(false) => {}
        Err(errno) => log::error!("{} can't be given up: {errno}", node.config.name(from)),
    }
}

fn tell(node: &Node, slot: u32, why: &str, hurt: HashMap<u32, (blast::Named, u64)>) {
    let from = Some(node.config.name(slot));
    let reason = Some(why.into());
    let event = EventRow { kind: "node-given-up".into(), from, reason, ..EventRow::default() };
    node.note(event);
    for (pid, (named, bytes)) in hurt {
        let reason = format!("{} KiB of {} were only there", bytes >> 10, named.text(pid));
        note_lost(node, &named, Some(slot), reason);
    }
}

/// A process has lost memory.
pub(crate) fn note_lost(node: &Node, named: &blast::Named, slot: Option<u32>, reason: String) {
    node.note(EventRow {
        kind: "memory-lost".into(),
        process: named.process,
        job: named.process.map(|process| process.job),
        from: slot.map(|slot| node.config.name(slot)),
        reason: Some(reason),
        ..EventRow::default()
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_must_have_missed_it_for_long() {
        let time = Duration::from_secs(10);
        let of = |seconds: &[Option<u64>], total: usize| {
            let answers = seconds.iter().map(|s| s.map(Duration::from_secs));
            is_lost(answers, time, |count| count * 2 > total)
        };
        assert!(of(&[Some(11), Some(10)], 3));
        assert!(!of(&[Some(11), Some(9)], 3), "not for long enough");
        assert!(!of(&[Some(11), None], 3), "somebody hears it");
        assert!(!of(&[Some(99)], 2), "of two nodes neither decides");
    }
}
