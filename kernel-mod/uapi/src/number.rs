//! Control numbers, put together as Linux does it.

const WRITE: u32 = 1;
const READ: u32 = 2;
/// The letter that all of ours share.
const LETTER: u32 = b'H' as u32;
/// Structures are at most so long.
const SIZE_MAX: usize = 1 << 14;

const fn number(direction: u32, nr: u8, size: usize) -> u32 {
    assert!(size < SIZE_MAX);
    direction << 30 | (size as u32) << 16 | LETTER << 8 | nr as u32
}

/// Takes no structure.
pub const fn io(nr: u8) -> u32 {
    number(0, nr, 0)
}

/// The program gives a `T`.
pub const fn iow<T>(nr: u8) -> u32 {
    number(WRITE, nr, size_of::<T>())
}

/// The program gets a `T`.
pub const fn ior<T>(nr: u8) -> u32 {
    number(READ, nr, size_of::<T>())
}

/// The program gives a `T` and gets it back, changed.
pub const fn iowr<T>(nr: u8) -> u32 {
    number(READ | WRITE, nr, size_of::<T>())
}

/// The length of the structure that goes with a number.
pub const fn size_of_number(number: u32) -> usize {
    (number >> 16) as usize & (SIZE_MAX - 1)
}
