//! Events for the daemon: a bounded queue behind `read`.

use alloc::{collections::VecDeque, vec::Vec};
use core::sync::atomic::{AtomicUsize, Ordering};

use holon_uapi::event::{self, Head};
use kapi::{
    chardev::{Blocking, PollTable, Ready},
    lock_class,
    module::Unloading,
    uaccess::UserSlice,
    wait::Mode,
    Errno, Global, Mutex, Result, WaitQueue,
};
use netproto::Slot;
use zerocopy::IntoBytes;

use super::{daemon, stats};
use crate::port::net::{self, Down};

/// Events that wait at most: a daemon that reads has tens of them at worst.
const RECORDS_MAX: usize = 4096;
/// Their bytes at most: 64 of the longest messages.
const BYTES_MAX: usize = 4 << 20;

#[derive(Default)]
struct Queue {
    records: VecDeque<Vec<u8>>,
    bytes: usize,
    lost: bool,
}

struct Events {
    queue: Mutex<Queue>,
    // Records in the queue, for wait conditions, which must not sleep.
    waiting: AtomicUsize,
    readable: WaitQueue,
}

static EVENTS: Global<Events> = Global::new();

/// Makes the queue.
pub(super) fn load() -> Result {
    let queue = Mutex::new(lock_class!(c"holon-events"), Queue::default())?;
    let events = Events { queue, waiting: AtomicUsize::new(0), readable: WaitQueue::new()? };
    EVENTS.set(events).map(|_| ())
}

/// Drops the queue.
pub(super) fn unload(token: &Unloading) {
    EVENTS.clear(token);
}

fn record(kind: u16, flags: u16, slot: u32, payload: &[u8]) -> Result<Vec<u8>> {
    let len = u32::try_from(payload.len()).map_err(|_| Errno::E2BIG)?;
    let head = Head { len: len.into(), kind: kind.into(), flags: flags.into(), slot: slot.into() };
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size_of::<Head>() + payload.len())?;
    bytes.extend_from_slice(head.as_bytes());
    bytes.extend_from_slice(payload);
    Ok(bytes)
}

impl Queue {
    fn push(&mut self, kind: u16, slot: u32, payload: &[u8]) -> Result {
        let flags = if self.lost { event::FLAG_LOST } else { 0 };
        let bytes = record(kind, flags, slot, payload)?;
        if self.records.len() >= RECORDS_MAX || self.bytes + bytes.len() > BYTES_MAX {
            return Err(Errno::ENOSPC);
        }
        self.records.try_reserve(1)?;
        self.bytes += bytes.len();
        self.records.push_back(bytes);
        self.lost = false;
        Ok(())
    }
}

/// Tells the daemon. In process context; never waits for it. Without a daemon, or if it does not
/// read, the event is dropped, counted, and the next one says so.
pub(crate) fn emit(kind: u16, slot: u32, payload: &[u8]) {
    let Some(events) = EVENTS.get() else { return };
    if !daemon::attached() {
        return;
    }
    let mut queue = events.queue.lock();
    match queue.push(kind, slot, payload) {
        Ok(()) => events.waiting.store(queue.records.len(), Ordering::Release),
        Err(_) => {
            queue.lost = true;
            stats::EVENTS_LOST.add(1);
        }
    }
    drop(queue);
    events.readable.wake_all();
}

/// A peer came up.
pub(super) fn peer_up(slot: Slot) {
    let incarnation = net::incarnation_of(slot).map_or([0; 16], |incarnation| incarnation.0);
    let up = event::PeerUp { incarnation };
    emit(event::PEER_UP, u32::from(slot.get()), up.as_bytes());
}

/// A peer's session ended.
pub(super) fn peer_down(slot: Slot, down: Down) {
    let reason = match down.why {
        net::Why::Silence => event::DOWN_SILENCE,
        net::Why::PeerReset => event::DOWN_RESET,
        net::Why::Left => event::DOWN_LEFT,
        net::Why::Violation => event::DOWN_VIOLATION,
        net::Why::Restarted => event::DOWN_RESTARTED,
    };
    let down = event::PeerDown { reason: reason.into(), incarnation: down.incarnation.0 };
    emit(event::PEER_DOWN, u32::from(slot.get()), down.as_bytes());
}

/// Tells a daemon that has just come which peers are up.
pub(super) fn tell_present_peers() {
    Slot::all().filter(|slot| net::is_up(*slot)).for_each(peer_up);
}

/// Forgets what no daemon reads any more.
pub(super) fn drop_all() {
    let Some(events) = EVENTS.get() else { return };
    let mut queue = events.queue.lock();
    *queue = Queue::default();
    events.waiting.store(0, Ordering::Release);
}

/// Whole records, as many as fit; waits for the first. `EMSGSIZE` if that one does not fit.
pub(crate) fn read(to: UserSlice, blocking: Blocking) -> Result<usize> {
    let events = EVENTS.get().ok_or(Errno::ENODEV)?;
    loop {
        let copied = copy_out(events, to)?;
        if copied != 0 {
            return Ok(copied);
        }
        if blocking == Blocking::DontWait {
            return Err(Errno::EAGAIN);
        }
        let some = || events.waiting.load(Ordering::Acquire) != 0;
        events.readable.wait(Mode::Interruptible, None, some)?;
    }
}

/// Not under the lock, which the network's thread takes too: the reader's memory may be a file that
/// is served by nobody, or a page on another node.
fn copy_out(events: &Events, to: UserSlice) -> Result<usize> {
    let mut copied = 0;
    while let Some(bytes) = take_first(events, to.len() - copied, copied == 0)? {
        if let Err(errno) = to.skip(copied).write(&bytes) {
            put_back(events, bytes);
            return if copied == 0 { Err(errno) } else { Ok(copied) };
        }
        copied += bytes.len();
    }
    Ok(copied)
}

/// The first event, if there is one and it fits; `EMSGSIZE` if one that must fit does not.
fn take_first(events: &Events, room: usize, must_fit: bool) -> Result<Option<Vec<u8>>> {
    let mut queue = events.queue.lock();
    match queue.records.front() {
        None => return Ok(None),
        Some(bytes) if bytes.len() > room => {
            return if must_fit { Err(Errno::EMSGSIZE) } else { Ok(None) };
        }
        Some(_) => {}
    }
    let first = queue.records.pop_front();
    queue.bytes -= first.as_ref().map_or(0, Vec::len);
    events.waiting.store(queue.records.len(), Ordering::Release);
    Ok(first)
}

/// What could not be given to the reader. The queue may be longer by it than its bound.
fn put_back(events: &Events, bytes: Vec<u8>) {
    let mut queue = events.queue.lock();
    if queue.records.try_reserve(1).is_err() {
        queue.lost = true;
        stats::EVENTS_LOST.add(1);
        return;
    }
    queue.bytes += bytes.len();
    queue.records.push_front(bytes);
    events.waiting.store(queue.records.len(), Ordering::Release);
}

/// Readable while an event waits.
pub(crate) fn poll(table: &PollTable<'_>) -> Ready {
    let Some(events) = EVENTS.get() else {
        return Ready { readable: false, hangup: true };
    };
    table.register(&events.readable);
    Ready { readable: events.waiting.load(Ordering::Acquire) != 0, hangup: false }
}
