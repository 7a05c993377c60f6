//! Comparing address spaces.
//!
//! Both lists of mappings are cut at every boundary of either, so that each piece is mapped by at
//! most one mapping of each list. A piece that both map alike stays; any other is unmapped, mapped
//! or both, which only anonymous memory may be. So it does not matter how the kernel merged or
//! split mappings meanwhile.

use alloc::vec::Vec;

use super::{Carry, Incompatible};
use crate::limits::PAGE_LEN;
use crate::manifest::Memory;
use crate::object::change::{Change, Span};
use crate::object::mm::Mm;
use crate::object::places::{PageRange, Places};
use crate::object::vma::{Vma, VmaKind};

/// What has to change in the layout, and which places are new.
pub(super) fn compare(
    old: &Memory,
    new: &Memory,
    carry: Carry,
) -> Result<(Change, Places), Incompatible> {
    if !same_bounds(&old.mm, &new.mm) {
        return Err(Incompatible::Mm);
    }
    let mut change = Change { brk: new.mm.brk, ..Change::default() };
    let mut pieces = Pieces { old: &old.vmas.0, new: &new.vmas.0, at: 0 };
    while let Some(piece) = pieces.next() {
        apply(&mut change, &piece, carry)?;
    }
    check_file_pages(old, new)?;
    let places = new_places(old, new, &change)?;
    Ok((change, places))
}

/// All but the end of the heap must be the same.
fn same_bounds(old: &Mm, new: &Mm) -> bool {
    let bounds = |mm: &Mm| {
        [
            mm.start_code,
            mm.end_code,
            mm.start_data,
            mm.end_data,
            mm.start_brk,
            mm.start_stack,
            mm.arg_start,
            mm.arg_end,
            mm.env_start,
            mm.env_end,
            mm.mmap_base,
            mm.vdso_start,
            mm.vdso_end,
            mm.flags,
        ]
    };
    bounds(old) == bounds(new) && old.auxv == new.auxv
}

/// A part of the address space that at most one mapping of each list maps.
struct Piece<'a> {
    start: u64,
    end: u64,
    old: Option<&'a Vma>,
    new: Option<&'a Vma>,
}

struct Pieces<'a> {
    old: &'a [Vma],
    new: &'a [Vma],
    at: u64,
}

impl<'a> Pieces<'a> {
    fn next(&mut self) -> Option<Piece<'a>> {
        let old = head(&mut self.old, self.at);
        let new = head(&mut self.new, self.at);
        let starts = [old, new].into_iter().flatten().map(|vma| vma.start);
        let start = starts.min()?.max(self.at);
        let covers = |vma: &&Vma| vma.start <= start;
        // The piece ends where a mapping that covers it ends or where another one starts.
        let end = [old, new]
            .into_iter()
            .flatten()
            .map(|vma| if vma.start <= start { vma.end } else { vma.start })
            .min()?;
        self.at = end;
        Some(Piece { start, end, old: old.filter(covers), new: new.filter(covers) })
    }
}

/// The first mapping that ends after `at`.
fn head<'a>(vmas: &mut &'a [Vma], at: u64) -> Option<&'a Vma> {
    while let Some((first, rest)) = vmas.split_first() {
        if first.end > at {
            return Some(first);
        }
        *vmas = rest;
    }
    None
}

fn apply(change: &mut Change, piece: &Piece<'_>, carry: Carry) -> Result<(), Incompatible> {
    if let (Some(old), Some(new)) = (piece.old, piece.new) {
        if same_content(old, new) {
            return Ok(());
        }
    }
    if let Some(old) = piece.old {
        if !old.is_anon() {
            return Err(Incompatible::Mappings);
        }
        push_unmap(&mut change.unmap, Span { start: piece.start, end: piece.end })?;
    }
    if let Some(new) = piece.new {
        if !new.is_anon() {
            return Err(Incompatible::Mappings);
        }
        change.map.try_reserve(1)?;
        change.map.push(new.piece(piece.start, piece.end)?);
    }
    match change.unmap.len().saturating_add(change.map.len()) > carry.changes_max {
        true => Err(Incompatible::Changes),
        false => Ok(()),
    }
}

fn push_unmap(unmap: &mut Vec<Span>, span: Span) -> Result<(), Incompatible> {
    if let Some(last) = unmap.last_mut() {
        if last.end == span.start {
            last.end = span.end;
            return Ok(());
        }
    }
    unmap.try_reserve(1)?;
    unmap.push(span);
    Ok(())
}

/// Whether two mappings map the same thing alike, as far as both reach.
fn same_content(old: &Vma, new: &Vma) -> bool {
    if old.flags != new.flags {
        return false;
    }
    match (&old.kind, &new.kind) {
        (VmaKind::Anon, VmaKind::Anon) | (VmaKind::Stack, VmaKind::Stack) => true,
        (VmaKind::Special, VmaKind::Special) => true,
        (VmaKind::FilePrivate(a), VmaKind::FilePrivate(b))
        | (VmaKind::FileShared(a), VmaKind::FileShared(b)) => {
            // Pages of the file that the mappings would show at one and the same address.
            let old_base = a.page_offset.wrapping_sub(old.start / PAGE_LEN);
            let new_base = b.page_offset.wrapping_sub(new.start / PAGE_LEN);
            old_base == new_base && a.path == b.path && a.dev == b.dev && a.ino == b.ino
        }
        _ => false,
    }
}

/// In a private mapping of a file, a page that the manifest named must still be one that was
/// written: the target would otherwise fetch what it should read from the file.
fn check_file_pages(old: &Memory, new: &Memory) -> Result<(), Incompatible> {
    let gone = old.places.minus(&new.places)?;
    for vma in &new.vmas.0 {
        let is_file = matches!(vma.kind, VmaKind::FilePrivate(_));
        let (start, end) = (vma.start / PAGE_LEN, vma.end / PAGE_LEN);
        if is_file && gone.within(start, end).next().is_some() {
            return Err(Incompatible::FilePage);
        }
    }
    Ok(())
}

/// Places that the manifest did not name, and all that lie in what is mapped anew.
fn new_places(old: &Memory, new: &Memory, change: &Change) -> Result<Places, Incompatible> {
    let extra = new.places.minus(&old.places)?;
    let mut both = Vec::new();
    both.try_reserve(extra.ranges().len())?;
    both.extend_from_slice(extra.ranges());
    for vma in &change.map {
        for range in new.places.within(vma.start / PAGE_LEN, vma.end / PAGE_LEN) {
            both.try_reserve(1)?;
            both.push(range);
        }
    }
    both.sort_unstable_by_key(|range: &PageRange| range.start);
    let mut places = Places::new();
    for range in both {
        places.push(range.start, range.count)?;
    }
    for range in new.places.huge() {
        places.push_huge(range.start, range.count)?;
    }
    Ok(places)
}
