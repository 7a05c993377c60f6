//! Making the tunnel, and taking it away.

use super::{key, look, plan, run, Problem, INTERFACE};
use crate::config::{Config, Encryption};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// Where the module talks.
const BOUND: &str = "/proc/sys/holon/wire";

/// What the module is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Binding {
    /// The number of the one interface to use; 0: any.
    pub(crate) ifindex: u32,
    /// Payload bytes per datagram; 0: the module's default.
    pub(crate) mtu: u32,
}

/// Where a module that is configured talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bound {
    address: SocketAddr,
    ifindex: u32,
}

impl Bound {
    fn parse(text: &str) -> Option<Self> {
        let (address, ifindex) = text.trim().split_once(" dev ")?;
        Some(Self { address: address.parse().ok()?, ifindex: ifindex.parse().ok()? })
    }

    fn text(&self) -> String {
        match self.ifindex {
            0 => format!("{} in clear", self.address),
            _ => format!("{} through interface {}", self.address, self.ifindex),
        }
    }
}

/// Brings about what `nodes.toml` says. Done again, it changes nothing.
pub(crate) fn set_up(config: &Config) -> Result<Binding, Problem> {
    let bound = Bound::parse(&fs::read_to_string(BOUND).unwrap_or_default());
    let binding = match config.encryption {
        Encryption::Wireguard => make(config, bound)?,
        Encryption::Plain => {
            tidy(bound);
            Binding { ifindex: 0, mtu: config.mtu }
        }
    };
    let wanted = Bound { address: config.own_node().addr, ifindex: binding.ifindex };
    match bound {
        Some(bound) if bound != wanted => Err(Problem::Bound(bound.text(), wanted.text())),
        _ => Ok(binding),
    }
}

/// An interface of the time before plain was chosen is of no use any more.
fn tidy(bound: Option<Bound>) {
    let there = Path::new("/sys/class/net").join(INTERFACE).exists();
    if there && bound.is_none_or(|bound| bound.ifindex == 0) {
        if let Err(error) = take_down() {
            log::warn!("{INTERFACE} stays: {error:#}");
        }
    }
}

/// Makes the interface as it shall be.
fn make(config: &Config, bound: Option<Bound>) -> Result<Binding, Problem> {
    let own = config.own_node();
    let key = key::ensure(Path::new(key::PATH))?;
    let public = key.public()?;
    if let Some(given) = own.key.as_ref().filter(|given| **given != public) {
        return Err(Problem::OtherKey { given: given.clone(), own: public });
    }
    let links = look::links()?;
    let mtu = plan::mtu(&links, &look::routes(config));
    // A module that talks already knows the interface by its number.
    let index = bound.map(|bound| bound.ifindex).filter(|index| *index != 0);
    for call in plan::commands(config, &links, mtu, index, &key)? {
        run::output(&call).map_err(|problem| plan::explain(problem, own.outer.port()))?;
    }
    let links = look::links()?;
    let made = plan::ours(&links).ok_or(Problem::Gone)?;
    let fits = if config.mtu == 0 { plan::payload(mtu) } else { config.mtu };
    Ok(Binding { ifindex: made.ifindex, mtu: fits })
}

/// This node's line for `nodes.toml`; makes its key if there is none.
pub fn key_line() -> anyhow::Result<String> {
    let public = key::ensure(Path::new(key::PATH))?.public()?;
    Ok(format!("key = \"{public}\""))
}

/// Takes the interface away with its peers and the route to them. A module that talks through it
/// keeps it.
pub fn take_down() -> anyhow::Result<()> {
    let bound = Bound::parse(&fs::read_to_string(BOUND).unwrap_or_default());
    if bound.is_some_and(|bound| bound.ifindex != 0) {
        anyhow::bail!("the module talks through {INTERFACE}: unload it first");
    }
    let links = look::links()?;
    if plan::ours(&links).is_some_and(plan::Link::is_wireguard) {
        run::output(&run::Call::new("ip", &["link", "delete", "dev", INTERFACE]))?;
    }
    let routes = ["route", "flush", "type", "blackhole", "proto", plan::PROTO];
    run::output(&run::Call::new("ip", &routes))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_module_talks_is_read() {
        let bound = Bound::parse("10.213.77.1:7789 dev 7\n").expect("good");
        assert_eq!((bound.address.port(), bound.ifindex), (7789, 7));
        assert_eq!(bound.text(), "10.213.77.1:7789 through interface 7");
        let clear = Bound::parse("10.77.0.1:7788 dev 0").expect("good");
        assert_eq!(clear.text(), "10.77.0.1:7788 in clear");
        for text in ["", "none", "10.77.0.1:7788", "x dev 1", "10.77.0.1:7788 dev x"] {
            assert_eq!(Bound::parse(text), None, "{text}");
        }
    }
}
