//! Working directory, umask and executable. The root is always the job's root.

use crate::bytes::Bytes;
use crate::error::{DecodeError, EncodeError, Field};
use crate::image::{Kind, Reader, Record, Writer};
use crate::limits::PATH_LEN_MAX;

/// Working directory and umask.
#[derive(Debug, PartialEq, Eq)]
pub struct Fs {
    /// Working directory, from the job's root.
    pub cwd: Bytes,
    /// The file mode creation mask.
    pub umask: u32,
}

/// The executable file.
#[derive(Debug, PartialEq, Eq)]
pub struct Exe {
    /// Its path, from the job's root.
    pub path: Bytes,
}

impl Record for Fs {
    const KIND: Kind = Kind::Fs;
    const VERSION: u16 = 1;

    fn check(&self) -> Result<(), Field> {
        match self.umask {
            0..=0o777 => Ok(()),
            _ => Err(Field::Umask),
        }
    }

    fn encode(&self, out: &mut Writer) -> Result<(), EncodeError> {
        encode_path(&self.cwd, out)?;
        out.u32(self.umask)
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { cwd: path(reader)?, umask: reader.u32()? })
    }
}

impl Record for Exe {
    const KIND: Kind = Kind::Exe;
    const VERSION: u16 = 1;

    fn encode(&self, out: &mut Writer) -> Result<(), EncodeError> {
        encode_path(&self.path, out)
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { path: path(reader)? })
    }
}

/// Appends a path.
pub(crate) fn encode_path(path: &Bytes, out: &mut Writer) -> Result<(), EncodeError> {
    if !is_path(path) {
        return Err(EncodeError::Bound(Field::Path));
    }
    out.string(path, PATH_LEN_MAX, Field::Path)
}

/// Takes an absolute path without zero bytes.
pub(crate) fn path(reader: &mut Reader<'_>) -> Result<Bytes, DecodeError> {
    let path = reader.string(PATH_LEN_MAX, Field::Path)?;
    match is_path(&path) {
        true => Ok(path),
        false => Err(DecodeError::Bound(Field::Path)),
    }
}

/// Whether it can be given to `open` from anywhere: absolute, no zero byte, no parent references.
fn is_path(path: &[u8]) -> bool {
    path.first() == Some(&b'/')
        && !path.contains(&0)
        && path.split(|byte| *byte == b'/').all(|name| name != b"..")
}
