//! What the owner knows of one page.
//!
//! ```text
//!            evict                commit
//!   Free ───────────> Evicting ──────────> Lodged ──── last copy is no more ───> Lost
//!    ^                   │ not stored,        │ installed, discarded              │ discarded
//!    │                   v not committed      v                                   │
//!    └──────────────── Ending <───────────────┴───────────────────────────────────┘
//!       no holder has anything of it
//! ```
//! A fetch goes on beside `Lodged`: reading changes nothing at the holder. Each copy has a life of
//! its own; an entry is free only when all of them are `None`, so nothing that a holder still has
//! for it can be taken for its next use.

use netproto::msg::lodge::Seal;
use netproto::Slot;

use crate::lodge::owner::OpId;

/// The number of a page at its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub u32);

/// No table is so large.
pub(super) const NO_ENTRY: EntryId = EntryId(u32::MAX);

/// Why a page can't be had any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The last holder is no more.
    HolderDied(Slot),
    /// The last holder does not have it any more: its word.
    NotHeld(Slot),
    /// The last copy does not fit the checksum.
    Damaged(Slot),
}

/// How far an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Not in use.
    Free,
    /// The page is still here; copies are on their way.
    Evicting,
    /// The page is at its holders only.
    Lodged,
    /// It is nowhere.
    Lost(Loss),
    /// Nobody needs it any more; holders are told.
    Ending,
}

/// How far one copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyStage {
    /// There is none.
    None,
    /// A STORE may have been sent, and was not answered well.
    Sending,
    /// The holder has checked and keeps it.
    Held,
    /// As `Held`, but the holder wants it to leave.
    Unwanted,
    /// The holder is to be told that it is not needed.
    Leaving,
    /// It was told, and has not answered.
    Told,
}

/// One copy of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageCopy {
    /// Its holder; of no meaning while there is none.
    pub slot: Slot,
    /// How far it is.
    pub stage: CopyStage,
    /// How often its content did not fit the checksum.
    pub(super) misreads: u8,
}

impl PageCopy {
    /// Whether it can be read.
    #[must_use]
    pub const fn is_readable(&self) -> bool {
        matches!(self.stage, CopyStage::Held | CopyStage::Unwanted)
    }

    /// Whether it counts against the owner's limit at its holder.
    #[must_use]
    pub const fn counts(&self) -> bool {
        !matches!(self.stage, CopyStage::None)
    }
}

/// Copies that an entry has room for: two, and one on its way to a new holder.
pub(super) const COPIES_ROOM: usize = 3;

/// One page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) generation: u64,
    /// What the driver wants to find again: whose page it is.
    pub(super) tag: u64,
    /// And by what the driver finds it in the process.
    pub(super) frame: u64,
    pub(super) seal: Seal,
    pub(super) stage: Stage,
    pub(super) wanted: u8,
    pub(super) copies: [PageCopy; COPIES_ROOM],
    /// The batches that read it: for the driver, and to mend.
    pub(super) fetch: Option<OpId>,
    pub(super) mend: Option<OpId>,
    /// While it is free: another one.
    pub(super) next_free: EntryId,
}

impl Entry {
    pub(super) fn new(none: Slot) -> Self {
        let copy = PageCopy { slot: none, stage: CopyStage::None, misreads: 0 };
        Self {
            generation: 0,
            tag: 0,
            frame: 0,
            seal: Seal::NONE,
            stage: Stage::Free,
            wanted: 1,
            copies: [copy; COPIES_ROOM],
            fetch: None,
            mend: None,
            next_free: NO_ENTRY,
        }
    }

    /// The copy at a holder.
    pub(super) fn copy_at(&mut self, slot: Slot) -> Option<&mut PageCopy> {
        self.copies.iter_mut().find(|copy| copy.slot == slot && copy.stage != CopyStage::None)
    }

    pub(super) fn has_copy_at(&self, slot: Slot) -> bool {
        self.copies.iter().any(|copy| copy.slot == slot && copy.stage != CopyStage::None)
    }

    /// Notes that a copy is on its way. False if there is no room for it.
    pub(super) fn add_copy(&mut self, slot: Slot) -> bool {
        let place = self.copies.iter_mut().find(|copy| copy.stage == CopyStage::None);
        place.is_some_and(|place| {
            *place = PageCopy { slot, stage: CopyStage::Sending, misreads: 0 };
            true
        })
    }

    pub(super) fn count(&self, stage: CopyStage) -> usize {
        self.copies.iter().filter(|copy| copy.stage == stage).count()
    }

    pub(super) fn is_readable(&self) -> bool {
        self.copies.iter().any(PageCopy::is_readable)
    }

    /// Whether it can be read, but from nowhere else.
    pub(super) fn is_only_at(&self, slot: Slot) -> bool {
        let mut readable = self.copies.iter().filter(|copy| copy.is_readable()).peekable();
        self.stage == Stage::Lodged
            && readable.peek().is_some()
            && readable.all(|copy| copy.slot == slot)
    }

    /// The holder to read from: another than `not` if there is one, and one of `good` rather.
    pub(super) fn source(&self, not: Option<Slot>, good: impl Fn(Slot) -> bool) -> Option<Slot> {
        let readable = || self.copies.iter().filter(|copy| copy.is_readable());
        let rank = |copy: &&PageCopy| (good(copy.slot), Some(copy.slot) != not, copy.misreads == 0);
        readable().max_by_key(rank).map(|copy| copy.slot)
    }

    /// Whether copies are missing, or are where they are not wanted.
    pub(super) fn needs_mending(&self) -> bool {
        let is_short = self.count(CopyStage::Held) < usize::from(self.wanted);
        self.stage == Stage::Lodged && (is_short || self.count(CopyStage::Unwanted) > 0)
    }

    pub(super) fn has_leaving(&self) -> bool {
        self.count(CopyStage::Leaving) > 0
    }

    /// All copies are to leave.
    pub(super) fn leave_all(&mut self) {
        for copy in &mut self.copies {
            if !matches!(copy.stage, CopyStage::None | CopyStage::Told) {
                copy.stage = CopyStage::Leaving;
            }
        }
    }
}
