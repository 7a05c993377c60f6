//! In which order messages are delivered.

use crate::limits::LANE_COUNT;

/// The order that a message keeps with others of its class to the same peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// After all messages sent before it, and before all sent after it that are not
    /// [`Lane::Free`].
    Strict,
    /// In order with the others whose key has the same lane, and with [`Lane::Strict`] ones. The
    /// loss of a packet of another lane does not hold it up.
    Keyed(u8),
    /// In no order: delivered as soon as it is whole.
    Free,
}

impl Lane {
    /// The lane for a key, such as a file's number. Different keys may share one.
    #[must_use]
    pub fn of(key: u64) -> Self {
        // Multiplicative hashing: the upper bits depend on all of the key.
        let mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let [.., top] = mixed.to_le_bytes();
        Self::Keyed(top >> 2)
    }
}

const _: () = assert!(LANE_COUNT == 1 << 6, "a lane is six bits");
