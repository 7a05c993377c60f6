//! Requests under way, and which of their pages an answer is for.
//!
//! A [`Fetch`] is one request for up to [`FETCH_PAGES_MAX`] neighbouring pages. It ends when each
//! was answered: with content, as zeros, or as gone. Answers come in any order, more than once, or
//! after nobody waits any more; what fits no open page is refused.
//!
//! # Invariants
//! A request id is never used twice, so an answer can't reach a later request in the same entry.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use netproto::msg::page::{GetFlags, PageData, PageGet, PageStatus};
use netproto::{RequestId, Slot, SpaceId};

use crate::limits::FETCH_PAGES_MAX;

/// What to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// The node that has the pages.
    pub source: Slot,
    /// The memory there.
    pub space: SpaceId,
    /// The first page's number.
    pub first: u64,
    /// How many, `1..=`[`FETCH_PAGES_MAX`].
    pub count: u16,
}

/// One request under way.
#[derive(Debug, Clone, Copy)]
pub struct Fetch {
    ask: Ask,
    request: RequestId,
    open: u32,
    gone: u32,
    whole: bool,
}

impl Fetch {
    fn new(ask: Ask, request: RequestId) -> Option<Self> {
        if ask.count == 0 || ask.count > FETCH_PAGES_MAX {
            return None;
        }
        ask.first.checked_add(u64::from(ask.count))?;
        let open = u32::MAX >> (FETCH_PAGES_MAX - ask.count);
        Some(Self { ask, request, open, gone: 0, whole: false })
    }

    /// Whether every page was answered.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.open == 0
    }

    /// Pages not answered yet.
    #[must_use]
    pub const fn open_pages(&self) -> u32 {
        self.open.count_ones()
    }

    /// Whether the source said that it does not have the page `offset` of the request.
    #[must_use]
    pub const fn is_gone(&self, offset: u16) -> bool {
        offset < FETCH_PAGES_MAX && self.gone & (1 << offset) != 0
    }

    /// The request to send: from the first to the last page that is still open.
    #[must_use]
    pub fn get(&self, mut flags: GetFlags) -> PageGet {
        flags.set(GetFlags::WHOLE, self.whole);
        let skipped = if self.open == 0 { 0 } else { self.open.trailing_zeros() };
        let width = u32::BITS.saturating_sub(self.open.leading_zeros()).saturating_sub(skipped);
        PageGet {
            request: self.request,
            space: self.ask.space,
            index: self.ask.first.saturating_add(u64::from(skipped)),
            count: u16::try_from(width.max(1)).unwrap_or(1),
            flags,
        }
    }

    /// The open page that an answer from `from` is for.
    fn offset_of(&self, from: Slot, data: &PageData) -> Option<u16> {
        if from != self.ask.source || data.space != self.ask.space || data.request != self.request {
            return None;
        }
        let offset = u16::try_from(data.index.checked_sub(self.ask.first)?).ok()?;
        (offset < self.ask.count && self.open & (1 << offset) != 0).then_some(offset)
    }

    fn close(&mut self, offset: u16, gone: bool) {
        self.open &= !(1 << offset);
        if gone {
            self.gone |= 1 << offset;
        }
    }
}

/// What an answer says of its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Its content, to be copied now.
    Content,
    /// Zeros.
    Zeros,
    /// It can't be had.
    Gone,
}

/// An answer that was waited for.
#[derive(Debug)]
pub struct Accepted<'a, P> {
    /// What the asker gave along with the request.
    pub payload: &'a mut P,
    /// Which page of the request.
    pub offset: u16,
    /// What is known of it.
    pub what: What,
    /// Whether this was the last open page.
    pub finished: bool,
}

#[derive(Debug)]
struct Entry<P> {
    fetch: Fetch,
    payload: P,
}

/// The requests of one shard; `P` is what the asker wants to find again when an answer comes.
#[derive(Debug)]
pub struct Table<P> {
    entries: Vec<Option<Entry<P>>>,
    shard: u8,
    sequence: u64,
}

const SHARD_BITS: u32 = 8;
const ENTRY_BITS: u32 = 8;

/// The shard whose table has a request.
#[must_use]
pub fn shard_of(request: RequestId) -> u8 {
    let [shard, ..] = request.0.to_le_bytes();
    shard
}

fn entry_of(request: RequestId) -> usize {
    let [_, entry, ..] = request.0.to_le_bytes();
    usize::from(entry)
}

impl<P> Table<P> {
    /// An empty table for at most `capacity` requests. `start` should be random, so that ids differ
    /// from those of this node's former lives.
    ///
    /// # Errors
    /// No memory.
    pub fn new(shard: u8, capacity: u8, start: u64) -> Result<Self, TryReserveError> {
        let mut entries = Vec::new();
        entries.try_reserve_exact(usize::from(capacity))?;
        entries.resize_with(usize::from(capacity), || None);
        Ok(Self { entries, shard, sequence: start })
    }

    fn request(&mut self, entry: u8) -> RequestId {
        self.sequence = self.sequence.wrapping_add(1);
        let low = u64::from(entry) << SHARD_BITS | u64::from(self.shard);
        RequestId(self.sequence << (SHARD_BITS + ENTRY_BITS) | low)
    }

    /// Takes a request on. `Err` gives the payload back: the table is full, or the ask is wrong.
    ///
    /// # Errors
    /// The payload.
    pub fn begin(&mut self, ask: Ask, payload: P) -> Result<RequestId, P> {
        let free = self.entries.iter().position(Option::is_none);
        let Some(entry) = free.and_then(|entry| u8::try_from(entry).ok()) else {
            return Err(payload);
        };
        let request = self.request(entry);
        let (Some(fetch), Some(place)) =
            (Fetch::new(ask, request), self.entries.get_mut(usize::from(entry)))
        else {
            return Err(payload);
        };
        *place = Some(Entry { fetch, payload });
        Ok(request)
    }

    fn entry(&self, request: RequestId) -> Option<&Entry<P>> {
        let entry = self.entries.get(entry_of(request))?.as_ref()?;
        (entry.fetch.request == request).then_some(entry)
    }

    /// A request under way.
    #[must_use]
    pub fn fetch(&self, request: RequestId) -> Option<&Fetch> {
        self.entry(request).map(|entry| &entry.fetch)
    }

    /// A [`PageStatus::Held`] came, and the page could not be read here: from now on the request
    /// asks for contents.
    pub fn want_whole(&mut self, from: Slot, data: &PageData) {
        let entry = self.entries.get_mut(entry_of(data.request)).and_then(Option::as_mut);
        if let Some(entry) = entry.filter(|entry| entry.fetch.offset_of(from, data).is_some()) {
            entry.fetch.whole = true;
        }
    }

    /// What the asker gave along with the request that an answer is for, if its page is open still,
    /// and which of the request's pages it is: for who has only a part of the answer.
    pub fn open_page(&mut self, from: Slot, data: &PageData) -> Option<(&mut P, u16)> {
        let entry = self.entries.get_mut(entry_of(data.request))?.as_mut()?;
        let offset = entry.fetch.offset_of(from, data)?;
        Some((&mut entry.payload, offset))
    }

    /// An answer came: whose it is, if anybody's. The page is closed by this; with
    /// [`What::Content`] the caller copies before it gives the table to anyone else.
    pub fn accept(&mut self, from: Slot, data: &PageData) -> Option<Accepted<'_, P>> {
        let entry = self.entries.get_mut(entry_of(data.request))?.as_mut()?;
        let offset = entry.fetch.offset_of(from, data)?;
        let what = match data.status {
            PageStatus::Data => What::Content,
            PageStatus::Zero => What::Zeros,
            PageStatus::Gone => What::Gone,
            // One that is held here is a content once it was read from there.
            PageStatus::Busy | PageStatus::Held => return None,
        };
        entry.fetch.close(offset, what == What::Gone);
        let finished = entry.fetch.is_finished();
        Some(Accepted { payload: &mut entry.payload, offset, what, finished })
    }

    /// Ends a request, finished or not; later answers are refused.
    pub fn end(&mut self, request: RequestId) -> Option<(Fetch, P)> {
        self.entry(request)?;
        let entry = self.entries.get_mut(entry_of(request))?.take()?;
        Some((entry.fetch, entry.payload))
    }

    /// How many requests are under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.iter().flatten().count()
    }

    /// Whether no request is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
