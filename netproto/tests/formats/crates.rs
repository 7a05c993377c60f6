//! The crate's decoders: the numbers that they read, in the order in which they lie in the message,
//! and the message as the crate writes it.

use netproto::msg::file::{Cancel, Event, Ref, Reply, Request, Status};
use netproto::msg::lodge::{self, Batch, HandBack, HandBackReason, Limit, LodgeGet, Offer};
use netproto::msg::member::Hello;
use netproto::msg::migrate::{
    Abort, Cas, CasOutcome, CasResult, Committed, Final, Prepare, Prepared, Refused,
};
use netproto::msg::page::{HeldPage, PageData, PageGet, PageStatus};
use netproto::msg::space::{Done, Lost, LostReason};
use netproto::msg::surrogate::{Continued, Exited, ExitedAck, Gone, GoneReason, Signal, Stopped};
use netproto::page::Addresses;
use netproto::piece::{self, Part, Piece, Subject};
use netproto::{GlobalPid, Incarnation, Kind, RequestId, Slot};

use crate::plain::{HELD, HELLO, LODGE_GET, PAGE_GET, PIECE, STATUS};

/// All numbers of messages.
pub(crate) const KINDS: [u16; 33] = [
    Kind::DAEMON.0,
    Prepare::KIND.0,
    Prepared::KIND.0,
    Refused::KIND.0,
    Final::KIND.0,
    Cas::KIND.0,
    CasResult::KIND.0,
    Committed::KIND.0,
    Abort::KIND.0,
    Signal::KIND.0,
    Exited::KIND.0,
    Stopped::KIND.0,
    Continued::KIND.0,
    Gone::KIND.0,
    ExitedAck::KIND.0,
    Done::KIND.0,
    Lost::KIND.0,
    Request::KIND.0,
    Reply::KIND.0,
    Cancel::KIND.0,
    Ref::KIND.0,
    Event::KIND.0,
    Kind::LODGE_RESERVE.0,
    Kind::LODGE_GRANT.0,
    Kind::LODGE_STORE.0,
    Kind::LODGE_STORED.0,
    Kind::LODGE_FETCH.0,
    Kind::LODGE_PAGES.0,
    Kind::LODGE_RELEASE.0,
    Kind::LODGE_RELEASED.0,
    HandBack::KIND.0,
    Offer::KIND.0,
    Kind::PAGE_DATA.0,
];

type Read = Option<(Vec<u64>, Vec<u8>)>;

fn of(process: GlobalPid) -> [u64; 2] {
    [process.job.0.into(), process.pid.0.into()]
}

fn long(value: i64) -> u64 {
    u64::from_le_bytes(value.to_le_bytes())
}

fn signed(value: i32) -> u64 {
    u32::from_le_bytes(value.to_le_bytes()).into()
}

/// A message of this number.
pub(crate) fn read(kind: u16, bytes: &[u8]) -> Read {
    match kind >> 8 {
        2 => migrate(Kind(kind), bytes),
        3 => surrogate(Kind(kind), bytes),
        5 => file(Kind(kind), bytes),
        6 => lodge(Kind(kind), bytes),
        _ => other(kind, bytes),
    }
}

fn migrate(kind: Kind, bytes: &[u8]) -> Read {
    match kind {
        Prepare::KIND => {
            let (it, piece) = Prepare::decode(bytes).ok()?;
            let [job, pid] = of(it.process);
            let (len, offset) = (it.total_len.into(), it.offset.into());
            let (origin, what) = (it.origin.get().into(), it.kind.number().into());
            let values = vec![it.attempt.0, job, pid, it.epoch.0, len, offset, origin, what];
            Some((values, [&it.encode(), piece].concat()))
        }
        Prepared::KIND => {
            let it = Prepared::decode(bytes).ok()?;
            Some((vec![it.attempt.0], it.encode().to_vec()))
        }
        Refused::KIND => {
            let it = Refused::decode(bytes).ok()?;
            Some((vec![it.attempt.0, it.reason.into()], it.encode().to_vec()))
        }
        Abort::KIND => {
            let it = Abort::decode(bytes).ok()?;
            Some((vec![it.attempt.0, it.reason.into()], it.encode().to_vec()))
        }
        Final::KIND => {
            let (it, piece) = Final::decode(bytes).ok()?;
            let values = vec![it.attempt.0, it.total_len.into(), it.offset.into()];
            Some((values, [&it.encode(), piece].concat()))
        }
        Cas::KIND => {
            let it = Cas::decode(bytes).ok()?;
            let [job, pid] = of(it.process);
            let values = vec![it.attempt.0, job, pid, it.expect_epoch.0, it.new_slot.get().into()];
            Some((values, it.encode().to_vec()))
        }
        CasResult::KIND => {
            let it = CasResult::decode(bytes).ok()?;
            let outcome = match it.outcome {
                CasOutcome::Lost => 0,
                CasOutcome::Won => 1,
                CasOutcome::Unknown => 2,
            };
            let values = vec![it.attempt.0, it.epoch.0, outcome, it.slot.get().into()];
            Some((values, it.encode().to_vec()))
        }
        Committed::KIND => {
            let it = Committed::decode(bytes).ok()?;
            Some((vec![it.attempt.0, it.epoch.0, it.fetch_bytes], it.encode().to_vec()))
        }
        other => panic!("{other:?}"),
    }
}

fn surrogate(kind: Kind, bytes: &[u8]) -> Read {
    let state = |process, epoch: netproto::Epoch, more: Option<u64>| {
        of(process).into_iter().chain([epoch.0]).chain(more).collect()
    };
    match kind {
        Signal::KIND => {
            let it = Signal::decode(bytes).ok()?;
            let [job, pid] = of(it.process);
            let (signo, code) = (signed(it.signo), signed(it.code));
            let sender = [it.sender_pid.into(), it.sender_uid.into()];
            let flags = it.flags.bits().into();
            let values =
                vec![job, pid, it.epoch.0, signo, code, sender[0], sender[1], flags, it.value];
            Some((values, it.encode().to_vec()))
        }
        Exited::KIND => {
            let it = Exited::decode(bytes).ok()?;
            let [job, pid] = of(it.process);
            let times = [it.utime_ns, it.stime_ns];
            let values =
                vec![job, pid, it.epoch.0, times[0], times[1], it.maxrss_kb, it.status.into()];
            Some((values, it.encode().to_vec()))
        }
        Stopped::KIND => {
            let it = Stopped::decode(bytes).ok()?;
            Some((state(it.process, it.epoch, Some(it.signo.into())), it.encode().to_vec()))
        }
        Continued::KIND => {
            let it = Continued::decode(bytes).ok()?;
            Some((state(it.process, it.epoch, None), it.encode().to_vec()))
        }
        ExitedAck::KIND => {
            let it = ExitedAck::decode(bytes).ok()?;
            Some((state(it.process, it.epoch, None), it.encode().to_vec()))
        }
        Gone::KIND => {
            let it = Gone::decode(bytes).ok()?;
            let reason = match it.reason {
                GoneReason::Unknown => 1,
                GoneReason::Killed => 2,
                GoneReason::JobEnd => 3,
            };
            Some((state(it.process, it.epoch, Some(reason)), it.encode().to_vec()))
        }
        other => panic!("{other:?}"),
    }
}

fn file(kind: Kind, bytes: &[u8]) -> Read {
    match kind {
        Request::KIND => {
            let (it, data) = Request::decode(bytes).ok()?;
            let (op, flags) = (it.op.0.into(), it.flags.0.into());
            let values = vec![it.request.0, it.file.0, it.arg0, it.arg1, op, flags];
            Some((values, [&it.encode(), data].concat()))
        }
        Reply::KIND => {
            let (it, data) = Reply::decode(bytes).ok()?;
            Some((vec![it.request.0, long(it.result)], [&it.encode(), data].concat()))
        }
        Cancel::KIND => {
            let it = Cancel::decode(bytes).ok()?;
            Some((vec![it.request.0, it.file.0], it.encode().to_vec()))
        }
        Ref::KIND => {
            let it = Ref::decode(bytes).ok()?;
            Some((vec![it.file.0, signed(it.delta)], it.encode().to_vec()))
        }
        Event::KIND => {
            let it = Event::decode(bytes).ok()?;
            Some((vec![it.file.0, it.mask.into()], it.encode().to_vec()))
        }
        other => panic!("{other:?}"),
    }
}

fn lodge(kind: Kind, bytes: &[u8]) -> Read {
    match kind {
        Kind::LODGE_RESERVE | Kind::LODGE_GRANT => {
            let it = Limit::decode(bytes).ok()?;
            let values = vec![it.sequence, it.limit.into(), it.spare.into()];
            Some((values, it.encode().to_vec()))
        }
        HandBack::KIND => {
            let it = HandBack::decode(bytes).ok()?;
            let reason = match it.reason {
                HandBackReason::Pressure => 1,
                HandBackReason::Drain => 2,
            };
            Some((vec![it.pages.into(), it.limit.into(), reason], it.encode().to_vec()))
        }
        Offer::KIND => {
            let it = Offer::decode(bytes).ok()?;
            Some((vec![it.spare.into()], it.encode().to_vec()))
        }
        kind => {
            let (it, parts) = Batch::decode(kind, bytes).ok()?;
            let mut values = vec![it.request.0];
            // Reserved in answers, as the flags are in all but one.
            values.extend((kind.0 % 2 == 1).then_some(it.horizon.0));
            values.push(it.count.into());
            values.extend((kind == Kind::LODGE_FETCH).then_some(u64::from(it.flags.bits())));
            let items = parts.iter().flat_map(|(item, _)| item.encode());
            let contents = parts.iter().filter_map(|(_, content)| content);
            let again = it.encode().into_iter().chain(items);
            Some((values, again.chain(contents.flatten().copied()).collect()))
        }
    }
}

fn other(kind: u16, bytes: &[u8]) -> Read {
    match kind {
        _ if kind == Done::KIND.0 => {
            let it = Done::decode(bytes).ok()?;
            Some((vec![it.space.0], it.encode().to_vec()))
        }
        _ if kind == Lost::KIND.0 => {
            let it = Lost::decode(bytes).ok()?;
            let reason = match it.reason {
                LostReason::Unknown => 1,
                LostReason::Failed => 2,
            };
            Some((vec![it.space.0, reason], it.encode().to_vec()))
        }
        _ if kind == Kind::PAGE_DATA.0 => {
            let (it, content) = PageData::decode(bytes).ok()?;
            let status = match it.status {
                PageStatus::Data => 1,
                PageStatus::Zero => 2,
                PageStatus::Gone => 3,
                PageStatus::Busy => 4,
                PageStatus::Held => 5,
            };
            let values = vec![it.request.0, it.space.0, it.index, it.page_sum.into(), status];
            Some((values, [&it.encode(), content].concat()))
        }
        HELLO => {
            let it = Hello::decode(bytes).ok()?;
            Some((vec![4096, it.module_version.into(), it.features], it.encode().to_vec()))
        }
        PAGE_GET => {
            let it = PageGet::decode(bytes).ok()?;
            let (count, flags) = (it.count.into(), it.flags.bits().into());
            Some((vec![it.request.0, it.space.0, it.index, count, flags], it.encode().to_vec()))
        }
        HELD => {
            let it = HeldPage::decode(bytes).ok()?;
            Some((vec![it.generation, it.entry.into()], it.encode().to_vec()))
        }
        LODGE_GET => {
            let it = LodgeGet::decode(bytes).ok()?;
            let (entry, flags) = (it.entry.into(), it.flags.bits().into());
            Some((vec![it.request.0, it.generation, entry, flags], it.encode().to_vec()))
        }
        PIECE => piece(bytes),
        STATUS => {
            let (it, rest) = Status::decode(bytes).ok()?;
            let words = [it.kind, it.mode, it.uid, it.gid, it.rdev, it.dev, it.nlink, it.blksize];
            let more = [it.ino, long(it.size)];
            let values = words.into_iter().map(u64::from).chain(more).collect();
            Some((values, [&it.encode(), rest].concat()))
        }
        other => panic!("{other:#06x}"),
    }
}

/// A head in a good front, with a content as long as it says.
fn piece(head: &[u8]) -> Read {
    let subject = Subject::Lodged { entry: 0, generation: 1, status: lodge::Status::Gone };
    let seal = lodge::Seal::NONE;
    let some = Piece { request: RequestId(9), subject, seal, part: Part::NONE };
    let mut front = piece::encode(&addresses(), &some);
    front[piece::FRONT_LEN - 32..].copy_from_slice(head.first_chunk::<32>()?);
    crate::good::reseal(&mut front, true);
    let part = Part { number: head[22], count: head[23] };
    let len = u16::from_le_bytes([head[24], head[25]]).into();
    let (_, it) = piece::decode(&front, part.range(len).len()).ok()?;
    let (name, number, sort) = match it.subject {
        Subject::Space { space, index, .. } => (space.0, index, 1),
        Subject::Lodged { entry, generation, .. } => (entry.into(), generation, 2),
    };
    let (status, count) = (head[21].into(), it.part.count.into());
    let (part, sum, len) = (it.part.number.into(), it.seal.sum.into(), it.seal.len.into());
    let values = vec![name, number, sum, sort, status, part, count, len];
    let again = piece::encode(&addresses(), &it);
    (head.len() == 32).then(|| (values, again[piece::FRONT_LEN - 32..].to_vec()))
}

fn addresses() -> Addresses {
    let life = |byte| Incarnation([byte; 16]);
    Addresses {
        source: Slot::new(1).expect("a slot"),
        source_incarnation: life(1),
        destination: Slot::new(2).expect("a slot"),
        destination_incarnation: life(2),
    }
}
