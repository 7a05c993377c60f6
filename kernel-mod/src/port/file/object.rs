//! A file here that other nodes use, and the worker that carries out their requests.
//!
//! ```text
//! push, cancel, forget ─> inbox ─> kick ─> run: inbox -> desk, a step each, answers
//!                                           └─ some would wait: arm the watch, look once more, end
//! file changed ─────────────────────> kick ─> run …
//! ```

use alloc::{sync::Arc, vec::Vec};
use core::mem::take;

use kapi::{clock, file::Watch, fileref::FileRef, lock_class, module::Hold, Errno, Mutex, Result};
use netproto::{
    msg::file::{Event, Op},
    FileId, RequestId, Slot,
};

use super::{
    counters, object_of,
    request::{Answer, Step, Task, Waits, Want},
    server,
};

/// `EPOLLIN`, `EPOLLRDHUP`, `EPOLLERR`, `EPOLLHUP`: a read would not wait.
const INPUT: u32 = 0x2019;
/// `EPOLLOUT`, `EPOLLERR`, `EPOLLHUP`: a write would not wait.
const OUTPUT: u32 = 0x001c;
/// `EPOLLERR`, `EPOLLHUP`: told to everybody.
const ALWAYS: u32 = 0x0018;

/// Requests for one file at most, and bytes that they keep.
const TASKS_MAX: usize = 4096;
const BYTES_MAX: usize = 16 << 20;
/// Rounds of one run: a file that says ready and then would wait must not keep the worker.
const ROUNDS_MAX: usize = 4;
const RETRY_MS: u32 = 20;

#[derive(Default)]
struct Inbox {
    tasks: Vec<Task>,
    cancels: Vec<(Slot, RequestId)>,
    /// Nodes that were lost, and how many requests had been taken by then.
    gone: Vec<(Slot, u64)>,
    taken: u64,
    /// Of all requests, here and on the desk.
    len: usize,
    bytes: usize,
}

/// Only the worker's.
#[derive(Default)]
struct Desk {
    tasks: Vec<Task>,
    pollers: Vec<(Slot, u32)>,
    changed: bool,
}

/// A file and what is asked of it.
pub(super) struct Object {
    id: FileId,
    file: FileRef,
    watch: Watch,
    inbox: Mutex<Inbox>,
    desk: Mutex<Desk>,
    _hold: Hold,
}

/// Called in a worker, for one file never twice at once.
pub(super) fn run(id: u64) {
    if let Some(object) = object_of(id) {
        object.run();
    }
}

impl Object {
    pub(super) fn new(file: &FileRef, id: FileId) -> Result<Arc<Self>> {
        Ok(Arc::new(Self {
            id,
            file: file.clone(),
            watch: Watch::new(file, id.0)?,
            inbox: Mutex::new(lock_class!(c"holon-file-inbox"), Inbox::default())?,
            desk: Mutex::new(lock_class!(c"holon-file-desk"), Desk::default())?,
            _hold: Hold::new().ok_or(Errno::ESHUTDOWN)?,
        }))
    }

    pub(super) fn file(&self) -> &FileRef {
        &self.file
    }

    /// Adds a request; it will be answered.
    pub(super) fn push(&self, mut task: Task) -> Result {
        let mut inbox = self.inbox.lock();
        if inbox.len >= TASKS_MAX || inbox.bytes + task.len() > BYTES_MAX {
            return Err(Errno::EBUSY);
        }
        inbox.tasks.try_reserve(1)?;
        inbox.len += 1;
        inbox.bytes += task.len();
        inbox.taken += 1;
        task.number = inbox.taken;
        inbox.tasks.push(task);
        drop(inbox);
        self.watch.kick();
        Ok(())
    }

    /// Makes a request end, if it still waits.
    pub(super) fn cancel(&self, from: Slot, request: RequestId) -> Result {
        let mut inbox = self.inbox.lock();
        if inbox.cancels.len() >= TASKS_MAX {
            return Err(Errno::EBUSY);
        }
        inbox.cancels.try_reserve(1)?;
        inbox.cancels.push((from, request));
        drop(inbox);
        self.watch.kick();
        Ok(())
    }

    /// Drops all requests of a node that is gone, but for those of its next life.
    pub(super) fn forget(&self, from: Slot) {
        let mut inbox = self.inbox.lock();
        let taken = inbox.taken;
        inbox.cancels.retain(|(slot, _)| *slot != from);
        inbox.gone.retain(|(slot, _)| *slot != from);
        inbox.gone.push((from, taken));
        drop(inbox);
        self.watch.kick();
    }

    fn run(&self) {
        let mut desk = self.desk.lock();
        for _ in 0..ROUNDS_MAX {
            self.receive(&mut desk);
            self.attempt(&mut desk);
            if !self.settle(&mut desk) {
                return;
            }
        }
        self.watch.kick_after_ms(RETRY_MS);
    }

    /// Inbox to desk.
    fn receive(&self, desk: &mut Desk) {
        let mut inbox = self.inbox.lock();
        if desk.tasks.try_reserve(inbox.tasks.len()).is_err() {
            self.watch.kick_after_ms(RETRY_MS);
            return;
        }
        let (tasks, cancels, gone) =
            (take(&mut inbox.tasks), take(&mut inbox.cancels), take(&mut inbox.gone));
        desk.tasks.extend(tasks);
        desk.tasks.retain_mut(|task| {
            let lost = |(slot, taken): &(Slot, u64)| *slot == task.from && task.number <= *taken;
            if gone.iter().any(lost) {
                inbox.len -= 1;
                inbox.bytes -= task.len();
                counters::ORPHANED.add(1);
                return false;
            }
            if !task.cancelled && cancels.contains(&(task.from, task.head.request)) {
                task.cancelled = true;
                counters::CANCELLED.add(1);
            }
            true
        });
        desk.pollers.retain(|(slot, _)| !gone.iter().any(|(lost, _)| lost == slot));
    }

    /// One attempt for each request, in order of arrival. Who can wait is not tried behind another
    /// that waits for the same.
    fn attempt(&self, desk: &mut Desk) {
        let mut stuck = Waits::default();
        let mut tasks = take(&mut desk.tasks);
        tasks.retain_mut(|task| {
            if task.can_wait() && task.want().is_some_and(|want| stuck.has(want)) {
                return true;
            }
            let step = match task.head.op {
                Op::POLL => Step::Done(self.poll(desk, task)),
                _ => task.step(&self.file),
            };
            match step {
                Step::Done(answer) => {
                    server::answer(task.from, &task.head, &answer);
                    let mut inbox = self.inbox.lock();
                    inbox.len -= 1;
                    inbox.bytes -= task.len();
                    false
                }
                Step::Wait => {
                    stuck.add(task.want());
                    true
                }
            }
        });
        desk.tasks = tasks;
    }

    fn poll(&self, desk: &mut Desk, task: &Task) -> Answer {
        let events = u32::try_from(task.head.arg0).unwrap_or(u32::MAX) | ALWAYS;
        // First armed, then looked at: a change in between is told.
        desk.changed |= self.watch.arm();
        let mask = self.file.step_poll();
        match desk.pollers.iter_mut().find(|(slot, _)| *slot == task.from) {
            Some((_, wanted)) => *wanted |= events,
            None => desk.pollers.push((task.from, events)),
        }
        Answer::number(Ok(mask.into()))
    }

    /// Arms the watch if somebody waits; whether there is more to do right now.
    fn settle(&self, desk: &mut Desk) -> bool {
        if desk.tasks.is_empty() && desk.pollers.is_empty() {
            return false;
        }
        desk.changed |= self.watch.arm();
        let mask = self.file.step_poll();
        if take(&mut desk.changed) {
            self.tell(desk, mask);
        }
        if let Some(until) = desk.tasks.iter().filter_map(|task| task.until_ns).min() {
            let left_ms = until.saturating_sub(clock::now_ns()) / 1_000_000 + 1;
            self.watch.kick_after_ms(u32::try_from(left_ms).unwrap_or(u32::MAX));
        }
        desk.tasks.iter().any(|task| match task.want() {
            Some(Want::Input) => mask & INPUT != 0,
            Some(Want::Output) => mask & OUTPUT != 0,
            None => false,
        })
    }

    /// Tells each node that polls what became ready, once.
    fn tell(&self, desk: &mut Desk, mask: u32) {
        desk.pollers.retain(|(slot, events)| {
            if mask & events == 0 {
                return true;
            }
            counters::EVENT_SENT.add(1);
            server::event(*slot, Event { file: self.id, mask });
            false
        });
    }
}
