//! Between a body and the surrogate that stands for it at its origin.
//!
//! Every message names the process and the epoch; the receiver ignores another epoch than its own.

use bitflags::bitflags;
use zerocopy::little_endian::{I32, U16, U32, U64};
use zerocopy::{transmute, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{check_zero, exact, Kind, ProcessWire};
use crate::error::DecodeError;
use crate::id::{Epoch, GlobalPid};

/// Highest signal number of Linux.
pub const SIGNAL_MAX: i32 = 64;

fn check_signal(number: i32) -> Result<i32, DecodeError> {
    if (1..=SIGNAL_MAX).contains(&number) {
        Ok(number)
    } else {
        Err(DecodeError::value("signo"))
    }
}

bitflags! {
    /// How a signal is to be delivered.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct SignalFlags: u32 {
        /// For the process as a whole, not for one thread.
        const PROCESS = 1;
        /// `value` holds what came with the signal (`sigqueue`).
        const VALUE = 2;
    }
}

/// A signal that reached the one and is for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal {
    /// The process.
    pub process: GlobalPid,
    /// Its epoch.
    pub epoch: Epoch,
    /// The signal, `1..=64`.
    pub signo: i32,
    /// Its `si_code`.
    pub code: i32,
    /// The sender as the process is to see it, 0 if from the kernel.
    pub sender_pid: u32,
    /// The sender's user.
    pub sender_uid: u32,
    /// How to deliver it.
    pub flags: SignalFlags,
    /// The value of a queued signal.
    pub value: u64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct SignalWire {
    process: ProcessWire,
    epoch: U64,
    signo: I32,
    code: I32,
    sender_pid: U32,
    sender_uid: U32,
    flags: U32,
    zero: [u8; 4],
    value: U64,
}

impl Signal {
    /// The message's number.
    pub const KIND: Kind = Kind::SURROGATE_SIGNAL;
    /// Length on the wire.
    pub const LEN: usize = 48;

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        transmute!(SignalWire {
            process: self.process.into(),
            epoch: U64::new(self.epoch.0),
            signo: I32::new(self.signo),
            code: I32::new(self.code),
            sender_pid: U32::new(self.sender_pid),
            sender_uid: U32::new(self.sender_uid),
            flags: U32::new(self.flags.bits()),
            zero: [0; 4],
            value: U64::new(self.value),
        })
    }

    /// Reads and checks the payload.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: &SignalWire = exact(bytes)?;
        check_zero(&wire.zero)?;
        let flags = SignalFlags::from_bits(wire.flags.get()).ok_or(DecodeError::value("flags"))?;
        Ok(Self {
            process: wire.process.into(),
            epoch: Epoch(wire.epoch.get()),
            signo: check_signal(wire.signo.get())?,
            code: wire.code.get(),
            sender_pid: wire.sender_pid.get(),
            sender_uid: wire.sender_uid.get(),
            flags,
            value: wire.value.get(),
        })
    }
}

/// The body has ended; sent again until [`ExitedAck`] or the peer is down. Body to surrogate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exited {
    /// The process.
    pub process: GlobalPid,
    /// Its epoch.
    pub epoch: Epoch,
    /// The status as `wait` gives it.
    pub status: u32,
    /// User time used since the process came there.
    pub utime_ns: u64,
    /// System time used since the process came there.
    pub stime_ns: u64,
    /// Largest resident set there.
    pub maxrss_kb: u64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct ExitedWire {
    process: ProcessWire,
    epoch: U64,
    utime_ns: U64,
    stime_ns: U64,
    maxrss_kb: U64,
    status: U32,
    zero: [u8; 4],
}

impl Exited {
    /// The message's number.
    pub const KIND: Kind = Kind::SURROGATE_EXITED;
    /// Length on the wire.
    pub const LEN: usize = 48;

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        transmute!(ExitedWire {
            process: self.process.into(),
            epoch: U64::new(self.epoch.0),
            utime_ns: U64::new(self.utime_ns),
            stime_ns: U64::new(self.stime_ns),
            maxrss_kb: U64::new(self.maxrss_kb),
            status: U32::new(self.status),
            zero: [0; 4],
        })
    }

    /// Reads and checks the payload.
    ///
    /// # Errors
    /// Wrong length or padding, or a status that no process can end with.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: &ExitedWire = exact(bytes)?;
        check_zero(&wire.zero)?;
        let status = wire.status.get();
        // An exit code in the second byte, or else a signal in the first, perhaps with the core
        // bit.
        let is_exit = status & 0xff == 0 && status <= 0xff00;
        let is_death = (1..0x7f).contains(&(status & 0x7f)) && status <= 0xff;
        if !is_exit && !is_death {
            return Err(DecodeError::value("status"));
        }
        Ok(Self {
            process: wire.process.into(),
            epoch: Epoch(wire.epoch.get()),
            status,
            utime_ns: wire.utime_ns.get(),
            stime_ns: wire.stime_ns.get(),
            maxrss_kb: wire.maxrss_kb.get(),
        })
    }
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct StateWire {
    process: ProcessWire,
    epoch: U64,
    value: U16,
    zero: [u8; 6],
}

const STATE_LEN: usize = 24;

fn encode_state(process: GlobalPid, epoch: Epoch, value: u16) -> [u8; STATE_LEN] {
    transmute!(StateWire {
        process: process.into(),
        epoch: U64::new(epoch.0),
        value: U16::new(value),
        zero: [0; 6],
    })
}

fn decode_state(bytes: &[u8]) -> Result<(GlobalPid, Epoch, u16), DecodeError> {
    let wire: &StateWire = exact(bytes)?;
    check_zero(&wire.zero)?;
    let process = wire.process.into();
    Ok((process, Epoch(wire.epoch.get()), wire.value.get()))
}

/// The body was stopped by a signal. Body to surrogate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// The process.
    pub process: GlobalPid,
    /// Its epoch.
    pub epoch: Epoch,
    /// The signal, `1..=64`.
    pub signo: u16,
}

impl Stopped {
    /// The message's number.
    pub const KIND: Kind = Kind::SURROGATE_STOPPED;
    /// Length on the wire.
    pub const LEN: usize = STATE_LEN;

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        encode_state(self.process, self.epoch, self.signo)
    }

    /// Reads and checks the payload.
    ///
    /// # Errors
    /// Wrong length, padding or signal.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (process, epoch, signo) = decode_state(bytes)?;
        check_signal(i32::from(signo))?;
        Ok(Self { process, epoch, signo })
    }
}

/// Something that needs no more than its name: [`Continued`] or [`ExitedAck`], by the message's
/// number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note<const KIND: u16> {
    /// The process.
    pub process: GlobalPid,
    /// Its epoch.
    pub epoch: Epoch,
}

/// The body goes on after a stop. Body to surrogate.
pub type Continued = Note<{ Kind::SURROGATE_CONTINUED.0 }>;

/// The end of the body, which was of this epoch, was noted; the body's node may forget it.
/// Surrogate to body.
pub type ExitedAck = Note<{ Kind::SURROGATE_EXITED_ACK.0 }>;

impl<const KIND: u16> Note<KIND> {
    /// The message's number.
    pub const KIND: Kind = Kind(KIND);
    /// Length on the wire.
    pub const LEN: usize = STATE_LEN;

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; STATE_LEN] {
        encode_state(self.process, self.epoch, 0)
    }

    /// Reads and checks the payload.
    ///
    /// # Errors
    /// Wrong length or padding.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        match decode_state(bytes)? {
            (process, epoch, 0) => Ok(Self { process, epoch }),
            _ => Err(DecodeError::value("padding")),
        }
    }
}

/// Why one of the two is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoneReason {
    /// The receiver's message was for a process or an epoch that is not there.
    Unknown,
    /// Killed at its node, not by the job.
    Killed,
    /// The job is being ended.
    JobEnd,
}

/// The surrogate or the body is no more; the other must end. Either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone {
    /// The process.
    pub process: GlobalPid,
    /// Its epoch.
    pub epoch: Epoch,
    /// Why.
    pub reason: GoneReason,
}

impl Gone {
    /// The message's number.
    pub const KIND: Kind = Kind::SURROGATE_GONE;
    /// Length on the wire.
    pub const LEN: usize = STATE_LEN;

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        let reason = match self.reason {
            GoneReason::Unknown => 1,
            GoneReason::Killed => 2,
            GoneReason::JobEnd => 3,
        };
        encode_state(self.process, self.epoch, reason)
    }

    /// Reads and checks the payload.
    ///
    /// # Errors
    /// Wrong length, padding or reason.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (process, epoch, number) = decode_state(bytes)?;
        let reason = match number {
            1 => GoneReason::Unknown,
            2 => GoneReason::Killed,
            3 => GoneReason::JobEnd,
            _ => return Err(DecodeError::value("reason")),
        };
        Ok(Self { process, epoch, reason })
    }
}
