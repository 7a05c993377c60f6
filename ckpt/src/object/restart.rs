//! The call that is to be restarted: `restart_block`, as kind and fields.

use crate::error::{DecodeError, EncodeError, Field};
use crate::image::{Kind, Reader, Record, Writer};
use crate::limits::ADDRESS_MAX;

/// A time that a call waits for, in the source's clocks: the target shifts it by the difference
/// of the two nodes' readings (see [`crate::freeze::Clocks`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// `CLOCK_*`.
    pub clock: i32,
    /// When, in that clock.
    pub at_ns: u64,
}

/// What `restart_syscall(2)` would go on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Nothing.
    None,
    /// `nanosleep`, `clock_nanosleep`.
    Nanosleep {
        /// Until when.
        deadline: Deadline,
        /// Where the rest of the time goes, 0 for nowhere.
        remaining_address: u64,
        /// 0 for none, 1 for a 64-bit `timespec`.
        remaining_kind: u8,
    },
    /// `poll`.
    Poll {
        /// The array's address.
        fds_address: u64,
        /// Its length.
        fds_len: u32,
        /// Until when, in the monotonic clock; for ever without.
        deadline_ns: Option<u64>,
    },
    /// A private `futex` wait.
    Futex {
        /// The word's address.
        address: u64,
        /// The value that it must have.
        value: u32,
        /// `FLAGS_*` of the kernel's futex code.
        flags: u32,
        /// The wake-up mask.
        bitset: u32,
        /// Until when; for ever without.
        deadline: Option<Deadline>,
    },
}

impl Record for Restart {
    const KIND: Kind = Kind::Restart;
    const VERSION: u16 = 1;

    fn check(&self) -> Result<(), Field> {
        let (address, deadline) = match *self {
            Self::None => return Ok(()),
            Self::Nanosleep { remaining_kind: 2.., .. } => return Err(Field::RestartKind),
            Self::Nanosleep { deadline, remaining_address, .. } => {
                (remaining_address, Some(deadline))
            }
            Self::Poll { fds_address, deadline_ns, .. } => {
                (fds_address, deadline_ns.map(|at_ns| Deadline { clock: 1, at_ns }))
            }
            Self::Futex { address, deadline, .. } => (address, deadline),
        };
        if address >= ADDRESS_MAX {
            return Err(Field::Address);
        }
        // CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI
        match deadline {
            Some(Deadline { clock: 0 | 1 | 7 | 11, at_ns }) if i64::try_from(at_ns).is_ok() => {
                Ok(())
            }
            Some(_) => Err(Field::Time),
            None => Ok(()),
        }
    }

    fn encode(&self, out: &mut Writer) -> Result<(), EncodeError> {
        match *self {
            Self::None => out.u16(0),
            Self::Nanosleep { deadline, remaining_address, remaining_kind } => {
                out.u16(1)?;
                encode_deadline(Some(deadline), out)?;
                out.u64(remaining_address)?;
                out.u8(remaining_kind)
            }
            Self::Poll { fds_address, fds_len, deadline_ns } => {
                out.u16(2)?;
                out.u64(fds_address)?;
                out.u32(fds_len)?;
                encode_deadline(deadline_ns.map(|at_ns| Deadline { clock: 1, at_ns }), out)
            }
            Self::Futex { address, value, flags, bitset, deadline } => {
                out.u16(3)?;
                out.u64(address)?;
                out.u32(value)?;
                out.u32(flags)?;
                out.u32(bitset)?;
                encode_deadline(deadline, out)
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.u16()? {
            0 => Self::None,
            1 => Self::Nanosleep {
                deadline: decode_deadline(reader)?.ok_or(DecodeError::Bound(Field::RestartKind))?,
                remaining_address: reader.u64()?,
                remaining_kind: reader.u8()?,
            },
            2 => Self::Poll {
                fds_address: reader.u64()?,
                fds_len: reader.u32()?,
                deadline_ns: match decode_deadline(reader)? {
                    Some(Deadline { clock: 1, at_ns }) => Some(at_ns),
                    Some(_) => return Err(DecodeError::Unknown(Field::Time)),
                    None => None,
                },
            },
            3 => Self::Futex {
                address: reader.u64()?,
                value: reader.u32()?,
                flags: reader.u32()?,
                bitset: reader.u32()?,
                deadline: decode_deadline(reader)?,
            },
            _ => return Err(DecodeError::Unknown(Field::RestartKind)),
        })
    }
}

fn encode_deadline(deadline: Option<Deadline>, out: &mut Writer) -> Result<(), EncodeError> {
    let Some(Deadline { clock, at_ns }) = deadline else {
        return out.u8(0);
    };
    out.u8(1)?;
    out.i32(clock)?;
    out.u64(at_ns)
}

fn decode_deadline(reader: &mut Reader<'_>) -> Result<Option<Deadline>, DecodeError> {
    if !super::creds::flag(reader)? {
        return Ok(None);
    }
    Ok(Some(Deadline { clock: reader.i32()?, at_ns: reader.u64()? }))
}
