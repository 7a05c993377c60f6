//! Bytes that are nearly right.

use crate::Rng;

/// Numbers at which decoders err.
pub const EDGES: [u64; 20] = [
    0,
    1,
    2,
    31,
    32,
    33,
    63,
    64,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 52,
    1 << 63,
    u64::MAX,
];

/// How many rounds a search makes: as many as `HOLON_FUZZ_ROUNDS` says, or the given number.
#[must_use]
pub fn rounds(default: u64) -> u64 {
    std::env::var("HOLON_FUZZ_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Writes the low bytes of a number; what is past the end is left out.
pub fn put(bytes: &mut [u8], at: usize, width: usize, value: u64) {
    let place = bytes.iter_mut().skip(at).take(width);
    place.zip(value.to_le_bytes()).for_each(|(place, byte)| *place = byte);
}

/// Makes one change, of the kind that a hostile or broken peer would: a bit, a number in a place
/// where one may be, a piece too many or too few, another length. Mostly near the beginning, where
/// the fields are.
pub fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    let fields_len = bytes.len().min(if rng.below(4) > 0 { 96 } else { usize::MAX });
    if fields_len == 0 {
        bytes.push(rng.byte());
        return;
    }
    let at = rng.index(fields_len);
    let end = bytes.len().min(at + 1 + rng.index(32));
    match rng.below(12) {
        0 | 1 => bytes[at] ^= 1 << rng.below(8),
        2 => bytes[at] = rng.byte(),
        3..=6 => {
            let width = rng.pick(&[1, 2, 4, 8]);
            let value = rng.pick(&EDGES);
            put(bytes, at - at % width, width, value);
        }
        // One more or one less than it was.
        7 => {
            bytes[at] =
                if rng.coin() { bytes[at].wrapping_add(1) } else { bytes[at].wrapping_sub(1) }
        }
        8 => bytes.truncate(at),
        9 => {
            let more = 1 + rng.index(64);
            bytes.extend((0..more).map(|_| rng.pick(&[0, 0, 0xff])));
        }
        10 => drop(bytes.drain(at..end)),
        _ => {
            let piece = bytes[at..end].to_vec();
            let to = rng.index(fields_len);
            if rng.coin() {
                bytes.splice(to..to, piece);
            } else {
                let end = bytes.len().min(to + piece.len());
                bytes.splice(to..end, piece);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_where_they_fit() {
        let mut bytes = [0; 5];
        put(&mut bytes, 1, 2, 0x1234_5678);
        assert_eq!(bytes, [0, 0x78, 0x56, 0, 0]);
        put(&mut bytes, 3, 8, u64::MAX);
        put(&mut bytes, 9, 8, 0);
        assert_eq!(bytes, [0, 0x78, 0x56, 0xff, 0xff]);
    }

    #[test]
    fn changes_differ_and_stay_small() {
        let (mut rng, good) = (Rng::new(1), [7; 40]);
        let mut shorter = 0;
        for _ in 0..1000 {
            let mut bytes = good.to_vec();
            mutate(&mut bytes, &mut rng);
            assert!(bytes.len() <= good.len() + 64);
            shorter += u32::from(bytes.len() < good.len());
        }
        assert!((50..400).contains(&shorter), "{shorter}");
        let mut none = Vec::new();
        mutate(&mut none, &mut rng);
        assert_eq!(none.len(), 1);
    }
}
