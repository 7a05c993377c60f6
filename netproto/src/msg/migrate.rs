//! The hand-off of a process: source, target and origin.

use zerocopy::little_endian::{U16, U64};
use zerocopy::{transmute, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

pub use super::image::{Final, ImageKind, Prepare};
use super::{check_zero, exact, Kind, ProcessWire};
use crate::error::DecodeError;
use crate::id::{AttemptId, Epoch, GlobalPid, Slot};

/// The target holds all that it can before the freeze; target to source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prepared {
    /// The attempt.
    pub attempt: AttemptId,
}

impl Prepared {
    /// The message's number.
    pub const KIND: Kind = Kind::MIGRATE_PREPARED;
    /// Length on the wire.
    pub const LEN: usize = 8;

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        self.attempt.0.to_le_bytes()
    }

    /// Reads and checks the payload.
    ///
    /// # Errors
    /// Wrong length.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let attempt: &U64 = exact(bytes)?;
        Ok(Self { attempt: AttemptId(attempt.get()) })
    }
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct ReasonWire {
    attempt: U64,
    reason: U16,
    zero: [u8; 6],
}

const REASON_LEN: usize = 16;

/// An attempt that comes to nothing, and why: [`Refused`] or [`Abort`], by the message's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended<const KIND: u16> {
    /// The attempt.
    pub attempt: AttemptId,
    /// Why: a number of `sched-migrate`'s table of reasons.
    pub reason: u16,
}

/// The target does not take the process; it holds nothing of it. Target to source.
pub type Refused = Ended<{ Kind::MIGRATE_REFUSED.0 }>;

/// The attempt is given up; who sent it holds nothing of it any more. Either way.
pub type Abort = Ended<{ Kind::MIGRATE_ABORT.0 }>;

impl<const KIND: u16> Ended<KIND> {
    /// The message's number.
    pub const KIND: Kind = Kind(KIND);
    /// Length on the wire.
    pub const LEN: usize = REASON_LEN;

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; REASON_LEN] {
        transmute!(ReasonWire {
            attempt: U64::new(self.attempt.0),
            reason: U16::new(self.reason),
            zero: [0; 6],
        })
    }

    /// Reads and checks the payload.
    ///
    /// # Errors
    /// Wrong length or padding.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: &ReasonWire = exact(bytes)?;
        check_zero(&wire.zero)?;
        Ok(Self { attempt: AttemptId(wire.attempt.get()), reason: wire.reason.get() })
    }
}

/// Swap the process's place in the directory if its epoch is as expected; target (or source, to
/// take it back) to origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cas {
    /// The attempt.
    pub attempt: AttemptId,
    /// The process.
    pub process: GlobalPid,
    /// The epoch that the entry must have.
    pub expect_epoch: Epoch,
    /// Where the process is to be, at the epoch after that.
    pub new_slot: Slot,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct CasWire {
    attempt: U64,
    process: ProcessWire,
    expect_epoch: U64,
    new_slot: u8,
    zero: [u8; 7],
}

impl Cas {
    /// The message's number.
    pub const KIND: Kind = Kind::MIGRATE_CAS;
    /// Length on the wire.
    pub const LEN: usize = 32;

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        transmute!(CasWire {
            attempt: U64::new(self.attempt.0),
            process: self.process.into(),
            expect_epoch: U64::new(self.expect_epoch.0),
            new_slot: self.new_slot.get(),
            zero: [0; 7],
        })
    }

    /// Reads and checks the payload.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: &CasWire = exact(bytes)?;
        check_zero(&wire.zero)?;
        Ok(Self {
            attempt: AttemptId(wire.attempt.get()),
            process: wire.process.into(),
            expect_epoch: Epoch(wire.expect_epoch.get()),
            new_slot: Slot::new(wire.new_slot).ok_or(DecodeError::value("new_slot"))?,
        })
    }
}

/// How a compare-and-swap ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CasOutcome {
    /// The entry was changed by this request, or had been by the same one before.
    Won,
    /// The entry was not as expected.
    Lost,
    /// There is no such process.
    Unknown,
}

/// The origin's answer: the entry as it is after the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CasResult {
    /// The attempt.
    pub attempt: AttemptId,
    /// How it ended.
    pub outcome: CasOutcome,
    /// Where the process is.
    pub slot: Slot,
    /// At which epoch.
    pub epoch: Epoch,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct CasResultWire {
    attempt: U64,
    epoch: U64,
    outcome: u8,
    slot: u8,
    zero: [u8; 6],
}

impl CasResult {
    /// The message's number.
    pub const KIND: Kind = Kind::MIGRATE_CAS_RESULT;
    /// Length on the wire.
    pub const LEN: usize = 24;

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        transmute!(CasResultWire {
            attempt: U64::new(self.attempt.0),
            epoch: U64::new(self.epoch.0),
            outcome: match self.outcome {
                CasOutcome::Lost => 0,
                CasOutcome::Won => 1,
                CasOutcome::Unknown => 2,
            },
            slot: self.slot.get(),
            zero: [0; 6],
        })
    }

    /// Reads and checks the payload.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: &CasResultWire = exact(bytes)?;
        check_zero(&wire.zero)?;
        Ok(Self {
            attempt: AttemptId(wire.attempt.get()),
            outcome: match wire.outcome {
                0 => CasOutcome::Lost,
                1 => CasOutcome::Won,
                2 => CasOutcome::Unknown,
                _ => return Err(DecodeError::value("outcome")),
            },
            slot: Slot::new(wire.slot).ok_or(DecodeError::value("slot"))?,
            epoch: Epoch(wire.epoch.get()),
        })
    }
}

/// The process runs at the target; the source must serve its memory until fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The attempt.
    pub attempt: AttemptId,
    /// The process's epoch at the target.
    pub epoch: Epoch,
    /// How much the target will fetch, in bytes.
    pub fetch_bytes: u64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct CommittedWire {
    attempt: U64,
    epoch: U64,
    fetch_bytes: U64,
}

impl Committed {
    /// The message's number.
    pub const KIND: Kind = Kind::MIGRATE_COMMITTED;
    /// Length on the wire.
    pub const LEN: usize = 24;

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        transmute!(CommittedWire {
            attempt: U64::new(self.attempt.0),
            epoch: U64::new(self.epoch.0),
            fetch_bytes: U64::new(self.fetch_bytes),
        })
    }

    /// Reads and checks the payload.
    ///
    /// # Errors
    /// Wrong length.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: &CommittedWire = exact(bytes)?;
        Ok(Self {
            attempt: AttemptId(wire.attempt.get()),
            epoch: Epoch(wire.epoch.get()),
            fetch_bytes: wire.fetch_bytes.get(),
        })
    }
}
