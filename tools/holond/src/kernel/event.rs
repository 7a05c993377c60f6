//! Events that the device gives.

use holon_uapi::event::{self as uapi, Head, PeerDown};
use holon_uapi::memory;
use holon_uapi::proc::{self, EvMigrated, EvProcess, EvRestore};
use zerocopy::FromBytes;

/// One event.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A peer is there.
    PeerUp(u32),
    /// A peer is gone, and why.
    PeerDown(u32, Down),
    /// Bytes from a peer's daemon.
    Message(u32, Vec<u8>),
    /// A helper is wanted.
    Restore(EvRestore),
    /// A move ended.
    Migrated(EvMigrated),
    /// Something happened to a process.
    Process(EvProcess),
    /// A process of this node lost memory that was on another.
    PageLost(Lost),
    /// Events were lost before this point.
    Lost,
}

/// Memory that can't be had any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Who wanted it, by number here; none if it is all that a process left behind in a move.
    pub(crate) pid: Option<u32>,
    /// Where it was; none if it may still be there.
    pub(crate) slot: Option<u32>,
    /// `LOST_*`.
    reason: u32,
}

impl Lost {
    /// For people.
    pub(crate) fn text(&self) -> &'static str {
        match self.reason {
            memory::LOST_PEER_DOWN => "the node that had its memory is lost",
            memory::LOST_REFUSED => "the node that should have its memory does not have it",
            memory::LOST_DAMAGED => "its memory came back with another content",
            memory::LOST_TOO_LONG => "its memory did not come in time",
            _ => "its memory can't be had",
        }
    }
}

/// Decodes whole records; the events and how many bytes they took.
pub(crate) fn decode(bytes: &[u8]) -> (Vec<Event>, usize) {
    let mut events = Vec::new();
    let mut rest = bytes;
    while let Ok((head, after)) = Head::read_from_prefix(rest) {
        let len = usize::try_from(head.len.get()).unwrap_or(usize::MAX);
        let Some((payload, after)) = after.split_at_checked(len) else {
            break;
        };
        if head.flags.get() & uapi::FLAG_LOST != 0 {
            events.push(Event::Lost);
        }
        match one(&head, payload) {
            Some(event) => events.push(event),
            None => log::warn!("the module gave an event of unknown kind {}", head.kind.get()),
        }
        rest = after;
    }
    (events, bytes.len() - rest.len())
}

fn one(head: &Head, payload: &[u8]) -> Option<Event> {
    let slot = head.slot.get();
    let kind = head.kind.get();
    match kind {
        uapi::PEER_UP => return Some(Event::PeerUp(slot)),
        uapi::PEER_DOWN => {
            let (down, _) = PeerDown::read_from_prefix(payload).ok()?;
            return Some(Event::PeerDown(slot, Down::from_number(down.reason.get())));
        }
        uapi::MESSAGE => return Some(Event::Message(slot, payload.to_vec())),
        memory::PAGE_LOST => {
            let (lost, _) = memory::PageLost::read_from_prefix(payload).ok()?;
            let (pid, reason) = (lost.pid.get(), lost.reason.get());
            let slot = Some(slot).filter(|slot| *slot != u32::MAX);
            return Some(Event::PageLost(Lost { pid: Some(pid), slot, reason }));
        }
        memory::MEMORY_LOST => {
            let (lost, _) = memory::MemoryLost::read_from_prefix(payload).ok()?;
            let lost = Lost { pid: None, slot: Some(slot), reason: lost.reason.get() };
            return Some(Event::PageLost(lost));
        }
        _ => {}
    }
    match u32::from(kind) {
        proc::EV_RESTORE => Some(Event::Restore(EvRestore::read_from_prefix(payload).ok()?.0)),
        proc::EV_MIGRATED => Some(Event::Migrated(EvMigrated::read_from_prefix(payload).ok()?.0)),
        proc::EV_PROCESS => Some(Event::Process(EvProcess::read_from_prefix(payload).ok()?.0)),
        _ => None,
    }
}

/// Why a peer is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Down {
    /// Nothing was heard of it.
    Silence,
    /// It had given the session up.
    Reset,
    /// It said that it leaves.
    Left,
    /// It broke the protocol.
    Violation,
    /// Another life of it is there.
    Restarted,
    /// Found when all peers were looked at again.
    Unnoticed,
    /// A later module's reason.
    Unknown,
}

impl Down {
    fn from_number(reason: u32) -> Self {
        match reason {
            uapi::DOWN_SILENCE => Self::Silence,
            uapi::DOWN_RESET => Self::Reset,
            uapi::DOWN_LEFT => Self::Left,
            uapi::DOWN_VIOLATION => Self::Violation,
            uapi::DOWN_RESTARTED => Self::Restarted,
            _ => Self::Unknown,
        }
    }

    /// For people.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Silence => "nothing was heard of it for too long",
            Self::Reset => "it had given the session up",
            Self::Left => "it left",
            Self::Violation => "it broke the protocol",
            Self::Restarted => "it has started anew",
            Self::Unnoticed => "it went away unnoticed",
            Self::Unknown => "unknown reason",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::native_endian::{U16, U32};
    use zerocopy::IntoBytes;

    fn record(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
        let head = Head {
            len: U32::new(u32::try_from(payload.len()).expect("short")),
            kind: U16::new(kind),
            flags: U16::new(flags),
            slot: U32::new(2),
        };
        [head.as_bytes(), payload].concat()
    }

    #[test]
    fn whole_records_are_taken_the_rest_is_left() {
        let mut bytes = record(uapi::PEER_UP, 0, &[0; 16]);
        bytes.extend(record(999, 0, b"later"));
        bytes.extend(record(uapi::MESSAGE, uapi::FLAG_LOST, b"hello"));
        let whole = bytes.len();
        bytes.extend(&record(uapi::MESSAGE, 0, b"cut")[..13]);
        let (events, used) = decode(&bytes);
        assert_eq!(used, whole);
        assert!(matches!(
            &events[..],
            [Event::PeerUp(2), Event::Lost, Event::Message(2, bytes)] if bytes == b"hello"
        ));
    }

    #[test]
    fn lost_memory_has_a_reason() {
        let payload = [7, memory::LOST_DAMAGED].map(U32::new);
        let (events, _) = decode(&record(memory::PAGE_LOST, 0, payload.as_bytes()));
        let Some(Event::PageLost(lost)) = events.first() else { panic!("{events:?}") };
        assert_eq!((lost.pid, lost.slot), (Some(7), Some(2)));
        assert_eq!(lost.text(), "its memory came back with another content");
    }

    #[test]
    fn short_payloads_are_no_events() {
        let restore = u16::try_from(proc::EV_RESTORE).expect("16 bits");
        let (events, used) = decode(&record(restore, 0, &[0; 3]));
        assert!(events.is_empty() && used > 0);
    }
}
