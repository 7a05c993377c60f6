//! A process needs a page that is elsewhere. Runs in the process, with its address space locked.

use holon_uapi::memory as uapi;
use kapi::{
    clock,
    page::Page,
    wait::{Mode, Waited},
    wanted::Wanted,
    Errno, Result,
};
use netproto::{msg::lodge::BatchFlags, Instant};
use vm_remote::{
    gather::Gather,
    lodge::owner::{EntryId, FetchRefused, Loss, OpId, Stage},
};
use zerocopy::IntoBytes;

use super::{
    ahead::Ahead,
    knobs, owning, reclaim,
    send::Full,
    state::{Batch, Fetch, Owning, State, PAGES},
    stats,
};
use crate::{control::events, lodge::content, port::net::now};

/// Why a page did not come.
enum Failed {
    /// The task is to die.
    Killed,
    /// It is nowhere.
    Lost(Loss),
    /// It is somewhere, but did not come in time.
    TooLong,
}

/// Fills the page; `EIO` if it can't be had, `EINTR` if the task is to die.
pub(crate) fn page_wanted(wanted: &Wanted<'_>, entry: u32, page: Page) -> Result {
    let owning = owning().ok_or(Errno::EIO)?;
    let began = clock::now_ns();
    let end = now().after(knobs::fetch_policy().give_up);
    let result = owning.fetch(wanted, EntryId(entry), page, end);
    match result {
        Ok(()) => {
            owning.state.lock().latency.record(clock::now_ns() - began);
            stats::FETCHED_FAULT.add(1);
            Ok(())
        }
        Err(Failed::Killed) => Err(Errno::EINTR),
        Err(Failed::Lost(loss)) => {
            let (slot, reason) = match loss {
                Loss::HolderDied(slot) => (slot, uapi::LOST_PEER_DOWN),
                Loss::NotHeld(slot) => (slot, uapi::LOST_REFUSED),
                Loss::Damaged(slot) => (slot, uapi::LOST_DAMAGED),
            };
            tell_lost(wanted, u32::from(slot.get()), reason);
            Err(Errno::EIO)
        }
        Err(Failed::TooLong) => {
            tell_lost(wanted, u32::MAX, uapi::LOST_TOO_LONG);
            Err(Errno::EIO)
        }
    }
}

/// Nothing is free for a page that comes.
pub(crate) fn make_room() {
    reclaim::make_room(1);
}

/// A page of the pool was given up. From any context.
pub(crate) fn page_freed(entry: u32) {
    if let Some(owning) = owning() {
        owning.gave_up(EntryId(entry));
    }
}

/// Tells the daemon that a process can't have a page of its own. Another one may have asked for it.
#[inline(never)]
fn tell_lost(wanted: &Wanted<'_>, slot: u32, reason: u32) {
    stats::LOST.add(1);
    let pid = wanted.process();
    log::error!("process {pid}: a page that was elsewhere is lost, reason {reason}, slot {slot}");
    let lost = uapi::PageLost { pid: pid.into(), reason: reason.into() };
    events::emit(uapi::PAGE_LOST, slot, lost.as_bytes());
}

fn wait_span(end: Instant) -> Option<core::time::Duration> {
    let left = end.since(now()).as_ns();
    (left != 0).then(|| core::time::Duration::from_nanos(left))
}

impl State {
    /// Notes a batch on its way home. A task waits for its first page and ends it, unless it was
    /// begun by the thread or `ahead` of any fault.
    #[inline(never)]
    pub(super) fn begin_fetch(
        &mut self,
        op: OpId,
        pages: &mut [Option<Page>; PAGES],
        ahead: Option<Ahead>,
    ) -> u64 {
        self.begin(op, pages, false, ahead)
    }

    fn begin(
        &mut self,
        op: OpId,
        pages: &mut [Option<Page>; PAGES],
        lead: bool,
        ahead: Option<Ahead>,
    ) -> u64 {
        self.serial += 1;
        let serial = self.serial;
        let pages = core::mem::replace(pages, [const { None }; PAGES]);
        if let Some(batch) = self.batches.get_mut(usize::from(op.0)) {
            let gather = Gather::new();
            let (came, packed_len, over) = (0, 0, false);
            *batch =
                Batch::In(Fetch { serial, pages, came, gather, packed_len, over, lead, ahead });
        }
        serial
    }
}

impl Owning {
    fn fetch(
        &self,
        wanted: &Wanted<'_>,
        entry: EntryId,
        page: Page,
        end: Instant,
    ) -> core::result::Result<(), Failed> {
        let (mut page, mut asked) = (Some(page), false);
        loop {
            let begun = self.begin_fault(entry, &mut page);
            // First the page that is waited for is asked for, and before the wait what comes next.
            let is_new = begun.is_ok();
            let is_coming = matches!(begun, Ok(_) | Err(FetchRefused::UnderWay(_)));
            if is_coming && !core::mem::replace(&mut asked, true) {
                self.fetch_ahead(wanted, is_new);
            }
            match begun {
                Ok((op, serial)) => return self.lead(entry, op, serial, end),
                Err(FetchRefused::UnderWay(op)) => {
                    if self.join(wanted, (entry, op), &mut page, end)? {
                        return Ok(());
                    }
                }
                Err(FetchRefused::NoBatch) => {
                    stats::NO_BATCH.add(1);
                    let span = wait_span(end).ok_or(Failed::TooLong)?;
                    let is_room = || self.state.lock().owner.has_room();
                    let waited = self.room.wait(Mode::Killable, Some(span), is_room);
                    waited.map_err(|_| Failed::Killed)?;
                }
                Err(FetchRefused::Lost(loss)) => return Err(Failed::Lost(loss)),
                Err(FetchRefused::Unknown) => {
                    log::error!("entry {entry:?} is nothing that was lodged");
                    return Err(Failed::TooLong);
                }
            }
        }
    }

    /// Begins a batch for a page that is waited for, and asks for it.
    #[inline(never)]
    fn begin_fault(
        &self,
        entry: EntryId,
        page: &mut Option<Page>,
    ) -> core::result::Result<(OpId, u64), FetchRefused> {
        let mut state = self.state.lock();
        let op = state.owner.fetch(now(), entry, &[], BatchFlags::FAULT)?;
        let mut pages = [const { None }; PAGES];
        pages[0] = page.take();
        let serial = state.begin(op, &mut pages, true, None);
        drop(state);
        self.send_all_of(op, Full::Leave);
        Ok((op, serial))
    }

    /// Waits for the first page of a batch, and ends it.
    #[inline(never)]
    fn lead(
        &self,
        entry: EntryId,
        op: OpId,
        serial: u64,
        end: Instant,
    ) -> core::result::Result<(), Failed> {
        let killed = self.wait_for_first(op, serial, end).is_err();
        let is_whole = self.unpack_first(op, serial);
        let mut state = self.state.lock();
        let came = state.settled(op, serial, 0) == Some(true) && is_whole;
        let stage = state.owner.stage(entry);
        let ended = self.end_fetch(&mut state, op);
        drop(state);
        drop(ended);
        self.room.wake_all();
        match (came, killed, stage) {
            (true, _, _) => Ok(()),
            (_, true, _) => Err(Failed::Killed),
            (_, _, Stage::Lost(loss)) => Err(Failed::Lost(loss)),
            _ => Err(Failed::TooLong),
        }
    }

    /// Waits until the first page of a batch is here, or will not come, or it has taken too long.
    /// Whoever waits repeats the request: the thread is not woken for it. An error if the task is
    /// to die.
    fn wait_for_first(&self, op: OpId, serial: u64, end: Instant) -> Result {
        let Some(queue) = self.waits.get(usize::from(op.0)) else { return Ok(()) };
        let is_done = || self.state.lock().settled(op, serial, 0).is_some();
        while let Some(left) = wait_span(end) {
            let next = self.state.lock().owner.poll_timeout_of(now(), op);
            let span = next.map_or(left, |next| wait_span(next).unwrap_or_default().min(left));
            if queue.wait(Mode::Killable, Some(span), is_done)? == Waited::Ready {
                break;
            }
            self.send_all_of(op, Full::Leave);
        }
        Ok(())
    }

    /// Makes the first page of a batch whole, if it came packed. Who waits for it does that, not
    /// who receives it. False if it can't be made whole.
    #[inline(never)]
    fn unpack_first(&self, op: OpId, serial: u64) -> bool {
        let is_packed = |fetch: &mut Fetch| fetch.packed_len != 0;
        if !self.state.lock().fetch(op, serial).is_some_and(is_packed) {
            return true;
        }
        // Only under this lock: others who wait for the page find it as it was, or whole.
        let mut packed = self.unpacking.lock();
        let mut state = self.state.lock();
        let Some(fetch) = state.fetch(op, serial).filter(|fetch| fetch.packed_len != 0) else {
            return true;
        };
        let len = fetch.packed_len;
        let Some(mut page) = fetch.pages.first_mut().and_then(Option::take) else { return true };
        drop(state);
        let is_made = match (packed.get_mut(..len), page.bytes().get(..len)) {
            (Some(place), Some(bytes)) => {
                place.copy_from_slice(bytes);
                content::take(place, page.bytes_mut())
            }
            _ => false,
        };
        stats::NOT_UNPACKED.add(u64::from(!is_made));
        let mut state = self.state.lock();
        let Some(fetch) = state.fetch(op, serial) else { return is_made };
        if is_made {
            fetch.packed_len = 0;
        }
        let place = fetch.pages.first_mut();
        let page = place.map_or(None, |place| place.replace(page));
        drop(state);
        drop(page);
        is_made
    }

    /// Ends a batch. The caller drops what it had without the lock.
    #[inline(never)]
    pub(super) fn end_fetch(&self, state: &mut State, op: OpId) -> Batch {
        state.owner.end_fetch(op);
        state
            .batches
            .get_mut(usize::from(op.0))
            .map_or(Batch::None, |batch| core::mem::replace(batch, Batch::None))
    }

    /// Somebody else's batch brings the page: waits for that. False if it has to be tried again.
    #[inline(never)]
    fn join(
        &self,
        wanted: &Wanted<'_>,
        (entry, op): (EntryId, OpId),
        page: &mut Option<Page>,
        end: Instant,
    ) -> core::result::Result<bool, Failed> {
        let state = self.state.lock();
        let position = (0..32).find(|at| state.owner.entry_at(op, *at) == Some(entry));
        let serial = match state.batches.get(usize::from(op.0)) {
            Some(Batch::In(fetch)) => fetch.serial,
            _ => return Ok(false),
        };
        drop(state);
        let Some(position) = position else { return Ok(false) };
        stats::JOINED.add(1);
        let is_done = || self.state.lock().settled(op, serial, position).is_some();
        if let Some(queue) = self.waits.get(usize::from(op.0)) {
            let span = wait_span(end).ok_or(Failed::TooLong)?;
            queue.wait(Mode::Killable, Some(span), is_done).map_err(|_| Failed::Killed)?;
        }
        if position == 0 && !self.unpack_first(op, serial) {
            return Err(Failed::TooLong);
        }
        let mut state = self.state.lock();
        let fetch = state.fetch(op, serial).filter(|fetch| fetch.came & 1 << position != 0);
        let came = fetch.and_then(|fetch| fetch.pages.get_mut(usize::from(position))?.take());
        drop(state);
        match (came, page) {
            (Some(mut came), Some(page)) => {
                self.place_ahead(wanted, (op, serial), position);
                page.bytes_mut().copy_from_slice(came.bytes_mut());
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}
