//! Pages that live at the source.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use crate::error::{DecodeError, EncodeError, Field};
use crate::image::{Kind, Reader, Record, Writer};
use crate::limits::{ADDRESS_MAX, HUGE_MAX, HUGE_PAGES, PAGE_LEN, PLACES_MAX};

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
///
/// Besides, some may be told to be of huge pages: a hint, of which what are no places counts for
/// nothing.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Places {
    ranges: Vec<PageRange>,
    // Numbers of huge pages instead of pages.
    huge: Vec<PageRange>,
}

/// Adds numbers behind all those that are there; joins them with the last range if they touch or
/// overlap it. Returns `false` without adding if they start before it.
fn append(ranges: &mut Vec<PageRange>, start: u64, count: u64) -> Result<bool, TryReserveError> {
    if count == 0 {
        return Ok(true);
    }
    let end = start.saturating_add(count);
    if let Some(last) = ranges.last_mut() {
        if start < last.start {
            return Ok(false);
        }
        if start <= last.end() {
            last.count = last.end().max(end) - last.start;
            return Ok(true);
        }
    }
    ranges.try_reserve(1)?;
    ranges.push(PageRange { start, count: end - start });
    Ok(true)
}

/// What of ranges lies from `start` to before `end`.
fn cut(ranges: &[PageRange], start: u64, end: u64) -> impl Iterator<Item = PageRange> + '_ {
    let first = ranges.partition_point(|range| range.end() <= start);
    let rest = ranges.get(first..).unwrap_or_default();
    rest.iter().take_while(move |range| range.start < end).filter_map(move |range| {
        let start = range.start.max(start);
        let count = range.end().min(end).checked_sub(start).filter(|count| *count > 0)?;
        Some(PageRange { start, count })
    })
}

/// A part of a range of places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Its pages.
    pub range: PageRange,
    /// Whether they are whole huge pages.
    pub huge: bool,
}

impl Places {
    /// No places.
    pub const fn new() -> Self {
        Self { ranges: Vec::new(), huge: Vec::new() }
    }

    /// The ranges.
    pub fn ranges(&self) -> &[PageRange] {
        &self.ranges
    }

    /// Ranges of huge pages' numbers.
    pub fn huge(&self) -> &[PageRange] {
        &self.huge
    }

    /// How many pages there are.
    pub fn pages(&self) -> u64 {
        self.ranges.iter().fold(0, |sum, range| sum.saturating_add(range.count))
    }

    /// Adds pages behind all those that are there; joins them with the last range if they touch
    /// or overlap it. Returns `false` without adding if they start before it.
    pub fn push(&mut self, start: u64, count: u64) -> Result<bool, TryReserveError> {
        append(&mut self.ranges, start, count)
    }

    /// The same for huge pages, by their numbers. What would be too many ranges is left out.
    pub fn push_huge(&mut self, start: u64, count: u64) -> Result<bool, TryReserveError> {
        if self.huge.len() == HUGE_MAX {
            return Ok(false);
        }
        append(&mut self.huge, start, count)
    }

    /// A range of places, in pieces that are huge pages or not.
    pub fn pieces(&self, range: PageRange) -> impl Iterator<Item = Piece> + '_ {
        let mut at = range.start;
        // Only those that are in the range from end to end.
        let whole = (range.start.div_ceil(HUGE_PAGES), range.end() / HUGE_PAGES);
        let mut huge = cut(&self.huge, whole.0, whole.1).peekable();
        core::iter::from_fn(move || {
            let next = huge.peek().map(|huge| PageRange {
                start: huge.start * HUGE_PAGES,
                count: huge.count * HUGE_PAGES,
            });
            let (end, is_huge) = match next {
                Some(next) if next.start == at => (next.end(), huge.next().is_some()),
                Some(next) => (next.start, false),
                None => (range.end(), false),
            };
            let piece = PageRange { start: at, count: end.checked_sub(at).filter(|n| *n > 0)? };
            at = end;
            Some(Piece { range: piece, huge: is_huge })
        })
    }

    /// The pages that are in `self` and not in `other`.
    pub fn minus(&self, other: &Self) -> Result<Self, TryReserveError> {
        let mut left = Self::new();
        let mut holes = other.ranges.iter().peekable();
        for range in &self.ranges {
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
        cut(&self.ranges, start, end)
    }
}

/// Ascending ranges that neither overlap nor touch.
fn check(ranges: &[PageRange], end_max: u64) -> Result<(), Field> {
    let mut start_min = 0;
    for range in ranges {
        let end = range.start.checked_add(range.count).ok_or(Field::Places)?;
        if range.start < start_min || range.count == 0 || end > end_max {
            return Err(Field::Places);
        }
        start_min = end + 1;
    }
    Ok(())
}

fn encode(ranges: &[PageRange], max: usize, out: &mut Writer) -> Result<(), EncodeError> {
    out.count(ranges.len(), max, Field::Places)?;
    for range in ranges {
        out.u64(range.start)?;
        out.u64(range.count)?;
    }
    Ok(())
}

fn decode(reader: &mut Reader<'_>, max: usize) -> Result<Vec<PageRange>, DecodeError> {
    reader.list(max, 16, Field::Places, |reader| {
        Ok(PageRange { start: reader.u64()?, count: reader.u64()? })
    })
}

impl Record for Places {
    const KIND: Kind = Kind::Places;
    // 2: huge pages.
    const VERSION: u16 = 2;

    fn check(&self) -> Result<(), Field> {
        check(&self.ranges, ADDRESS_MAX / PAGE_LEN)?;
        check(&self.huge, ADDRESS_MAX / PAGE_LEN / HUGE_PAGES)
    }

    fn encode(&self, out: &mut Writer) -> Result<(), EncodeError> {
        encode(&self.ranges, PLACES_MAX, out)?;
        encode(&self.huge, HUGE_MAX, out)
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let ranges = decode(reader, PLACES_MAX)?;
        let huge = match reader.remaining() {
            0 => Vec::new(), // version 1
            _ => decode(reader, HUGE_MAX)?,
        };
        Ok(Self { ranges, huge })
    }
}
