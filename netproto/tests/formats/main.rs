//! Every wire format, by two readers that share no code: the crate's decoders and [`plain`]. They
//! must take the same bytes and read the same numbers, whatever is changed in a good message; and
//! what the crate takes is what the crate itself would have written.

mod crates;
mod good;
#[path = "../plain/mod.rs"]
mod plain;

use holon_simkit::mutate::{mutate, put, rounds, EDGES};
use holon_simkit::Rng;
use netproto::wire::header::Lives;
use netproto::wire::{checksum, Header};
use plain::{Format, Rule, MESSAGES};

/// Both readers' word on some bytes; they must agree. Whether they take them.
fn compare(kind: u16, format: &Format, bytes: &[u8]) -> bool {
    let ours = crates::read(kind, bytes);
    let name = format.name;
    assert_eq!(ours.is_some(), format.accepts(bytes), "{name}: {:02x?}", start(bytes));
    if let Some((values, again)) = &ours {
        assert_eq!(*values, format.values(bytes), "{name}: {:02x?}", start(bytes));
        assert!(again == bytes, "{name} is written differently: {:02x?}", start(bytes));
    }
    ours.is_some()
}

fn start(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(160)]
}

#[test]
fn every_message_number_has_a_format() {
    let numbers: Vec<u16> = MESSAGES.iter().map(|(kind, _)| *kind).collect();
    for kind in 0x0100..0x0800_u16 {
        // A daemon's bytes are its own matter.
        let is_known = crates::KINDS.contains(&kind) && kind != 0x0101;
        assert_eq!(numbers.contains(&kind), is_known, "{kind:#06x}");
    }
}

#[test]
fn good_messages_are_read_the_same() {
    let mut rng = Rng::new(1);
    for (kind, format) in MESSAGES {
        for _ in 0..100 {
            let bytes = good::message(*kind, format, &mut rng);
            assert!(compare(*kind, format, &bytes), "{}: {:02x?}", format.name, start(&bytes));
        }
    }
}

#[test]
fn every_length() {
    let mut rng = Rng::new(2);
    for (kind, format) in MESSAGES {
        let good = good::message(*kind, format, &mut rng);
        for len in (0..good.len().min(600)).chain([good.len() - 1]) {
            compare(*kind, format, &good[..len]);
        }
        for more in [1, 2, 24, 4095, 4096, 60 * 1024, 60 * 1024 + 1, 65_536] {
            for byte in [0, 0xff] {
                let mut longer = good.clone();
                longer.resize(good.len() + more, byte);
                compare(*kind, format, &longer);
            }
        }
    }
}

/// Counts, lengths, enumerations, reserved bytes: each field with each number at the edge of
/// something, and each single bit.
#[test]
fn every_field_at_every_edge() {
    let mut rng = Rng::new(3);
    for (kind, format) in MESSAGES {
        let (mut taken, mut refused) = (0, 0);
        for _ in 0..4 {
            let good = good::message(*kind, format, &mut rng);
            for field in format.fields {
                let bits = (0..8 * field.width).map(|bit| 1 << bit);
                let old = plain::number(&good, field.at, field.width);
                let near = [old.wrapping_sub(1), old.wrapping_add(1)];
                for value in EDGES.into_iter().chain(bits).chain(near) {
                    let mut bytes = good.clone();
                    put(&mut bytes, field.at, field.width, value);
                    let is_taken = compare(*kind, format, &bytes);
                    *(if is_taken { &mut taken } else { &mut refused }) += 1;
                }
            }
        }
        let is_free = |rule: &Rule| matches!(rule, Rule::Any);
        let can_fail = !format.fields.iter().all(|field| is_free(&field.rule));
        assert!(taken > 0 && (refused > 0) >= can_fail, "{}: {taken}, {refused}", format.name);
    }
}

#[test]
fn mutated_messages_are_read_the_same() {
    let mut taken = 0;
    let all = rounds(400);
    for seed in 0..all {
        let mut rng = Rng::new(seed);
        for (kind, format) in MESSAGES {
            let mut bytes = good::message(*kind, format, &mut rng);
            for _ in 0..8 {
                mutate(&mut bytes, &mut rng);
                taken += u64::from(compare(*kind, format, &bytes));
            }
        }
    }
    // Both must be frequent, or nothing was tested.
    let share = taken * 100 / (all * 8 * MESSAGES.len() as u64);
    assert!((5..60).contains(&share), "{share} % taken");
}

/// A message of one kind as if it were of another.
#[test]
fn mistaken_messages_are_read_the_same() {
    let mut rng = Rng::new(4);
    for (from, of) in MESSAGES {
        let bytes = good::message(*from, of, &mut rng);
        for (kind, format) in MESSAGES {
            compare(*kind, format, &bytes);
        }
    }
}

fn compare_header(bytes: &[u8]) -> bool {
    let plain = plain::header(bytes);
    let ours = Header::decode(bytes);
    assert_eq!(ours.is_ok(), plain.is_some(), "{:02x?}", start(bytes));
    let (Ok((header, body)), Some(plain)) = (ours, plain) else {
        return false;
    };
    let lives = match header.lives {
        Lives::Tag(tag) => tag.to_le_bytes().to_vec(),
        Lives::Named { source, destination } => [source.0, destination.0].concat(),
    };
    let read = plain::HeaderFields {
        kind: header.kind.number().into(),
        slots: (header.source.get().into(), header.destination.get().into()),
        sessions: (header.source_session.into(), header.destination_session.into()),
        packet: header.packet,
        is_urgent: header.is_urgent,
        lives,
        body: body.to_vec(),
    };
    assert_eq!(read, plain);
    let mut again = bytes.to_vec();
    again[..bytes.len() - body.len()].fill(0);
    header.encode(&mut again).expect("fits");
    assert_eq!(again, bytes, "it is written differently");
    true
}

#[test]
fn headers_are_read_the_same() {
    let mut taken = 0;
    let all = rounds(2_000);
    for seed in 0..all {
        let mut rng = Rng::new(seed);
        let mut bytes = good::datagram(&mut rng);
        assert!(compare_header(&bytes));
        for _ in 0..6 {
            mutate(&mut bytes, &mut rng);
            compare_header(&bytes);
            good::reseal(&mut bytes, rng.below(4) > 0);
            taken += u64::from(compare_header(&bytes));
        }
    }
    let share = taken * 100 / (all * 6);
    assert!((5..80).contains(&share), "{share} % taken");
}

#[test]
fn every_byte_of_a_header() {
    let mut rng = Rng::new(5);
    for _ in 0..12 {
        let good = good::datagram(&mut rng);
        for at in 0..good.len().min(72) {
            for value in 0..=255 {
                let mut bytes = good.clone();
                bytes[at] = value;
                compare_header(&bytes);
                good::reseal(&mut bytes, false);
                compare_header(&bytes);
            }
        }
    }
}

#[test]
fn checksums_are_the_same() {
    let mut rng = Rng::new(6);
    for len in 0..300 {
        let bytes: Vec<u8> = (0..len).map(|_| rng.byte()).collect();
        assert_eq!(checksum(&[&bytes]), plain::sum(&[&bytes]));
    }
}
