//! Positions and flags of open files, as they were at the freeze.

use alloc::vec::Vec;

use super::file::position;
use crate::error::{DecodeError, EncodeError, Field};
use crate::image::{Kind, Reader, Record, Writer};
use crate::limits::FDS_MAX;

/// Position and flags of a description that is opened by path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Which description.
    pub group: u32,
    /// Its position.
    pub position: u64,
    /// Its `O_*` flags, of which `fcntl` can change some.
    pub flags: u32,
}

/// Positions, in ascending order of their groups.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Positions(pub Vec<Position>);

impl Record for Positions {
    const KIND: Kind = Kind::Positions;
    const VERSION: u16 = 1;

    fn check(&self) -> Result<(), Field> {
        let ascending = self.0.windows(2).all(|pair| match pair {
            [first, second] => first.group < second.group,
            _ => false,
        });
        match ascending {
            true => Ok(()),
            false => Err(Field::FdGroup),
        }
    }

    fn encode(&self, out: &mut Writer) -> Result<(), EncodeError> {
        out.count(self.0.len(), FDS_MAX, Field::FdGroup)?;
        for entry in &self.0 {
            out.u32(entry.group)?;
            out.u64(entry.position)?;
            out.u32(entry.flags)?;
        }
        Ok(())
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let positions = reader.list(FDS_MAX, 16, Field::FdGroup, |reader| {
            Ok(Position { group: reader.u32()?, position: position(reader)?, flags: reader.u32()? })
        })?;
        Ok(Self(positions))
    }
}
