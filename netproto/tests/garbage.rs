//! Whatever bytes arrive: no panic, a typed and counted refusal, and the session lives on.

mod sim;

use holon_simkit::Rng;
use netproto::wire::checksum;
use netproto::wire::header::{MAGIC, VERSION};
use netproto::wire::Header;
use netproto::{Class, DatagramError};
use sim::{Sim, MS, SECOND};

/// Two nodes in session, and all datagrams that they have exchanged so far.
fn session(seed: u64) -> (Sim, Vec<(usize, usize, Vec<u8>)>) {
    let mut sim = Sim::new(seed, 2);
    sim.net.record = Some(Vec::new());
    sim.connect();
    for class in Class::ALL {
        for len in [0, 100, 5_000] {
            assert_eq!(sim.send(0, 1, class, len), Ok(()));
            assert_eq!(sim.send(1, 0, class, len), Ok(()));
        }
    }
    sim.run_for(SECOND);
    let record = sim.net.record.take().expect("recorded");
    (sim, record)
}

/// Length of a datagram's header, by its kind.
fn header_len(bytes: &[u8]) -> usize {
    if matches!(bytes[5], 1 | 3 | 4) {
        64
    } else {
        40
    }
}

/// Makes the length and the checksum right again after a change.
fn reseal(bytes: &mut [u8]) {
    let body_len = u16::try_from(bytes.len().saturating_sub(header_len(bytes))).expect("small");
    bytes[24..26].copy_from_slice(&body_len.to_le_bytes());
    reseal_sum(bytes);
}

/// The checksum alone.
fn reseal_sum(bytes: &mut [u8]) {
    let sum = checksum(&[&bytes[..28], &bytes[32..]]);
    bytes[28..32].copy_from_slice(&sum.to_le_bytes());
}

fn assert_alive(sim: &mut Sim) {
    let events = sim.events.len();
    for class in Class::ALL {
        assert_eq!(sim.send(0, 1, class, 2_000), Ok(()));
        assert_eq!(sim.send(1, 0, class, 2_000), Ok(()));
    }
    sim.run_until(SECOND, "messages after garbage", |sim| sim.oracle.outstanding() == 0);
    assert_eq!(sim.events.len(), events);
}

#[test]
fn random_bytes_of_every_length() {
    let (mut sim, _) = session(1);
    let mut rng = Rng::new(1);
    for round in 0..20_000 {
        let len = if round < 200 { round } else { rng.index(9_100) };
        let mut bytes: Vec<u8> = (0..len).map(|_| rng.byte()).collect();
        if round % 2 == 0 && len >= 6 {
            bytes[..4].copy_from_slice(&MAGIC);
            bytes[4..6].copy_from_slice(&[VERSION, 2]);
        }
        let now = sim.now();
        assert!(sim.transport(0).handle_datagram(now, &bytes).is_err());
    }
    let counters = *sim.transport(0).counters();
    assert_eq!(counters.bad_total(), 20_000);
    assert!(counters.bad(DatagramError::TooShort) > 0);
    assert!(counters.bad(DatagramError::TooLong) > 0);
    assert!(counters.bad(DatagramError::BadMagic) > 0);
    assert_eq!(sim.events.len(), 2);
    assert_alive(&mut sim);
}

#[test]
fn every_flipped_bit_and_every_cut_of_a_good_datagram() {
    let (mut sim, record) = session(2);
    let mut lengths_seen = Vec::new();
    for (_, to, good) in record {
        if lengths_seen.contains(&good.len()) {
            continue;
        }
        lengths_seen.push(good.len());
        let now = sim.now();
        let transport = sim.transport(to);
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(transport.handle_datagram(now, &bytes).is_err(), "bit {bit}");
        }
        for len in 0..good.len() {
            assert!(transport.handle_datagram(now, &good[..len]).is_err(), "length {len}");
        }
        let mut longer = good.clone();
        longer.push(0);
        assert_eq!(transport.handle_datagram(now, &longer), Err(DatagramError::BadLength));
    }
    assert!(lengths_seen.len() > 5);
    assert_alive(&mut sim);
}

/// Datagrams that are right but for one field: the checksum vouches for them.
#[test]
fn one_wrong_field_under_a_good_checksum() {
    let mut rng = Rng::new(3);
    for seed in 0..30 {
        let (mut sim, record) = session(100 + seed);
        for _ in 0..3_000 {
            let (_, to, good) = &record[rng.index(record.len())];
            let mut bytes = good.clone();
            match rng.below(6) {
                0 => {
                    let head = header_len(&bytes);
                    bytes.truncate(head + rng.index(bytes.len() + 1 - head));
                }
                1 => bytes.extend((0..rng.below(40)).map(|_| 0)),
                2 => {
                    let at = rng.index(bytes.len());
                    bytes[at] = rng.pick(&[0, 1, 2, 3, 0x7f, 0x80, 0xfe, 0xff]);
                }
                3 if bytes.len() > 48 => {
                    let at = 40 + rng.index(bytes.len() - 47);
                    let number = [0, u64::MAX, 1 << 63, rng.below(300)][rng.index(4)];
                    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
                }
                _ => {
                    let at = rng.index(bytes.len());
                    bytes[at] = rng.byte();
                }
            }
            reseal(&mut bytes);
            let now = sim.now();
            let _ = sim.transport(*to).handle_datagram(now, &bytes);
        }
        // Forged fragments may have ended the session or stand among its messages, for nothing but
        // the checksum vouched for them. What remains: no panic, bounds, and a way back.
        for node in 0..2 {
            let transport = sim.transport(node);
            while transport.poll_event().is_some() {}
            while transport.poll_message().is_some() {}
            let queued = transport.peer(sim::slot(1 - node)).expect("a peer").queued_bytes;
            assert!(queued.iter().all(|bytes| *bytes <= 4 << 20));
        }
        sim.events.clear();
        sim.oracle = sim::oracle::Oracle::default();
        sim.start(0);
        sim.start(1);
        sim.run_until(20 * SECOND, "up after forgeries", Sim::all_up);
        assert_alive(&mut sim);
    }
}

fn expect(sim: &mut Sim, good: &[u8], error: DatagramError, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = good.to_vec();
    change(&mut bytes);
    reseal(&mut bytes);
    let now = sim.now();
    assert_eq!(sim.transport(1).handle_datagram(now, &bytes), Err(error));
}

#[test]
fn each_header_field_has_its_refusal() {
    let (mut sim, record) = session(4);
    let is_link = |d: &&(usize, usize, Vec<u8>)| d.1 == 1 && d.2[5] == 2 && d.2.len() > 200;
    let good = record.iter().rev().find(is_link).expect("one").2.clone();
    for kind in [0, 5, 8, 255] {
        expect(&mut sim, &good, DatagramError::BadKind, |b| b[5] = kind);
    }
    for version in [0, 1, 2, 3, 4, 255] {
        expect(&mut sim, &good, DatagramError::BadVersion, |b| b[4] = version);
    }
    expect(&mut sim, &good, DatagramError::WrongPath, |b| b[5] = 7);
    for source in [1, 64, 255] {
        expect(&mut sim, &good, DatagramError::BadField, |b| b[6] = source);
    }
    expect(&mut sim, &good, DatagramError::BadField, |b| b[7] = 64);
    for bit in 1..16 {
        expect(&mut sim, &good, DatagramError::BadField, |b| b[26 + bit / 8] |= 1 << (bit % 8));
    }
    expect(&mut sim, &good, DatagramError::NotForUs, |b| b[7] = 2);
    expect(&mut sim, &good, DatagramError::UnknownPeer, |b| b[6] = 5);
    for bit in 0..64 {
        let error = DatagramError::StaleIncarnation;
        expect(&mut sim, &good, error, |b| b[32 + bit / 8] ^= 1 << (bit % 8));
    }
    expect(&mut sim, &good, DatagramError::StaleIncarnation, |b| b[32..40].fill(0));
    expect(&mut sim, &good, DatagramError::StaleSession, |b| b[8] ^= 0x40);
    expect(&mut sim, &good, DatagramError::StaleSession, |b| b[12] ^= 0x40);
    expect(&mut sim, &good, DatagramError::StaleSession, |b| b[8..12].fill(0));
    for frame in [0, 6, 255] {
        expect(&mut sim, &good, DatagramError::Malformed, |b| b[40] = frame);
    }
    expect(&mut sim, &good, DatagramError::Malformed, |b| b.push(1));
    expect(&mut sim, &good, DatagramError::Malformed, |b| b[5] = 1);
    expect(&mut sim, &good, DatagramError::WrongPath, |b| b[5] = 4);
    // A farewell that names the wrong lives, which lie where the frames were.
    expect(&mut sim, &good, DatagramError::StaleIncarnation, |b| b[5] = 3);
    let mut magic = good.clone();
    magic[0] = b'X';
    let now = sim.now();
    assert_eq!(sim.transport(1).handle_datagram(now, &magic), Err(DatagramError::BadMagic));
    assert_alive(&mut sim);
}

/// Every length that the header and its field may have.
#[test]
fn every_length_is_checked() {
    let (mut sim, record) = session(7);
    let is_link = |d: &&(usize, usize, Vec<u8>)| d.1 == 1 && d.2[5] == 2 && d.2.len() > 200;
    let good = record.iter().rev().find(is_link).expect("one").2.clone();
    let now = sim.now();
    for len in [0, 1, 31, 32, 39, 40, 63, 64, 65, 8_951, 8_952, 8_953, 65_507] {
        let mut bytes = good.clone();
        bytes.resize(len, 0);
        let expected = match len {
            0..=39 => DatagramError::TooShort,
            40..=8_952 => DatagramError::BadLength,
            _ => DatagramError::TooLong,
        };
        assert_eq!(sim.transport(1).handle_datagram(now, &bytes), Err(expected), "length {len}");
    }
    let body_len = u16::try_from(good.len() - 40).expect("small");
    for told in [0, 1, body_len - 1, body_len + 1, u16::MAX - 1, u16::MAX] {
        let mut bytes = good.clone();
        bytes[24..26].copy_from_slice(&told.to_le_bytes());
        reseal_sum(&mut bytes);
        let outcome = sim.transport(1).handle_datagram(now, &bytes);
        assert_eq!(outcome, Err(DatagramError::BadLength), "body length {told}");
    }
    // Padding behind a frame of the wire's least length is not ours.
    let mut padded = good[..40].to_vec();
    padded.extend([0; 6]);
    reseal(&mut padded);
    let outcome = sim.transport(1).handle_datagram(now, &padded);
    assert_eq!(outcome, Err(DatagramError::Malformed));
    // An empty body says only that the peer lives.
    let mut empty = good[..40].to_vec();
    empty[16..24].fill(0);
    reseal(&mut empty);
    assert_eq!(sim.transport(1).handle_datagram(now, &empty), Ok(()));
    assert_alive(&mut sim);
}

struct Forger {
    sim: Sim,
    good: Vec<u8>,
}

impl Forger {
    fn new(seed: u64) -> Self {
        let (sim, record) = session(seed);
        let is_link = |d: &&(usize, usize, Vec<u8>)| d.1 == 1 && d.2[5] == 2;
        let good = record.iter().rev().find(is_link).expect("one").2.clone();
        assert!(Header::decode(&good).is_ok());
        Self { sim, good }
    }

    /// Node 1 gets these frames in a packet of the session.
    fn give(&mut self, packet: u64, frames: &[u8]) -> Result<(), DatagramError> {
        let mut bytes = self.good[..40].to_vec();
        bytes[16..24].copy_from_slice(&packet.to_le_bytes());
        bytes.extend_from_slice(frames);
        reseal(&mut bytes);
        let now = self.sim.now();
        self.sim.transport(1).handle_datagram(now, &bytes)
    }
}

fn ack(largest: u64, below: u32) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0];
    frame.extend_from_slice(&largest.to_le_bytes());
    frame.extend_from_slice(&below.to_le_bytes());
    frame
}

/// A fragment of a bulk message.
fn fragment(number: u64, len: u32, offset: u16, after: u16, data: &[u8]) -> Vec<u8> {
    let mut frame = vec![1, 2, 9, 1];
    frame.extend_from_slice(&number.to_le_bytes());
    frame.extend_from_slice(&len.to_le_bytes());
    frame.extend_from_slice(&offset.to_le_bytes());
    frame.extend_from_slice(&after.to_le_bytes());
    frame.extend_from_slice(&u16::try_from(data.len()).expect("small").to_le_bytes());
    frame.extend_from_slice(data);
    frame
}

/// Frames that only somebody in session could send, and no correct peer does.
#[test]
fn frames_that_lie() {
    let mut forger = Forger::new(5);
    // What was never sent is not to be acknowledged.
    for (largest, below) in [(u64::MAX, 0), (u64::MAX, u32::MAX), (1 << 63, 0), (1_000, 999)] {
        assert_eq!(forger.give(0, &ack(largest, below)), Err(DatagramError::BadAck));
    }
    for (largest, below) in [(0, 0), (1, 1), (5, u32::MAX)] {
        assert_eq!(forger.give(0, &ack(largest, below)), Err(DatagramError::Malformed));
    }
    // What was acknowledged long ago may be again.
    assert_eq!(forger.give(0, &ack(1, 0)), Ok(()));
    // Credit that goes back, or is without bounds, or for no class.
    let credit = |class: u8, number: u64| {
        let mut frame = vec![3, class, 0, 0];
        (0..2).for_each(|_| frame.extend_from_slice(&number.to_le_bytes()));
        frame
    };
    assert_eq!(forger.give(0, &credit(1, 0)), Ok(()));
    assert_eq!(forger.give(0, &credit(2, u64::MAX)), Ok(()));
    assert_eq!(forger.give(0, &credit(3, 1)), Err(DatagramError::Malformed));
    // Far past the window: not taken, not fatal, and not acknowledged.
    for number in [u64::MAX, 1 << 63, 5_000, 1_024 + 3] {
        assert_eq!(forger.give(0, &fragment(number, 2, 0, 0, b"ab")), Ok(()));
    }
    assert_eq!(forger.sim.transport(1).counters().rx_fragments_refused, 4);
    // Lengths that contradict each other.
    for (len, offset, data) in [
        (0, 0, &b"a"[..]),
        (2, 0, b""),
        (2, 1, b"ab"),
        (2, u16::MAX, b"a"),
        (65_537, 0, b"a"),
        (u32::MAX, 0, b"a"),
    ] {
        let frame = fragment(3, len, offset, 0, data);
        assert_eq!(forger.give(0, &frame), Err(DatagramError::Malformed), "{len} {offset}");
    }
    assert_alive(&mut forger.sim);
}

/// Two fragments that say different things of one message: the session ends, a new one begins.
#[test]
fn contradictions_end_the_session() {
    let first = fragment(4, 8, 0, 0, b"ab");
    let others = [
        fragment(4, 9, 2, 0, b"cd"),
        fragment(4, 8, 2, 1, b"cd"),
        fragment(4, 8, 2, u16::MAX, b"cd"),
        {
            let mut other_kind = fragment(4, 8, 2, 0, b"cd");
            other_kind[2] = 10;
            other_kind
        },
    ];
    for (seed, other) in others.iter().enumerate() {
        let mut forger = Forger::new(50 + seed as u64);
        assert_eq!(forger.give(0, &first), Ok(()));
        assert_eq!(forger.give(0, other), Err(DatagramError::Violation));
        forger.sim.drain(1);
        forger.sim.run_until(5 * SECOND, "up again", Sim::all_up);
        forger.sim.run_for(10 * MS);
        assert_alive(&mut forger.sim);
    }
}

/// A peer can announce what it likes: what is kept for it stays within bounds.
#[test]
fn announcements_take_no_memory_past_the_bounds() {
    let mut forger = Forger::new(8);
    let before = *forger.sim.transport(1).counters();
    for number in 3..1_000 {
        assert_eq!(forger.give(0, &fragment(number, 65_536, 9, 0, b"x")), Ok(()));
    }
    let after = *forger.sim.transport(1).counters();
    // 4 MiB of announced messages of 64 KiB are 64; the pool has 48 such for others than pages.
    assert_eq!(after.rx_fragments_refused - before.rx_fragments_refused, 997 - 64);
    assert_eq!(after.buffer_misses - before.buffer_misses, 64 - 48);
}

#[test]
fn a_flood_of_hellos_from_nobody_changes_nothing() {
    let (mut sim, record) = session(6);
    let is_hello = |d: &&(usize, usize, Vec<u8>)| d.1 == 1 && d.2[5] == 1;
    let hello = record.iter().find(is_hello).expect("one").2.clone();
    let events = sim.events.len();
    let sent = sim.net.sent;
    let mut rng = Rng::new(6);
    for _ in 0..50_000 {
        let mut bytes = hello.clone();
        bytes[32..48].fill_with(|| rng.byte());
        bytes[48..64].fill(0);
        bytes[8..12].fill(7);
        reseal(&mut bytes);
        sim.deliver(1, &bytes);
    }
    assert!(sim.net.sent - sent <= 50_000, "an answer is never more than the question");
    sim.run_for(10 * SECOND);
    assert_eq!(sim.events.len(), events);
    assert_alive(&mut sim);
}
