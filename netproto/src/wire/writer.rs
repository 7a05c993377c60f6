//! A cursor that writes little-endian fields into a fixed buffer and never past its end.

/// There is no room for the field; nothing of it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// Writes fields to the front of a buffer.
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut [u8],
    used: usize,
}

impl<'a> Writer<'a> {
    /// Writes into `buffer`.
    #[must_use]
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, used: 0 }
    }

    /// Bytes written.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.used
    }

    /// Whether nothing was written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Room left.
    #[must_use]
    pub fn room(&self) -> usize {
        self.buffer.len().saturating_sub(self.used)
    }

    /// Gives up room at the end: for what belongs to the same whole but lies elsewhere.
    ///
    /// # Errors
    /// [`Full`] when there is less.
    pub fn give_up(&mut self, len: usize) -> Result<(), Full> {
        let left = self.room().checked_sub(len).ok_or(Full)?;
        let end = self.used.checked_add(left).ok_or(Full)?;
        self.buffer = core::mem::take(&mut self.buffer).get_mut(..end).unwrap_or_default();
        Ok(())
    }

    /// Some bytes.
    ///
    /// # Errors
    /// [`Full`] when they do not fit.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.used.checked_add(bytes.len()).ok_or(Full)?;
        let place = self.buffer.get_mut(self.used..end).ok_or(Full)?;
        place.copy_from_slice(bytes);
        self.used = end;
        Ok(())
    }

    /// One byte.
    ///
    /// # Errors
    /// [`Full`] when it does not fit.
    pub fn u8(&mut self, value: u8) -> Result<(), Full> {
        self.bytes(&[value])
    }

    /// A 16-bit number.
    ///
    /// # Errors
    /// [`Full`] when it does not fit.
    pub fn u16(&mut self, value: u16) -> Result<(), Full> {
        self.bytes(&value.to_le_bytes())
    }

    /// A 32-bit number.
    ///
    /// # Errors
    /// [`Full`] when it does not fit.
    pub fn u32(&mut self, value: u32) -> Result<(), Full> {
        self.bytes(&value.to_le_bytes())
    }

    /// A 64-bit number.
    ///
    /// # Errors
    /// [`Full`] when it does not fit.
    pub fn u64(&mut self, value: u64) -> Result<(), Full> {
        self.bytes(&value.to_le_bytes())
    }

    /// A signed 32-bit number.
    ///
    /// # Errors
    /// [`Full`] when it does not fit.
    pub fn i32(&mut self, value: i32) -> Result<(), Full> {
        self.bytes(&value.to_le_bytes())
    }

    /// A signed 64-bit number.
    ///
    /// # Errors
    /// [`Full`] when it does not fit.
    pub fn i64(&mut self, value: i64) -> Result<(), Full> {
        self.bytes(&value.to_le_bytes())
    }

    /// A 32-bit length and the bytes: what [`crate::wire::Reader::counted`] reads.
    ///
    /// # Errors
    /// [`Full`] when they do not fit.
    pub fn counted(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let len = u32::try_from(bytes.len()).map_err(|_| Full)?;
        let needed = bytes.len().checked_add(4).ok_or(Full)?;
        if needed > self.room() {
            return Err(Full);
        }
        self.u32(len)?;
        self.bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Reader;

    #[test]
    fn what_is_written_is_read() {
        let mut buffer = [0xaa; 32];
        let mut w = Writer::new(&mut buffer);
        w.u8(1).and_then(|()| w.u16(2)).and_then(|()| w.u32(3)).expect("fits");
        w.u64(4).and_then(|()| w.i32(-5)).and_then(|()| w.counted(b"six")).expect("fits");
        assert_eq!((w.len(), w.room()), (26, 6));
        assert_eq!(w.counted(b"abc"), Err(Full));
        assert_eq!(w.len(), 26);
        let mut r = Reader::new(&buffer);
        assert_eq!((r.u8(), r.u16(), r.u32()), (Ok(1), Ok(2), Ok(3)));
        assert_eq!((r.u64(), r.i32(), r.counted(3)), (Ok(4), Ok(-5), Ok(&b"six"[..])));
        assert_eq!(r.remaining(), 6);
    }

    #[test]
    fn room_that_was_given_up_is_not_written() {
        let mut buffer = [0xaa; 8];
        let mut w = Writer::new(&mut buffer);
        w.u16(1).and_then(|()| w.give_up(3)).expect("fits");
        assert_eq!((w.len(), w.room()), (2, 3));
        assert_eq!(w.give_up(4), Err(Full));
        assert_eq!(w.u32(2), Err(Full));
        w.bytes(&[2; 3]).expect("fits");
        assert_eq!(w.give_up(0), Ok(()));
        assert_eq!(buffer, [1, 0, 2, 2, 2, 0xaa, 0xaa, 0xaa]);
    }
}
