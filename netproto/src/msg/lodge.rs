//! Memory that lodges on another node: between an owner of pages and the holder that keeps them.
//!
//! All of these may be lost, doubled and late: each is repeated by its request number until it is
//! answered, and whoever gets it twice answers twice. A page is named by the owner's entry number
//! and a generation that grows with each use of the entry. [`Horizon`] ends the life of duplicates.

use bitflags::bitflags;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{transmute, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{check_zero, split, Kind};
use crate::error::DecodeError;
use crate::id::RequestId;
use crate::limits::{LODGE_CONTENTS_LEN_MAX, LODGE_PAGES_MAX, PAGE_LEN};
use crate::wire::checksum;

mod get;
mod limit;

pub use get::LodgeGet;
pub use limit::{HandBack, HandBackReason, Limit, Offer};

bitflags! {
    /// More about a batch.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct BatchFlags: u16 {
        /// A task waits for the first page. It is asked for by a [`LodgeGet`].
        const FAULT = 1;
        /// It was sent before: long datagrams may not get through.
        const AGAIN = 2;
    }
}

/// No STORE with a request number below this is under way any more: one that still arrives is a
/// late duplicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Horizon(pub u64);

/// One page of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// Which page of the batch, `0..`[`LODGE_PAGES_MAX`].
    pub position: u8,
    /// What is said of it; see each message.
    pub status: Status,
    /// The owner's number of the page.
    pub entry: u32,
    /// Of its content; [`Seal::NONE`] where none belongs to it.
    pub seal: Seal,
    /// The content's generation; never zero.
    pub generation: u64,
}

/// What an owner knows a content by. Its holders keep what it made of the page, packed or not, and
/// never look into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// Checksum of the content, made by the owner.
    pub sum: u32,
    /// Its length in bytes, `1..=`[`PAGE_LEN`]. Only the page as it is has [`PAGE_LEN`] bytes.
    pub len: u16,
}

impl Seal {
    /// Of no content.
    pub const NONE: Self = Self { sum: 0, len: 0 };

    /// Made of a content. One that is longer than a page gets [`Seal::NONE`].
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        match u16::try_from(content.len()) {
            Ok(len) if (1..=PAGE_LEN).contains(&content.len()) => {
                Self { sum: checksum(&[content]), len }
            }
            _ => Self::NONE,
        }
    }

    /// Whether it can be a content's.
    pub(crate) fn is_some(self) -> bool {
        (1..=PAGE_LEN).contains(&usize::from(self.len))
    }
}

/// What is said of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nothing: it is a request.
    Ask,
    /// It was done; with PAGES the content follows.
    Done,
    /// There is no room within the owner's limit.
    NoRoom,
    /// The content did not fit its checksum.
    Damaged,
    /// The holder does not have this generation of it.
    Gone,
    /// A newer generation is known, or the request is from before the horizon.
    Stale,
    /// Not now; ask again.
    Busy,
}

impl Status {
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Ask => 0,
            Self::Done => 1,
            Self::NoRoom => 2,
            Self::Damaged => 3,
            Self::Gone => 4,
            Self::Stale => 5,
            Self::Busy => 6,
        }
    }

    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Ask,
            1 => Self::Done,
            2 => Self::NoRoom,
            3 => Self::Damaged,
            4 => Self::Gone,
            5 => Self::Stale,
            6 => Self::Busy,
            _ => return None,
        })
    }
}

#[derive(Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct ItemWire {
    position: u8,
    status: u8,
    len: U16,
    entry: U32,
    page_sum: U32,
    zero: U32,
    generation: U64,
}

/// Bytes of one [`Item`].
pub const ITEM_LEN: usize = 24;

impl Item {
    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; ITEM_LEN] {
        transmute!(ItemWire {
            position: self.position,
            status: self.status.number(),
            len: U16::new(self.seal.len),
            entry: U32::new(self.entry),
            page_sum: U32::new(self.seal.sum),
            zero: U32::new(0),
            generation: U64::new(self.generation),
        })
    }

    fn decode(wire: &ItemWire) -> Result<Self, DecodeError> {
        if wire.zero.get() != 0 {
            return Err(DecodeError::value("padding"));
        }
        if u16::from(wire.position) >= LODGE_PAGES_MAX {
            return Err(DecodeError::value("position"));
        }
        if wire.generation.get() == 0 {
            return Err(DecodeError::value("generation"));
        }
        Ok(Self {
            position: wire.position,
            status: Status::from_number(wire.status).ok_or(DecodeError::value("status"))?,
            entry: wire.entry.get(),
            seal: Seal { sum: wire.page_sum.get(), len: wire.len.get() },
            generation: wire.generation.get(),
        })
    }
}

/// The head of all messages about pages: STORE and STORED, FETCH and PAGES, RELEASE and RELEASED.
/// `count` items follow it, in ascending positions; behind them the contents of those items that
/// have one, in the same order, each as long as its item says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Names the batch; its answer has the same.
    pub request: RequestId,
    /// In requests of the owner; zero in answers.
    pub horizon: Horizon,
    /// How many items, `1..=`[`LODGE_PAGES_MAX`].
    pub count: u16,
    /// More about it; none but in FETCH.
    pub flags: BatchFlags,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct BatchWire {
    request: U64,
    horizon: U64,
    count: U16,
    flags: U16,
    zero: [u8; 4],
}

/// The parts of a batch that was checked.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    items: &'a [ItemWire],
    contents: &'a [u8],
}

impl<'a> Parts<'a> {
    /// The items, each with its content where it has one.
    pub fn iter(&self) -> impl Iterator<Item = (Item, Option<&'a [u8]>)> + 'a {
        let mut contents = self.contents;
        let has_contents = !self.contents.is_empty();
        // Checked before: each decodes, and the contents are as many as are taken here.
        self.items.iter().filter_map(|wire| Item::decode(wire).ok()).map(move |item| {
            let has_one = has_contents && matches!(item.status, Status::Ask | Status::Done);
            let split = contents.split_at_checked(item.seal.len.into()).filter(|_| has_one);
            let content = split.map(|(content, rest)| {
                contents = rest;
                content
            });
            (item, content)
        })
    }
}

impl Batch {
    /// Length of the head on the wire.
    pub const LEN: usize = 24;

    /// The head's bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        transmute!(BatchWire {
            request: U64::new(self.request.0),
            horizon: U64::new(self.horizon.0),
            count: U16::new(self.count),
            flags: U16::new(self.flags.bits()),
            zero: [0; 4],
        })
    }

    /// Reads and checks a message of this form whole; which items must have a content, and which
    /// statuses are legal, goes by its kind.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn decode(kind: Kind, bytes: &[u8]) -> Result<(Self, Parts<'_>), DecodeError> {
        let (wire, rest): (&BatchWire, _) = split(bytes)?;
        check_zero(&wire.zero)?;
        let count = wire.count.get();
        if count == 0 || count > LODGE_PAGES_MAX {
            return Err(DecodeError::value("count"));
        }
        let (items, contents) = <[ItemWire]>::ref_from_prefix_with_elems(rest, usize::from(count))
            .map_err(|_| DecodeError::Truncated)?;
        let (mut expected, mut last) = (0_usize, None);
        for item in items {
            let item = Item::decode(item)?;
            if last.is_some_and(|last| last >= item.position) {
                return Err(DecodeError::value("position"));
            }
            last = Some(item.position);
            check(kind, &item)?;
            // Of no content it is zero.
            expected = expected.saturating_add(item.seal.len.into());
        }
        if expected > LODGE_CONTENTS_LEN_MAX {
            return Err(DecodeError::value("len"));
        }
        if contents.len() < expected {
            return Err(DecodeError::Truncated);
        }
        if contents.len() > expected {
            return Err(DecodeError::Trailing);
        }
        let head = Self {
            request: RequestId(wire.request.get()),
            horizon: Horizon(wire.horizon.get()),
            count,
            flags: BatchFlags::from_bits(wire.flags.get()).ok_or(DecodeError::value("flags"))?,
        };
        if kind != Kind::LODGE_FETCH && !head.flags.is_empty() {
            return Err(DecodeError::value("flags"));
        }
        if !is_request(kind) && head.horizon != Horizon(0) {
            return Err(DecodeError::value("horizon"));
        }
        Ok((head, Parts { items, contents }))
    }
}

fn is_request(kind: Kind) -> bool {
    matches!(kind, Kind::LODGE_STORE | Kind::LODGE_FETCH | Kind::LODGE_RELEASE)
}

/// Whether an item may be in a message of this kind: its status, and a content if that has one.
fn check(kind: Kind, item: &Item) -> Result<(), DecodeError> {
    let (is_legal, has_content) = match kind {
        Kind::LODGE_STORE => (item.status == Status::Ask, true),
        Kind::LODGE_FETCH | Kind::LODGE_RELEASE => (item.status == Status::Ask, false),
        Kind::LODGE_PAGES => (item.status != Status::Ask, item.status == Status::Done),
        Kind::LODGE_STORED | Kind::LODGE_RELEASED => (item.status != Status::Ask, false),
        _ => return Err(DecodeError::value("kind")),
    };
    if !is_legal {
        return Err(DecodeError::value("status"));
    }
    if has_content && !item.seal.is_some() {
        return Err(DecodeError::value("len"));
    }
    if !has_content && item.seal != Seal::NONE {
        return Err(DecodeError::value("page_sum"));
    }
    Ok(())
}
