//! Answers requests for pages, on threads of its own: faults first.

use alloc::{collections::VecDeque, vec::Vec};
use core::sync::atomic::Ordering;

use kapi::{
    alloc::zeroed_vec,
    lock_class,
    mm::{Mm, Peeked},
    page::PAGE_LEN,
    thread::{self, KThread},
    udp::Scratch,
    wait::Mode,
    Errno, Result, SpinLock, WaitQueue,
};
use netproto::{
    msg::page::{GetFlags, HeldPage, PageData, PageGet, PageStatus},
    Class, Slot,
};
use vm_remote::{limits::FETCH_PAGES_MAX, source::Verdict, tag::lodged_entry};

use super::{source::SourceSpace, stats, wire, Memory};
use crate::{lodge::kept_by, port::net::page_checksum};

/// One thread for faults only, one for all.
pub(super) const THREADS: usize = 2;

/// Requests that wait, of each sort. What is dropped is asked for again.
const QUEUE_LEN: usize = 512;

struct Request {
    from: Slot,
    get: PageGet,
}

struct Queues {
    faults: VecDeque<Request>,
    others: VecDeque<Request>,
}

/// The requests that wait. The second thread is only woken for what the first does not do, or is
/// not likely to do at once.
pub(super) struct Server {
    queues: SpinLock<Queues>,
    wake_first: WaitQueue,
    wake_second: WaitQueue,
}

impl Server {
    pub(super) fn new() -> Result<Self> {
        let (mut faults, mut others) = (VecDeque::new(), VecDeque::new());
        faults.try_reserve_exact(QUEUE_LEN)?;
        others.try_reserve_exact(QUEUE_LEN)?;
        Ok(Self {
            queues: SpinLock::new(lock_class!(c"holon-serve"), Queues { faults, others })?,
            wake_first: WaitQueue::new()?,
            wake_second: WaitQueue::new()?,
        })
    }

    /// Queues a request. Never blocks or allocates.
    pub(super) fn push(&self, from: Slot, get: PageGet) {
        let mut queues = self.queues.lock();
        let fault = get.flags.contains(GetFlags::FAULT);
        let queue = if fault { &mut queues.faults } else { &mut queues.others };
        if queue.len() >= QUEUE_LEN {
            stats::SERVE_DROPPED.add(1);
            return;
        }
        queue.push_back(Request { from, get });
        let faults = queues.faults.len();
        drop(queues);
        if fault {
            self.wake_first.wake_all();
        }
        if !fault || faults > 1 {
            self.wake_second.wake_all();
        }
    }

    fn wake(&self, faults_only: bool) -> &WaitQueue {
        if faults_only {
            &self.wake_first
        } else {
            &self.wake_second
        }
    }

    fn pop(&self, faults_only: bool) -> Option<Request> {
        let mut queues = self.queues.lock();
        let fault = queues.faults.pop_front();
        fault.or_else(|| if faults_only { None } else { queues.others.pop_front() })
    }

    fn waiting(&self, faults_only: bool) -> bool {
        let queues = self.queues.lock();
        !queues.faults.is_empty() || !faults_only && !queues.others.is_empty()
    }
}

/// Starts the threads.
pub(super) fn start(memory: &'static Memory, threads: &mut Vec<KThread>) -> Result {
    for faults_only in [true, false] {
        let tools = Tools { buffer: zeroed_vec(PAGE_LEN)?, scratch: Scratch::new()? };
        let name = if faults_only { c"holon-serve-0" } else { c"holon-serve-1" };
        let thread = KThread::spawn(name, move || run(memory, faults_only, tools))?;
        if faults_only {
            // A task of another node must not wait for this node's own work.
            thread.make_urgent();
        }
        threads.push(thread);
    }
    Ok(())
}

/// What a thread answers with.
struct Tools {
    buffer: Vec<u8>,
    scratch: Scratch,
}

fn run(memory: &Memory, faults_only: bool, mut tools: Tools) {
    let server = &memory.server;
    while !thread::should_stop() {
        while let Some(request) = server.pop(faults_only) {
            answer(memory, &request, &mut tools);
            thread::cond_resched();
        }
        let ready = || thread::should_stop() || server.waiting(faults_only);
        // Nothing but its condition ends this wait.
        let _ = server.wake(faults_only).wait(Mode::Idle, None, ready);
    }
}

fn answer(memory: &Memory, request: &Request, tools: &mut Tools) {
    let space = memory.sources.get(request.get.space);
    let verdict = space.as_ref().map_or(Verdict::Gone, |space| space.check(request.from));
    match (verdict, space) {
        (Verdict::Serve, Some(space)) => read(&space, request, tools),
        (Verdict::Busy, _) => {
            stats::SERVED_BUSY.add(1);
            reply_all(request, PageStatus::Busy, &mut tools.scratch);
        }
        (Verdict::Refuse, _) => stats::SERVE_REFUSED.add(1),
        (Verdict::Gone | Verdict::Serve, _) => {
            stats::SERVED_GONE.add(u64::from(request.get.count));
            reply_all(request, PageStatus::Gone, &mut tools.scratch);
        }
    }
}

fn reply(
    request: &Request,
    offset: u64,
    (status, content): (PageStatus, &[u8]),
    scratch: &mut Scratch,
) {
    let flags = request.get.flags;
    let data = PageData {
        request: request.get.request,
        space: request.get.space,
        index: request.get.index + offset,
        status,
        page_crc: if content.is_empty() { 0 } else { page_checksum(content) },
    };
    // If there is no room for it, the page is asked for again.
    let _ = if flags.contains(GetFlags::FAULT) {
        let again = flags.contains(GetFlags::AGAIN);
        wire::send_now(request.from, again, &data, content, scratch)
    } else {
        wire::send_data(request.from, Class::Bulk, &data, content)
    };
}

fn reply_all(request: &Request, status: PageStatus, scratch: &mut Scratch) {
    for offset in 0..u64::from(request.get.count) {
        reply(request, offset, (status, &[]), scratch);
    }
}

/// Tells the asker which of the pages lodge with itself: their content need not travel. Gives these
/// as bits. What it can't find there it asks for again.
fn name_held(space: &SourceSpace, request: &Request) -> u32 {
    let get = &request.get;
    let pages = get.count.min(FETCH_PAGES_MAX);
    let tags = if get.flags.contains(GetFlags::WHOLE) {
        Err(Errno::EAGAIN)
    } else {
        space.mm().tags::<MOST>(get.index.saturating_mul(Mm::PAGE), pages.into())
    };
    let class = if get.flags.contains(GetFlags::FAULT) { Class::Fault } else { Class::Bulk };
    let mut held = 0;
    for (offset, tag) in (0..pages).zip(tags.unwrap_or([0; MOST])) {
        let kept = lodged_entry(tag).and_then(|entry| Some((entry, kept_by(entry, request.from)?)));
        let Some((entry, (generation, page_crc))) = kept else { continue };
        let data = PageData {
            request: get.request,
            space: get.space,
            index: get.index + u64::from(offset),
            status: PageStatus::Held,
            page_crc,
        };
        let content = HeldPage { entry, generation }.encode();
        if wire::send_data(request.from, class, &data, &content).is_ok() {
            stats::SERVED_HELD.add(1);
            held |= 1 << offset;
        }
    }
    held
}

const MOST: usize = FETCH_PAGES_MAX as usize;

fn read(space: &SourceSpace, request: &Request, tools: &mut Tools) {
    let held = name_held(space, request);
    let count = request.get.count.min(FETCH_PAGES_MAX);
    let mut at = 0;
    while at < count {
        if held & 1 << at != 0 {
            at += 1;
            continue;
        }
        let mut end = at + 1;
        while end < count && held & 1 << end == 0 {
            end += 1;
        }
        read_run(space, request, (at.into(), end.into()), tools);
        at = end;
    }
}

/// Reads the pages of a request from `first` to `end`.
fn read_run(space: &SourceSpace, request: &Request, (first, end): (u64, u64), tools: &mut Tools) {
    let start = request.get.index.saturating_add(first).saturating_mul(Mm::PAGE);
    let Tools { buffer, scratch } = tools;
    let Ok(buffer) = <&mut [u8; PAGE_LEN]>::try_from(buffer.as_mut_slice()) else {
        return;
    };
    let peeked = space.mm().peek::<MOST>(start, end - first, |offset, page| match page {
        Peeked::Data(page) => {
            page.copy_to(buffer);
            stats::SERVED_DATA.add(1);
            space.served.fetch_add(Mm::PAGE, Ordering::Relaxed);
            reply(request, first + offset, (PageStatus::Data, buffer), scratch);
        }
        Peeked::Zero => {
            stats::SERVED_ZERO.add(1);
            reply(request, first + offset, (PageStatus::Zero, &[]), scratch);
        }
        Peeked::Gone => {
            stats::SERVED_GONE.add(1);
            reply(request, first + offset, (PageStatus::Gone, &[]), scratch);
        }
    });
    if let Err(errno) = peeked {
        log::warn!("space {:#x} can't be read: {errno}", request.get.space.0);
    }
}
