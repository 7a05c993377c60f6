//! What the simulations share.
//!
//! Purpose: a simulation is one thread with a clock that jumps. All that is random comes from an
//! [`Rng`] of a seed, which is printed when a run fails; what is to come stands in an [`Agenda`];
//! datagrams travel through a [`Net`] with faults; a [`Trace`] tells whether two runs of a seed
//! were the same. Randomized tests and the testbed's
//! network draw from an [`Rng`] as well; [`mutate`] makes what tests of decoders feed them.
//!
//! Contract: a seed gives the same numbers on every machine and in every version. Golden files and
//! the seeds of known bugs depend on that, so no method may change what it draws.
#![forbid(unsafe_code)]

mod agenda;
pub mod mutate;
mod net;
mod rng;
mod trace;

pub use agenda::Agenda;
pub use net::{Datagram, Net, Path};
pub use rng::Rng;
pub use trace::Trace;
