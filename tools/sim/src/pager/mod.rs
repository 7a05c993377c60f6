//! Remote memory by seed: owners and holders of `vm-remote` on several nodes, every node both, over
//! a network that loses, doubles, delays, reorders and damages, with nodes that die, stand still,
//! are cut off and given up, run out of memory, are drained and leave, and with frames that rot.
//!
//! The promises: a page that is read has the content that was last written, or its loss is an
//! error with a cause that really happened; a page that was accepted is never refused; room that
//! was granted is there; when all is over nobody has anything of anybody.

mod faults;
mod judge;
mod node;
mod options;
mod parting;
mod perform;
mod urgent;
mod wire;
mod work;
mod world;

pub use options::Options;
pub use world::{run, Outcome};
