//! Requests under way, and the answers to them.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use kapi::{
    clock, lock_class,
    page::{Page, PAGE_LEN},
    Result, SpinLock, WaitQueue,
};
use netproto::{
    msg::page::{GetFlags, PageData, PageStatus},
    piece::{Part, Piece, Subject},
    RequestId, Slot,
};
use vm_remote::{
    fetch::{shard_of, Ask, Fetch, Table, What},
    gather::Gather,
    limits::FETCH_PAGES_MAX,
};

use super::{stats, wire};
use crate::port::net::{page_checksum, Content};

/// Tables, so that requests of several processes do not share a lock.
const SHARDS: u8 = 8;
/// Requests in each.
const SHARD_LEN: u8 = 64;

/// The pages that a request is to fill.
pub(super) struct PageSet {
    pub(super) pages: [Option<Page>; FETCH_PAGES_MAX as usize],
    /// What of the first one is there, if a task waits for it.
    gather: Gather,
}

impl PageSet {
    pub(super) const fn empty() -> Self {
        Self { pages: [const { None }; FETCH_PAGES_MAX as usize], gather: Gather::new() }
    }
}

/// Some of the requests under way, and who waits for them.
pub(super) struct Shard {
    table: SpinLock<Table<PageSet>>,
    /// Woken when one of the requests is finished.
    pub(super) queue: WaitQueue,
}

/// All requests under way.
pub(super) struct Fetches {
    shards: Vec<Shard>,
    next: AtomicUsize,
    // Faults that wait; the background holds back for them.
    urgent: AtomicUsize,
    quiet: WaitQueue,
}

impl Shard {
    fn new(number: u8) -> Result<Self> {
        let start = u64::from_le_bytes(clock::random()) >> 1;
        let table = Table::new(number, SHARD_LEN, start)?;
        Ok(Self {
            table: SpinLock::new(lock_class!(c"holon-fetches"), table)?,
            queue: WaitQueue::new()?,
        })
    }

    /// Takes a request on, and the pages for it; leaves them there if there is no room.
    pub(super) fn begin(&self, ask: Ask, set: &mut Option<PageSet>) -> Option<RequestId> {
        match self.table.lock().begin(ask, set.take()?) {
            Ok(request) => Some(request),
            Err(back) => {
                *set = Some(back);
                None
            }
        }
    }

    /// Sends what is still open of a request.
    pub(super) fn send(&self, to: Slot, request: RequestId, flags: GetFlags) {
        let get = self.table.lock().fetch(request).map(|fetch| fetch.get(flags));
        if let Some(get) = get {
            // If the peer went down, its spaces are told so; else the request is as good as lost
            // on the way.
            let _ = wire::send_get(to, &get);
        }
    }

    /// Whether each page was answered. For wait conditions.
    pub(super) fn is_finished(&self, request: RequestId) -> bool {
        self.table.lock().fetch(request).is_none_or(Fetch::is_finished)
    }

    /// Pages not answered yet.
    pub(super) fn open_pages(&self, request: RequestId) -> u32 {
        self.table.lock().fetch(request).map_or(0, Fetch::open_pages)
    }

    /// Whether there is room for one more request. For wait conditions.
    pub(super) fn has_room(&self) -> bool {
        self.table.lock().len() < usize::from(SHARD_LEN)
    }

    /// Ends a request, finished or not; after this nobody else touches its pages.
    pub(super) fn end(&self, request: RequestId) -> Option<(Fetch, PageSet)> {
        let mut table = self.table.lock();
        let was_full = table.len() == usize::from(SHARD_LEN);
        let ended = table.end(request);
        drop(table);
        if was_full {
            self.queue.wake_all();
        }
        ended
    }
}

/// A span of time as the kernel side has it.
pub(super) fn span(span: netproto::Duration) -> core::time::Duration {
    core::time::Duration::from_nanos(span.as_ns())
}

impl Fetches {
    /// Without requests.
    pub(super) fn new() -> Result<Self> {
        let mut shards = Vec::new();
        shards.try_reserve_exact(usize::from(SHARDS))?;
        for number in 0..SHARDS {
            shards.push(Shard::new(number)?);
        }
        Ok(Self {
            shards,
            next: AtomicUsize::new(0),
            urgent: AtomicUsize::new(0),
            quiet: WaitQueue::new()?,
        })
    }

    /// The shard for the next asker.
    pub(super) fn shard(&self) -> &Shard {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        &self.shards[next % self.shards.len()]
    }

    /// A fault begins to wait.
    pub(super) fn urgent_begin(&self) {
        self.urgent.fetch_add(1, Ordering::Relaxed);
    }

    /// It has ended.
    pub(super) fn urgent_end(&self) {
        if self.urgent.fetch_sub(1, Ordering::Release) == 1 {
            self.quiet.wake_all();
        }
    }

    /// Faults that wait.
    pub(super) fn urgent(&self) -> usize {
        self.urgent.load(Ordering::Relaxed)
    }

    /// Whether no fault waits.
    pub(super) fn is_quiet(&self) -> bool {
        self.urgent.load(Ordering::Acquire) == 0
    }

    /// Woken when no fault waits any more.
    pub(super) fn quiet(&self) -> &WaitQueue {
        &self.quiet
    }

    /// All who wait look again: a space is lost.
    pub(super) fn wake_all(&self) {
        self.shards.iter().for_each(|shard| shard.queue.wake_all());
    }

    /// A part of the page that a task waits for came, or word of it. In softirq context.
    pub(super) fn piece_came(&self, from: Slot, piece: &Piece, content: &Content<'_>) {
        let Subject::Space { space, index, status } = piece.subject else { return };
        let &Piece { request, seal, part, .. } = piece;
        let data = PageData { request, space, index, status, page_sum: seal.sum };
        if status != PageStatus::Data {
            self.answered(from, &data, &[]);
            return;
        }
        let Some(shard) = self.shards.get(usize::from(shard_of(request))) else {
            return stats::ANSWERS_STRAY.add(1);
        };
        let mut table = shard.table.lock();
        if !put(&mut table, from, (&data, part), content) {
            return;
        }
        let finished = table.accept(from, &data).is_some_and(|accepted| accepted.finished);
        drop(table);
        if finished {
            shard.queue.wake_all();
        }
    }

    /// A page that should be held here can't be had here.
    pub(super) fn not_held(&self, from: Slot, data: &PageData) {
        if let Some(shard) = self.shards.get(usize::from(shard_of(data.request))) {
            shard.table.lock().want_whole(from, data);
        }
    }

    /// An answer came: whether it was waited for. Never blocks: copies under the shard's lock.
    pub(super) fn answered(&self, from: Slot, data: &PageData, content: &[u8]) -> bool {
        let Some(shard) = self.shards.get(usize::from(shard_of(data.request))) else {
            stats::ANSWERS_STRAY.add(1);
            return false;
        };
        let mut table = shard.table.lock();
        let Some(accepted) = table.accept(from, data) else {
            stats::ANSWERS_STRAY.add(1);
            return false;
        };
        let page = accepted.payload.pages.get_mut(usize::from(accepted.offset));
        fill(page.and_then(Option::as_mut), accepted.what, content);
        let finished = accepted.finished;
        drop(table);
        if finished {
            shard.queue.wake_all();
        }
        true
    }
}

/// Puts a part into the page that it is for. Whether the page is whole now, and right.
fn put(
    table: &mut Table<PageSet>,
    from: Slot,
    (data, part): (&PageData, Part),
    content: &Content<'_>,
) -> bool {
    let Some((set, 0)) = table.open_page(from, data) else {
        stats::ANSWERS_STRAY.add(1);
        return false;
    };
    let Some(page) = set.pages.first_mut().and_then(Option::as_mut) else { return false };
    let is_there =
        page.bytes_mut().get_mut(part.range(PAGE_LEN)).is_some_and(|place| content.copy(place));
    if !is_there || !set.gather.add(part) {
        return false;
    }
    set.gather = Gather::new();
    let is_right = page_checksum(page.bytes_mut()) == data.page_sum;
    if !is_right {
        stats::ANSWERS_DAMAGED.add(1);
    }
    is_right
}

fn fill(page: Option<&mut Page>, what: What, content: &[u8]) {
    let Some(page) = page else { return };
    match (what, <&[u8; PAGE_LEN]>::try_from(content)) {
        (What::Content, Ok(content)) => page.bytes_mut().copy_from_slice(content),
        (What::Zeros, _) => {
            stats::PAGES_ZERO.add(1);
            page.zero();
        }
        // The decoder gives content only as whole pages.
        (What::Content, Err(_)) | (What::Gone, _) => (),
    }
}
