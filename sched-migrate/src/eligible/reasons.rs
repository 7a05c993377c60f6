//! Sets of reasons.

use core::fmt;

use super::reason::Reason;

/// A set of reasons; empty if the process can move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reasons(u64);

const _: () = assert!(Reason::COUNT <= 64);

impl Reasons {
    /// None.
    pub const NONE: Self = Self(0);

    /// The set with these bits, as [`Reasons::bits`] gives them. Bits of reasons that are not known
    /// here are kept.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// One bit for each reason, at its index: for the ABI and for messages.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Adds one.
    pub fn add(&mut self, reason: Reason) {
        self.0 |= 1 << reason.index();
    }

    /// Adds one if it applies.
    pub(super) fn add_if(&mut self, applies: bool, reason: Reason) {
        if applies {
            self.add(reason);
        }
    }

    /// Whether it is among them.
    pub fn contains(self, reason: Reason) -> bool {
        self.0 & (1 << reason.index()) != 0
    }

    /// All of them, in the order of their codes.
    pub fn iter(self) -> impl Iterator<Item = Reason> {
        Reason::all().filter(move |reason| self.contains(*reason))
    }

    /// Whether all of them may be gone in a moment, without anybody's doing.
    pub fn are_passing(self) -> bool {
        self.iter().all(|reason| {
            matches!(reason, Reason::Vfork | Reason::Uninterruptible | Reason::BeingMoved)
        })
    }
}

impl fmt::Display for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, reason) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{reason}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    #[test]
    fn sets() {
        let mut reasons = Reasons::NONE;
        assert!(reasons.is_empty() && reasons.are_passing());
        reasons.add(Reason::Socket);
        reasons.add(Reason::Vfork);
        assert_eq!(reasons.iter().collect::<Vec<_>>(), [Reason::Socket, Reason::Vfork]);
        assert_eq!(reasons.to_string(), "socket (R08), vfork (R17)");
        assert!(!reasons.are_passing());
        assert_eq!(Reasons::from_bits(reasons.bits()), reasons);
        assert_eq!(Reasons::from_bits(1 << 63).iter().count(), 0);
    }
}
