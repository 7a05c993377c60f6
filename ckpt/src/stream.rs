//! Cutting an image into chunks for the network, and putting it together again.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use crate::limits::IMAGE_LEN_MAX;

/// A piece of an image on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// How long the whole is.
    pub total_len: u32,
    /// Where in the whole this piece starts.
    pub offset: u32,
    /// The piece.
    pub bytes: &'a [u8],
}

/// The chunks of `image`, of at most `len_max` bytes each. An image beyond the format's bounds, or
/// an empty one, has none.
pub fn chunks(image: &[u8], len_max: usize) -> impl Iterator<Item = Chunk<'_>> {
    let total_len = u32::try_from(image.len()).unwrap_or(u32::MAX);
    let image = if image.len() > IMAGE_LEN_MAX { &[] } else { image };
    let len_max = len_max.max(1);
    (0u32..).zip(image.chunks(len_max)).map_while(move |(index, bytes)| {
        let len = u32::try_from(len_max).unwrap_or(u32::MAX);
        Some(Chunk { total_len, offset: index.checked_mul(len)?, bytes })
    })
}

/// Why a chunk was not taken. What was assembled so far is of no use then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AssembleError {
    /// There is no memory for it.
    #[error("no memory for the image")]
    NoMemory,
    /// The image is longer than any may be, or empty.
    #[error("the image's length is out of bounds")]
    Length,
    /// It is not the chunk that follows, or is of an image of another length.
    #[error("the chunk does not follow the one before")]
    Order,
}

impl From<TryReserveError> for AssembleError {
    fn from(_: TryReserveError) -> Self {
        Self::NoMemory
    }
}

/// Puts the chunks of one image together, which must come in order.
///
/// Memory is taken as chunks come, not as the first one announces.
#[derive(Debug, Default)]
pub struct Assembler {
    total_len: usize,
    image: Vec<u8>,
}

impl Assembler {
    /// Nothing assembled yet.
    pub const fn new() -> Self {
        Self { total_len: 0, image: Vec::new() }
    }

    /// Takes a chunk; returns the image when it is whole.
    pub fn push(&mut self, chunk: Chunk<'_>) -> Result<Option<Vec<u8>>, AssembleError> {
        let total_len = usize::try_from(chunk.total_len).map_err(|_| AssembleError::Length)?;
        if total_len == 0 || total_len > IMAGE_LEN_MAX {
            return Err(AssembleError::Length);
        }
        if self.image.is_empty() {
            self.total_len = total_len;
        }
        let follows = usize::try_from(chunk.offset) == Ok(self.image.len());
        if !follows || total_len != self.total_len || chunk.bytes.is_empty() {
            return Err(AssembleError::Order);
        }
        if chunk.bytes.len() > total_len - self.image.len() {
            return Err(AssembleError::Length);
        }
        self.image.try_reserve(chunk.bytes.len())?;
        self.image.extend_from_slice(chunk.bytes);
        if self.image.len() < total_len {
            return Ok(None);
        }
        Ok(Some(core::mem::take(&mut self.image)))
    }
}
