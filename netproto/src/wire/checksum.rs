//! CRC-32C (Castagnoli), eight bytes at a time from tables made at compile time.

/// Continues a CRC-32C: takes the raw register and more bytes, gives the new raw register. The
/// register starts as all ones and the checksum is its complement, as in Linux's `crc32c()`.
pub type ChecksumFn = fn(u32, &[u8]) -> u32;

const POLYNOMIAL_REFLECTED: u32 = 0x82f6_3b78;

type Table = [u32; 256];

static TABLES: [Table; 8] = make_tables();

#[expect(
    clippy::as_conversions,
    clippy::indexing_slicing,
    reason = "evaluated at compile time, where a bad index or number stops the build"
)]
const fn make_tables() -> [Table; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut register = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            let low = register & 1;
            register >>= 1;
            if low == 1 {
                register ^= POLYNOMIAL_REFLECTED;
            }
            bit += 1;
        }
        tables[0][byte] = register;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

#[expect(
    clippy::indexing_slicing,
    reason = "a byte is always inside a table of 256, which the compiler sees"
)]
fn lookup(table: &Table, byte: u8) -> u32 {
    table[usize::from(byte)]
}

/// The software [`ChecksumFn`].
#[must_use]
pub fn crc32c_update(register: u32, bytes: &[u8]) -> u32 {
    let [t0, t1, t2, t3, t4, t5, t6, t7] = &TABLES;
    let mut register = register;
    let mut rest = bytes;
    while let Some((eight, after)) = rest.split_first_chunk::<8>() {
        let [b0, b1, b2, b3, b4, b5, b6, b7] = *eight;
        let [r0, r1, r2, r3] = register.to_le_bytes();
        register = lookup(t7, b0 ^ r0)
            ^ lookup(t6, b1 ^ r1)
            ^ lookup(t5, b2 ^ r2)
            ^ lookup(t4, b3 ^ r3)
            ^ lookup(t3, b4)
            ^ lookup(t2, b5)
            ^ lookup(t1, b6)
            ^ lookup(t0, b7);
        rest = after;
    }
    for byte in rest {
        let [low, ..] = register.to_le_bytes();
        register = (register >> 8) ^ lookup(t0, low ^ byte);
    }
    register
}

/// The checksum of some bytes.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    checksum(crc32c_update, &[bytes])
}

/// The checksum of several pieces as if they were one, by the given function.
#[must_use]
pub fn checksum(update: ChecksumFn, pieces: &[&[u8]]) -> u32 {
    let register = pieces.iter().fold(u32::MAX, |register, piece| update(register, piece));
    !register
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        assert_eq!(crc32c(b""), 0);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn pieces_are_as_the_whole_at_every_cut() {
        let bytes: [u8; 61] = core::array::from_fn(|i| u8::try_from(i * 7 % 251).unwrap_or(0));
        for cut in 0..=bytes.len() {
            let (front, back) = bytes.split_at(cut);
            assert_eq!(checksum(crc32c_update, &[front, back]), crc32c(&bytes));
        }
    }

    #[test]
    fn any_flipped_bit_is_seen() {
        let mut bytes = [0x5a_u8; 40];
        let good = crc32c(&bytes);
        for bit in 0..bytes.len() * 8 {
            let mask = 1 << (bit % 8);
            if let Some(byte) = bytes.get_mut(bit / 8) {
                *byte ^= mask;
            }
            assert_ne!(crc32c(&bytes), good);
            if let Some(byte) = bytes.get_mut(bit / 8) {
                *byte ^= mask;
            }
        }
    }
}
