//! Daemon-to-daemon messages cut into parts that the transport takes.
//!
//! ```text
//! u64 id | u8 kind | u8 zero | u16 part | u16 parts | u16 zero | u32 whole's json length | bytes
//! ```
//! Little-endian. The transport delivers a sender's parts in order and once; what breaks that rule
//! (a peer that restarted in the middle) is dropped.

use std::collections::BTreeMap;

/// Bytes of one part, header included: the transport takes 64 KiB.
pub(crate) const PART_LEN_MAX: usize = 60 << 10;
const HEADER_LEN: usize = 20;
/// Parts of one message at most: 3.75 MiB.
const PARTS_MAX: usize = 64;
/// Unfinished messages kept for one peer.
const UNFINISHED_MAX: usize = 64;

/// Whether a message asks or answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Wants an answer.
    Request,
    /// Is one.
    Reply,
}

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// The request's number, chosen by who asks.
    pub(crate) id: u64,
    /// Question or answer.
    pub(crate) kind: Kind,
    /// The JSON part.
    pub(crate) json: Vec<u8>,
    /// Bytes beside it.
    pub(crate) blob: Vec<u8>,
}

/// Cuts a message; `None` if it is too long.
pub(crate) fn cut(message: &Message) -> Option<Vec<Vec<u8>>> {
    let whole: Vec<u8> = [&message.json[..], &message.blob[..]].concat();
    let chunks: Vec<&[u8]> = if whole.is_empty() {
        vec![&[]]
    } else {
        whole.chunks(PART_LEN_MAX - HEADER_LEN).collect()
    };
    if chunks.len() > PARTS_MAX {
        return None;
    }
    let parts = u16::try_from(chunks.len()).ok()?;
    let json_len = u32::try_from(message.json.len()).ok()?;
    let kind = match message.kind {
        Kind::Request => 0,
        Kind::Reply => 1,
    };
    let mut out = Vec::with_capacity(chunks.len());
    for (part, chunk) in (0u16..).zip(chunks) {
        let mut bytes = Vec::with_capacity(HEADER_LEN + chunk.len());
        bytes.extend_from_slice(&message.id.to_le_bytes());
        bytes.extend_from_slice(&[kind, 0]);
        bytes.extend_from_slice(&part.to_le_bytes());
        bytes.extend_from_slice(&parts.to_le_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&json_len.to_le_bytes());
        bytes.extend_from_slice(chunk);
        out.push(bytes);
    }
    Some(out)
}

struct Unfinished {
    parts: u16,
    next: u16,
    json_len: u32,
    bytes: Vec<u8>,
}

/// Joins the parts of one peer's messages.
#[derive(Default)]
pub(crate) struct Joiner {
    unfinished: BTreeMap<(u64, u8), Unfinished>,
}

impl Joiner {
    /// Takes a part; a message when it was the last one.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Option<Message> {
        let (header, chunk) = bytes.split_at_checked(HEADER_LEN)?;
        let id = u64::from_le_bytes(header.get(0..8)?.try_into().ok()?);
        let kind = *header.get(8)?;
        let part = u16::from_le_bytes(header.get(10..12)?.try_into().ok()?);
        let parts = u16::from_le_bytes(header.get(12..14)?.try_into().ok()?);
        let json_len = u32::from_le_bytes(header.get(16..20)?.try_into().ok()?);
        if kind > 1 || parts == 0 || usize::from(parts) > PARTS_MAX {
            return None;
        }
        let key = (id, kind);
        if part == 0 {
            if self.unfinished.len() >= UNFINISHED_MAX {
                self.unfinished.pop_first();
            }
            let fresh = Unfinished { parts, next: 0, json_len, bytes: Vec::new() };
            self.unfinished.insert(key, fresh);
        }
        let message = self.unfinished.get_mut(&key)?;
        if message.next != part || message.parts != parts || message.json_len != json_len {
            self.unfinished.remove(&key);
            return None;
        }
        message.bytes.extend_from_slice(chunk);
        message.next += 1;
        if message.next < parts {
            return None;
        }
        let mut json = self.unfinished.remove(&key)?.bytes;
        let json_len = usize::try_from(json_len).ok().filter(|len| *len <= json.len())?;
        let blob = json.split_off(json_len);
        let kind = if kind == 0 { Kind::Request } else { Kind::Reply };
        Some(Message { id, kind, json, blob })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(json: usize, blob: usize) -> Message {
        Message { id: 7, kind: Kind::Reply, json: vec![b'j'; json], blob: vec![b'b'; blob] }
    }

    #[test]
    fn survives_cutting() {
        for (json, blob) in [(0, 0), (10, 0), (0, 10), (PART_LEN_MAX, 3), (5, 200_000)] {
            let message = message(json, blob);
            let parts = cut(&message).expect("short enough");
            assert!(parts.iter().all(|part| part.len() <= PART_LEN_MAX));
            let mut joiner = Joiner::default();
            let (last, others) = parts.split_last().expect("one part at least");
            assert!(others.iter().all(|part| joiner.take(part).is_none()));
            assert_eq!(joiner.take(last), Some(message));
        }
    }

    #[test]
    fn refuses_what_is_too_long() {
        assert!(cut(&message(PART_LEN_MAX * (PARTS_MAX + 1), 0)).is_none());
    }

    #[test]
    fn drops_nonsense() {
        let mut joiner = Joiner::default();
        let parts = cut(&message(5, 200_000)).expect("short enough");
        assert!(joiner.take(&parts[1]).is_none(), "its beginning is missing");
        assert!(joiner.take(&parts[0]).is_none());
        assert!(joiner.take(&parts[2]).is_none(), "a gap");
        assert!(joiner.take(&parts[3]).is_none(), "after a gap");
        for len in 0..HEADER_LEN {
            assert!(joiner.take(&parts[0][..len]).is_none());
        }
        let mut lies = cut(&message(3, 0)).expect("short enough").remove(0);
        lies[16] = 200;
        assert!(joiner.take(&lies).is_none(), "more JSON than bytes");
        lies[12..14].copy_from_slice(&[0xff, 0xff]);
        assert!(joiner.take(&lies).is_none(), "too many parts");
    }
}
