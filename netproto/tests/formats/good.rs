//! Messages that are right, made from the plain formats.

use holon_simkit::mutate::put;
use holon_simkit::Rng;

use crate::plain::{number, sum, Field, Format, Rule};

fn value(field: &Field, rng: &mut Rng) -> u64 {
    match field.rule {
        Rule::Any | Rule::NotZero if rng.coin() => rng.draw() | 1,
        Rule::Any => rng.below(300),
        Rule::NotZero => 1 + rng.below(200),
        Rule::Zero => 0,
        Rule::From(low, high) => rng.between(low, high),
        Rule::Signed(..) => rng.below(5000),
        Rule::Bits(mask) => rng.draw() & mask,
    }
}

fn noise(len: usize, rng: &mut Rng) -> Vec<u8> {
    (0..len).map(|_| rng.byte()).collect()
}

/// A message of a format.
pub(crate) fn message(kind: u16, format: &Format, rng: &mut Rng) -> Vec<u8> {
    let mut head = vec![0; format.len];
    for field in format.fields {
        put(&mut head, field.at, field.width, value(field, rng));
    }
    let rest = match format.name {
        "prepare" => piece(&mut head, 24, rng),
        "final" => piece(&mut head, 8, rng),
        "exited" => {
            let status = if rng.coin() { rng.below(256) << 8 } else { rng.between(1, 64) };
            put(&mut head, 40, 4, status);
            Vec::new()
        }
        "piece" => {
            let (sort, status) = [(1, 1), (1, 3), (2, 1), (2, 4)][rng.index(4)];
            let count = if status == 1 { 1 + rng.below(4) } else { 0 };
            // Of this length on no part is empty.
            let len = [4096, 16 + rng.below(4000)][if sort == 1 { 0 } else { rng.index(2) }];
            put(&mut head, 24, 2, if count == 0 { 0 } else { len });
            put(&mut head, 0, 8, rng.below(1 << 32));
            put(&mut head, 8, 8, 1 + rng.below(1 << 40));
            put(&mut head, 16, 4, if count == 0 { 0 } else { rng.below(1 << 32) });
            put(&mut head, 20, 1, sort);
            put(&mut head, 21, 1, status);
            put(&mut head, 22, 1, if count == 0 { 0 } else { rng.below(count) });
            put(&mut head, 23, 1, count);
            Vec::new()
        }
        "page get" => {
            let index = rng.below((1 << 52) - 32);
            put(&mut head, 16, 8, index);
            Vec::new()
        }
        "page data" if head[28] == 1 => noise(4096, rng),
        "page data" if head[28] == 5 => noise(16, rng),
        "page data" => {
            put(&mut head, 24, 4, 0);
            Vec::new()
        }
        "request" | "reply" | "file status" => {
            let len = rng.index(90);
            noise(len, rng)
        }
        _ if (0x0603..=0x0608).contains(&kind) => items(kind, &mut head, rng),
        _ => Vec::new(),
    };
    head.extend(rest);
    head
}

fn piece(head: &mut [u8], total_at: usize, rng: &mut Rng) -> Vec<u8> {
    let (offset, len) = (rng.below(1000), rng.index(60));
    let end = offset + u64::try_from(len).expect("small");
    let (total, offset) = if len == 0 { (0, 0) } else { (end + rng.below(9), offset) };
    put(head, total_at, 4, total);
    put(head, total_at + 4, 4, offset);
    noise(len, rng)
}

fn items(kind: u16, head: &mut [u8], rng: &mut Rng) -> Vec<u8> {
    let is_question = kind % 2 == 1;
    let with = match kind {
        0x0603 => Some(0_u64),
        0x0606 => Some(1),
        _ => None,
    };
    // Not too many contents, and often only a few bytes in all.
    let mut positions: Vec<u8> = (0..32).filter(|_| rng.below(3) == 0).take(14).collect();
    if positions.is_empty() {
        positions.push(7);
    }
    put(head, 16, 2, u64::try_from(positions.len()).expect("few"));
    let (mut rest, mut contents) = (Vec::new(), Vec::new());
    for position in positions {
        let status = if is_question { 0 } else { 1 + rng.below(6) };
        let has_one = with == Some(status);
        let mut item = [0; 24];
        (item[0], item[1]) = (position, u8::try_from(status).expect("small"));
        put(&mut item, 4, 4, rng.draw());
        put(&mut item, 8, 4, if has_one { rng.draw() } else { 0 });
        put(&mut item, 16, 8, 1 + rng.below(1 << 40));
        if has_one {
            let len = [4096, 1 + rng.index(4095)][rng.index(2)];
            put(&mut item, 2, 2, u64::try_from(len).expect("short"));
            contents.resize(contents.len() + len, position);
        }
        rest.extend(item);
    }
    rest.extend(contents);
    rest
}

fn header_len(kind: u64) -> usize {
    if [2, 7].contains(&kind) {
        40
    } else {
        64
    }
}

/// A datagram of any kind.
pub(crate) fn datagram(rng: &mut Rng) -> Vec<u8> {
    let kind = [1, 2, 3, 4, 6, 7][rng.index(6)];
    let (header_len, body_len) = (header_len(kind), rng.index(200));
    let mut bytes = noise(header_len + body_len, rng);
    bytes[..5].copy_from_slice(b"HOLN\x05");
    let source = rng.below(64);
    put(&mut bytes, 5, 1, kind);
    put(&mut bytes, 6, 1, source);
    put(&mut bytes, 7, 1, (source + 1 + rng.below(63)) % 64);
    put(&mut bytes, 26, 2, rng.below(2));
    reseal(&mut bytes, true);
    bytes
}

/// Makes the checksum right again, and the length too if asked to.
pub(crate) fn reseal(bytes: &mut [u8], and_length: bool) {
    if bytes.len() < 40 {
        return;
    }
    let header_len = header_len(number(bytes, 5, 1));
    if let Some(body_len) = bytes.len().checked_sub(header_len).filter(|_| and_length) {
        put(bytes, 24, 2, u64::try_from(body_len).expect("small"));
    }
    let sum = sum(&[&bytes[..28], &bytes[32..]]);
    put(bytes, 28, 4, sum.into());
}
