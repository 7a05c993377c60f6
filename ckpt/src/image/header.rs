//! What stands before the records.
//!
//! ```text
//! 0   magic          8 bytes, by part
//! 8   format         u16
//! 10  reserved       u16, zero
//! 12  records        u32, how many follow
//! 16  length         u64, of the whole part
//! 24  reserved       u32, zero
//! 28  checksum       u32, XXH64 (its low half) of bytes 0..28
//! ```

use netproto::wire::checksum;

use super::cursor::{Reader, Writer};
use crate::error::{DecodeError, EncodeError, Field};
use crate::limits::IMAGE_LEN_MAX;

/// Bytes of the header.
pub const HEADER_LEN: usize = 32;

/// The format that this crate writes, and the newest that it reads.
pub const FORMAT: u16 = 1;

const CHECKED_LEN: usize = 28;

/// Which part of an image it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Taken from the running process.
    Manifest,
    /// Taken at the freeze.
    Final,
}

impl Part {
    /// The first bytes of the part.
    pub const fn magic(self) -> [u8; 8] {
        match self {
            Self::Manifest => *b"HOLONMAN",
            Self::Final => *b"HOLONFIN",
        }
    }
}

/// Keeps a header's room; [`finish`] fills it.
pub(crate) fn begin(out: &mut Writer) -> Result<(), EncodeError> {
    out.raw(&[0; HEADER_LEN])
}

/// Fills the header of a part whose records were all written.
pub(crate) fn finish(out: &mut Writer, part: Part, records: u32) -> Result<(), EncodeError> {
    if out.len() > IMAGE_LEN_MAX {
        return Err(EncodeError::Bound(Field::Image));
    }
    let length = u64::try_from(out.len()).map_err(|_| EncodeError::Bound(Field::Image))?;
    let mut header = Writer::new();
    header.raw(&part.magic())?;
    header.u16(FORMAT)?;
    header.u16(0)?;
    header.u32(records)?;
    header.u64(length)?;
    header.u32(0)?;
    let checksum = checksum(&[header.since(0)]);
    header.u32(checksum)?;
    out.patch(0, header.since(0))
}

/// Checks a part's header and returns how many records follow, and a reader of them.
pub(crate) fn open(image: &[u8], part: Part) -> Result<(u32, Reader<'_>), DecodeError> {
    let mut reader = Reader::new(image);
    if reader.array()? != part.magic() {
        return Err(DecodeError::Magic);
    }
    let format = reader.u16()?;
    if format == 0 || format > FORMAT {
        return Err(DecodeError::Version(format));
    }
    let reserved = reader.u16()?;
    let records = reader.u32()?;
    let length = reader.u64()?;
    let reserved_too = reader.u32()?;
    let sum = reader.u32()?;
    let checked = image.get(..CHECKED_LEN).ok_or(DecodeError::Truncated)?;
    if checksum(&[checked]) != sum {
        return Err(DecodeError::Checksum(0));
    }
    if reserved != 0 || reserved_too != 0 || image.len() > IMAGE_LEN_MAX {
        return Err(DecodeError::Bound(Field::Image));
    }
    let length = usize::try_from(length).map_err(|_| DecodeError::Bound(Field::Image))?;
    if length > image.len() {
        return Err(DecodeError::Truncated);
    }
    if length < image.len() {
        return Err(DecodeError::Trailing);
    }
    Ok((records, reader))
}
