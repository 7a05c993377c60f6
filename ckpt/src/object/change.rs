//! Changes of the layout between the manifest and the freeze.

use alloc::vec::Vec;

use super::vma::{are_ascending, check_vmas, decode_vmas, encode_vmas, Vma};
use crate::error::{DecodeError, EncodeError, Field};
use crate::image::{Kind, Reader, Record, Writer};
use crate::limits::{ADDRESS_MAX, VMAS_MAX};

/// A part of the address space, from `start` to before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first byte.
    pub start: u64,
    /// The first byte after it.
    pub end: u64,
}

/// What the target changes in the address space that it prepared: first it unmaps, then it maps,
/// then it inserts the final part's places.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Change {
    /// What to unmap, ascending.
    pub unmap: Vec<Span>,
    /// What to map, ascending; anonymous memory only.
    pub map: Vec<Vma>,
    /// The end of the heap.
    pub brk: u64,
}

impl Change {
    /// Whether the layout stays as it was prepared.
    pub fn is_empty(&self) -> bool {
        self.unmap.is_empty() && self.map.is_empty()
    }
}

impl Record for Change {
    const KIND: Kind = Kind::Change;
    const VERSION: u16 = 1;

    fn check(&self) -> Result<(), Field> {
        check_vmas(&self.map)?;
        let unmap_fits = are_ascending(self.unmap.iter().map(|span| (span.start, span.end)));
        match unmap_fits && self.map.iter().all(Vma::is_anon) && self.brk <= ADDRESS_MAX {
            true => Ok(()),
            false => Err(Field::Change),
        }
    }

    fn encode(&self, out: &mut Writer) -> Result<(), EncodeError> {
        out.count(self.unmap.len(), VMAS_MAX, Field::Change)?;
        for span in &self.unmap {
            out.u64(span.start)?;
            out.u64(span.end)?;
        }
        encode_vmas(&self.map, out)?;
        out.u64(self.brk)
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let unmap = reader.list(VMAS_MAX, 16, Field::Change, |reader| {
            Ok(Span { start: reader.u64()?, end: reader.u64()? })
        })?;
        Ok(Self { unmap, map: decode_vmas(reader)?, brk: reader.u64()? })
    }
}
