//! What a placed exec executes.

use alloc::vec::Vec;

use super::fs::{encode_path, path};
use crate::bytes::Bytes;
use crate::error::{DecodeError, EncodeError, Field};
use crate::image::{Kind, Reader, Record, Writer};
use crate::limits::{ARGS_LEN_MAX, ARGS_MAX, ARG_LEN_MAX};

/// The arguments of `execve`, and the signal state that it keeps.
#[derive(Debug, PartialEq, Eq)]
pub struct Exec {
    /// The file, from the job's root.
    pub path: Bytes,
    /// Arguments, each without its terminating zero.
    pub argv: Vec<Bytes>,
    /// Environment, each without its terminating zero.
    pub envp: Vec<Bytes>,
    /// Blocked signals; bit 0 is signal 1.
    pub blocked: u64,
    /// Ignored signals; bit 0 is signal 1.
    pub ignored: u64,
}

impl Record for Exec {
    const KIND: Kind = Kind::Exec;
    const VERSION: u16 = 1;

    fn check(&self) -> Result<(), Field> {
        for (strings, field) in [(&self.argv, Field::Argv), (&self.envp, Field::Envp)] {
            if strings.iter().any(|string| string.contains(&0)) {
                return Err(field);
            }
        }
        match len(&self.argv).saturating_add(len(&self.envp)) <= ARGS_LEN_MAX {
            true => Ok(()),
            false => Err(Field::Argv),
        }
    }

    fn encode(&self, out: &mut Writer) -> Result<(), EncodeError> {
        encode_path(&self.path, out)?;
        encode_strings(&self.argv, Field::Argv, out)?;
        encode_strings(&self.envp, Field::Envp, out)?;
        out.u64(self.blocked)?;
        out.u64(self.ignored)
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            path: path(reader)?,
            argv: decode_strings(Field::Argv, reader)?,
            envp: decode_strings(Field::Envp, reader)?,
            blocked: reader.u64()?,
            ignored: reader.u64()?,
        })
    }
}

fn len(strings: &[Bytes]) -> usize {
    strings.iter().fold(0, |sum, string| sum.saturating_add(string.len()))
}

fn encode_strings(strings: &[Bytes], field: Field, out: &mut Writer) -> Result<(), EncodeError> {
    out.count(strings.len(), ARGS_MAX, field)?;
    strings.iter().try_for_each(|string| out.string(string, ARG_LEN_MAX, field))
}

fn decode_strings(field: Field, reader: &mut Reader<'_>) -> Result<Vec<Bytes>, DecodeError> {
    reader.list(ARGS_MAX, 4, field, |reader| reader.string(ARG_LEN_MAX, field))
}
