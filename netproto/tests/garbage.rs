//! Whatever bytes arrive: no panic, a typed and counted refusal, and the session lives on.

mod sim;

use holon_simkit::Rng;
use netproto::wire::checksum::crc32c_update;
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

/// Makes the checksum right again after a change.
fn reseal(bytes: &mut [u8]) {
    let body_len = u16::try_from(bytes.len() - 64).expect("small");
    bytes[56..58].copy_from_slice(&body_len.to_le_bytes());
    let register = crc32c_update(u32::MAX, &bytes[..60]);
    let sum = !crc32c_update(register, &bytes[64..]);
    bytes[60..64].copy_from_slice(&sum.to_le_bytes());
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
            bytes[..6].copy_from_slice(b"HOLN\x01\x02");
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
                0 => bytes.truncate(64 + rng.index(bytes.len() - 63)),
                1 => bytes.extend((0..rng.below(40)).map(|_| 0)),
                2 => {
                    let at = rng.index(bytes.len());
                    bytes[at] = rng.pick(&[0, 1, 2, 3, 0x7f, 0x80, 0xfe, 0xff]);
                }
                3 if bytes.len() > 72 => {
                    let at = 64 + rng.index(bytes.len() - 72);
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
            assert!(queued.iter().all(|bytes| *bytes <= 1 << 20));
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
    for kind in [0, 6, 255] {
        expect(&mut sim, &good, DatagramError::BadKind, |b| b[5] = kind);
    }
    for version in [0, 2, 255] {
        expect(&mut sim, &good, DatagramError::BadVersion, |b| b[4] = version);
    }
    for source in [1, 64, 255] {
        expect(&mut sim, &good, DatagramError::BadField, |b| b[6] = source);
    }
    expect(&mut sim, &good, DatagramError::BadField, |b| b[7] = 64);
    expect(&mut sim, &good, DatagramError::BadField, |b| b[58] = 1);
    expect(&mut sim, &good, DatagramError::BadField, |b| b[8..24].fill(0));
    expect(&mut sim, &good, DatagramError::NotForUs, |b| b[7] = 2);
    expect(&mut sim, &good, DatagramError::UnknownPeer, |b| b[6] = 5);
    expect(&mut sim, &good, DatagramError::StaleIncarnation, |b| b[8] ^= 1);
    expect(&mut sim, &good, DatagramError::StaleIncarnation, |b| b[24] ^= 1);
    expect(&mut sim, &good, DatagramError::StaleIncarnation, |b| b[24..40].fill(0));
    expect(&mut sim, &good, DatagramError::StaleSession, |b| b[40] ^= 0x40);
    expect(&mut sim, &good, DatagramError::StaleSession, |b| b[44] ^= 0x40);
    expect(&mut sim, &good, DatagramError::Malformed, |b| b[64] = 9);
    expect(&mut sim, &good, DatagramError::Malformed, |b| b.push(1));
    expect(&mut sim, &good, DatagramError::Malformed, |b| b[5] = 1);
    expect(&mut sim, &good, DatagramError::Malformed, |b| b[5] = 3);
    expect(&mut sim, &good, DatagramError::WrongPath, |b| b[5] = 4);
    let mut magic = good.clone();
    magic[0] = b'X';
    let now = sim.now();
    assert_eq!(sim.transport(1).handle_datagram(now, &magic), Err(DatagramError::BadMagic));
    assert_alive(&mut sim);
}

/// Frames that only somebody in session could send, and no correct peer does.
#[test]
fn frames_that_lie() {
    let (mut sim, record) = session(5);
    let is_link = |d: &&(usize, usize, Vec<u8>)| d.1 == 1 && d.2[5] == 2;
    let good = record.iter().rev().find(is_link).expect("one").2.clone();
    assert!(Header::decode(&good, crc32c_update).is_ok());
    let ack = |next: u64, bit: u32| {
        let mut frame = vec![2, 1, 0, 0];
        frame.extend_from_slice(&next.to_le_bytes());
        frame.extend_from_slice(&1_u128.checked_shl(bit).unwrap_or(0).to_le_bytes());
        frame
    };
    for (next, bit) in [(u64::MAX, 200), (1 << 63, 0), (1_000, 200), (6, 127), (6, 0), (7, 127)] {
        expect(&mut sim, &good, DatagramError::BadAck, |b| {
            b.truncate(64);
            b.extend(ack(next, bit));
        });
    }
    assert_alive(&mut sim);
    let fragment = |sequence: u64, flags: u8| {
        let mut frame = vec![1, 0, flags, 0, 2, 0, 9, 9];
        frame.extend_from_slice(&sequence.to_le_bytes());
        frame.extend_from_slice(&8_u32.to_le_bytes());
        frame.extend_from_slice(&[1, 2]);
        frame
    };
    // Far past the window: not taken, not fatal.
    for sequence in [u64::MAX, 1 << 63, 5_000] {
        let mut bytes = good[..64].to_vec();
        bytes.extend(fragment(sequence, 1));
        reseal(&mut bytes);
        sim.deliver(1, &bytes);
    }
    assert_eq!(sim.transport(1).counters().rx_fragments_refused, 3);
    assert_alive(&mut sim);
    // A message that goes on without a beginning: the session ends, and a new one begins.
    let before = sim.transport(1).counters().bad(DatagramError::Violation);
    for sequence in 0..64 {
        let mut bytes = good[..64].to_vec();
        bytes.extend(fragment(sequence, 0));
        reseal(&mut bytes);
        sim.deliver(1, &bytes);
    }
    assert_eq!(sim.transport(1).counters().bad(DatagramError::Violation), before + 1);
    sim.run_until(SECOND, "up again", Sim::all_up);
    sim.run_for(10 * MS);
    assert_alive(&mut sim);
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
        bytes[8..24].fill_with(|| rng.byte());
        bytes[24..40].fill(0);
        bytes[40..44].fill(7);
        reseal(&mut bytes);
        sim.deliver(1, &bytes);
    }
    assert!(sim.net.sent - sent <= 50_000, "an answer is never more than the question");
    sim.run_for(10 * SECOND);
    assert_eq!(sim.events.len(), events);
    assert_alive(&mut sim);
}
