//! Checks that several payloads share.

use crate::error::DecodeError;

/// Splits a payload into its head of type `W` and the rest.
pub(super) fn split<W>(bytes: &[u8]) -> Result<(&W, &[u8]), DecodeError>
where
    W: zerocopy::FromBytes + zerocopy::KnownLayout + zerocopy::Immutable + zerocopy::Unaligned,
{
    W::ref_from_prefix(bytes).map_err(|_| DecodeError::Truncated)
}

/// Takes a payload that is a `W` and nothing else.
pub(crate) fn exact<W>(bytes: &[u8]) -> Result<&W, DecodeError>
where
    W: zerocopy::FromBytes + zerocopy::KnownLayout + zerocopy::Immutable + zerocopy::Unaligned,
{
    let (head, rest) = split(bytes)?;
    if rest.is_empty() {
        Ok(head)
    } else {
        Err(DecodeError::Trailing)
    }
}

/// Checks that the piece at `offset` lies inside a whole of `total` bytes.
pub(super) fn check_piece(total: u32, offset: u32, piece: &[u8]) -> Result<(), DecodeError> {
    let len = u32::try_from(piece.len()).map_err(|_| DecodeError::value("chunk"))?;
    if len == 0 && total != 0 {
        return Err(DecodeError::value("chunk"));
    }
    match offset.checked_add(len) {
        Some(end) if end <= total => Ok(()),
        _ => Err(DecodeError::value("offset")),
    }
}

/// Checks that reserved bytes are zero.
pub(crate) fn check_zero(bytes: &[u8]) -> Result<(), DecodeError> {
    if bytes.iter().all(|byte| *byte == 0) {
        Ok(())
    } else {
        Err(DecodeError::value("padding"))
    }
}
