//! What is to be said to other nodes: in order, and as long as the session lasts. The end of a
//! body, a signal or an answer of the directory that got lost while both nodes go on would never be
//! said again.

use alloc::{collections::VecDeque, vec::Vec};

use kapi::{lock_class, Mutex, Result};
use netproto::{limits::SLOT_COUNT, Class, Kind, SendError, Slot};

use crate::port::net;

/// Messages that wait for one peer at most. A link that is so far behind is of no use: its session
/// ends, which both sides know how to live with.
const WAITING_MAX: usize = 1 << 14;

struct Waiting {
    class: Class,
    kind: Kind,
    payload: Vec<u8>,
}

/// The messages that found no room in their links, by peer.
pub(crate) struct Outbox(Mutex<Vec<VecDeque<Waiting>>>);

impl Outbox {
    pub(super) fn new() -> Result<Self> {
        let mut queues = Vec::new();
        queues.try_reserve_exact(usize::from(SLOT_COUNT))?;
        queues.resize_with(usize::from(SLOT_COUNT), VecDeque::new);
        Ok(Self(Mutex::new(lock_class!(c"holon-outbox"), queues)?))
    }

    /// Sends a message, or keeps it until there is room. It is lost with the session only.
    pub(super) fn send(&self, to: Slot, kind: Kind, payload: &[u8]) {
        let class = kind.class();
        let mut queues = self.0.lock();
        let Some(queue) = queues.get_mut(to.index()) else { return };
        drain(to, queue);
        if queue.is_empty() {
            match net::send(to, class, kind, &[payload]) {
                Err(SendError::Busy | SendError::NoMemory) => {}
                Ok(()) => return,
                Err(error) => {
                    log::debug!("message {:#06x} to node {to}: {error:?}", kind.0);
                    return;
                }
            }
        }
        let mut copy = Vec::new();
        let kept = queue.len() < WAITING_MAX
            && queue.try_reserve(1).is_ok()
            && copy.try_reserve_exact(payload.len()).is_ok();
        if kept {
            copy.extend_from_slice(payload);
            queue.push_back(Waiting { class, kind, payload: copy });
        } else {
            log::error!("node {to} takes no messages: its session ends");
            queue.clear();
            net::end_session(to);
        }
    }

    /// There is room again.
    pub(super) fn writable(&self, to: Slot) {
        if let Some(queue) = self.0.lock().get_mut(to.index()) {
            drain(to, queue);
        }
    }

    /// Tries again what there was no memory for. Whether anything waits still.
    pub(super) fn retry(&self) -> bool {
        let mut queues = self.0.lock();
        for (to, queue) in Slot::all().zip(queues.iter_mut()) {
            drain(to, queue);
        }
        queues.iter().any(|queue| !queue.is_empty())
    }

    /// The session ended, and with it what was to be said.
    pub(super) fn forget(&self, to: Slot) {
        if let Some(queue) = self.0.lock().get_mut(to.index()) {
            queue.clear();
        }
    }
}

/// Sends as many as there is room for.
fn drain(to: Slot, queue: &mut VecDeque<Waiting>) {
    while let Some(first) = queue.front() {
        match net::send(to, first.class, first.kind, &[&first.payload]) {
            Err(SendError::Busy | SendError::NoMemory) => return,
            Ok(()) | Err(_) => queue.pop_front(),
        };
    }
}
