//! Memory that lodges on another node: between an owner of pages and the holder that keeps them.
//!
//! All of these may be lost, doubled and late: each is repeated by its request number until it is
//! answered, and whoever gets it twice answers twice. A page is named by the owner's entry number
//! and a generation that grows with each use of the entry. [`Horizon`] ends the life of duplicates.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{transmute, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{check_zero, split, Kind};
use crate::error::DecodeError;
use crate::id::RequestId;
use crate::limits::{LODGE_CONTENTS_MAX, LODGE_PAGES_MAX, PAGE_LEN};

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
    /// CRC-32C of the content, made by the owner; zero where no content belongs to it.
    pub page_crc: u32,
    /// The content's generation; never zero.
    pub generation: u64,
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
    const fn number(self) -> u8 {
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

    const fn from_number(number: u8) -> Option<Self> {
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
    zero: U16,
    entry: U32,
    page_crc: U32,
    zero_too: U32,
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
            zero: U16::new(0),
            entry: U32::new(self.entry),
            page_crc: U32::new(self.page_crc),
            zero_too: U32::new(0),
            generation: U64::new(self.generation),
        })
    }

    fn decode(wire: &ItemWire) -> Result<Self, DecodeError> {
        if wire.zero.get() != 0 || wire.zero_too.get() != 0 {
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
            page_crc: wire.page_crc.get(),
            generation: wire.generation.get(),
        })
    }
}

/// The head of all messages about pages: STORE and STORED, FETCH and PAGES, RELEASE and RELEASED.
/// `count` items follow it, in ascending positions; behind them the contents of those items that
/// have one, in the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Names the batch; its answer has the same.
    pub request: RequestId,
    /// In requests of the owner; zero in answers.
    pub horizon: Horizon,
    /// How many items, `1..=`[`LODGE_PAGES_MAX`].
    pub count: u16,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct BatchWire {
    request: U64,
    horizon: U64,
    count: U16,
    zero: [u8; 6],
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
        let mut contents = self.contents.chunks_exact(PAGE_LEN);
        let has_contents = !self.contents.is_empty();
        // Checked before: each decodes, and the contents are as many as are taken here.
        self.items.iter().filter_map(|wire| Item::decode(wire).ok()).map(move |item| {
            let has_one = has_contents && matches!(item.status, Status::Ask | Status::Done);
            let content = if has_one { contents.next() } else { None };
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
            zero: [0; 6],
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
        let mut with_content = 0_usize;
        let mut last = None;
        for item in items {
            let item = Item::decode(item)?;
            if last.is_some_and(|last| last >= item.position) {
                return Err(DecodeError::value("position"));
            }
            last = Some(item.position);
            with_content = with_content.saturating_add(usize::from(check(kind, &item)?));
        }
        if with_content > usize::from(LODGE_CONTENTS_MAX) {
            return Err(DecodeError::value("count"));
        }
        let expected = with_content.saturating_mul(PAGE_LEN);
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
        };
        if !is_request(kind) && head.horizon != Horizon(0) {
            return Err(DecodeError::value("horizon"));
        }
        Ok((head, Parts { items, contents }))
    }
}

fn is_request(kind: Kind) -> bool {
    matches!(kind, Kind::LODGE_STORE | Kind::LODGE_FETCH | Kind::LODGE_RELEASE)
}

/// Whether an item of this kind has a content behind it.
fn check(kind: Kind, item: &Item) -> Result<bool, DecodeError> {
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
    if !has_content && item.page_crc != 0 {
        return Err(DecodeError::value("page_crc"));
    }
    Ok(has_content)
}

/// RESERVE: the owner wants to lodge this many pages at most, all in all. GRANT: it may lodge that
/// many. Numbers are absolute, so a repetition changes nothing; an older `sequence` is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Counts the owner's RESERVEs; never zero.
    pub sequence: u64,
    /// Pages.
    pub limit: u32,
    /// In GRANT: how many more could be had.
    pub spare: u32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct LimitWire {
    sequence: U64,
    limit: U32,
    spare: U32,
}

impl Limit {
    /// Length on the wire.
    pub const LEN: usize = 16;

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        transmute!(LimitWire {
            sequence: U64::new(self.sequence),
            limit: U32::new(self.limit),
            spare: U32::new(self.spare),
        })
    }

    /// Reads and checks the payload.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: &LimitWire = super::exact(bytes)?;
        if wire.sequence.get() == 0 {
            return Err(DecodeError::value("sequence"));
        }
        Ok(Self { sequence: wire.sequence.get(), limit: wire.limit.get(), spare: wire.spare.get() })
    }
}

/// Why a holder wants pages to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandBackReason {
    /// It needs the memory itself.
    Pressure,
    /// It is being drained: all pages, and no new ones.
    Drain,
}

/// HAND_BACK: the holder asks the owner to lower its limit by so many pages: first what is not
/// used, then by taking pages back or moving them on. Repeated while it holds; never answered as
/// such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandBack {
    /// How many pages.
    pub pages: u32,
    /// Why.
    pub reason: HandBackReason,
    /// The limit that the holder has noted for the owner: also finds out limits that the owner has
    /// forgotten.
    pub limit: u32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct HandBackWire {
    pages: U32,
    limit: U32,
    reason: U16,
    zero: [u8; 6],
}

impl HandBack {
    /// The message's number.
    pub const KIND: Kind = Kind::LODGE_HAND_BACK;
    /// Length on the wire.
    pub const LEN: usize = 16;

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        transmute!(HandBackWire {
            pages: U32::new(self.pages),
            limit: U32::new(self.limit),
            reason: U16::new(match self.reason {
                HandBackReason::Pressure => 1,
                HandBackReason::Drain => 2,
            }),
            zero: [0; 6],
        })
    }

    /// Reads and checks the payload.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: &HandBackWire = super::exact(bytes)?;
        check_zero(&wire.zero)?;
        Ok(Self {
            pages: wire.pages.get(),
            limit: wire.limit.get(),
            reason: match wire.reason.get() {
                1 => HandBackReason::Pressure,
                2 => HandBackReason::Drain,
                _ => return Err(DecodeError::value("reason")),
            },
        })
    }
}
