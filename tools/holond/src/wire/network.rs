//! The addresses within the tunnel: one network, in which a slot's node has a fixed place.

use anyhow::{bail, Context, Error, Result};
use holon_api::id::SLOTS_MAX;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// With room for all slots.
const LEN_MAX: u8 = 25;
const LEN_MIN: u8 = 8;
/// Private, and none of the usual choices of routers, clouds and containers.
const DEFAULT: Network = Network { base: Ipv4Addr::new(10, 213, 77, 0), len: 24 };

/// A network of IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    base: Ipv4Addr,
    len: u8,
}

impl Network {
    /// The network that an address is in.
    pub(super) fn of(address: Ipv4Addr, len: u8) -> Self {
        let len = len.min(32);
        Self { base: (address.to_bits() & mask(len)).into(), len }
    }

    /// Bits that all its addresses have in common.
    pub(super) fn len(&self) -> u8 {
        self.len
    }

    /// The address of a slot's node.
    pub(crate) fn address(&self, slot: u32) -> Ipv4Addr {
        // The first one is the network's own. `parse` saw to it that there are enough.
        (self.base.to_bits() + slot.min(SLOTS_MAX) + 1).into()
    }

    /// Whether an address is in it.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        matches!(address, IpAddr::V4(ip) if ip.to_bits() & mask(self.len) == self.base.to_bits())
    }

    /// Whether any address is in both.
    pub(super) fn overlaps(&self, other: Self) -> bool {
        self.contains(other.base.into()) || other.contains(self.base.into())
    }
}

fn mask(len: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0)
}

impl Default for Network {
    fn default() -> Self {
        DEFAULT
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.len)
    }
}

impl FromStr for Network {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once('/').and_then(|(base, len)| {
            let len: u8 = len.parse().ok().filter(|_| !len.starts_with(['+', '0']))?;
            Some((base.parse::<Ipv4Addr>().ok()?, len))
        });
        let (base, len) = parts
            .with_context(|| format!("network \"{text}\" is not of the form 10.213.77.0/24"))?;
        if !(LEN_MIN..=LEN_MAX).contains(&len) {
            bail!(
                "network {text}: its length must be {LEN_MIN}..={LEN_MAX}, for {SLOTS_MAX} nodes"
            );
        }
        let network = Self::of(base, len);
        if network.base != base {
            bail!("network {text} begins at {}", network.base);
        }
        Ok(network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().expect("good")
    }

    #[test]
    fn slots_have_places() {
        let all = Network::default();
        assert_eq!(all.address(0), Ipv4Addr::new(10, 213, 77, 1));
        assert_eq!(all.address(63), Ipv4Addr::new(10, 213, 77, 64));
        assert_eq!(network(&all.to_string()), all);
        let small = network("192.168.9.128/25");
        assert!(small.contains(small.address(63).into()));
        assert!(!small.contains("192.168.9.127".parse().expect("an address")));
        assert!(!small.contains("::1".parse().expect("an address")));
    }

    #[test]
    fn overlaps_are_seen() {
        let of = |a, b, c, d, len| Network::of(Ipv4Addr::new(a, b, c, d), len);
        let all = Network::default();
        assert!(all.overlaps(of(10, 213, 77, 9, 32)));
        assert!(all.overlaps(of(10, 1, 2, 3, 8)));
        assert!(all.overlaps(of(1, 2, 3, 4, 0)));
        assert!(!all.overlaps(of(10, 213, 78, 1, 24)));
    }

    #[test]
    fn nonsense_is_refused() {
        let bad = [
            "",
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/26",
            "10.0.0.0/7",
            "10.0.0.0/+9",
            "10.0.0.0/024",
            "10.0.0.1/24",
            "10.0.0/24",
            "10.0.0.0/24/24",
            "fd00::/64",
            " 10.0.0.0/24",
        ];
        for text in bad {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
