//! Payloads: bytes as they were agreed, and everything else refused.

use netproto::error::DecodeError;
use netproto::msg::file::{Cancel, Event, Flags, Op, Ref, Reply, Request};
use netproto::msg::member::Hello;
use netproto::msg::migrate::{
    Abort, Cas, CasOutcome, CasResult, Committed, Final, ImageKind, Prepare, Prepared, Refused,
};
use netproto::msg::page::{PageData, PageGet};
use netproto::msg::space::{Done, Lost, LostReason};
use netproto::msg::surrogate::{
    Continued, Exited, ExitedAck, Gone, GoneReason, Signal, SignalFlags, Stopped,
};
use netproto::page;
use netproto::{AttemptId, Epoch, FileId, GlobalPid, Kind, RequestId, Slot, SpaceId};

fn slot(number: u8) -> Slot {
    Slot::new(number).expect("a slot")
}

fn process() -> GlobalPid {
    GlobalPid::new(3, 65_553)
}

fn prepare() -> Prepare {
    Prepare {
        attempt: AttemptId(0x0102),
        process: process(),
        origin: slot(63),
        kind: ImageKind::Exec,
        epoch: Epoch(5),
        total_len: 10,
        offset: 4,
    }
}

fn signal() -> Signal {
    Signal {
        process: process(),
        epoch: Epoch(5),
        signo: 15,
        code: -6,
        sender_pid: 7,
        sender_uid: 1000,
        flags: SignalFlags::PROCESS,
        value: 9,
    }
}

fn exited(status: u32) -> Exited {
    Exited { process: process(), epoch: Epoch(5), status, utime_ns: 1, stime_ns: 2, maxrss_kb: 3 }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).expect("ascii"), 16);
    digits.chunks(2).map(|two| pair(two).expect("hex")).collect()
}

#[test]
fn golden_payloads() {
    let cases: [(&[u8], &str); 10] = [
        (
            &prepare().encode(),
            "0201000000000000 03000000 11000100 0500000000000000 0a000000 04000000 3f 02
             000000000000",
        ),
        (&Prepared { attempt: AttemptId(258) }.encode(), "0201000000000000"),
        (
            &Refused { attempt: AttemptId(1), reason: 0x0203 }.encode(),
            "0100000000000000 0302 000000000000",
        ),
        (
            &Cas {
                attempt: AttemptId(1),
                process: process(),
                expect_epoch: Epoch(2),
                new_slot: slot(9),
            }
            .encode(),
            "0100000000000000 03000000 11000100 0200000000000000 09 00000000000000",
        ),
        (
            &CasResult {
                attempt: AttemptId(1),
                outcome: CasOutcome::Won,
                slot: slot(2),
                epoch: Epoch(3),
            }
            .encode(),
            "0100000000000000 0300000000000000 01 02 000000000000",
        ),
        (
            &signal().encode(),
            "03000000 11000100 0500000000000000 0f000000 faffffff 07000000 e8030000
             01000000 00000000
             0900000000000000",
        ),
        (
            &exited(0x0100).encode(),
            "03000000 11000100 0500000000000000 0100000000000000 0200000000000000 0300000000000000
             00010000 00000000",
        ),
        (
            &Lost { space: SpaceId(4), reason: LostReason::Failed }.encode(),
            "0400000000000000 0200 000000000000",
        ),
        (
            &Reply { request: RequestId(4), result: -5 }.encode(),
            "0400000000000000 fbffffffffffffff",
        ),
        (&Hello { module_version: 7, features: 8 }.encode(), "00100000 07000000 0800000000000000"),
    ];
    for (bytes, golden) in cases {
        assert_eq!(bytes, hex(golden), "{golden}");
    }
}

#[test]
fn golden_numbers() {
    let numbers = [
        (Kind::DAEMON, 0x0101),
        (Prepare::KIND, 0x0201),
        (Prepared::KIND, 0x0202),
        (Refused::KIND, 0x0203),
        (Final::KIND, 0x0204),
        (Cas::KIND, 0x0205),
        (CasResult::KIND, 0x0206),
        (Committed::KIND, 0x0207),
        (Abort::KIND, 0x0208),
        (Signal::KIND, 0x0301),
        (Exited::KIND, 0x0302),
        (Stopped::KIND, 0x0303),
        (Continued::KIND, 0x0304),
        (Gone::KIND, 0x0305),
        (ExitedAck::KIND, 0x0306),
        (Done::KIND, 0x0401),
        (Lost::KIND, 0x0402),
        (Request::KIND, 0x0501),
        (Reply::KIND, 0x0502),
        (Cancel::KIND, 0x0503),
        (Ref::KIND, 0x0504),
        (Event::KIND, 0x0505),
        (Kind::LODGE_RESERVE, 0x0601),
        (Kind::LODGE_GRANT, 0x0602),
        (Kind::LODGE_STORE, 0x0603),
        (Kind::LODGE_STORED, 0x0604),
        (Kind::LODGE_FETCH, 0x0605),
        (Kind::LODGE_PAGES, 0x0606),
        (Kind::LODGE_RELEASE, 0x0607),
        (Kind::LODGE_RELEASED, 0x0608),
        (Kind::LODGE_HAND_BACK, 0x0609),
        (Kind::PAGE_DATA, 0x0701),
    ];
    for (kind, number) in numbers {
        assert_eq!(kind.0, number);
    }
}

/// Reads back as written; refuses every shorter length, and a longer one where nothing may follow.
fn check_exact<T: PartialEq + std::fmt::Debug>(
    value: T,
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
) {
    assert_eq!(decode(bytes), Ok(value));
    for len in 0..bytes.len() {
        assert_eq!(decode(&bytes[..len]), Err(DecodeError::Truncated));
    }
    let mut longer = bytes.to_vec();
    longer.push(0);
    assert_eq!(decode(&longer), Err(DecodeError::Trailing));
}

#[test]
fn payloads_without_data_are_exact() {
    let (attempt, epoch, process) = (AttemptId(u64::MAX), Epoch(6), process());
    let value = Prepared { attempt };
    check_exact(value, &value.encode(), Prepared::decode);
    let value = Refused { attempt, reason: 9 };
    check_exact(value, &value.encode(), Refused::decode);
    let value = Abort { attempt, reason: u16::MAX };
    check_exact(value, &value.encode(), Abort::decode);
    let value = Cas { attempt, process, expect_epoch: epoch, new_slot: slot(0) };
    check_exact(value, &value.encode(), Cas::decode);
    for outcome in [CasOutcome::Won, CasOutcome::Lost, CasOutcome::Unknown] {
        let value = CasResult { attempt, outcome, slot: slot(1), epoch };
        check_exact(value, &value.encode(), CasResult::decode);
    }
    let value = Committed { attempt, epoch, fetch_bytes: 1 << 40 };
    check_exact(value, &value.encode(), Committed::decode);
    check_exact(signal(), &signal().encode(), Signal::decode);
    check_exact(exited(9), &exited(9).encode(), Exited::decode);
    let value = Stopped { process, epoch, signo: 19 };
    check_exact(value, &value.encode(), Stopped::decode);
    let value = Continued { process, epoch };
    check_exact(value, &value.encode(), Continued::decode);
    let value = ExitedAck { process, epoch };
    check_exact(value, &value.encode(), ExitedAck::decode);
    for reason in [GoneReason::Unknown, GoneReason::Killed, GoneReason::JobEnd] {
        let value = Gone { process, epoch, reason };
        check_exact(value, &value.encode(), Gone::decode);
    }
    let value = Done { space: SpaceId(1) };
    check_exact(value, &value.encode(), Done::decode);
    let value = Lost { space: SpaceId(1), reason: LostReason::Unknown };
    check_exact(value, &value.encode(), Lost::decode);
    let value = Ref { file: FileId(1), delta: -1 };
    check_exact(value, &value.encode(), Ref::decode);
    let value = Event { file: FileId(1), mask: 5 };
    check_exact(value, &value.encode(), Event::decode);
    let value = Hello { module_version: 1, features: u64::MAX };
    check_exact(value, &value.encode(), Hello::decode);
}

#[test]
fn pieces_lie_inside_their_whole() {
    let with = |total_len, offset, len: usize| {
        let mut bytes = Prepare { total_len, offset, ..prepare() }.encode().to_vec();
        bytes.resize(Prepare::LEN + len, 7);
        Prepare::decode(&bytes).is_ok()
    };
    assert!(with(10, 4, 6) && with(10, 0, 10) && with(0, 0, 0) && with(u32::MAX, u32::MAX - 1, 1));
    assert!(!with(10, 4, 7) && !with(10, 4, 0) && !with(10, 10, 0) && !with(0, 0, 1));
    assert!(!with(u32::MAX, u32::MAX, 1) && !with(10, u32::MAX, 11));
    let head = Final { attempt: AttemptId(1), total_len: 3, offset: 1 };
    let mut bytes = head.encode().to_vec();
    bytes.extend_from_slice(b"ab");
    assert_eq!(Final::decode(&bytes), Ok((head, &b"ab"[..])));
    bytes.push(b'c');
    assert_eq!(Final::decode(&bytes), Err(DecodeError::value("offset")));
}

#[test]
fn values_out_of_range_are_refused() {
    let refuse_prepare = |at: usize, value: u8| {
        let mut bytes = prepare().encode().to_vec();
        bytes.resize(Prepare::LEN + 6, 7);
        bytes[at] = value;
        assert!(Prepare::decode(&bytes).is_err(), "byte {at} = {value}");
    };
    for (at, value) in [(32, 64), (32, 255), (33, 0), (33, 3), (34, 1), (39, 1)] {
        refuse_prepare(at, value);
    }
    for signo in [0, 65, -1, i32::MIN, i32::MAX] {
        let bytes = Signal { signo, ..signal() }.encode();
        assert_eq!(Signal::decode(&bytes), Err(DecodeError::value("signo")));
    }
    let mut flags = signal().encode();
    flags[32] = 0x80;
    assert_eq!(Signal::decode(&flags), Err(DecodeError::value("flags")));
    for good in [0, 0x0100, 0xff00, 9, 0x8b, 64] {
        assert!(Exited::decode(&exited(good).encode()).is_ok(), "{good:#x}");
    }
    for bad in [0x7f, 0x137f, 0x80, 0x0109, 0x1_0000, u32::MAX, 0xffff] {
        assert!(Exited::decode(&exited(bad).encode()).is_err(), "{bad:#x}");
    }
    assert!(Ref::decode(&Ref { file: FileId(1), delta: 0 }.encode()).is_err());
    for (result, good) in [(-4095, true), (-4096, false), (i64::MIN, false), (i64::MAX, true)] {
        let bytes = Reply { request: RequestId(1), result }.encode();
        assert_eq!(Reply::decode(&bytes).is_ok(), good, "{result}");
    }
    let mut hello = Hello { module_version: 1, features: 0 }.encode();
    hello[1] = 0x40;
    assert_eq!(Hello::decode(&hello), Err(DecodeError::value("page_len")));
}

#[test]
fn requests_carry_their_data() {
    let head = Request {
        request: RequestId(1),
        op: Op::WRITE,
        flags: Flags::NOWAIT,
        file: FileId(2),
        arg0: 3,
        arg1: u64::MAX,
    };
    let mut bytes = head.encode().to_vec();
    bytes.extend_from_slice(b"data");
    assert_eq!(Request::decode(&bytes), Ok((head, &b"data"[..])));
    bytes.resize(Request::LEN + 60 * 1024 + 1, 0);
    assert_eq!(Request::decode(&bytes), Err(DecodeError::value("data")));
    assert_eq!(Request::decode(&bytes[..Request::LEN - 1]), Err(DecodeError::Truncated));
}

/// Every decoder, on bytes of every length up to some, random and nearly right.
#[test]
fn decoders_never_panic() {
    let mut state = 1_u64;
    let mut random = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    for round in 0..50_000 {
        let len = round % 120;
        let sparse = round % 3;
        let bytes: Vec<u8> =
            (0..len).map(|_| if sparse > 0 && random() > 20 { 0 } else { random() }).collect();
        let _ = Prepare::decode(&bytes);
        let _ = Prepared::decode(&bytes);
        let _ = Refused::decode(&bytes);
        let _ = Abort::decode(&bytes);
        let _ = Final::decode(&bytes);
        let _ = Cas::decode(&bytes);
        let _ = CasResult::decode(&bytes);
        let _ = Committed::decode(&bytes);
        let _ = Signal::decode(&bytes);
        let _ = Exited::decode(&bytes);
        let _ = Stopped::decode(&bytes);
        let _ = Continued::decode(&bytes);
        let _ = ExitedAck::decode(&bytes);
        let _ = Gone::decode(&bytes);
        let _ = Done::decode(&bytes);
        let _ = Lost::decode(&bytes);
        let _ = Request::decode(&bytes);
        let _ = Reply::decode(&bytes);
        let _ = Cancel::decode(&bytes);
        let _ = Ref::decode(&bytes);
        let _ = Event::decode(&bytes);
        let _ = Hello::decode(&bytes);
        let _ = PageGet::decode(&bytes);
        let _ = PageData::decode(&bytes);
        let _ = page::decode_get(&bytes);
        let _ = page::decode_data(&bytes);
    }
}
