//! Who is moved, from where, in which attempt.

use crate::error::{DecodeError, EncodeError, Field};
use crate::id::{AttemptId, Epoch, GlobalPid, JobId, Pid, Slot, SpaceId};
use crate::image::{Kind, Reader, Record, Writer};

/// Whether a running process is moved or an exec is placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageKind {
    /// A running process: the final part follows at the freeze.
    Live,
    /// A process that is about to execute a file.
    Exec,
}

/// The image's subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    /// The attempt, which also names the image: unique on the source's incarnation.
    pub attempt: AttemptId,
    /// What it is an image of.
    pub kind: ImageKind,
    /// The process.
    pub process: GlobalPid,
    /// Its parent's PID, 0 if that is not in the job.
    pub parent_pid: Pid,
    /// Its process group.
    pub group_pid: Pid,
    /// Its session.
    pub session_pid: Pid,
    /// The node that keeps its directory entry.
    pub origin: Slot,
    /// The node where it runs.
    pub source: Slot,
    /// Its epoch there.
    pub epoch: Epoch,
    /// The space that its pages will be fetched from.
    pub space: SpaceId,
    /// A digest of the source's kernel build: equal digests mean equal code.
    pub kernel_build: u64,
    /// The processor features (`xfeatures`) that its state may use.
    pub xfeatures: u64,
}

impl Record for Subject {
    const KIND: Kind = Kind::Subject;
    const VERSION: u16 = 1;

    fn check(&self) -> Result<(), Field> {
        let others = [self.parent_pid, self.group_pid, self.session_pid];
        let is_pid = |pid: &Pid| i32::try_from(pid.0).is_ok();
        // PID 1 is the job's own init, which never moves.
        match self.process.pid.0 >= 2 && is_pid(&self.process.pid) && others.iter().all(is_pid) {
            true => Ok(()),
            false => Err(Field::Pid),
        }
    }

    fn encode(&self, out: &mut Writer) -> Result<(), EncodeError> {
        out.u64(self.attempt.0)?;
        out.u16(match self.kind {
            ImageKind::Live => 1,
            ImageKind::Exec => 2,
        })?;
        out.u32(self.process.job.0)?;
        for pid in [self.process.pid, self.parent_pid, self.group_pid, self.session_pid] {
            out.u32(pid.0)?;
        }
        out.u8(self.origin.get())?;
        out.u8(self.source.get())?;
        out.u64(self.epoch.0)?;
        out.u64(self.space.0)?;
        out.u64(self.kernel_build)?;
        out.u64(self.xfeatures)
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let attempt = AttemptId(reader.u64()?);
        let kind = match reader.u16()? {
            1 => ImageKind::Live,
            2 => ImageKind::Exec,
            _ => return Err(DecodeError::Unknown(Field::ImageKind)),
        };
        let job = JobId(reader.u32()?);
        let pid = Pid(reader.u32()?);
        Ok(Self {
            attempt,
            kind,
            process: GlobalPid { job, pid },
            parent_pid: Pid(reader.u32()?),
            group_pid: Pid(reader.u32()?),
            session_pid: Pid(reader.u32()?),
            origin: slot(reader)?,
            source: slot(reader)?,
            epoch: Epoch(reader.u64()?),
            space: SpaceId(reader.u64()?),
            kernel_build: reader.u64()?,
            xfeatures: reader.u64()?,
        })
    }
}

/// Takes a slot.
pub(crate) fn slot(reader: &mut Reader<'_>) -> Result<Slot, DecodeError> {
    Slot::new(reader.u8()?).ok_or(DecodeError::Bound(Field::Slot))
}
