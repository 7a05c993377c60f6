//! The machine, and what the driver knows of its batches.

use alloc::{boxed::Box, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kapi::{
    alloc::zeroed_vec,
    lodge::{LodgeBatch, MmName},
    module::Hold,
    pack::{Packer, PACKED_MAX},
    page::Page,
    Mutex, Result, SpinLock, WaitQueue,
};
use netproto::{Instant, RequestId};
use vm_remote::{
    cold::regions::RegionId,
    cold::shares::{Place, Shares},
    gather::Gather,
    latency::Histogram,
    lodge::owner::{OpId, OpKind, Owner},
};

use super::{
    ahead::{Ahead, Programs},
    freed::Freed,
    BASE,
};
use crate::port::net::now;

/// Pages in a batch at most.
pub(super) const PAGES: usize = 32;

/// A batch on its way home.
pub(super) struct Fetch {
    /// Tells this batch from others that had its number.
    pub(super) serial: u64,
    /// The pages to fill. One that is being filled is not here.
    pub(super) pages: [Option<Page>; PAGES],
    /// A bit for each page that is filled.
    pub(super) came: u32,
    /// What of the first page is there.
    pub(super) gather: Gather,
    /// The first page is here, but packed in so many bytes; zero if it is whole.
    pub(super) packed_len: usize,
    /// Nothing more comes.
    pub(super) over: bool,
    /// A task waits for the first page and ends the batch; else the thread does.
    pub(super) lead: bool,
    /// Nobody has asked for its pages yet.
    pub(super) ahead: Option<Ahead>,
}

impl Fetch {
    /// Whether there are pages in it that came and nobody took.
    pub(super) fn has_left(&self) -> bool {
        self.left() != 0
    }

    /// How many there are.
    pub(super) fn left(&self) -> u32 {
        let is_here = |at: &(usize, &Option<Page>)| at.1.is_some() && self.came >> at.0 & 1 != 0;
        self.pages.iter().enumerate().filter(is_here).count() as u32
    }
}

/// What the driver knows of a batch.
#[expect(
    clippy::large_enum_variant,
    reason = "the table is made once, and nothing may be made later"
)]
pub(super) enum Batch {
    /// It has none of the driver's.
    None,
    /// Pages on their way out, from this buffer.
    Out { store: usize, over: bool },
    /// On their way home.
    In(Fetch),
}

/// What the lock guards.
pub(super) struct State {
    pub(super) owner: Owner,
    pub(super) batches: Vec<Batch>,
    pub(super) serial: u64,
    /// Keeps the module while pages are elsewhere.
    pub(super) hold: Option<Hold>,
    pub(super) latency: Box<Histogram>,
    /// What each job has elsewhere.
    pub(super) shares: Shares,
}

/// What the machine keeps of a page: whose it is, and where its job is counted.
pub(super) fn tag_of(pid: u32, share: Place) -> u64 {
    u64::from(share) << 32 | u64::from(pid)
}

/// The process of a tag.
pub(in crate::lodge) fn pid_of(tag: u64) -> u32 {
    tag as u32
}

/// Where the job of a tag is counted.
pub(super) fn share_of(tag: u64) -> Place {
    (tag >> 32) as Place
}

/// A buffer of pages on their way out.
pub(super) struct Store {
    /// The batch that uses it.
    pub(super) op: Option<OpId>,
    pub(super) pages: LodgeBatch,
    /// Whose pages they are.
    pub(super) whose: Option<Whose>,
    /// Pages go even if they were touched since.
    pub(super) any: bool,
    /// By position: what is sent for the page, if that is not the page itself.
    pub(super) packed: Vec<u8>,
    pub(super) packed_len: [usize; PAGES],
}

impl Store {
    pub(super) fn new() -> Result<Self> {
        let (pages, packed) = (LodgeBatch::new()?, zeroed_vec(PAGES * PACKED_MAX)?);
        Ok(Self { op: None, pages, whose: None, any: false, packed, packed_len: [0; PAGES] })
    }

    /// Makes what is to be sent for a page.
    pub(super) fn pack(&mut self, position: usize, packer: Option<&mut Packer>) {
        let rest = self.packed.get_mut(position * PACKED_MAX..).unwrap_or_default();
        let places = (rest.first_chunk_mut(), self.packed_len.get_mut(position));
        let (Some(place), Some(len)) = places else { return };
        let packed = packer.and_then(|packer| packer.pack(self.pages.content(position), place));
        *len = packed.unwrap_or(0);
    }

    /// What is sent for a page.
    pub(super) fn content(&self, position: usize) -> &[u8] {
        let len = self.packed_len.get(position).copied().unwrap_or(0);
        let at = position * PACKED_MAX;
        match self.packed.get(at..at + len) {
            Some(packed) if len != 0 => packed,
            _ => self.pages.content(position),
        }
    }
}

/// A process whose pages go.
#[derive(Clone)]
pub(super) struct Whose {
    pub(super) mm: MmName,
    pub(super) pid: u32,
    /// Its job; zero if it is of none.
    pub(super) job: u64,
    /// The region that all of them are in.
    pub(super) region: RegionId,
}

/// A buffer of pages that are moved from holder to holder.
pub(super) struct Mend {
    pub(super) op: Option<OpId>,
    pub(super) contents: Vec<u8>,
}

/// The owner of this node's pages elsewhere.
pub(super) struct Owning {
    pub(super) state: SpinLock<State>,
    /// By batch: woken when pages came, or it is over.
    pub(super) waits: Vec<WaitQueue>,
    /// Woken when there is room for one more batch.
    pub(super) room: WaitQueue,
    pub(super) stores: Vec<Mutex<Store>>,
    pub(super) mends: Vec<Mutex<Mend>>,
    /// Where a packed page lies while the page that a task waits for is made of it.
    pub(super) unpacking: Mutex<Vec<u8>>,
    /// What is known of programs' faults.
    pub(super) programs: Programs,
    /// Entries whose page was given up.
    pub(super) freed: Freed,
    /// Frames of the pool that stand for pages elsewhere.
    pub(super) far: AtomicU64,
    /// For the thread: something is to be done now.
    pub(super) due: AtomicBool,
    pub(super) work: WaitQueue,
    /// For the pool and the table to grow, on a thread that may wait for memory.
    pub(super) is_pool_wanted: AtomicBool,
    pub(super) pool: WaitQueue,
    /// For who sends long messages: grows when a link's queue has room again.
    pub(super) sendable: AtomicU64,
    pub(super) sending: WaitQueue,
}

impl Owning {
    /// Tells the machine something, and does what follows from it at once.
    pub(super) fn with<R>(&self, tell: impl FnOnce(&mut Owner, Instant) -> R) -> R {
        let mut state = self.state.lock();
        let result = tell(&mut state.owner, now());
        let woken = self.look(&mut state);
        drop(state);
        self.wake(woken);
        self.make_due();
        result
    }

    /// Notes which batches are over. Gives whom to wake then.
    pub(super) fn look(&self, state: &mut State) -> Woken {
        let mut woken = Woken::default();
        while let Some((op, kind)) = state.owner.poll_over() {
            match (kind, state.batches.get_mut(usize::from(op.0))) {
                (OpKind::Evict, Some(Batch::Out { over, .. })) => {
                    *over = true;
                    woken.evict = true;
                }
                (OpKind::Fetch, Some(Batch::In(fetch))) => {
                    fetch.over = true;
                    if fetch.lead || fetch.ahead.is_some() {
                        woken.waits |= 1 << (op.0 % 64);
                    } else {
                        woken.thread = true;
                    }
                }
                _ => (),
            }
        }
        woken
    }

    /// Wakes them, without the lock.
    pub(super) fn wake(&self, woken: Woken) {
        if woken.evict {
            if let Some(base) = BASE.get() {
                base.evict.wake_all();
            }
        }
        if woken.waits != 0 {
            let is_named = |at: &(usize, &WaitQueue)| woken.waits >> (at.0 % 64) & 1 != 0;
            self.waits.iter().enumerate().filter(is_named).for_each(|(_, wait)| wait.wake_all());
        }
        if woken.thread {
            self.make_due();
        }
    }

    /// Has the thread look at everything.
    pub(super) fn make_due(&self) {
        if !self.due.swap(true, Ordering::AcqRel) {
            self.work.wake_one();
        }
    }

    /// Has the pool and the table grow.
    pub(super) fn want_pool(&self) {
        if !self.is_pool_wanted.swap(true, Ordering::AcqRel) {
            self.pool.wake_one();
        }
    }

    /// A link's queue has room again.
    pub(super) fn made_room(&self) {
        self.sendable.fetch_add(1, Ordering::AcqRel);
        self.sending.wake_all();
    }

    /// The buffer that a STORE of this batch is sent from.
    pub(super) fn store_of(&self, op: OpId) -> Option<usize> {
        match self.state.lock().batches.get(usize::from(op.0)) {
            Some(Batch::Out { store, .. }) => Some(*store),
            _ => None,
        }
    }
}

/// Whom to wake.
#[derive(Clone, Copy, Default)]
pub(super) struct Woken {
    pub(super) evict: bool,
    pub(super) thread: bool,
    /// Waiters of batches with these numbers, as far as 64 bits tell.
    pub(super) waits: u64,
}

impl State {
    /// The batch on its way home with this number and serial.
    pub(super) fn fetch(&mut self, op: OpId, serial: u64) -> Option<&mut Fetch> {
        match self.batches.get_mut(usize::from(op.0)) {
            Some(Batch::In(fetch)) if fetch.serial == serial => Some(fetch),
            _ => None,
        }
    }

    /// Whether a page of a batch on its way home is here, or will not come; `None` while it is not
    /// known. A page that has come and is being copied is not known yet.
    pub(super) fn settled(&mut self, op: OpId, serial: u64, position: u8) -> Option<bool> {
        let (done, failed) = self.owner.fetched(op);
        let Some(fetch) = self.fetch(op, serial) else { return Some(false) };
        let is_it = |mask: u32| mask >> position & 1 != 0;
        if is_it(fetch.came) {
            return Some(true);
        }
        (is_it(failed) || fetch.over && !is_it(done)).then_some(false)
    }

    /// Whether a message of this batch still means it.
    pub(super) fn is_now(&self, op: OpId, request: RequestId) -> bool {
        self.owner.request(op) == Some(request)
    }
}
