//! Choosing a node.

use netproto::id::Slot;

/// What is known of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// The node.
    pub slot: Slot,
    /// It is up, and of a version that this node can hand over to.
    pub usable: bool,
    /// Nothing new may go there.
    pub cordoned: bool,
    /// Its processors' worth, in thousandths of a reference processor.
    pub capacity_milli: u32,
    /// Its runnable processes when it last told, in thousandths.
    pub load_milli: u32,
    /// How much was sent there since it last told, in processes.
    pub outstanding: u32,
    /// Its free memory when it last told, less what was sent there since.
    pub memory_free_bytes: u64,
}

/// How much the choice prefers what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights {
    /// How much more loaded, in thousandths of a process per reference processor, the own node may
    /// be before work leaves it: what a move costs.
    pub stay_milli: u32,
    /// How much memory must remain free on a node.
    pub memory_reserve_bytes: u64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { stay_milli: 250, memory_reserve_bytes: 64 << 20 }
    }
}

/// What is to be placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// The memory that it needs, as far as known.
    pub memory_bytes: u64,
    /// Where it is now.
    pub from: Slot,
    /// A node that it must not go to: where it has just failed.
    pub not_at: Option<Slot>,
    /// Whether it may stay where it is.
    pub may_stay: bool,
}

/// Why there is no node for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// No other node is up.
    #[error("no other node is up")]
    NoneUp,
    /// Those that are up are cordoned.
    #[error("all other nodes are cordoned")]
    AllCordoned,
    /// None has the memory.
    #[error("no node has enough memory")]
    NoMemory,
}

/// Chooses the node on which the work would have most of a processor.
///
/// Of nodes that are alike the one with the least outstanding work is taken, then the one with most
/// free memory, then the first after `from`, so that several nodes that place at the same time do
/// not all choose the same one.
pub fn place(nodes: &[Node], work: &Placement, weights: &Weights) -> Result<Slot, NoPlace> {
    let mut best: Option<&Node> = None;
    let mut obstacle = NoPlace::NoneUp;
    for node in nodes {
        let stays = node.slot == work.from;
        if !node.usable || Some(node.slot) == work.not_at || (stays && !work.may_stay) {
            continue;
        }
        if node.cordoned && !stays {
            obstacle = worse(obstacle, NoPlace::AllCordoned);
            continue;
        }
        let needed = work.memory_bytes.saturating_add(weights.memory_reserve_bytes);
        if !stays && node.memory_free_bytes < needed {
            obstacle = worse(obstacle, NoPlace::NoMemory);
            continue;
        }
        if best.is_none_or(|best| rank(node, work, weights) < rank(best, work, weights)) {
            best = Some(node);
        }
    }
    best.map(|node| node.slot).ok_or(obstacle)
}

/// The obstacle nearest to success is the one to tell.
const fn worse(known: NoPlace, new: NoPlace) -> NoPlace {
    match (known, new) {
        (NoPlace::NoMemory, _) | (_, NoPlace::NoMemory) => NoPlace::NoMemory,
        (NoPlace::AllCordoned, _) | (_, NoPlace::AllCordoned) => NoPlace::AllCordoned,
        (NoPlace::NoneUp, NoPlace::NoneUp) => NoPlace::NoneUp,
    }
}

/// Smaller is better.
fn rank(node: &Node, work: &Placement, weights: &Weights) -> (u64, u32, u64, u8) {
    let stays = node.slot == work.from;
    let distance = node.slot.get().wrapping_sub(work.from.get()).wrapping_sub(1) % 64;
    let crowd = crowd_milli(node, work);
    let cost = if stays { 0 } else { u64::from(weights.stay_milli) };
    let memory_taken = u64::MAX - node.memory_free_bytes;
    (crowd.saturating_add(cost), node.outstanding, memory_taken, distance)
}

/// Processes per reference processor with this one there, in thousandths.
fn crowd_milli(node: &Node, work: &Placement) -> u64 {
    const PROCESS_MILLI: u64 = 1000;
    let outstanding = u64::from(node.outstanding).saturating_mul(PROCESS_MILLI);
    let there = u64::from(node.load_milli).saturating_add(outstanding);
    // What is already there counts itself.
    let own = if node.slot == work.from { 0 } else { PROCESS_MILLI };
    let all = there.saturating_add(own).max(PROCESS_MILLI);
    all.saturating_mul(PROCESS_MILLI) / u64::from(node.capacity_milli.max(1))
}
