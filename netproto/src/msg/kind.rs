//! The one table of message numbers.

#[cfg(doc)]
use super::{file, lodge, migrate, page, space, surrogate};
use crate::event::Class;

/// What a reliable message is. Numbers are explicit and only ever added; a number that this node
/// does not know is delivered all the same, and the receiver's last match arm counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u16);

impl Kind {
    /// Between the daemons: bytes that the module passes on to the readers of `/dev/holon`.
    pub const DAEMON: Self = Self(0x0101);

    /// A piece of the image that the target prepares from: [`migrate::Prepare`].
    pub const MIGRATE_PREPARE: Self = Self(0x0201);
    /// The target is ready: [`migrate::Prepared`].
    pub const MIGRATE_PREPARED: Self = Self(0x0202);
    /// The target refuses: [`migrate::Refused`].
    pub const MIGRATE_REFUSED: Self = Self(0x0203);
    /// A piece of what was captured at the freeze: [`migrate::Final`].
    pub const MIGRATE_FINAL: Self = Self(0x0204);
    /// Asks the origin to swap the process's place: [`migrate::Cas`].
    pub const MIGRATE_CAS: Self = Self(0x0205);
    /// The origin's answer: [`migrate::CasResult`].
    pub const MIGRATE_CAS_RESULT: Self = Self(0x0206);
    /// The process runs at the target: [`migrate::Committed`].
    pub const MIGRATE_COMMITTED: Self = Self(0x0207);
    /// The attempt is over, the process stays: [`migrate::Abort`].
    pub const MIGRATE_ABORT: Self = Self(0x0208);

    /// A signal for a body, or for a relative from a body: [`surrogate::Signal`].
    pub const SURROGATE_SIGNAL: Self = Self(0x0301);
    /// The body has ended: [`surrogate::Exited`].
    pub const SURROGATE_EXITED: Self = Self(0x0302);
    /// The body has stopped: [`surrogate::Stopped`].
    pub const SURROGATE_STOPPED: Self = Self(0x0303);
    /// The body goes on: [`surrogate::Continued`].
    pub const SURROGATE_CONTINUED: Self = Self(0x0304);
    /// The surrogate, or the body, is no more: [`surrogate::Gone`].
    pub const SURROGATE_GONE: Self = Self(0x0305);
    /// The end of the body was noted: [`surrogate::ExitedAck`].
    pub const SURROGATE_EXITED_ACK: Self = Self(0x0306);

    /// All of a space was fetched or is not needed: [`space::Done`].
    pub const SPACE_DONE: Self = Self(0x0401);
    /// A space can't be fetched any more: [`space::Lost`].
    pub const SPACE_LOST: Self = Self(0x0402);

    /// An operation on a remote file: [`file::Request`].
    pub const FILE_REQUEST: Self = Self(0x0501);
    /// Its result: [`file::Reply`].
    pub const FILE_REPLY: Self = Self(0x0502);
    /// Stop an operation that still waits: [`file::Cancel`].
    pub const FILE_CANCEL: Self = Self(0x0503);
    /// More or fewer references to a file: [`file::Ref`].
    pub const FILE_REF: Self = Self(0x0504);
    /// A polled file became ready: [`file::Event`].
    pub const FILE_EVENT: Self = Self(0x0505);

    /// An owner wants to lodge so many pages: [`lodge::Limit`].
    pub const LODGE_RESERVE: Self = Self(0x0601);
    /// It may lodge so many: [`lodge::Limit`].
    pub const LODGE_GRANT: Self = Self(0x0602);
    /// Pages to keep: [`lodge::Batch`].
    pub const LODGE_STORE: Self = Self(0x0603);
    /// They were checked and are kept, or why not: [`lodge::Batch`].
    pub const LODGE_STORED: Self = Self(0x0604);
    /// Asks for pages, which stay: [`lodge::Batch`].
    pub const LODGE_FETCH: Self = Self(0x0605);
    /// Their contents, or why there is none: [`lodge::Batch`].
    pub const LODGE_PAGES: Self = Self(0x0606);
    /// Pages need not be kept any more: [`lodge::Batch`].
    pub const LODGE_RELEASE: Self = Self(0x0607);
    /// They are not kept any more: [`lodge::Batch`].
    pub const LODGE_RELEASED: Self = Self(0x0608);
    /// A holder wants pages to leave: [`lodge::HandBack`].
    pub const LODGE_HAND_BACK: Self = Self(0x0609);
    /// A holder could lend so much besides: [`lodge::Offer`].
    pub const LODGE_OFFER: Self = Self(0x060a);

    /// A page, or why there is none: [`page::PageData`] and the page's content. Its class says
    /// whether somebody waits; see [`crate::page`].
    pub const PAGE_DATA: Self = Self(0x0701);

    /// The class that this kind belongs in. Messages of different classes may overtake each other:
    /// a sequence that must stay in order (PREPARE, then ABORT) is kept by its attempt number.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::LODGE_FETCH => Class::Fault,
            Self::MIGRATE_PREPARE | Self::DAEMON | Self::LODGE_STORE | Self::LODGE_PAGES => {
                Class::Bulk
            }
            _ => Class::Control,
        }
    }
}
