//! What keeps the tunnel from being there, by name.

use super::key::{KeyError, PublicKey};
use super::network::Network;
use super::INTERFACE;
use holon_api::rows::Reason;
use thiserror::Error;

/// Why traffic can't be protected as `nodes.toml` says. Nothing is sent in clear instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Problem {
    /// There is no module that could talk.
    #[error("the module is not loaded, so nothing is sent to other nodes")]
    NoModule,
    /// The kernel can't make such an interface.
    #[error("this kernel has no WireGuard (its module `wireguard`): {0}")]
    NoWireguard(String),
    /// A program is missing: it, and its package.
    #[error("there is no program `{0}`: install the package {1}")]
    NoTool(&'static str, &'static str),
    /// Another interface has addresses of the tunnel's network.
    #[error("{0} has an address in {1}, the tunnel's network: choose another `network`")]
    AddressTaken(String, Network),
    /// Something else listens there.
    #[error("UDP port {0} is in use by something else")]
    PortTaken(u16),
    /// The interface's name is taken.
    #[error("the interface {INTERFACE} is there already, and is no WireGuard interface")]
    NotOurs,
    /// The interface has gone.
    #[error("the interface {INTERFACE} is gone: start holond again")]
    Gone,
    /// The private key's file can't be used: its path, and why.
    #[error("{0}: {1}")]
    KeyFile(String, KeyError),
    /// `wg` gave something else than a key.
    #[error("`wg` gave no key: {0}")]
    Key(KeyError),
    /// The private key does not belong to the public one in `nodes.toml`.
    #[error(
        "nodes.toml gives this node the key {given}, but its own is {own}: put that into \
         nodes.toml on all nodes"
    )]
    OtherKey {
        /// In the file.
        given: PublicKey,
        /// Of the private key.
        own: PublicKey,
    },
    /// The module was configured otherwise by an earlier daemon: how, and how it should be.
    #[error(
        "the module talks on {0} and not on {1}: drain the node, unload it, start holond again"
    )]
    Bound(String, String),
    /// A command failed: it, and what it said.
    #[error("`{0}`: {1}")]
    Failed(String, String),
}

impl Problem {
    /// A stable short name.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::NoModule => "no-module",
            Self::NoWireguard(_) => "no-wireguard",
            Self::NoTool(..) => "no-tool",
            Self::AddressTaken(..) => "address-taken",
            Self::PortTaken(_) => "port-taken",
            Self::NotOurs => "interface-taken",
            Self::Gone => "interface-gone",
            Self::KeyFile(..) => "key-file",
            Self::Key(_) => "no-key",
            Self::OtherKey { .. } => "other-key",
            Self::Bound(..) => "bound-elsewhere",
            Self::Failed(..) => "command-failed",
        }
    }

    /// As it is shown.
    pub(crate) fn reason(&self) -> Reason {
        Reason { name: self.name().into(), text: self.to_string() }
    }
}
