//! Checked reading and writing of little-endian values.

use alloc::vec::Vec;

use crate::bytes::Bytes;
use crate::error::{DecodeError, EncodeError, Field};

/// Appends values to a growing image.
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    pub const fn new() -> Self {
        Self { out: Vec::new() }
    }

    /// How many bytes there are so far.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Appends raw bytes.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.out.try_reserve(bytes.len())?;
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends a byte.
    pub fn u8(&mut self, value: u8) -> Result<(), EncodeError> {
        self.raw(&[value])
    }

    /// Appends a 16-bit value.
    pub fn u16(&mut self, value: u16) -> Result<(), EncodeError> {
        self.raw(&value.to_le_bytes())
    }

    /// Appends a 32-bit value.
    pub fn u32(&mut self, value: u32) -> Result<(), EncodeError> {
        self.raw(&value.to_le_bytes())
    }

    /// Appends a 64-bit value.
    pub fn u64(&mut self, value: u64) -> Result<(), EncodeError> {
        self.raw(&value.to_le_bytes())
    }

    /// Appends a signed 32-bit value.
    pub fn i32(&mut self, value: i32) -> Result<(), EncodeError> {
        self.raw(&value.to_le_bytes())
    }

    /// Appends a signed 64-bit value.
    pub fn i64(&mut self, value: i64) -> Result<(), EncodeError> {
        self.raw(&value.to_le_bytes())
    }

    /// Appends the length of a list of at most `max` items.
    pub fn count(&mut self, len: usize, max: usize, field: Field) -> Result<(), EncodeError> {
        if len > max {
            return Err(EncodeError::Bound(field));
        }
        self.u32(u32::try_from(len).map_err(|_| EncodeError::Bound(field))?)
    }

    /// Appends a byte string of at most `max` bytes, with its length.
    pub fn string(&mut self, bytes: &[u8], max: usize, field: Field) -> Result<(), EncodeError> {
        self.count(bytes.len(), max, field)?;
        self.raw(bytes)
    }

    /// Overwrites what was written at `at`; a range that was not yet written is an error.
    pub(crate) fn patch(&mut self, at: usize, bytes: &[u8]) -> Result<(), EncodeError> {
        let bound = EncodeError::Bound(Field::Record);
        let end = at.checked_add(bytes.len()).ok_or(bound)?;
        self.out.get_mut(at..end).ok_or(bound)?.copy_from_slice(bytes);
        Ok(())
    }

    /// What was written from `at` on.
    pub(crate) fn since(&self, at: usize) -> &[u8] {
        self.out.get(at..).unwrap_or_default()
    }

    /// The finished bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }
}

/// Takes values off the front of bytes that are not trusted.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Takes `len` bytes.
    pub fn raw(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    /// Takes an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    /// Takes a byte.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    /// Takes a 16-bit value.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Takes a 32-bit value.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Takes a 64-bit value.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Takes a signed 32-bit value.
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    /// Takes a signed 64-bit value.
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// Takes the length of a list of at most `max` items that take `item_len` bytes each at least.
    ///
    /// A length that the rest of the bytes can't hold is refused here, so that nobody reserves
    /// memory for it.
    pub fn count(
        &mut self,
        max: usize,
        item_len: usize,
        field: Field,
    ) -> Result<usize, DecodeError> {
        let count = usize::try_from(self.u32()?).map_err(|_| DecodeError::Bound(field))?;
        if count > max {
            return Err(DecodeError::Bound(field));
        }
        match count.checked_mul(item_len) {
            Some(len) if len <= self.remaining() => Ok(count),
            Some(_) => Err(DecodeError::Truncated),
            None => Err(DecodeError::Bound(field)),
        }
    }

    /// Takes a byte string of at most `max` bytes.
    pub fn string(&mut self, max: usize, field: Field) -> Result<Bytes, DecodeError> {
        let len = self.count(max, 1, field)?;
        Ok(Bytes::copy_of(self.raw(len)?)?)
    }

    /// Takes a list, with a function that takes one item.
    pub fn list<T>(
        &mut self,
        max: usize,
        item_len: usize,
        field: Field,
        mut item: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.count(max, item_len, field)?;
        let mut list = Vec::new();
        list.try_reserve_exact(count)?;
        for _ in 0..count {
            list.push(item(self)?);
        }
        Ok(list)
    }
}
