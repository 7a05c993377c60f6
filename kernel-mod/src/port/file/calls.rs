//! Requests of this node's programs that other nodes have not answered yet.

use alloc::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    vec::Vec,
};
use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use kapi::{
    alloc::copied_vec,
    clock, lock_class, thread,
    wait::{Completion, Mode},
    Errno, Mutex, Result,
};
use netproto::{
    msg::file::{Cancel, Flags, Op, Ref, Reply, Request},
    FileId, Kind, RequestId, SendError, Slot,
};

use super::{
    client::{Client, Polled},
    counters, server,
};
use crate::port::net;

/// How long a task that is being killed stays to hear that its request is cancelled. Without that
/// word the request may still take what others are to read: a byte of a jobserver's pipe, say.
const LAST_WORD: Duration = Duration::from_millis(200);

/// What a program asks for.
#[derive(Clone, Copy)]
pub(super) struct Ask {
    pub(super) slot: Slot,
    pub(super) file: FileId,
    pub(super) op: Op,
    pub(super) flags: Flags,
    pub(super) arg0: u64,
    pub(super) arg1: u64,
}

/// What came back: the result, not negative, and its data.
pub(super) type Answer = (u64, Vec<u8>);

/// Whether the call can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// By any signal: the request is cancelled, and what it did until then counts.
    Cancelled,
    /// By a signal that kills: it has an effect once it was sent.
    Killed,
}

struct Call {
    slot: Slot,
    done: Completion<Result<Answer>>,
    /// Who polls, for which events.
    polled: Option<(Weak<Client>, u32)>,
}

/// The requests in flight.
pub(super) struct Calls {
    last: AtomicU64,
    open: Mutex<BTreeMap<u64, Arc<Call>>>,
}

impl Calls {
    pub(super) fn new() -> Result<Self> {
        let open = Mutex::new(lock_class!(c"holon-file-calls"), BTreeMap::new())?;
        Ok(Self {
            // An answer to a former life of this node must not be taken for one to this life.
            last: AtomicU64::new(u64::from_ne_bytes(clock::random()) >> 1),
            open,
        })
    }

    fn begin(
        &self,
        slot: Slot,
        polled: Option<(Weak<Client>, u32)>,
    ) -> Result<(RequestId, Arc<Call>)> {
        let done = Completion::new(lock_class!(c"holon-file-call"))?;
        let call = Arc::new(Call { slot, done, polled });
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.open.lock().insert(id, Arc::clone(&call));
        counters::CALLS.add(1);
        Ok((RequestId(id), call))
    }

    fn forget(&self, id: RequestId) {
        let call = self.open.lock().remove(&id.0);
        drop(call);
    }

    /// Asks another node and waits for the answer: until it comes, the node is down, or a signal
    /// ends it. `ERESTARTSYS`: nothing has happened, the call may be made again.
    pub(super) fn call(&self, ask: Ask, data: &[u8], ends: Ends) -> Result<Answer> {
        let (id, call) = self.begin(ask.slot, None)?;
        self.send(id, ask, data)?;
        let mode = match ends {
            Ends::Cancelled => Mode::Interruptible,
            Ends::Killed => Mode::Killable,
        };
        match call.done.wait(mode, None) {
            Err(Errno::ERESTARTSYS) if ends == Ends::Cancelled => self.cancel(id, ask, &call),
            Err(Errno::ERESTARTSYS) => {
                self.forget(id);
                Err(Errno::EINTR)
            }
            Err(errno) => Err(errno),
            Ok(answer) => answer,
        }
    }

    /// As `call`, for polling: the answer also goes to the client, in order with events.
    pub(super) fn poll(&self, ask: Ask, client: &Arc<Client>, events: u32) -> Result<Answer> {
        let (id, call) = self.begin(ask.slot, Some((Arc::downgrade(client), events)))?;
        self.send(id, ask, &[])?;
        let waited = call.done.wait(Mode::Interruptible, None);
        if waited.is_err() {
            self.forget(id);
        }
        waited?
    }

    fn send(&self, id: RequestId, ask: Ask, data: &[u8]) -> Result {
        let Ask { file, op, flags, arg0, arg1, .. } = ask;
        let head = Request { request: id, op, flags, file, arg0, arg1 }.encode();
        server::send(ask.slot, file, Kind::FILE_REQUEST, &[&head, data]).map_err(|error| {
            self.forget(id);
            match error {
                SendError::NoMemory => Errno::ENOMEM,
                SendError::TooLong => Errno::EMSGSIZE,
                SendError::Busy => Errno::ERESTARTSYS,
                SendError::Down | SendError::UnknownPeer => Errno::EIO,
            }
        })
    }

    /// The holder answers a cancelled request too: with what was done, or `EINTR` if nothing was.
    fn cancel(&self, id: RequestId, ask: Ask, call: &Call) -> Result<Answer> {
        counters::CALLS_CANCELLED.add(1);
        let cancel = Cancel { request: id, file: ask.file };
        server::send_soon(ask.slot, ask.file, Kind::FILE_CANCEL, cancel.encode());
        match call.done.wait(Mode::Killable, None) {
            Ok(Err(Errno::EINTR)) => Err(Errno::ERESTARTSYS),
            Ok(answer) => answer,
            Err(_) => {
                // Once its end is reported, nothing written later may go to it.
                let bound = LAST_WORD * net::timescale();
                let _ = call.done.wait(Mode::Idle, Some(bound));
                self.forget(id);
                Err(Errno::EINTR)
            }
        }
    }

    /// Takes an answer. On the driver thread.
    pub(super) fn reply(&self, from: Slot, reply: Reply, data: &[u8]) {
        let mut open = self.open.lock();
        let ours = open.get(&reply.request.0).is_some_and(|call| call.slot == from);
        let call = if ours { open.remove(&reply.request.0) } else { None };
        drop(open);
        let Some(call) = call else {
            counters::REPLY_UNKNOWN.add(1);
            return;
        };
        let answer = u64::try_from(reply.result)
            .map_err(|_| Errno::from_code(reply.result))
            .and_then(|value| Ok((value, copied_vec(data)?)));
        if let (Some((client, events)), Ok((mask, _))) = (&call.polled, &answer) {
            if let Some(client) = client.upgrade() {
                client.polled(Polled { mask: u32::try_from(*mask).unwrap_or(0), events: *events });
            }
        }
        // Answered once: it is not in the map any more.
        drop(call.done.complete(answer));
    }

    /// Ends all that a lost node can't answer any more. On the driver thread.
    pub(super) fn node_lost(&self, slot: Slot) {
        let mut lost = Vec::new();
        self.open.lock().retain(|_, call| {
            if call.slot == slot {
                lost.push(Arc::clone(call));
            }
            call.slot != slot
        });
        for call in lost {
            counters::CALLS_LOST.add(1);
            drop(call.done.complete(Err(Errno::EIO)));
        }
    }

    /// Takes a reference to a file; data: its status and name.
    pub(super) fn open(&self, slot: Slot, file: FileId) -> Result<Vec<u8>> {
        let (flags, arg0, arg1) = (Flags::default(), 0, 0);
        let ask = Ask { slot, file, op: Op::OPEN_REF, flags, arg0, arg1 };
        let answer = self.call(ask, &[], Ends::Killed);
        if answer == Err(Errno::EINTR) && thread::fatal_signal_pending() {
            // Sent, but we don't wait for the answer: what it gave is given back behind it.
            close(slot, file);
        }
        answer.map(|(_, data)| data)
    }
}

/// Gives a reference back.
pub(super) fn close(slot: Slot, file: FileId) {
    server::send_soon(slot, file, Kind::FILE_REF, Ref { file, delta: -1 }.encode());
}
