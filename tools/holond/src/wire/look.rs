//! How the tunnel is doing: when each peer last proved who it is.

use super::problem::Problem;
use super::run::{self, Call};
use super::{plan, INTERFACE};
use crate::config::{Config, NodeConfig};
use holon_api::rows::TunnelPeerRow;
use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// WireGuard itself uses no session for longer; with traffic a new handshake comes well before.
const FRESH_S: u64 = 180;

/// The last handshake with a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// So many seconds ago, which is recent.
    Fresh(u64),
    /// So many seconds ago, so that its session is over.
    Stale(u64),
    /// There was none since the interface was made.
    Never,
    /// The interface does not know the peer.
    Unknown,
}

impl Handshake {
    /// A stable short name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fresh(_) => "fresh",
            Self::Stale(_) => "stale",
            Self::Never => "never",
            Self::Unknown => "unknown",
        }
    }

    /// What it means for a peer that is not up; none if it says nothing about that.
    pub(crate) fn complaint(self, node: &NodeConfig) -> Option<String> {
        let outer = node.outer;
        match self {
            Self::Fresh(_) => None,
            Self::Stale(age) => Some(format!(
                "no WireGuard handshake for {age} s: it is off, does not get through from \
                 {outer}, has another key than before, or its clock was set back"
            )),
            Self::Never => Some(format!(
                "no WireGuard handshake so far: it is off, does not get through from {outer}, or \
                 one of us has another key than the other's nodes.toml says"
            )),
            Self::Unknown => {
                Some(format!("{INTERFACE} does not know its key any more: start holond again"))
            }
        }
    }

    /// Seconds since it, if there was one.
    fn age_s(self) -> Option<u64> {
        match self {
            Self::Fresh(age) | Self::Stale(age) => Some(age),
            Self::Never | Self::Unknown => None,
        }
    }
}

/// The last handshake with each peer, by slot.
pub(crate) fn handshakes(config: &Config) -> Result<Vec<(u32, Handshake)>, Problem> {
    let call = Call::new("wg", &["show", INTERFACE, "latest-handshakes"]);
    let text = run::output(&call).map_err(|problem| match problem {
        Problem::Failed(_, said) if said.contains("No such device") => Problem::Gone,
        other => other,
    })?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    Ok(of_peers(config, &text, now))
}

fn of_peers(config: &Config, text: &str, now_s: u64) -> Vec<(u32, Handshake)> {
    let lines = text.lines().filter_map(|line| line.split_once('\t'));
    let times: HashMap<&str, u64> =
        lines.filter_map(|(key, time)| Some((key, time.trim().parse().ok()?))).collect();
    let peers = config.nodes.iter().filter(|node| node.slot != config.own);
    let last = |node: &NodeConfig| match times.get(node.key.as_ref()?.as_str())? {
        0 => Some(Handshake::Never),
        // A clock that was set back makes it the future.
        time => Some(match now_s.saturating_sub(*time) {
            age if age <= FRESH_S => Handshake::Fresh(age),
            age => Handshake::Stale(age),
        }),
    };
    peers.map(|node| (node.slot, last(node).unwrap_or(Handshake::Unknown))).collect()
}

/// Peers as they are shown.
pub(super) fn rows(config: &Config, handshakes: &[(u32, Handshake)]) -> Vec<TunnelPeerRow> {
    let row = |(slot, handshake): &(u32, Handshake)| {
        let node = config.node(*slot)?;
        Some(TunnelPeerRow {
            node: node.name.clone(),
            address: node.addr.to_string(),
            endpoint: node.outer.to_string(),
            handshake: handshake.name().into(),
            age_s: handshake.age_s(),
        })
    };
    handshakes.iter().filter_map(row).collect()
}

/// All interfaces.
pub(super) fn links() -> Result<Vec<plan::Link>, Problem> {
    json(&Call::new("ip", &["-json", "-details", "address", "show"]))
}

/// The ways to the peers; one that can't be reached now has none.
pub(super) fn routes(config: &Config) -> Vec<plan::Route> {
    let peers = config.nodes.iter().filter(|node| node.slot != config.own);
    let ways = peers.map(|node| {
        let to = node.outer.ip().to_string();
        json::<plan::Route>(&Call::new("ip", &["-json", "route", "get", &to]))
    });
    ways.filter_map(Result::ok).flatten().collect()
}

fn json<T: for<'a> serde::Deserialize<'a>>(call: &Call) -> Result<Vec<T>, Problem> {
    let text = run::output(call)?;
    let odd = |error| Problem::Failed(call.to_string(), format!("it printed no list: {error}"));
    serde_json::from_str(&text).map_err(odd)
}

#[cfg(test)]
mod tests {
    use super::super::tests::config;
    use super::*;

    const SECOND: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
    const THIRD: &str = "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=";

    #[test]
    fn handshakes_are_told_by_their_age() {
        let text = format!("{SECOND}\t1000\n{THIRD}\t0\n");
        let of = |now| of_peers(&config(), &text, now);
        assert_eq!(of(1180), [(1, Handshake::Fresh(180)), (2, Handshake::Never)]);
        assert_eq!(of(1181)[0], (1, Handshake::Stale(181)));
        assert_eq!(of(900)[0], (1, Handshake::Fresh(0)), "a clock that was set back");
        let odd = format!("nonsense\n{SECOND}\tx\n{THIRD}\n");
        assert_eq!(
            of_peers(&config(), &odd, 1),
            [(1, Handshake::Unknown), (2, Handshake::Unknown)]
        );
    }

    #[test]
    fn only_what_may_be_the_cause_is_complained_of() {
        let config = config();
        let node = config.node(1).expect("a node");
        assert_eq!(Handshake::Fresh(9).complaint(node), None);
        let never = Handshake::Never.complaint(node).expect("a complaint");
        assert!(never.contains("10.77.0.2:7788") && never.contains("another key"), "{never}");
        let stale = Handshake::Stale(400).complaint(node).expect("a complaint");
        assert!(stale.contains("400 s") && stale.contains("clock"), "{stale}");
    }

    #[test]
    fn rows_have_both_addresses() {
        let rows = rows(&config(), &[(2, Handshake::Stale(200))]);
        let row = &rows[0];
        assert_eq!((row.node.as_str(), row.handshake.as_str()), ("node3", "stale"));
        assert_eq!((row.address.as_str(), row.age_s), ("10.213.77.3:7789", Some(200)));
        assert_eq!(row.endpoint, "10.77.0.3:7788");
    }
}
