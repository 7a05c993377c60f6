//! Brings pages home that nobody has faulted on: their holder wants them to leave and nobody else
//! takes them, or root calls all back.

use kapi::{
    alloc::Memory,
    page::{HomeBatch, Page, PAGE_LEN},
    Result,
};
use netproto::msg::lodge::BatchFlags;
use vm_remote::{
    lodge::owner::{EntryId, OpId, Stage},
    tag::lodged_word,
};

use super::{
    knobs,
    make::OPS,
    send::Full,
    state::{Batch, Owning, PAGES},
    stats,
};
use crate::port::net::now;

/// Batches of this kind under way at most.
const BATCHES: usize = 4;
/// Entries that a call looks at.
const LOOK: u32 = 4096;
/// The part of memory that must be available for a page to come home by itself.
const SPARE_PART: u64 = 16;

/// What is brought home at present.
pub(super) struct Home {
    batch: HomeBatch,
    /// How far it is with calling all back, and whether it has found any in this pass.
    cursor: u32,
    found: bool,
}

/// Pages that came, and where they belong.
struct Came {
    frames: [u64; PAGES],
    tags: [u64; PAGES],
    pages: [Option<Page>; PAGES],
    count: usize,
}

impl Home {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { batch: HomeBatch::new()?, cursor: 0, found: false })
    }

    /// Brings some home. True if it has to be called again soon.
    pub(super) fn turn(&mut self, owning: &Owning) -> bool {
        let mut under_way = 0;
        for at in 0..OPS {
            under_way += usize::from(self.put_in(owning, OpId(at)));
        }
        while under_way < BATCHES && has_memory() {
            let mut list = [EntryId(0); PAGES];
            let mut count = 0;
            while let Some(place) = list.get_mut(count) {
                let Some((entry, _)) = owning.state.lock().owner.poll_homing() else { break };
                *place = entry;
                count += 1;
            }
            if count == 0 && knobs::recalls() {
                count = self.recall(owning, &mut list);
            }
            if count == 0 || !begin(owning, &list[..count]) {
                break;
            }
            under_way += 1;
        }
        under_way != 0 || knobs::recalls()
    }

    /// Lodged pages from the cursor on.
    #[inline(never)]
    fn recall(&mut self, owning: &Owning, list: &mut [EntryId; PAGES]) -> usize {
        let mut count = 0;
        let state = owning.state.lock();
        let end = state.owner.room();
        for _ in 0..LOOK {
            if self.cursor >= end {
                if !self.found {
                    knobs::end_recall();
                }
                (self.cursor, self.found) = (0, false);
                break;
            }
            let entry = EntryId(self.cursor);
            self.cursor += 1;
            if state.owner.stage(entry) == Stage::Lodged {
                self.found = true;
                list[count] = entry;
                count += 1;
            }
            if count == PAGES {
                break;
            }
        }
        count
    }

    /// Puts in what a batch has brought, if it is over. True if it is one of these and is not.
    #[inline(never)]
    fn put_in(&mut self, owning: &Owning, op: OpId) -> bool {
        let mut state = owning.state.lock();
        let (done, _) = state.owner.fetched(op);
        match state.batches.get(usize::from(op.0)) {
            Some(Batch::In(fetch)) if !fetch.lead => {
                // A page that is being copied is not here yet.
                let is_open = !fetch.over || done & !fetch.came != 0;
                let waits = fetch.ahead.as_ref().is_some_and(|ahead| !ahead.is_old());
                if is_open || waits {
                    return fetch.ahead.is_none();
                }
            }
            _ => return false,
        }
        let mut came =
            Came { frames: [0; PAGES], tags: [0; PAGES], pages: [const { None }; PAGES], count: 0 };
        let mut entries = [None; PAGES];
        for (position, place) in entries.iter_mut().enumerate() {
            let entry = state.owner.entry_at(op, position as u8);
            *place = entry.and_then(|entry| Some((entry, state.owner.frame(entry)?)));
        }
        let ended = owning.end_fetch(&mut state, op);
        drop(state);
        let Batch::In(mut fetch) = ended else { return false };
        if let Some(ahead) = &fetch.ahead {
            owning.programs.wasted(ahead, fetch.left());
            owning.room.wake_all();
            return false;
        }
        for (position, (entry, page)) in entries.iter().zip(&mut fetch.pages).enumerate() {
            let is_here = fetch.came >> position & 1 != 0;
            if let (true, Some((entry, frame)), Some(page)) = (is_here, entry, page.take()) {
                came.frames[came.count] = *frame;
                came.tags[came.count] = lodged_word(entry.0);
                came.pages[came.count] = Some(page);
                came.count += 1;
            }
        }
        self.place(&mut came);
        owning.room.wake_all();
        false
    }

    fn place(&mut self, came: &mut Came) {
        let count = came.count;
        let placed =
            self.batch.run(&came.frames[..count], &came.tags[..count], &mut came.pages[..count]);
        match placed {
            Ok(placed) => stats::FETCHED_HOME.add(placed as u64),
            Err(errno) => log::warn!("pages can't be brought home: {errno}"),
        }
    }
}

fn has_memory() -> bool {
    let memory = Memory::now();
    memory.available > memory.total / SPARE_PART + (PAGES * PAGE_LEN) as u64
}

/// Begins to fetch pages that nobody waits for.
#[inline(never)]
fn begin(owning: &Owning, list: &[EntryId]) -> bool {
    let mut pages = [const { None }; PAGES];
    let mut count = 0;
    // What there is no page for would never come: it is for another time.
    for place in pages.iter_mut().take(list.len()) {
        let Ok(page) = Page::new() else { break };
        *place = Some(page);
        count += 1;
    }
    let Some((first, more)) = list[..count].split_first() else { return false };
    let mut state = owning.state.lock();
    let begun = state.owner.fetch(now(), *first, more, BatchFlags::empty());
    let Ok(op) = begun else {
        drop(state);
        // The machine offers those again that it wants home.
        return false;
    };
    state.begin_fetch(op, &mut pages, None);
    drop(state);
    owning.send_all_of(op, Full::Leave);
    true
}
