//! Pages that live at the source.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use crate::error::{DecodeError, EncodeError, Field};
use crate::image::{Kind, Reader, Record, Writer};
use crate::limits::{ADDRESS_MAX, PAGE_LEN, PLACES_MAX};

/// Consecutive pages, by the number of the first (address / 4096) and their count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRange {
    /// The first page.
    pub start: u64,
    /// How many pages.
    pub count: u64,
}

impl PageRange {
    /// The first page after it.
    pub const fn end(&self) -> u64 {
        self.start.saturating_add(self.count)
    }
}

/// Pages that live at the source: ascending ranges that neither overlap nor touch.
///
/// For anonymous mappings they may cover more than what is populated there: a page that the source
/// turns out not to have is a page of zeros. For private mappings of files they are exactly the
/// pages that were written.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Places(Vec<PageRange>);

impl Places {
    /// No places.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The ranges.
    pub fn ranges(&self) -> &[PageRange] {
        &self.0
    }

    /// How many pages there are.
    pub fn pages(&self) -> u64 {
        self.0.iter().fold(0, |sum, range| sum.saturating_add(range.count))
    }

    /// Adds pages behind all those that are there; joins them with the last range if they touch
    /// or overlap it. Returns `false` without adding if they start before it.
    pub fn push(&mut self, start: u64, count: u64) -> Result<bool, TryReserveError> {
        if count == 0 {
            return Ok(true);
        }
        let end = start.saturating_add(count);
        if let Some(last) = self.0.last_mut() {
            if start < last.start {
                return Ok(false);
            }
            if start <= last.end() {
                last.count = last.end().max(end) - last.start;
                return Ok(true);
            }
        }
        self.0.try_reserve(1)?;
        self.0.push(PageRange { start, count: end - start });
        Ok(true)
    }

    /// The pages that are in `self` and not in `other`.
    pub fn minus(&self, other: &Self) -> Result<Self, TryReserveError> {
        let mut left = Self::new();
        let mut holes = other.0.iter().peekable();
        for range in &self.0 {
            let mut start = range.start;
            while let Some(hole) = holes.peek() {
                if hole.start >= range.end() {
                    break;
                }
                if hole.start > start {
                    left.push(start, hole.start - start)?;
                }
                start = start.max(hole.end());
                if hole.end() > range.end() {
                    // It may reach into the next range as well.
                    break;
                }
                holes.next();
            }
            if start < range.end() {
                left.push(start, range.end() - start)?;
            }
        }
        Ok(left)
    }

    /// The pages of `self` from page `start` to before page `end`.
    pub fn within(&self, start: u64, end: u64) -> impl Iterator<Item = PageRange> + '_ {
        let first = self.0.partition_point(|range| range.end() <= start);
        let rest = self.0.get(first..).unwrap_or_default();
        rest.iter().take_while(move |range| range.start < end).map(move |range| {
            let start = range.start.max(start);
            PageRange { start, count: range.end().min(end) - start }
        })
    }
}

impl Record for Places {
    const KIND: Kind = Kind::Places;
    const VERSION: u16 = 1;

    fn check(&self) -> Result<(), Field> {
        let mut start_min = 0;
        for range in &self.0 {
            let end = range.start.checked_add(range.count).ok_or(Field::Places)?;
            if range.start < start_min || range.count == 0 || end > ADDRESS_MAX / PAGE_LEN {
                return Err(Field::Places);
            }
            start_min = end + 1;
        }
        Ok(())
    }

    fn encode(&self, out: &mut Writer) -> Result<(), EncodeError> {
        out.count(self.0.len(), PLACES_MAX, Field::Places)?;
        for range in &self.0 {
            out.u64(range.start)?;
            out.u64(range.count)?;
        }
        Ok(())
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let places = reader.list(PLACES_MAX, 16, Field::Places, |reader| {
            Ok(PageRange { start: reader.u64()?, count: reader.u64()? })
        })?;
        Ok(Self(places))
    }
}
