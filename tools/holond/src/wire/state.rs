//! What the daemon knows of the tunnel while it runs.

use super::{look, Handshake, Problem, INTERFACE};
use crate::config::{Config, Encryption};
use crate::node::Node;
use holon_api::rows::{EncryptionRow, EventRow};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// The wire as the daemon knows it.
#[derive(Default)]
pub(crate) struct Wire {
    /// Why it is not as `nodes.toml` says.
    problem: Option<Problem>,
    /// Peers whose missing handshake was told.
    told: Mutex<BTreeSet<u32>>,
}

impl Wire {
    /// As [`set_up`] left it.
    pub(crate) fn new(problem: Option<Problem>) -> Self {
        Self { problem, told: Mutex::default() }
    }

    /// The peers' last handshakes; none without a tunnel.
    fn look(&self, config: &Config) -> Result<Vec<(u32, Handshake)>, Problem> {
        match (&self.problem, config.encryption) {
            (Some(problem), _) => Err(problem.clone()),
            (None, Encryption::Plain) => Ok(Vec::new()),
            (None, Encryption::Wireguard) => look::handshakes(config),
        }
    }

    /// For `status`, and what may keep peers from being up.
    pub(crate) fn status(&self, config: &Config) -> (EncryptionRow, Vec<(u32, Handshake)>) {
        let (handshakes, problem) = match self.look(config) {
            Ok(handshakes) => (handshakes, None),
            Err(problem) => (Vec::new(), Some(problem)),
        };
        let is_sealed = config.encryption == Encryption::Wireguard;
        let row = EncryptionRow {
            chosen: if is_sealed { "wireguard" } else { "plain" }.into(),
            mode: match (&problem, is_sealed) {
                (Some(_), _) => "not-up",
                (None, true) => "wireguard",
                (None, false) => "none",
            }
            .into(),
            interface: is_sealed.then(|| INTERFACE.into()),
            peers: look::rows(config, &handshakes),
            problem: problem.map(|problem| problem.reason()),
        };
        (row, handshakes)
    }

    /// Notes an event for each peer that is down and with which there is no handshake, once.
    pub(crate) fn watch(&self, node: &Node) {
        let Ok(handshakes) = self.look(&node.config) else { return };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for (slot, handshake) in handshakes {
            let Some(peer) = node.config.node(slot) else { continue };
            let complaint = handshake.complaint(peer).filter(|_| !node.is_up(slot));
            let Some(complaint) = complaint else {
                told.remove(&slot);
                continue;
            };
            if told.insert(slot) {
                node.note(EventRow {
                    kind: "no-handshake".into(),
                    to: Some(peer.name.clone()),
                    reason: Some(format!("{}: {complaint}", handshake.name())),
                    ..EventRow::default()
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::config;
    use super::*;

    #[test]
    fn a_problem_is_never_shown_as_encryption() {
        let wire = Wire::new(Some(Problem::PortTaken(7788)));
        let (row, handshakes) = wire.status(&config());
        assert_eq!((row.mode.as_str(), row.chosen.as_str()), ("not-up", "wireguard"));
        assert_eq!(row.problem.expect("told").name, "port-taken");
        assert!(handshakes.is_empty() && row.peers.is_empty());
    }
}
