//! What protects traffic between nodes: the kernel's WireGuard, or nothing if that was chosen.
//!
//! ```text
//! module's socket, NFS ── holon0 (10.213.77.SLOT+1) ── WireGuard ── nodes' real addresses
//! ```
//!
//! All that nodes say to each other goes through the interface [`INTERFACE`]. WireGuard takes from
//! a peer only what has that peer's address in there, so an address is a proof. The module's socket
//! is bound to the interface as well as to the address: nothing that comes by another is taken.
//!
//! The interface outlives this daemon, for the module talks on without it. If anything is wrong the
//! module is not told whom to talk to: nothing is ever sent in clear instead.

mod key;
mod look;
mod network;
mod plan;
mod problem;
mod run;
mod setup;
mod state;

pub(crate) use key::PublicKey;
pub(crate) use look::Handshake;
pub(crate) use network::Network;
pub(crate) use problem::Problem;
pub use setup::{key_line, take_down};
pub(crate) use setup::{set_up, Binding};
pub(crate) use state::Wire;

/// The tunnel's interface.
pub(crate) const INTERFACE: &str = "holon0";

#[cfg(test)]
mod tests {
    use crate::config::Config;

    /// Three nodes with keys, the first of them ours.
    pub(super) fn config() -> Config {
        let node = |slot: u32, key: &str| {
            let n = slot + 1;
            format!(
                "[[node]]\nslot={slot}\nname=\"node{n}\"\naddr=\"10.77.0.{n}\"\nkey=\"{key}\"\n"
            )
        };
        let keys = [
            "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
            "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=",
            "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=",
        ];
        let text: String = (0..).zip(keys).map(|(slot, key)| node(slot, key)).collect();
        Config::parse(&text, "node1").expect("good")
    }
}
