//! What a drain moves where, in which order, and what it can't move.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use netproto::id::{GlobalPid, Slot};

use super::place::{place, NoPlace, Node, Placement, Weights};
use crate::eligible::Reasons;

/// A process on the node that is to be drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The process.
    pub process: GlobalPid,
    /// Its job's home.
    pub home: Slot,
    /// Its memory.
    pub memory_bytes: u64,
    /// Why it can't move; empty if it can.
    pub reasons: Reasons,
}

/// A process that is to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// The process.
    pub process: GlobalPid,
    /// Where it is to go.
    pub to: Slot,
    /// Its memory.
    pub memory_bytes: u64,
}

/// Why a process stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stay {
    /// It can't move.
    Ineligible(Reasons),
    /// There is no node for it.
    NoPlace(NoPlace),
}

/// What a drain does.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Plan {
    /// What moves, in this order.
    pub moves: Vec<Move>,
    /// What stays, and why.
    pub stays: Vec<(GlobalPid, Stay)>,
}

/// Plans the drain of `node`.
///
/// Guests move first, for their homes lose nothing by it; then what is at home here. Within each,
/// small ones first: most of the processes are away soonest. Each move counts where it goes, so
/// that the work is spread. A node that is drained is cordoned whether `nodes` says so or not.
pub fn plan(
    node: Slot,
    candidates: &[Candidate],
    nodes: &[Node],
    weights: &Weights,
) -> Result<Plan, TryReserveError> {
    let mut plan = Plan::default();
    plan.moves.try_reserve_exact(candidates.len())?;
    plan.stays.try_reserve_exact(candidates.len())?;
    let mut nodes = copy(nodes)?;
    let mut queue = copy(candidates)?;
    queue.sort_unstable_by_key(|candidate| {
        (candidate.home == node, candidate.memory_bytes, candidate.process)
    });
    for candidate in queue {
        match choose(node, &candidate, &nodes, weights) {
            Ok(to) => {
                note(&mut nodes, to, candidate.memory_bytes);
                let Candidate { process, memory_bytes, .. } = candidate;
                plan.moves.push(Move { process, to, memory_bytes });
            }
            Err(stay) => plan.stays.push((candidate.process, stay)),
        }
    }
    Ok(plan)
}

fn copy<T: Copy>(items: &[T]) -> Result<Vec<T>, TryReserveError> {
    let mut copied = Vec::new();
    copied.try_reserve_exact(items.len())?;
    copied.extend_from_slice(items);
    Ok(copied)
}

fn choose(
    node: Slot,
    candidate: &Candidate,
    nodes: &[Node],
    weights: &Weights,
) -> Result<Slot, Stay> {
    if !candidate.reasons.is_empty() {
        return Err(Stay::Ineligible(candidate.reasons));
    }
    let work = Placement {
        memory_bytes: candidate.memory_bytes,
        from: node,
        not_at: None,
        may_stay: false,
    };
    place(nodes, &work, weights).map_err(Stay::NoPlace)
}

fn note(nodes: &mut [Node], to: Slot, memory_bytes: u64) {
    for node in nodes.iter_mut().filter(|node| node.slot == to) {
        node.outstanding = node.outstanding.saturating_add(1);
        node.memory_free_bytes = node.memory_free_bytes.saturating_sub(memory_bytes);
    }
}
