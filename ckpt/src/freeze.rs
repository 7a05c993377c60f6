//! The part of an image that is taken at the freeze.

use alloc::vec::Vec;

use crate::error::{DecodeError, EncodeError};
use crate::id::{AttemptId, Epoch, GlobalPid, JobId, Pid};
use crate::image::record::{PartReader, PartWriter};
use crate::image::{Kind, Part, Reader, Record, Writer};
use crate::object::change::Change;
use crate::object::places::Places;
use crate::object::position::Positions;
use crate::object::regs::{Regs, Xstate};
use crate::object::restart::Restart;
use crate::object::signal::Signals;
use crate::object::thread::Thread;

/// The source's clocks, all read at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Clocks {
    /// `CLOCK_MONOTONIC`.
    pub monotonic_ns: u64,
    /// `CLOCK_BOOTTIME`.
    pub boottime_ns: u64,
    /// `CLOCK_REALTIME`.
    pub realtime_ns: u64,
}

/// Which attempt the part belongs to, and when it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freeze {
    /// The manifest's attempt.
    pub attempt: AttemptId,
    /// The process.
    pub process: GlobalPid,
    /// The epoch at which it is frozen.
    pub epoch: Epoch,
    /// When it was frozen, by the source's clocks.
    pub clocks: Clocks,
    /// User time that it has used, in all its bodies.
    pub utime_ns: u64,
    /// System time that it has used, in all its bodies.
    pub stime_ns: u64,
}

impl Record for Freeze {
    const KIND: Kind = Kind::Freeze;
    const VERSION: u16 = 1;

    fn encode(&self, out: &mut Writer) -> Result<(), EncodeError> {
        out.u64(self.attempt.0)?;
        out.u32(self.process.job.0)?;
        out.u32(self.process.pid.0)?;
        out.u64(self.epoch.0)?;
        out.u64(self.clocks.monotonic_ns)?;
        out.u64(self.clocks.boottime_ns)?;
        out.u64(self.clocks.realtime_ns)?;
        out.u64(self.utime_ns)?;
        out.u64(self.stime_ns)
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            attempt: AttemptId(reader.u64()?),
            process: GlobalPid { job: JobId(reader.u32()?), pid: Pid(reader.u32()?) },
            epoch: Epoch(reader.u64()?),
            clocks: Clocks {
                monotonic_ns: reader.u64()?,
                boottime_ns: reader.u64()?,
                realtime_ns: reader.u64()?,
            },
            utime_ns: reader.u64()?,
            stime_ns: reader.u64()?,
        })
    }
}

/// What only the stopped process can tell: sent with FINAL, read by the target's kernel.
#[derive(Debug, PartialEq, Eq)]
pub struct Final {
    /// Which attempt it belongs to.
    pub freeze: Freeze,
    /// Pages that live at the source and are not among the manifest's places, or lie in what
    /// [`Final::change`] maps.
    pub places: Places,
    /// Registers.
    pub regs: Regs,
    /// Extended processor state.
    pub xstate: Xstate,
    /// Signal state.
    pub signals: Signals,
    /// Addresses that the kernel holds for the thread.
    pub thread: Thread,
    /// The call that is to be restarted.
    pub restart: Restart,
    /// Positions of open files.
    pub positions: Positions,
    /// Changes of the layout since the manifest.
    pub change: Change,
}

impl Final {
    /// Writes it. What it accepts, [`Final::decode`] accepts too.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut part = PartWriter::new(Part::Final)?;
        part.put(&self.places)?;
        part.put(&self.freeze)?;
        part.put(&self.regs)?;
        part.put(&self.xstate)?;
        part.put(&self.signals)?;
        part.put(&self.thread)?;
        part.put(&self.restart)?;
        part.put(&self.positions)?;
        part.put(&self.change)?;
        part.finish()
    }

    /// Reads and checks it.
    pub fn decode(image: &[u8]) -> Result<Self, DecodeError> {
        let mut part = PartReader::new(image, Part::Final)?;
        let places = part.need()?;
        let this = Self {
            freeze: part.need()?,
            places,
            regs: part.need()?,
            xstate: part.need()?,
            signals: part.need()?,
            thread: part.need()?,
            restart: part.need()?,
            positions: part.need()?,
            change: part.need()?,
        };
        part.finish()?;
        Ok(this)
    }
}
