//! Requests and their replies.
//!
//! A call ends with the reply, with the peer's death, or at its time-out; never later. A reply that
//! comes after that is dropped.

use super::message::{PeerReply, PeerRequest};
use super::wire::{self, Joiner, Kind, Message};
use holon_api::{ApiError, Code};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{sync_channel, RecvTimeoutError, SyncSender};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Sends one part to a peer. The module is one; tests have another.
pub(crate) trait Send {
    /// Hands a part to the transport.
    fn send(&self, slot: u32, part: &[u8]) -> std::io::Result<()>;
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// The transport says so, or it died meanwhile.
    #[error("the node is down")]
    Down,
    /// The question could not be sent, though the peer is there.
    #[error("the question could not be sent: {0}")]
    Busy(String),
    /// Nothing came.
    #[error("its daemon did not answer in time")]
    TimedOut,
    /// What should be sent is longer than a message can be.
    #[error("the message is too long")]
    TooLong,
    /// It answered with something else than what was asked for.
    #[error("its daemon answered something else (another version?)")]
    Nonsense,
    /// It refused.
    #[error("{0}")]
    Refused(ApiError),
}

impl CallError {
    /// For a user, who wanted `what` of `node`.
    pub(crate) fn for_user(self, what: &str, node: &str) -> ApiError {
        let code = match &self {
            Self::Refused(error) => return error.clone(),
            Self::TimedOut | Self::Busy(_) => Code::TimedOut,
            Self::Down => Code::Refused,
            Self::TooLong | Self::Nonsense => Code::Failure,
        };
        ApiError::new(code, what, format!("{node}: {self}"))
            .fix("see `clusterctl node list`; the daemon's log is `journalctl -u holond` there")
    }
}

type Answer = Result<(PeerReply, Vec<u8>), CallError>;

struct Waiting {
    slot: u32,
    answer: SyncSender<Answer>,
}

/// The pending calls and the halves of messages.
pub(crate) struct Rpc {
    next_id: AtomicU64,
    waiting: Mutex<HashMap<u64, Waiting>>,
    joiners: Mutex<HashMap<u32, Joiner>>,
}

/// A question that came in.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// Who asks.
    pub(crate) slot: u32,
    /// Number for the answer.
    pub(crate) id: u64,
    /// What.
    pub(crate) request: Result<PeerRequest, String>,
    /// Bytes beside it.
    pub(crate) blob: Vec<u8>,
}

impl Default for Rpc {
    fn default() -> Self {
        // Numbers of an earlier life of this daemon must not match.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self {
            next_id: AtomicU64::new(since.as_secs() << 24),
            waiting: Mutex::default(),
            joiners: Mutex::default(),
        }
    }
}

impl Rpc {
    /// Asks and waits.
    pub(crate) fn call(
        &self,
        link: &dyn Send,
        slot: u32,
        request: &PeerRequest,
        blob: &[u8],
        time: Duration,
    ) -> Answer {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let json = serde_json::to_vec(request).map_err(|_| CallError::Nonsense)?;
        let message = Message { id, kind: Kind::Request, json, blob: blob.to_vec() };
        let parts = wire::cut(&message).ok_or(CallError::TooLong)?;
        let (answer, answered) = sync_channel(1);
        self.waiting().insert(id, Waiting { slot, answer });
        for part in parts {
            if let Err(error) = link.send(slot, &part) {
                self.waiting().remove(&id);
                return Err(send_error(&error));
            }
        }
        let result = answered.recv_timeout(time);
        self.waiting().remove(&id);
        match result {
            Ok(Ok((PeerReply::Error(error), _))) => Err(CallError::Refused(error)),
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err(CallError::TimedOut)
            }
        }
    }

    /// Answers.
    pub(crate) fn reply(
        &self,
        link: &dyn Send,
        slot: u32,
        id: u64,
        reply: &PeerReply,
        blob: &[u8],
    ) {
        let Ok(json) = serde_json::to_vec(reply) else {
            return;
        };
        let whole = Message { id, kind: Kind::Reply, json, blob: blob.to_vec() };
        let parts = wire::cut(&whole).or_else(|| {
            let why = "the answer is too long to be sent";
            let error = PeerReply::Error(ApiError::new(Code::Failure, "can't answer", why));
            let json = serde_json::to_vec(&error).ok()?;
            wire::cut(&Message { id, kind: Kind::Reply, json, blob: Vec::new() })
        });
        for part in parts.into_iter().flatten() {
            if link.send(slot, &part).is_err() {
                return;
            }
        }
    }

    /// Takes a part from the transport; a question if it completed one.
    pub(crate) fn take(&self, slot: u32, part: &[u8]) -> Option<Incoming> {
        let message = {
            let mut joiners = self.joiners.lock().unwrap_or_else(PoisonError::into_inner);
            joiners.entry(slot).or_default().take(part)?
        };
        let Message { id, kind, json, blob } = message;
        match kind {
            Kind::Request => {
                let request = serde_json::from_slice(&json).map_err(|error| error.to_string());
                Some(Incoming { slot, id, request, blob })
            }
            Kind::Reply => {
                let mut waiting = self.waiting();
                // Only who was asked may answer.
                if waiting.get(&id).is_some_and(|w| w.slot == slot) {
                    let answer = serde_json::from_slice(&json)
                        .map(|reply| (reply, blob))
                        .map_err(|_| CallError::Nonsense);
                    if let Some(w) = waiting.remove(&id) {
                        let _ = w.answer.try_send(answer);
                    }
                }
                None
            }
        }
    }

    /// A peer died: nobody waits for it longer.
    pub(crate) fn peer_down(&self, slot: u32) {
        self.joiners.lock().unwrap_or_else(PoisonError::into_inner).remove(&slot);
        self.waiting().retain(|_, w| {
            if w.slot == slot {
                let _ = w.answer.try_send(Err(CallError::Down));
            }
            w.slot != slot
        });
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A full queue or a lack of memory is no death: who is taken for dead is taken to have nothing.
fn send_error(error: &std::io::Error) -> CallError {
    match error.raw_os_error() {
        Some(libc::EHOSTDOWN | libc::ENOTCONN | libc::ENOENT) => CallError::Down,
        _ => CallError::Busy(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    struct Wire(Mutex<Vec<(u32, Vec<u8>)>>);

    impl Send for Wire {
        fn send(&self, slot: u32, part: &[u8]) -> std::io::Result<()> {
            match slot {
                8 => return Err(std::io::Error::from_raw_os_error(libc::ETIMEDOUT)),
                9 => return Err(std::io::Error::from_raw_os_error(libc::ENOTCONN)),
                _ => {}
            }
            self.0.lock().expect("not poisoned").push((slot, part.to_vec()));
            Ok(())
        }
    }

    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn question_and_answer() {
        let wire = Arc::new(Wire(Mutex::default()));
        let asker = Arc::new(Rpc::default());
        let server = Rpc::default();
        let call = std::thread::spawn({
            let (asker, wire) = (asker.clone(), wire.clone());
            move || asker.call(&*wire, 1, &PeerRequest::Tidy, b"blob", LONG)
        });
        let part = loop {
            if let Some((slot, part)) = wire.0.lock().expect("not poisoned").pop() {
                assert_eq!(slot, 1);
                break part;
            }
            std::thread::yield_now();
        };
        let incoming = server.take(0, &part).expect("a question");
        assert!(matches!(incoming.request, Ok(PeerRequest::Tidy)));
        assert_eq!(incoming.blob, b"blob");
        server.reply(&*wire, 0, incoming.id, &PeerReply::HasProcesses { has: true }, &[]);
        let (_, part) = wire.0.lock().expect("not poisoned").pop().expect("an answer");
        assert!(asker.take(2, &part).is_none(), "an answer of somebody else is no answer");
        assert!(asker.take(1, &part).is_none());
        let answer = call.join().expect("no panic");
        assert!(matches!(answer, Ok((PeerReply::HasProcesses { has: true }, _))), "{answer:?}");
    }

    #[test]
    fn no_answer_ends_too() {
        let wire = Arc::new(Wire(Mutex::default()));
        let rpc = Arc::new(Rpc::default());
        let short = Duration::from_millis(5);
        let timed = rpc.call(&*wire, 1, &PeerRequest::Info, &[], short).map(drop);
        assert_eq!(timed, Err(CallError::TimedOut));
        assert_eq!(
            rpc.call(&*wire, 9, &PeerRequest::Info, &[], LONG).map(drop),
            Err(CallError::Down)
        );
        let busy = rpc.call(&*wire, 8, &PeerRequest::Info, &[], LONG).map(drop);
        assert!(matches!(busy, Err(CallError::Busy(_))), "a full queue is no death: {busy:?}");
        let call = std::thread::spawn({
            let (rpc, wire) = (rpc.clone(), wire.clone());
            move || rpc.call(&*wire, 1, &PeerRequest::Info, &[], LONG).map(drop)
        });
        while rpc.waiting().is_empty() {
            std::thread::yield_now();
        }
        rpc.peer_down(1);
        assert_eq!(call.join().expect("no panic"), Err(CallError::Down));
    }

    #[test]
    fn garbage_is_no_question() {
        let rpc = Rpc::default();
        let message =
            Message { id: 1, kind: Kind::Request, json: b"{]".to_vec(), blob: Vec::new() };
        let part = wire::cut(&message).expect("short").remove(0);
        let incoming = rpc.take(0, &part).expect("a question, though a bad one");
        assert!(incoming.request.is_err());
    }
}
