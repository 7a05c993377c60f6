//! Attributes of the task.

use crate::bytes::Bytes;
use crate::error::{DecodeError, EncodeError, Field};
use crate::image::{Kind, Reader, Record, Writer};
use crate::limits::{COMM_LEN_MAX, RLIMITS};

/// A resource limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rlimit {
    /// What applies.
    pub soft: u64,
    /// Up to where it may be raised.
    pub hard: u64,
}

/// Attributes of the task.
#[derive(Debug, PartialEq, Eq)]
pub struct Task {
    /// Its command name, without the terminating zero.
    pub comm: Bytes,
    /// `personality(2)`.
    pub personality: u32,
    /// Its nice value.
    pub nice: i32,
    /// `RLIMIT_*`, by number.
    pub rlimits: [Rlimit; RLIMITS],
    /// `oom_score_adj`.
    pub oom_score_adj: i32,
    /// User time that it has used, in all its bodies.
    pub utime_ns: u64,
    /// System time that it has used, in all its bodies.
    pub stime_ns: u64,
}

impl Record for Task {
    const KIND: Kind = Kind::Task;
    const VERSION: u16 = 1;

    fn check(&self) -> Result<(), Field> {
        if self.comm.contains(&0) {
            return Err(Field::Comm);
        }
        if !(-20..=19).contains(&self.nice) {
            return Err(Field::Nice);
        }
        if self.rlimits.iter().any(|limit| limit.soft > limit.hard) {
            return Err(Field::Rlimit);
        }
        match (-1000..=1000).contains(&self.oom_score_adj) {
            true => Ok(()),
            false => Err(Field::Task),
        }
    }

    fn encode(&self, out: &mut Writer) -> Result<(), EncodeError> {
        out.string(&self.comm, COMM_LEN_MAX, Field::Comm)?;
        out.u32(self.personality)?;
        out.i32(self.nice)?;
        for limit in &self.rlimits {
            out.u64(limit.soft)?;
            out.u64(limit.hard)?;
        }
        out.i32(self.oom_score_adj)?;
        out.u64(self.utime_ns)?;
        out.u64(self.stime_ns)
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let comm = reader.string(COMM_LEN_MAX, Field::Comm)?;
        let personality = reader.u32()?;
        let nice = reader.i32()?;
        let mut rlimits = [Rlimit::default(); RLIMITS];
        for limit in &mut rlimits {
            *limit = Rlimit { soft: reader.u64()?, hard: reader.u64()? };
        }
        let oom_score_adj = reader.i32()?;
        let (utime_ns, stime_ns) = (reader.u64()?, reader.u64()?);
        Ok(Self { comm, personality, nice, rlimits, oom_score_adj, utime_ns, stime_ns })
    }
}
