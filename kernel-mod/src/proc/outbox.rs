//! What is to be said to other nodes: in order, and as long as the session lasts. The end of a
//! body, a signal or an answer of the directory that got lost while both nodes go on would never be
//! said again.

use alloc::{collections::VecDeque, vec::Vec};

use kapi::{lock_class, Errno, Mutex, Result};
use netproto::{limits::SLOT_COUNT, Class, Kind, SendError, Slot};

use crate::port::net;

/// Messages that wait for one peer at most. A link that is so far behind is of no use: its session
/// ends, which both sides know how to live with.
const WAITING_MAX: usize = 1 << 14;
/// And their bytes: what waits is memory of ours that a slow peer holds.
const BYTES_MAX: usize = 16 << 20;

struct Waiting {
    class: Class,
    kind: Kind,
    payload: Vec<u8>,
}

/// What waits for one peer.
struct Queue {
    messages: VecDeque<Waiting>,
    bytes: usize,
}

/// The messages that found no room in their links, by peer.
pub(crate) struct Outbox(Mutex<Vec<Queue>>);

impl Outbox {
    pub(super) fn new() -> Result<Self> {
        let mut queues = Vec::new();
        queues.try_reserve_exact(usize::from(SLOT_COUNT))?;
        let none = || Queue { messages: VecDeque::new(), bytes: 0 };
        queues.resize_with(usize::from(SLOT_COUNT), none);
        Ok(Self(Mutex::new(lock_class!(c"holon-outbox"), queues)?))
    }

    /// Sends a message, or keeps it until there is room. It is lost with the session only.
    pub(super) fn send(&self, to: Slot, kind: Kind, payload: &[u8]) {
        let class = kind.class();
        let mut queues = self.0.lock();
        let Some(queue) = queues.get_mut(to.index()) else { return };
        queue.drain(to);
        if queue.messages.is_empty() {
            match net::send(to, class, kind, &[payload]) {
                Err(SendError::Busy | SendError::NoMemory) => {}
                Ok(()) => return,
                Err(error) => {
                    log::debug!("message {:#06x} to node {to}: {error:?}", kind.0);
                    return;
                }
            }
        }
        if queue.keep(class, kind, payload).is_err() {
            log::error!("node {to} takes no messages: its session ends");
            queue.clear();
            net::end_session(to);
        }
    }

    /// There is room again.
    pub(super) fn writable(&self, to: Slot) {
        if let Some(queue) = self.0.lock().get_mut(to.index()) {
            queue.drain(to);
        }
    }

    /// Tries again what there was no memory for. Whether anything waits still.
    pub(super) fn retry(&self) -> bool {
        let mut queues = self.0.lock();
        for (to, queue) in Slot::all().zip(queues.iter_mut()) {
            queue.drain(to);
        }
        queues.iter().any(|queue| !queue.messages.is_empty())
    }

    /// The session ended, and with it what was to be said.
    pub(super) fn forget(&self, to: Slot) {
        if let Some(queue) = self.0.lock().get_mut(to.index()) {
            queue.clear();
        }
    }
}

impl Queue {
    /// Adds a message, or says `ENOMEM` and is as it was.
    fn keep(&mut self, class: Class, kind: Kind, payload: &[u8]) -> Result {
        let bytes = self.bytes.saturating_add(payload.len());
        if self.messages.len() >= WAITING_MAX || bytes > BYTES_MAX {
            return Err(Errno::ENOMEM);
        }
        let mut copy = Vec::new();
        copy.try_reserve_exact(payload.len())?;
        self.messages.try_reserve(1)?;
        copy.extend_from_slice(payload);
        self.messages.push_back(Waiting { class, kind, payload: copy });
        self.bytes = bytes;
        Ok(())
    }

    /// Sends as many as there is room for.
    fn drain(&mut self, to: Slot) {
        while let Some(first) = self.messages.front() {
            match net::send(to, first.class, first.kind, &[&first.payload]) {
                Err(SendError::Busy | SendError::NoMemory) => return,
                Ok(()) | Err(_) => self.bytes = self.bytes.saturating_sub(first.payload.len()),
            }
            self.messages.pop_front();
        }
    }

    fn clear(&mut self) {
        self.messages.clear();
        self.bytes = 0;
    }
}
