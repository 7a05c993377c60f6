//! The heads of page requests and replies, which travel outside of the links.

use bitflags::bitflags;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{transmute, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{check_zero, exact, split};
use crate::error::DecodeError;
use crate::id::{RequestId, SpaceId};
use crate::limits::{PAGE_COUNT_MAX, PAGE_HEAD_LEN, PAGE_LEN};

bitflags! {
    /// Why pages are asked for.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct GetFlags: u16 {
        /// A task waits for the first of them.
        const FAULT = 1;
        /// The background stream.
        const STREAM = 2;
        /// It was sent before: long datagrams may not get through.
        const AGAIN = 4;
        /// A [`PageStatus::Held`] was of no use.
        const WHOLE = 8;
    }
}

/// Asks for `count` pages from `index` on; each is answered by a [`PageData`] of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageGet {
    /// Names the request in the replies; the same again when it is repeated.
    pub request: RequestId,
    /// The memory.
    pub space: SpaceId,
    /// First page, as a page number (address / 4096).
    pub index: u64,
    /// How many, `1..=`[`PAGE_COUNT_MAX`].
    pub count: u16,
    /// Why.
    pub flags: GetFlags,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct GetWire {
    request: U64,
    space: U64,
    index: U64,
    count: U16,
    flags: U16,
    zero: [u8; 4],
}

/// Page numbers of a 64-bit address space: an address has at most 64 - 12 bits above the page's.
pub(crate) const INDEX_END: u64 = 1 << 52;

impl PageGet {
    /// Length on the wire.
    pub const LEN: usize = PAGE_HEAD_LEN;

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        transmute!(GetWire {
            request: U64::new(self.request.0),
            space: U64::new(self.space.0),
            index: U64::new(self.index),
            count: U16::new(self.count),
            flags: U16::new(self.flags.bits()),
            zero: [0; 4],
        })
    }

    /// Reads and checks a request.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: &GetWire = exact(bytes)?;
        check_zero(&wire.zero)?;
        let count = wire.count.get();
        if count == 0 || count > PAGE_COUNT_MAX {
            return Err(DecodeError::value("count"));
        }
        match wire.index.get().checked_add(u64::from(count)) {
            Some(end) if end <= INDEX_END => (),
            _ => return Err(DecodeError::value("index")),
        }
        Ok(Self {
            request: RequestId(wire.request.get()),
            space: SpaceId(wire.space.get()),
            index: wire.index.get(),
            count,
            flags: GetFlags::from_bits(wire.flags.get()).ok_or(DecodeError::value("flags"))?,
        })
    }
}

/// What the holder has for a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageStatus {
    /// The page's content, which follows.
    Data,
    /// The page was never written; it is zero.
    Zero,
    /// The holder does not have it: the space is unknown or the page not mapped.
    Gone,
    /// Not now; ask again.
    Busy,
    /// The asker itself keeps it for the answerer: a [`HeldPage`] follows. Never in answer to a
    /// request that says so ([`GetFlags::WHOLE`]).
    Held,
}

impl PageStatus {
    /// What follows the head.
    #[must_use]
    pub const fn content_len(self) -> usize {
        match self {
            Self::Data => PAGE_LEN,
            Self::Held => HeldPage::LEN,
            Self::Zero | Self::Gone | Self::Busy => 0,
        }
    }

    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Data => 1,
            Self::Zero => 2,
            Self::Gone => 3,
            Self::Busy => 4,
            Self::Held => 5,
        }
    }

    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Data,
            2 => Self::Zero,
            3 => Self::Gone,
            4 => Self::Busy,
            5 => Self::Held,
            _ => return None,
        })
    }
}

/// One page, or why there is none. With [`PageStatus::Data`] the page follows the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageData {
    /// The request that is answered.
    pub request: RequestId,
    /// The memory.
    pub space: SpaceId,
    /// The page.
    pub index: u64,
    /// What follows.
    pub status: PageStatus,
    /// Checksum of the page's content; zero when there is none.
    pub page_sum: u32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct DataWire {
    request: U64,
    space: U64,
    index: U64,
    page_sum: U32,
    status: u8,
    zero: [u8; 3],
}

impl PageData {
    /// Length of the head on the wire.
    pub const LEN: usize = PAGE_HEAD_LEN;

    /// The head's bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        transmute!(DataWire {
            request: U64::new(self.request.0),
            space: U64::new(self.space.0),
            index: U64::new(self.index),
            page_sum: U32::new(self.page_sum),
            status: self.status.number(),
            zero: [0; 3],
        })
    }

    /// Reads and checks a page that is alone, and gives its content, which is not compared with its
    /// checksum here. The content has the length that the status says.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        let (head, content, rest) = Self::decode_first(bytes)?;
        if rest.is_empty() {
            Ok((head, content))
        } else {
            Err(DecodeError::Trailing)
        }
    }

    /// As [`Self::decode`], of the first page, and gives what follows it.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn decode_first(bytes: &[u8]) -> Result<(Self, &[u8], &[u8]), DecodeError> {
        let (wire, rest): (&DataWire, _) = split(bytes)?;
        check_zero(&wire.zero)?;
        let status = PageStatus::from_number(wire.status).ok_or(DecodeError::value("status"))?;
        let len = status.content_len();
        let (content, rest) = rest.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        if wire.index.get() >= INDEX_END {
            return Err(DecodeError::value("index"));
        }
        if len == 0 && wire.page_sum.get() != 0 {
            return Err(DecodeError::value("page_sum"));
        }
        let head = Self {
            request: RequestId(wire.request.get()),
            space: SpaceId(wire.space.get()),
            index: wire.index.get(),
            status,
            page_sum: wire.page_sum.get(),
        };
        Ok((head, content, rest))
    }
}

/// A page that lodges with who asks for it: what follows a head with [`PageStatus::Held`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldPage {
    /// The answerer's number of the page.
    pub entry: u32,
    /// The content's generation; never zero.
    pub generation: u64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct HeldWire {
    generation: U64,
    entry: U32,
    zero: [u8; 4],
}

impl HeldPage {
    /// Length on the wire.
    pub const LEN: usize = 16;

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        transmute!(HeldWire {
            generation: U64::new(self.generation),
            entry: U32::new(self.entry),
            zero: [0; 4],
        })
    }

    /// Reads and checks it.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: &HeldWire = exact(bytes)?;
        check_zero(&wire.zero)?;
        if wire.generation.get() == 0 {
            return Err(DecodeError::value("generation"));
        }
        Ok(Self { entry: wire.entry.get(), generation: wire.generation.get() })
    }
}
