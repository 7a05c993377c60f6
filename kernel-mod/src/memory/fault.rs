//! A process needs a far page now. Runs in the process, with its address space locked.

use core::sync::atomic::Ordering;

use kapi::{
    clock,
    page::{Page, Pager},
    wait::Mode,
    wanted::Wanted,
    Errno, Result,
};
use netproto::{msg::page::GetFlags, Duration, RequestId};
use vm_remote::{
    fetch::Ask,
    retry::{Retry, Step},
    tag::{lodged_entry, Tag},
    target::Loss,
};

use super::{
    fetch::{span, PageSet, Shard},
    get, knobs, stats,
    target::{tell_lost, TargetSpace},
    Memory,
};
use crate::port::net::now;

/// The pager of the module.
pub(super) struct Faults;

pub(super) static FAULTS: Faults = Faults;

impl Pager for Faults {
    fn page_wanted(&self, wanted: &Wanted<'_>, page: Page) -> Result {
        if let Some(entry) = lodged_entry(wanted.tag()) {
            return crate::lodge::page_wanted(wanted, entry, page);
        }
        let memory = get()?;
        let tag = Tag::from_word(wanted.tag()).ok_or(Errno::EIO)?;
        let space = memory.targets.get(tag.handle()).ok_or(Errno::EIO)?;
        let began = clock::now_ns();
        memory.fetches.urgent_begin();
        space.urgent_begin();
        let result = fetch(memory, &space, tag.page(), page);
        space.urgent_end();
        memory.fetches.urgent_end();
        match result {
            Ok(()) => {
                space.fetched_behind(tag.page());
                if !space.busy.load(Ordering::Relaxed) && memory.targets.wants_attention(&space) {
                    memory.targets.enqueue(space.handle);
                }
                stats::PAGES_FETCHED_FAULT.add(1);
                stats::fault_took((clock::now_ns() - began) / 1000);
            }
            Err(Errno::EINTR) => (),
            Err(_) => stats::PAGES_LOST.add(1),
        }
        result
    }

    fn make_room(&self) {
        crate::lodge::make_room();
    }

    fn pages_freed(&self, tag: u64, pages: u64) {
        if let Some(entry) = lodged_entry(tag) {
            return crate::lodge::page_freed(entry); // never part of a huge one
        }
        if let (Ok(memory), Some(tag)) = (get(), Tag::from_word(tag)) {
            memory.targets.pages_freed(tag.handle(), pages);
        }
    }
}

/// Fills the page; `EIO` if it can't be had, `EINTR` if the task is to die.
fn fetch(memory: &Memory, space: &TargetSpace, number: u64, page: Page) -> Result {
    let ask = Ask { source: space.source, space: space.id, first: number, count: 1 };
    let shard = memory.fetches.shard();
    let request = begin(shard, ask, page)?;
    let began = now();
    let mut retry = Retry::new(space.fault_policy(), began);
    let waited = wait(shard, space, request, &mut retry);
    let ended = shard.end(request);
    waited?;
    match ended {
        Some((fetch, _)) if fetch.is_finished() && !fetch.is_gone(0) => {
            if retry.sendings() == 1 {
                space.answered_after(now().since(began));
            }
            Ok(())
        }
        Some((fetch, _)) if fetch.is_gone(0) => {
            tell_lost(space, 1, Loss::Refused);
            Err(Errno::EIO)
        }
        _ => Err(Errno::EIO),
    }
}

/// Waits for room among the requests; there nearly always is.
fn begin(shard: &Shard, ask: Ask, page: Page) -> Result<RequestId> {
    let end = now().after(knobs::policy().give_up);
    let mut set = PageSet::empty();
    set.pages[0] = Some(page);
    let mut set = Some(set);
    loop {
        if let Some(request) = shard.begin(ask, &mut set) {
            return Ok(request);
        }
        let left = end.since(now());
        if left == Duration::ZERO {
            return Err(Errno::EIO);
        }
        shard.queue.wait(Mode::Killable, Some(span(left)), || shard.has_room()).map_err(killed)?;
    }
}

fn killed(_: Errno) -> Errno {
    Errno::EINTR
}

/// Sends the request until it is answered or there is no hope.
fn wait(shard: &Shard, space: &TargetSpace, request: RequestId, retry: &mut Retry) -> Result {
    loop {
        if shard.is_finished(request) {
            return Ok(());
        }
        if space.is_lost() {
            return Err(Errno::EIO);
        }
        match retry.poll(now()) {
            Step::Send => {
                let is_again = retry.sendings() > 1;
                stats::REQUESTS_AGAIN.add(u64::from(is_again));
                let mut flags = GetFlags::FAULT;
                flags.set(GetFlags::AGAIN, is_again);
                shard.send(space.source, request, flags);
            }
            Step::Wait(time) => {
                let ready = || shard.is_finished(request) || space.is_lost();
                shard.queue.wait(Mode::Killable, Some(span(time)), ready).map_err(killed)?;
            }
            Step::GiveUp => return Err(Errno::EIO),
        }
    }
}
