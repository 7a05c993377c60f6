//! Huge pages that the background brings home whole.

use alloc::vec::Vec;

use kapi::{
    lodge::MmName,
    page::{frame_kind, FrameKind, HomeBatch, HugePage, Page},
};
use vm_remote::{fetch::Fetch, limits::HUGE_PAGES, stream::Chunk, tag::Tag, whole::Whole};

use super::{
    batch::Batch,
    fetch::{Fetches, PageSet},
    stats,
    stream::hold_back,
    target::TargetSpace,
};

/// Under way at once: the next begins while the last answers of the one before come.
const MOST: usize = 2;

/// A fault in the page keeps it for as long as a page takes to come; it is tried again so often.
const TRIES: u32 = 4;

struct Filling {
    whole: Whole,
    huge: HugePage,
    parts: Vec<Option<Page>>,
}

/// Those under way, of one space.
#[derive(Default)]
pub(super) struct Wholes([Option<Filling>; MOST]);

/// How a page is to be fetched that was found far.
pub(super) enum Way {
    /// By itself.
    Single,
    /// With the huge page that it is part of, which ends at this page.
    Whole(u64),
    /// When another huge page is complete.
    Full,
    /// It can't be had now: nothing up to this page can.
    Later(u64),
}

/// What came of an answer.
#[derive(Default)]
pub(super) struct Came {
    /// Pages that are home now.
    pub(super) moved: u64,
    /// Some are gone at the source.
    pub(super) gone: bool,
}

impl Filling {
    fn new(whole: Whole) -> Option<Self> {
        #[cfg(feature = "selftest")]
        if !super::selftest::has_huge() {
            return None;
        }
        let mut parts = Vec::new();
        parts.try_reserve_exact(HUGE_PAGES as usize).ok()?;
        let mut huge = HugePage::new()?;
        parts.extend(huge.parts().map(Some));
        Some(Self { whole, huge, parts })
    }

    fn places(&mut self, chunk: &Chunk) -> impl Iterator<Item = &mut Option<Page>> {
        let first = chunk.frame.saturating_sub(self.whole.frame());
        self.parts.iter_mut().skip(first as usize).take(chunk.pages as usize)
    }
}

impl Wholes {
    /// Whether nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// Whether a frame is part of one.
    pub(super) fn has(&self, frame: u64) -> bool {
        self.0.iter().flatten().any(|filling| filling.whole.has(frame))
    }

    /// What is to be asked for next, and for which.
    pub(super) fn next(&mut self, most: u64) -> Option<(Chunk, usize)> {
        let mut all = self.0.iter_mut().enumerate();
        all.find_map(|(at, filling)| Some((filling.as_mut()?.whole.next(most)?, at)))
    }

    /// The pages that this is to fill.
    pub(super) fn pages(&mut self, at: usize, chunk: &Chunk) -> PageSet {
        let mut set = PageSet::empty();
        if let Some(filling) = &mut self.0[at] {
            for (place, part) in set.pages.iter_mut().zip(filling.places(chunk)) {
                *place = part.take();
            }
        }
        set
    }

    fn give_back(&mut self, at: usize, chunk: &Chunk, set: PageSet) {
        if let Some(filling) = &mut self.0[at] {
            for (place, part) in set.pages.into_iter().zip(filling.places(chunk)) {
                *part = place;
            }
        }
    }

    /// It could not be asked for.
    pub(super) fn take_back(&mut self, at: usize, chunk: &Chunk, set: PageSet) {
        self.give_back(at, chunk, set);
        if let Some(filling) = &mut self.0[at] {
            filling.whole.take_back(chunk);
        }
    }

    /// Decides how the page is fetched that stands in a frame, and begins if it is with a huge one.
    #[inline(never)]
    pub(super) fn begin(
        &mut self,
        home: &mut HomeBatch,
        space: &TargetSpace,
        mm: Option<&MmName>,
        (frame, page): (u64, u64),
    ) -> Way {
        let Some(whole) = Whole::around(frame, page) else { return Way::Single };
        let last = whole.page() + (HUGE_PAGES - 1);
        let kind = frame_kind(whole.frame());
        if kind == FrameKind::Single {
            return Way::Single;
        }
        let Some(free) = self.0.iter_mut().find(|filling| filling.is_none()) else {
            return Way::Full;
        };
        // Of one that is not whole any more nobody needs all. Without memory for a whole one, or if
        // it can't be split from here, the other has to do.
        let is_split = kind == FrameKind::Parts && split(home, space, mm, &whole);
        if !is_split {
            *free = Filling::new(whole);
        }
        if free.is_some() {
            Way::Whole(last)
        } else if is_split || split(home, space, mm, &whole) {
            Way::Single
        } else {
            Way::Later(last)
        }
    }

    /// An answer is complete.
    #[inline(never)]
    pub(super) fn came(
        &mut self,
        at: usize,
        (chunk, fetch, set): (&Chunk, &Fetch, PageSet),
        (home, space, fetches): (&mut HomeBatch, &TargetSpace, &Fetches),
    ) -> Came {
        let mut came = Came::default();
        let mut set = set;
        for (place, offset) in set.pages.iter_mut().zip(0u16..) {
            if place.is_some() && fetch.is_gone(offset) {
                *place = None;
                came.gone = true;
            }
        }
        self.give_back(at, chunk, set);
        let is_complete =
            self.0[at].as_mut().is_some_and(|filling| filling.whole.came(chunk.pages));
        if let Some(filling) = self.0[at].take_if(|_| is_complete) {
            came.moved = finish(filling, home, space, fetches);
        }
        came
    }
}

fn split(home: &mut HomeBatch, space: &TargetSpace, mm: Option<&MmName>, whole: &Whole) -> bool {
    let tag = Tag::new(space.handle, whole.page());
    let mm = mm.and_then(MmName::get);
    tag.zip(mm).is_some_and(|(tag, mm)| home.split(&mm, whole.frame(), tag.word()).is_ok())
}

/// Puts it where it belongs: whole, or page by page if it was taken apart meanwhile. Gives how many
/// pages are home.
#[inline(never)]
fn finish(filling: Filling, home: &mut HomeBatch, space: &TargetSpace, fetches: &Fetches) -> u64 {
    let Filling { whole, mut huge, parts } = filling;
    let Some(tag) = Tag::new(space.handle, whole.page()) else { return 0 };
    let mut there = [false; HUGE_PAGES as usize];
    for (there, part) in there.iter_mut().zip(parts) {
        *there = part.is_some();
    }
    for _ in 0..TRIES {
        if there.contains(&false) || frame_kind(whole.frame()) != FrameKind::Huge {
            break;
        }
        huge = match home.run_huge(whole.frame(), tag.word(), huge) {
            Ok(()) => {
                stats::PAGES_FETCHED_STREAM.add(HUGE_PAGES);
                stats::HUGE_HOME.add(1);
                return HUGE_PAGES;
            }
            Err(back) => back,
        };
        hold_back(fetches);
    }
    if frame_kind(whole.frame()) != FrameKind::Single {
        let mm = space.places.lock().mm.clone();
        // If this fails too, all of it is fetched again later.
        split(home, space, mm.as_ref(), &whole);
    }
    by_page(huge, &whole, &there, home, space)
}

#[inline(never)]
fn by_page(
    mut huge: HugePage,
    whole: &Whole,
    there: &[bool],
    home: &mut HomeBatch,
    space: &TargetSpace,
) -> u64 {
    let chunk = Chunk { frame: whole.frame(), page: whole.page(), pages: HUGE_PAGES };
    let (mut batch, mut moved) = (Batch::default(), 0);
    for ((part, there), offset) in huge.parts().zip(there).zip(0..) {
        let Some(mut page) = there.then(Page::new).and_then(Result::ok) else { continue };
        page.bytes_mut().copy_from_slice(part.bytes());
        if batch.is_full() {
            moved += core::mem::take(&mut batch).bring_home(home);
        }
        batch.push(space, &chunk, offset, page);
    }
    moved + batch.bring_home(home)
}
