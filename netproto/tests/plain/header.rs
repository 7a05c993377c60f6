//! The header of datagrams.

use super::number;

/// CRC-32C a bit at a time, over these pieces.
pub(crate) fn crc(pieces: &[&[u8]]) -> u32 {
    let mut register = u32::MAX;
    for byte in pieces.concat() {
        register ^= u32::from(byte);
        for _ in 0..8 {
            let out = register & 1;
            register = (register >> 1) ^ (0x82f6_3b78 * out);
        }
    }
    !register
}

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeaderFields {
    pub(crate) kind: u64,
    pub(crate) slots: (u64, u64),
    pub(crate) sessions: (u64, u64),
    pub(crate) packet: u64,
    pub(crate) is_urgent: bool,
    /// The tag, or both incarnations.
    pub(crate) lives: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

/// A datagram's header and body, if all is right.
pub(crate) fn header(bytes: &[u8]) -> Option<HeaderFields> {
    if bytes.len() < 40 || bytes.len() > 8952 || bytes[..5] != *b"HOLN\x03" {
        return None;
    }
    let kind = number(bytes, 5, 1);
    let len = match kind {
        1 | 3 | 4 | 6 => 64,
        2 | 7 => 40,
        _ => return None,
    };
    let (source, destination) = (number(bytes, 6, 1), number(bytes, 7, 1));
    let flags = number(bytes, 26, 2);
    let is_right = bytes.len() >= len
        && number(bytes, 24, 2) == u64::try_from(bytes.len() - len).expect("small")
        && number(bytes, 28, 4) == u64::from(crc(&[&bytes[..28], &bytes[32..]]))
        && source < 64
        && destination < 64
        && source != destination
        && flags < 2
        && (len == 40 || bytes[32..48] != [0; 16]);
    is_right.then(|| HeaderFields {
        kind,
        slots: (source, destination),
        sessions: (number(bytes, 8, 4), number(bytes, 12, 4)),
        packet: number(bytes, 16, 8),
        is_urgent: flags == 1,
        lives: bytes[32..len].to_vec(),
        body: bytes[len..].to_vec(),
    })
}
