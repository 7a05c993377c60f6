//! Answers requests for pages, on threads of its own: faults first.

use alloc::{collections::VecDeque, vec::Vec};
use core::sync::atomic::Ordering;

use kapi::{
    lock_class,
    mm::{Mm, Peeked},
    thread::{self, KThread},
    wait::Mode,
    Errno, Result, SpinLock, WaitQueue,
};
use netproto::{
    msg::page::{GetFlags, HeldPage, PageGet, PageStatus},
    Slot,
};
use vm_remote::{limits::FETCH_PAGES_MAX, source::Verdict, tag::lodged_entry};

use super::{reply::Reply, source::SourceSpace, stats, Memory};
use crate::lodge::kept_by;

/// One thread for faults only, one for all.
pub(super) const THREADS: usize = 2;

/// Requests that wait, of each sort. What is dropped is asked for again.
const QUEUE_LEN: usize = 512;

pub(super) struct Request {
    pub(super) from: Slot,
    pub(super) get: PageGet,
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
        let tools = Reply::new()?;
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

fn run(memory: &Memory, faults_only: bool, mut reply: Reply) {
    let server = &memory.server;
    while !thread::should_stop() {
        while let Some(request) = server.pop(faults_only) {
            answer(memory, &request, &mut reply);
            reply.flush(&request);
            thread::cond_resched();
        }
        let ready = || thread::should_stop() || server.waiting(faults_only);
        // Nothing but its condition ends this wait.
        let _ = server.wake(faults_only).wait(Mode::Idle, None, ready);
    }
}

fn answer(memory: &Memory, request: &Request, reply: &mut Reply) {
    let space = memory.sources.get(request.get.space);
    let verdict = space.as_ref().map_or(Verdict::Gone, |space| space.check(request.from));
    match (verdict, space) {
        (Verdict::Serve, Some(space)) => read(&space, request, How::Copied, reply),
        (Verdict::ServeInPlace, Some(space)) => read(&space, request, How::InPlace, reply),
        (Verdict::Busy, _) => {
            stats::SERVED_BUSY.add(1);
            reply.all(request, PageStatus::Busy);
        }
        (Verdict::Refuse, _) => stats::SERVE_REFUSED.add(1),
        (Verdict::Gone | Verdict::Serve | Verdict::ServeInPlace, _) => {
            stats::SERVED_GONE.add(u64::from(request.get.count));
            reply.all(request, PageStatus::Gone);
        }
    }
}

const MOST: usize = FETCH_PAGES_MAX as usize;

/// How content is given to the network.
#[derive(Clone, Copy)]
enum How {
    /// A copy: the page may change.
    Copied,
    /// Where it is, if nothing else speaks against it.
    InPlace,
}

fn read(space: &SourceSpace, request: &Request, how: How, reply: &mut Reply) {
    let held = name_held(space, request, reply);
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
        read_run(space, request, (at.into(), end.into()), how, reply);
        at = end;
    }
}

/// Tells the asker which of the pages lodge with itself: their content need not travel. Gives these
/// as bits. What it can't find there it asks for again.
fn name_held(space: &SourceSpace, request: &Request, reply: &mut Reply) -> u32 {
    let get = &request.get;
    let pages = get.count.min(FETCH_PAGES_MAX);
    let tags = if get.flags.contains(GetFlags::WHOLE) {
        Err(Errno::EAGAIN)
    } else {
        space.mm().tags::<MOST>(get.index.saturating_mul(Mm::PAGE), pages.into())
    };
    let mut held = 0;
    for (offset, tag) in (0..pages).zip(tags.unwrap_or([0; MOST])) {
        let kept = lodged_entry(tag).and_then(|entry| Some((entry, kept_by(entry, request.from)?)));
        let Some((entry, (generation, page_sum))) = kept else { continue };
        stats::SERVED_HELD.add(1);
        reply.held(request, offset.into(), page_sum, &HeldPage { entry, generation });
        held |= 1 << offset;
    }
    held
}

/// Reads the pages of a request from `first` to `end`.
fn read_run(
    space: &SourceSpace,
    request: &Request,
    (first, end): (u64, u64),
    how: How,
    reply: &mut Reply,
) {
    let start = request.get.index.saturating_add(first).saturating_mul(Mm::PAGE);
    let peeked = space.mm().peek::<MOST>(start, end - first, |offset, page| match page {
        Peeked::Data(page) => {
            stats::SERVED_DATA.add(1);
            space.served.fetch_add(Mm::PAGE, Ordering::Relaxed);
            let page = match how {
                How::Copied => Err(page),
                How::InPlace => page.into_still(),
            };
            reply.content(request, first + offset, page);
        }
        Peeked::Zero => {
            stats::SERVED_ZERO.add(1);
            reply.status(request, first + offset, PageStatus::Zero);
        }
        Peeked::Gone => {
            stats::SERVED_GONE.add(1);
            reply.status(request, first + offset, PageStatus::Gone);
        }
    });
    if let Err(errno) = peeked {
        log::warn!("space {:#x} can't be read: {errno}", request.get.space.0);
    }
}
