//! Whatever the bytes: an error or a value that is within its bounds, never a panic.

mod common;

use ckpt::image::header::HEADER_LEN;
use ckpt::image::record::RECORD_HEADER_LEN;
use ckpt::object::restart::{Deadline, Restart};
use ckpt::object::subject::ImageKind;
use ckpt::object::vma::{Vma, VmaFlags, VmaKind};
use ckpt::{Body, DecodeError, Final, Manifest};
use common::PAGE;
use holon_simkit::Rng;
use netproto::wire::checksum;

fn seal_header(image: &mut [u8]) {
    let len = u64::try_from(image.len()).expect("small");
    image[16..24].copy_from_slice(&len.to_le_bytes());
    let sum = checksum(&[&image[..28]]);
    image[28..32].copy_from_slice(&sum.to_le_bytes());
}

fn record_len(image: &[u8], at: usize) -> Option<usize> {
    let len = image.get(at + 4..at + 8)?;
    let len = u32::from_le_bytes(len.try_into().expect("four bytes"));
    let end = at + RECORD_HEADER_LEN + usize::try_from(len).expect("fits");
    (end <= image.len()).then_some(end - at)
}

/// Makes all checksums right again, as an evil peer would.
fn seal(image: &mut [u8]) {
    let mut at = HEADER_LEN;
    while let Some(len) = record_len(image, at) {
        let mut checked = image[at..at + 8].to_vec();
        checked.extend_from_slice(&image[at + RECORD_HEADER_LEN..at + len]);
        let sum = checksum(&[&checked]);
        image[at + 8..at + 12].copy_from_slice(&sum.to_le_bytes());
        at += len;
    }
    seal_header(image);
}

/// Decodes as either part; what is accepted must be what an encoder would have written.
fn decode_both(image: &[u8]) -> bool {
    let manifest = Manifest::decode(image);
    if let Ok(manifest) = &manifest {
        let again = manifest.encode().expect("what is decoded can be encoded");
        assert_eq!(Manifest::decode(&again).as_ref(), Ok(manifest));
    }
    let last = Final::decode(image);
    if let Ok(last) = &last {
        let again = last.encode().expect("what is decoded can be encoded");
        assert_eq!(Final::decode(&again).as_ref(), Ok(last));
    }
    manifest.is_ok() || last.is_ok()
}

fn images(seed: u64) -> [Vec<u8>; 3] {
    let rng = &mut Rng::new(seed);
    [common::live(rng).encode(), common::exec(rng).encode(), common::last(rng).encode()]
        .map(|image| image.expect("encodes"))
}

#[test]
fn cut_off_anywhere() {
    for image in images(1) {
        for len in 0..image.len() {
            assert!(!decode_both(&image[..len]), "accepted at {len} of {}", image.len());
            // And with a header that says that this was all.
            if len >= HEADER_LEN {
                let mut short = image[..len].to_vec();
                seal_header(&mut short);
                assert!(!decode_both(&short), "accepted at {len} of {}", image.len());
            }
        }
    }
}

#[test]
fn any_flipped_bit_is_seen() {
    for image in images(2) {
        for bit in 0..image.len() * 8 {
            let mut flipped = image.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!decode_both(&flipped), "bit {bit} flipped");
        }
    }
}

#[test]
fn bytes_after_the_end() {
    for mut image in images(3) {
        image.push(0);
        assert!(!decode_both(&image));
        seal_header(&mut image);
        assert!(!decode_both(&image));
    }
}

#[test]
fn mutations_with_right_checksums() {
    let mut accepted = 0;
    let mut refused = 0;
    for seed in 0..600 {
        let rng = &mut Rng::new(seed);
        for image in images(seed) {
            for _ in 0..12 {
                let mut mutant = image.clone();
                mutate(rng, &mut mutant);
                seal(&mut mutant);
                match decode_both(&mutant) {
                    true => accepted += 1,
                    false => refused += 1,
                }
            }
        }
    }
    // Both must happen, or the test tests nothing.
    assert!(accepted > 1000 && refused > 1000, "{accepted} accepted, {refused} refused");
}

fn mutate(rng: &mut Rng, image: &mut Vec<u8>) {
    for _ in 0..=rng.below(3) {
        let at = HEADER_LEN + rng.index(image.len() - HEADER_LEN);
        match rng.below(8) {
            0 => image[at] = rng.byte(),
            1 => image[at] ^= 1 << rng.below(8),
            2 => image[at] = 0xff,
            3 => image[at] = 0,
            4 => {
                let values = [0, 1, u64::MAX, 1 << 63, 1 << 31, 1 << 47, 0xffff_ffff];
                let value = values[rng.index(values.len())].to_le_bytes();
                let end = image.len().min(at + 8);
                image[at..end].copy_from_slice(&value[..end - at]);
            }
            5 => drop(image.drain(at..image.len().min(at + 1 + rng.index(40)))),
            6 => {
                let piece = image[at..image.len().min(at + 1 + rng.index(40))].to_vec();
                image.splice(at..at, piece);
            }
            _ => image.truncate(at),
        }
        if image.len() <= HEADER_LEN + 1 {
            return;
        }
    }
}

#[test]
fn noise() {
    for seed in 0..20_000 {
        let rng = &mut Rng::new(seed);
        let len = rng.index(300);
        let mut image: Vec<u8> = (0..len).map(|_| rng.byte()).collect();
        if rng.coin() && len >= HEADER_LEN {
            image[..8].copy_from_slice(if rng.coin() { b"HOLONMAN" } else { b"HOLONFIN" });
            image[8..12].copy_from_slice(&[1, 0, 0, 0]);
            image[24..28].copy_from_slice(&[0; 4]);
            seal(&mut image);
        }
        assert!(!decode_both(&image));
    }
}

/// Where the record of this kind starts, and its length.
fn find(image: &[u8], kind: u16) -> (usize, usize) {
    let mut at = HEADER_LEN;
    loop {
        let len = record_len(image, at).expect("the record is there");
        if image[at..at + 2] == kind.to_le_bytes() {
            return (at, len);
        }
        at += len;
    }
}

fn add_record(image: &mut Vec<u8>, kind: u16, version: u16, payload: &[u8]) {
    image.extend_from_slice(&kind.to_le_bytes());
    image.extend_from_slice(&version.to_le_bytes());
    image.extend_from_slice(&u32::try_from(payload.len()).expect("small").to_le_bytes());
    image.extend_from_slice(&[0; 4]);
    image.extend_from_slice(payload);
    let records = u32::from_le_bytes(image[12..16].try_into().expect("four bytes")) + 1;
    image[12..16].copy_from_slice(&records.to_le_bytes());
    seal(image);
}

#[test]
fn records_of_a_newer_node() {
    let [live, ..] = images(4);
    let mut optional = live.clone();
    add_record(&mut optional, 0x8001, 1, b"may be skipped");
    assert_eq!(Manifest::decode(&optional), Manifest::decode(&live));
    let mut needed = live.clone();
    add_record(&mut needed, 0x7fff, 1, b"must be understood");
    assert_eq!(Manifest::decode(&needed), Err(DecodeError::UnknownRecord(0x7fff)));
    let mut repeated = live.clone();
    add_record(&mut repeated, 0x0022, 1, &[0; 4]);
    assert_eq!(Manifest::decode(&repeated), Err(DecodeError::Order(0x0022)));
}

#[test]
fn fields_of_a_newer_node() {
    let manifest = common::live(&mut Rng::new(5));
    let live = manifest.encode().expect("encodes");
    let (at, len) = find(&live, 0x0001);
    let mut longer = live.clone();
    longer.splice(at + len..at + len, *b"new field");
    let payload = u32::try_from(len - RECORD_HEADER_LEN + 9).expect("small");
    longer[at + 4..at + 8].copy_from_slice(&payload.to_le_bytes());
    seal(&mut longer);
    assert_eq!(Manifest::decode(&longer), Err(DecodeError::Trailing));
    longer[at + 2..at + 4].copy_from_slice(&2u16.to_le_bytes());
    seal(&mut longer);
    assert_eq!(Manifest::decode(&longer), Ok(manifest));
    longer[at + 2..at + 4].copy_from_slice(&0u16.to_le_bytes());
    seal(&mut longer);
    assert_eq!(Manifest::decode(&longer), Err(DecodeError::Version(0)));
}

#[test]
fn a_newer_format() {
    let [mut live, ..] = images(4);
    live[8..10].copy_from_slice(&2u16.to_le_bytes());
    seal(&mut live);
    assert_eq!(Manifest::decode(&live), Err(DecodeError::Version(2)));
}

#[test]
fn the_other_part() {
    let [live, _, last] = images(4);
    assert_eq!(Final::decode(&live), Err(DecodeError::Magic));
    assert_eq!(Manifest::decode(&last), Err(DecodeError::Magic));
}

/// Version 1 of the places had no huge pages.
#[test]
fn an_older_record() {
    let mut manifest = common::live(&mut Rng::new(5));
    let Body::Live(memory) = &mut manifest.body else { panic!("a running process") };
    memory.places = ckpt::object::places::Places::new();
    let mut image = manifest.encode().expect("an image");
    let (at, _) = find(&image, 0x0022);
    assert_eq!(image[at + 2], 2, "its version");
    image[at + 2] = 1;
    image[at + 4] -= 4;
    image.drain(at + RECORD_HEADER_LEN + 4..at + RECORD_HEADER_LEN + 8);
    seal(&mut image);
    assert_eq!(Manifest::decode(&image).as_ref(), Ok(&manifest));
}

#[test]
fn counts_that_promise_more_than_there_is() {
    // The count of mappings, of places, of arguments, of groups: each at the start of its list.
    let [live, exec, last] = images(6);
    for (image, kind, offset) in
        [(&live, 0x0021, 0), (&live, 0x0022, 0), (&live, 0x0011, 32), (&last, 0x0120, 0)]
    {
        for count in [u32::MAX, 1 << 31, 1 << 18, 1 << 16, 4096] {
            let mut image = image.clone();
            let (at, _) = find(&image, kind);
            let at = at + RECORD_HEADER_LEN + offset;
            image[at..at + 4].copy_from_slice(&count.to_le_bytes());
            seal(&mut image);
            assert!(!decode_both(&image), "record {kind:#06x}, count {count}");
        }
    }
    assert!(decode_both(&exec));
}

fn anon(range: std::ops::Range<u64>) -> Vma {
    let (flags, kind) = (VmaFlags::empty(), VmaKind::Anon);
    Vma { start: range.start, end: range.end, flags, kind }
}

#[test]
fn an_encoder_refuses_what_a_decoder_would() {
    let rng = &mut Rng::new(10);
    let mut manifest = common::live(rng);
    manifest.subject.kind = ImageKind::Exec;
    assert!(manifest.encode().is_err(), "a live body in an exec's image");
    let mut manifest = common::live(rng);
    manifest.fs.cwd = ckpt::Bytes::from(b"/a/../etc".to_vec());
    assert!(manifest.encode().is_err(), "a path that leaves its root");
    manifest.fs.cwd = ckpt::Bytes::from(b"a".to_vec());
    assert!(manifest.encode().is_err(), "a relative path");
    let mut manifest = common::live(rng);
    if let Body::Live(memory) = &mut manifest.body {
        memory.places = ckpt::object::places::Places::new();
        memory.places.push(1 << 40, 1).expect("memory");
    }
    assert!(manifest.encode().is_err(), "a place outside of all mappings");
    let spoils: [fn(&mut Manifest); 4] = [
        |manifest| manifest.task.nice = 20,
        |manifest| manifest.creds.dumpable = 3,
        |manifest| manifest.fs.umask = 0o1000,
        |manifest| manifest.subject.process.pid.0 = 1,
    ];
    for (number, spoil) in spoils.into_iter().enumerate() {
        let mut manifest = common::live(rng);
        spoil(&mut manifest);
        assert!(manifest.encode().is_err(), "spoil {number}");
    }
    let mut last = common::last(rng);
    last.regs.0[ckpt::object::regs::Regs::CS] = 0x10;
    assert!(last.encode().is_err(), "registers of the kernel");
    let mut last = common::last(rng);
    last.change.map = vec![anon(PAGE..2 * PAGE), anon(0..PAGE)];
    assert!(last.encode().is_err(), "mappings that do not ascend");
    let mut last = common::last(rng);
    last.restart = Restart::Nanosleep {
        deadline: Deadline { clock: 2, at_ns: 0 },
        remaining_address: 0,
        remaining_kind: 0,
    };
    assert!(last.encode().is_err(), "a deadline by a clock that does not go on");
}

/// An image's records, each whole.
fn records(image: &[u8]) -> Vec<Vec<u8>> {
    let (mut at, mut list) = (HEADER_LEN, Vec::new());
    while let Some(len) = record_len(image, at) {
        list.push(image[at..at + len].to_vec());
        at += len;
    }
    list
}

fn with_records(image: &[u8], records: &[Vec<u8>]) -> Vec<u8> {
    let mut made = [&image[..HEADER_LEN], &records.concat()].concat();
    let count = u32::try_from(records.len()).expect("few");
    made[12..16].copy_from_slice(&count.to_le_bytes());
    seal(&mut made);
    made
}

/// Whole records that are missing, there twice, or in another order, with every count and checksum
/// right; and counts that are not.
#[test]
fn records_missing_doubled_and_swapped() {
    for (number, image) in images(11).into_iter().enumerate() {
        let all = records(&image);
        assert!(decode_both(&with_records(&image, &all)) && all.len() > 2);
        for at in 0..all.len() {
            let kind = u16::from_le_bytes([all[at][0], all[at][1]]);
            let mut fewer = all.clone();
            let record = fewer.remove(at);
            assert!(!decode_both(&with_records(&image, &fewer)), "{number} without {kind:#06x}");
            let mut doubled = all.clone();
            doubled.insert(at, record.clone());
            assert!(!decode_both(&with_records(&image, &doubled)), "{number}, {kind:#06x} twice");
            for to in (0..all.len()).filter(|to| *to != at) {
                let mut moved = fewer.clone();
                moved.insert(to, record.clone());
                assert!(!decode_both(&with_records(&image, &moved)), "{number}, {kind:#06x} moved");
            }
        }
        for count in [0, 1, all.len() - 1, all.len() + 1, 1 << 31] {
            let mut told = image.clone();
            let count = u32::try_from(count).expect("fits");
            told[12..16].copy_from_slice(&count.to_le_bytes());
            seal_header(&mut told);
            assert!(!decode_both(&told), "{number} says {count} records");
        }
    }
}
