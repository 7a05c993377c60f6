//! Pages of this node's processes that lodge on other nodes, and other nodes' pages that lodge
//! here.
//!
//! ```text
//!  owner                                                         holder
//!  [`owner::Owner`] ── RESERVE ─────────────────────────> [`holder::Holder`]
//!                   <───────────────────────── GRANT ──        how much may come
//!       evict       ── STORE (content, checksum) ───────>      into a frame that was
//!                   <─────────────── STORED (verified) ──      set aside beforehand
//!       fetch       ── FETCH ───────────────────────────>      reads; the page stays
//!                   <────────────────── PAGES (content) ──
//!       release     ── RELEASE ─────────────────────────>      frees; until answered
//!       mend        <───────────────────── HAND_BACK ─────      under pressure, drained
//! ```
//! Neither machine has a page's content: the driver copies it where it is told to, between the call
//! that says so and the next one. All answers may be lost, doubled, late; see `msg::lodge`.
//!
//! What makes old content impossible: an owner's entry has a generation that grows with each use
//! and never falls; a holder refuses what is not newer than what it knows; an answer counts only
//! for the request, the peer's incarnation, the generation and the owner's own checksum.

pub mod holder;
pub mod lending;
pub mod marks;
pub mod owner;

use netproto::limits::LODGE_PAGES_MAX;
use netproto::msg::lodge::{Batch, Item, Limit, Seal, Status};
use netproto::{Incarnation, Kind, Slot};

/// One life of another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its slot.
    pub slot: Slot,
    /// Its incarnation.
    pub incarnation: Incarnation,
}

const PAGES_MAX: usize = 32;

const _: () = {
    assert!(LODGE_PAGES_MAX == 32, "batches keep their pages' state in u32 masks");
};

/// Up to [`LODGE_PAGES_MAX`] items, without an allocation.
#[derive(Debug, Clone, Copy)]
pub struct Items {
    list: [Item; PAGES_MAX],
    count: u16,
}

impl Default for Items {
    fn default() -> Self {
        Self::new()
    }
}

impl Items {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        let (status, seal) = (Status::Ask, Seal::NONE);
        let item = Item { position: 0, status, entry: 0, seal, generation: 0 };
        Self { list: [item; PAGES_MAX], count: 0 }
    }

    /// Adds one; what is too much is left out.
    pub fn push(&mut self, item: Item) {
        if let Some(place) = self.list.get_mut(usize::from(self.count)) {
            *place = item;
            self.count = self.count.saturating_add(1);
        }
    }

    /// Takes the first one out.
    pub fn pop_first(&mut self) -> Option<Item> {
        let first = self.list.first().copied().filter(|_| self.count > 0)?;
        self.list.copy_within(1.., 0);
        self.count = self.count.saturating_sub(1);
        Some(first)
    }

    /// How many.
    #[must_use]
    pub const fn len(&self) -> u16 {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &Item> {
        self.list.iter().take(usize::from(self.count))
    }
}

/// A message for a peer.
#[derive(Debug, Clone, Copy)]
pub struct Transmit {
    /// Whom to send it to.
    pub to: Peer,
    /// What.
    pub body: Body,
}

/// What a message says.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::large_enum_variant, reason = "nothing may be allocated to send it")]
pub enum Body {
    /// RESERVE.
    Reserve(Limit),
    /// STORE, FETCH or RELEASE. With STORE the driver adds the contents of the batch's pages at the
    /// items' positions.
    Batch {
        /// Which of them.
        kind: Kind,
        /// The batch.
        op: owner::OpId,
        /// The message's head.
        head: Batch,
        /// Its pages.
        items: Items,
    },
}

/// The positions in a mask, from the lowest on.
pub fn positions(mask: u32) -> impl Iterator<Item = u8> {
    let mut rest = mask;
    core::iter::from_fn(move || {
        let position = u8::try_from(rest.trailing_zeros()).ok().filter(|_| rest != 0)?;
        rest &= rest.wrapping_sub(1);
        Some(position)
    })
}

/// The mask with one position; none if it is past the last.
#[must_use]
pub const fn bit(position: u8) -> u32 {
    if position < 32 {
        1 << position
    } else {
        0
    }
}

/// The mask with the first `count` positions.
#[must_use]
pub fn first_bits(count: usize) -> u32 {
    let spare = PAGES_MAX.saturating_sub(count);
    u32::try_from(spare).ok().and_then(|spare| u32::MAX.checked_shr(spare)).unwrap_or(0)
}
