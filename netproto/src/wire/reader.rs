//! A cursor that reads little-endian fields and never past the end.

use crate::error::DecodeError;

/// Reads fields from the front of some bytes. After an error the cursor stands where it stood.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not read yet.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether all bytes were read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// A fixed number of bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when there are fewer.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (front, rest) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*front)
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when there are fewer.
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (front, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(front)
    }

    /// All that is left.
    pub fn take_rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] at the end.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A 16-bit number.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when there are fewer bytes.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_le_bytes)
    }

    /// A 32-bit number.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when there are fewer bytes.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    /// A 64-bit number.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when there are fewer bytes.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A signed 32-bit number.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when there are fewer bytes.
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_le_bytes)
    }

    /// A signed 64-bit number.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when there are fewer bytes.
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.array().map(i64::from_le_bytes)
    }

    /// A field of 32-bit length followed by that many bytes, at most `len_max`.
    ///
    /// # Errors
    /// [`DecodeError::BadValue`] when longer than allowed, [`DecodeError::Truncated`] when the
    /// bytes are not all there.
    pub fn counted(&mut self, len_max: usize) -> Result<&'a [u8], DecodeError> {
        let mut ahead = *self;
        let len = usize::try_from(ahead.u32()?).map_err(|_| DecodeError::value("length"))?;
        if len > len_max {
            return Err(DecodeError::value("length"));
        }
        let bytes = ahead.bytes(len)?;
        *self = ahead;
        Ok(bytes)
    }

    /// Padding: `N` bytes that must be zero.
    ///
    /// # Errors
    /// [`DecodeError::BadValue`] when one is not.
    pub fn zeros<const N: usize>(&mut self) -> Result<(), DecodeError> {
        let mut ahead = *self;
        if ahead.array::<N>()? != [0; N] {
            return Err(DecodeError::value("padding"));
        }
        *self = ahead;
        Ok(())
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`DecodeError::Trailing`] when bytes are left.
    pub const fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Trailing)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_little_endian_and_stops_at_the_end() {
        let mut r = Reader::new(&[1, 2, 0, 3, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff]);
        assert_eq!(r.u8(), Ok(1));
        assert_eq!(r.u16(), Ok(2));
        assert_eq!(r.u32(), Ok(3));
        assert_eq!(r.u64(), Err(DecodeError::Truncated));
        assert_eq!(r.remaining(), 4);
        assert_eq!(r.i32(), Ok(-2));
        assert_eq!(r.u8(), Err(DecodeError::Truncated));
        assert_eq!(r.finish(), Ok(()));
    }

    #[test]
    fn counted_refuses_before_it_moves() {
        let long = [0xff, 0xff, 0xff, 0xff, 0];
        let mut r = Reader::new(&long);
        assert_eq!(r.counted(16), Err(DecodeError::value("length")));
        assert_eq!(r.remaining(), 5);
        let short = [3, 0, 0, 0, 1, 2];
        let mut r = Reader::new(&short);
        assert_eq!(r.counted(16), Err(DecodeError::Truncated));
        assert_eq!(r.remaining(), 6);
        let exact = [2, 0, 0, 0, 1, 2];
        assert_eq!(Reader::new(&exact).counted(2), Ok(&exact[4..]));
    }

    #[test]
    fn padding_must_be_zero() {
        assert!(Reader::new(&[0, 0, 1]).zeros::<2>().is_ok());
        assert!(Reader::new(&[0, 1]).zeros::<2>().is_err());
        assert!(Reader::new(&[0]).zeros::<2>().is_err());
        assert_eq!(Reader::new(&[1]).finish(), Err(DecodeError::Trailing));
    }
}
