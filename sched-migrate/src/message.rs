//! What source, target and origin say to each other.

use netproto::error::DecodeError;
use netproto::id::{AttemptId, Epoch, GlobalPid, Slot};
use netproto::msg::migrate::{Abort, Cas, CasResult, Committed, ImageKind, Prepared, Refused};
use netproto::msg::Kind;

/// What came with a whole and readable manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// The attempt.
    pub attempt: AttemptId,
    /// The process.
    pub process: GlobalPid,
    /// Whether it runs or is about to execute a file.
    pub kind: ImageKind,
    /// Its origin.
    pub origin: Slot,
    /// Its epoch at the source.
    pub epoch: Epoch,
}

/// The messages that are no pieces of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// The target waits for FINAL.
    Prepared(Prepared),
    /// The target gave up and holds nothing.
    Refused(Refused),
    /// The source gave up.
    Abort(Abort),
    /// Asks the origin.
    Cas(Cas),
    /// The origin's answer.
    CasResult(CasResult),
    /// The process runs at the target.
    Committed(Committed),
}

/// Longest encoding of a [`Message`].
pub const MESSAGE_LEN_MAX: usize = 32;

/// The bytes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoded {
    /// The message's number.
    pub kind: Kind,
    bytes: [u8; MESSAGE_LEN_MAX],
    len: usize,
}

impl Encoded {
    fn new(kind: Kind, payload: &[u8]) -> Self {
        let mut bytes = [0; MESSAGE_LEN_MAX];
        for (to, from) in bytes.iter_mut().zip(payload) {
            *to = *from;
        }
        Self { kind, bytes, len: payload.len() }
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

const _: () = {
    assert!(Cas::LEN <= MESSAGE_LEN_MAX && CasResult::LEN <= MESSAGE_LEN_MAX);
    assert!(Committed::LEN <= MESSAGE_LEN_MAX && Prepared::LEN <= MESSAGE_LEN_MAX);
    assert!(Refused::LEN <= MESSAGE_LEN_MAX && Abort::LEN <= MESSAGE_LEN_MAX);
};

impl Message {
    /// The bytes to send.
    pub fn encode(&self) -> Encoded {
        match self {
            Self::Prepared(message) => Encoded::new(Prepared::KIND, &message.encode()),
            Self::Refused(message) => Encoded::new(Refused::KIND, &message.encode()),
            Self::Abort(message) => Encoded::new(Abort::KIND, &message.encode()),
            Self::Cas(message) => Encoded::new(Cas::KIND, &message.encode()),
            Self::CasResult(message) => Encoded::new(CasResult::KIND, &message.encode()),
            Self::Committed(message) => Encoded::new(Committed::KIND, &message.encode()),
        }
    }

    /// Reads a message; `None` if `kind` is none of these.
    pub fn decode(kind: Kind, payload: &[u8]) -> Option<Result<Self, DecodeError>> {
        Some(match kind {
            Kind::MIGRATE_PREPARED => Prepared::decode(payload).map(Self::Prepared),
            Kind::MIGRATE_REFUSED => Refused::decode(payload).map(Self::Refused),
            Kind::MIGRATE_ABORT => Abort::decode(payload).map(Self::Abort),
            Kind::MIGRATE_CAS => Cas::decode(payload).map(Self::Cas),
            Kind::MIGRATE_CAS_RESULT => CasResult::decode(payload).map(Self::CasResult),
            Kind::MIGRATE_COMMITTED => Committed::decode(payload).map(Self::Committed),
            _ => return None,
        })
    }
}
