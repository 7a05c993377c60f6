//! Where work goes: pure functions of what is known of the nodes.

pub mod drain;
pub mod place;

pub use drain::{plan, Candidate, Move, Plan, Stay};
pub use place::{place, NoPlace, Node, Placement, Weights};
