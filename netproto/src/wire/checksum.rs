//! XXH64, of which 32 bits travel: quick on any processor, as it needs no special instruction
//! (`xxhash.com`, the specification of XXH64). It finds damage, not forgery.

use xxhash_rust::xxh64::{xxh64, Xxh64};

const SEED: u64 = 0;

/// The checksum of some bytes that lie in pieces, as if they lay in one.
#[must_use]
pub fn checksum(pieces: &[&[u8]]) -> u32 {
    match pieces {
        [whole] => low(xxh64(whole, SEED)),
        _ => {
            let mut hash = Xxh64::new(SEED);
            pieces.iter().for_each(|piece| hash.update(piece));
            low(hash.digest())
        }
    }
}

fn low(hash: u64) -> u32 {
    let [b0, b1, b2, b3, ..] = hash.to_le_bytes();
    u32::from_le_bytes([b0, b1, b2, b3])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// XXH64 of these is ef46db3751d8e999, d24ec4f1a98c6e5b and 44bc2cf5ad770999.
    #[test]
    fn known_answers() {
        assert_eq!(checksum(&[]), 0x51d8_e999);
        assert_eq!(checksum(&[b""]), 0x51d8_e999);
        assert_eq!(checksum(&[b"a"]), 0xa98c_6e5b);
        assert_eq!(checksum(&[b"abc"]), 0xad77_0999);
    }

    #[test]
    fn pieces_are_as_the_whole_at_every_cut() {
        let bytes: [u8; 71] = core::array::from_fn(|i| u8::try_from(i * 7 % 251).unwrap_or(0));
        for cut in 0..=bytes.len() {
            let (front, back) = bytes.split_at(cut);
            assert_eq!(checksum(&[front, back]), checksum(&[&bytes]));
        }
    }

    #[test]
    fn any_flipped_bit_is_seen() {
        let mut bytes = [0x5a_u8; 40];
        let good = checksum(&[&bytes]);
        for bit in 0..bytes.len() * 8 {
            let mask = 1 << (bit % 8);
            if let Some(byte) = bytes.get_mut(bit / 8) {
                *byte ^= mask;
            }
            assert_ne!(checksum(&[&bytes]), good);
            if let Some(byte) = bytes.get_mut(bit / 8) {
                *byte ^= mask;
            }
        }
    }
}
