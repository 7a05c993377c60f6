//! The header of datagrams.

use super::number;

const PRIMES: [u64; 5] = [
    0x9e37_79b1_85eb_ca87,
    0xc2b2_ae3d_27d4_eb4f,
    0x1656_67b1_9e37_79f9,
    0x85eb_ca77_c2b2_ae63,
    0x27d4_eb2f_1656_67c5,
];

fn round(lane: u64, word: u64) -> u64 {
    let sum = lane.wrapping_add(word.wrapping_mul(PRIMES[1]));
    sum.rotate_left(31).wrapping_mul(PRIMES[0])
}

/// The low half of XXH64 with seed 0 over these pieces, by its specification's steps.
pub(crate) fn sum(pieces: &[&[u8]]) -> u32 {
    let bytes = pieces.concat();
    let stripes = bytes.chunks_exact(32);
    let (mut rest, is_long) = (stripes.remainder(), bytes.len() >= 32);
    let p1 = PRIMES[0];
    let mut lanes = [p1.wrapping_add(PRIMES[1]), PRIMES[1], 0, p1.wrapping_neg()];
    for stripe in stripes {
        for (at, lane) in lanes.iter_mut().enumerate() {
            *lane = round(*lane, number(stripe, at * 8, 8));
        }
    }
    let mut hash = PRIMES[4];
    if is_long {
        let turned = [1, 7, 12, 18].iter().zip(lanes).map(|(by, lane)| lane.rotate_left(*by));
        hash = turned.fold(0, u64::wrapping_add);
        for lane in lanes {
            hash = (hash ^ round(0, lane)).wrapping_mul(p1).wrapping_add(PRIMES[3]);
        }
    }
    hash = hash.wrapping_add(u64::try_from(bytes.len()).expect("small"));
    while rest.len() >= 8 {
        hash = (hash ^ round(0, number(rest, 0, 8))).rotate_left(27);
        hash = hash.wrapping_mul(p1).wrapping_add(PRIMES[3]);
        rest = &rest[8..];
    }
    if rest.len() >= 4 {
        hash = (hash ^ number(rest, 0, 4).wrapping_mul(p1)).rotate_left(23);
        hash = hash.wrapping_mul(PRIMES[1]).wrapping_add(PRIMES[2]);
        rest = &rest[4..];
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte).wrapping_mul(PRIMES[4])).rotate_left(11).wrapping_mul(p1);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(PRIMES[1]);
    hash = (hash ^ hash >> 29).wrapping_mul(PRIMES[2]);
    u32::try_from((hash ^ hash >> 32) & 0xffff_ffff).expect("32 bits")
}

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeaderFields {
    pub(crate) kind: u64,
    pub(crate) slots: (u64, u64),
    pub(crate) sessions: (u64, u64),
    pub(crate) packet: u64,
    pub(crate) is_urgent: bool,
    /// The tag, or both incarnations.
    pub(crate) lives: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

/// A datagram's header and body, if all is right.
pub(crate) fn header(bytes: &[u8]) -> Option<HeaderFields> {
    if bytes.len() < 40 || bytes.len() > 8952 || bytes[..5] != *b"HOLN\x05" {
        return None;
    }
    let kind = number(bytes, 5, 1);
    let len = match kind {
        1 | 3 | 4 | 6 => 64,
        2 | 7 => 40,
        _ => return None,
    };
    let (source, destination) = (number(bytes, 6, 1), number(bytes, 7, 1));
    let flags = number(bytes, 26, 2);
    let is_right = bytes.len() >= len
        && number(bytes, 24, 2) == u64::try_from(bytes.len() - len).expect("small")
        && number(bytes, 28, 4) == u64::from(sum(&[&bytes[..28], &bytes[32..]]))
        && source < 64
        && destination < 64
        && source != destination
        && flags < 2
        && (len == 40 || bytes[32..48] != [0; 16]);
    is_right.then(|| HeaderFields {
        kind,
        slots: (source, destination),
        sessions: (number(bytes, 8, 4), number(bytes, 12, 4)),
        packet: number(bytes, 16, 8),
        is_urgent: flags == 1,
        lives: bytes[32..len].to_vec(),
        body: bytes[len..].to_vec(),
    })
}
