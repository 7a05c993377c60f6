//! How much may lodge at a holder: asked, granted, offered, asked back.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{transmute, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::error::DecodeError;
use crate::msg::{check_zero, exact, Kind};

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
        let wire: &LimitWire = exact(bytes)?;
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
        let wire: &HandBackWire = exact(bytes)?;
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

/// OFFER: the holder tells every node how many pages it could lend besides. It tells so when a
/// session begins and when the number has changed much; it promises nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Pages.
    pub spare: u32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct OfferWire {
    spare: U32,
    zero: [u8; 4],
}

impl Offer {
    /// The message's number.
    pub const KIND: Kind = Kind::LODGE_OFFER;
    /// Length on the wire.
    pub const LEN: usize = 8;

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        transmute!(OfferWire { spare: U32::new(self.spare), zero: [0; 4] })
    }

    /// Reads and checks the payload.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: &OfferWire = exact(bytes)?;
        check_zero(&wire.zero)?;
        Ok(Self { spare: wire.spare.get() })
    }
}
