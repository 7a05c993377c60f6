//! A page that a task waits for: in datagrams of its own, outside of the links.
//!
//! Whoever asks repeats its request until it is answered, so an answer needs no acknowledgement, no
//! order and no queue. It is cut into [`Part`]s of one length that fit the path, each of which says
//! what it belongs to. A head has the datagram's checksum; the content behind it has the page's own
//! ([`Piece::seal`]), which whoever gathers the parts compares when all are there.

use core::ops::Range;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{transmute, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::error::{DatagramError, DecodeError};
use crate::id::{RequestId, SpaceId};
use crate::limits::{LINK_HEADER_LEN, PAGE_LEN, PARTS_MAX};
use crate::msg::lodge::{Seal, Status};
use crate::msg::page::{PageStatus, INDEX_END};
use crate::msg::{check_zero, exact};
use crate::page::Addresses;
use crate::wire::header::{tag, DatagramKind, Header, Lives};

/// The head, behind the header.
const HEAD_LEN: usize = 32;

/// What comes before the content.
pub const FRONT_LEN: usize = LINK_HEADER_LEN + HEAD_LEN;

// On the narrowest path, less what IP and UDP put before it.
const _: () = assert!(FRONT_LEN + PAGE_LEN.div_ceil(PARTS_MAX) <= 1280 - 48);

/// One of the parts that a content is cut into: all of one length, but for the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Which, `0..count`; zero without content.
    pub number: u8,
    /// How many there are; zero without content.
    pub count: u8,
}

impl Part {
    /// Of an answer without content.
    pub const NONE: Self = Self { number: 0, count: 0 };

    /// The parts of a content of `len` bytes on a path that takes datagrams of at most
    /// `payload_max` bytes. A short content has fewer parts, never an empty one.
    pub fn all(len: usize, payload_max: usize) -> impl Iterator<Item = Self> {
        let most = PARTS_MAX.min(len);
        let fits = |count: &usize| FRONT_LEN.saturating_add(len.div_ceil(*count)) <= payload_max;
        let count = (1..=most).find(fits).unwrap_or(most);
        // As many as that makes, for rounding up may leave nothing for the last.
        let count = len.div_ceil(len.div_ceil(count.max(1)).max(1));
        let count = u8::try_from(count).unwrap_or(u8::MAX);
        (0..count).map(move |number| Self { number, count })
    }

    /// Where in a content of `len` bytes it is; empty without content.
    #[must_use]
    pub fn range(self, len: usize) -> Range<usize> {
        let part_len = match usize::from(self.count) {
            0 => return 0..0,
            count => len.div_ceil(count),
        };
        let start = part_len.saturating_mul(self.number.into()).min(len);
        start..start.saturating_add(part_len).min(len)
    }

    /// This part alone in a mask of parts.
    #[must_use]
    pub const fn bit(self) -> u8 {
        if self.number < 8 {
            1 << self.number
        } else {
            0
        }
    }
}

/// Which page it is, and what is said of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A page of a space, in answer to a [`crate::msg::page::PageGet`].
    Space {
        /// The memory.
        space: SpaceId,
        /// The page's number.
        index: u64,
        /// A content follows with [`PageStatus::Data`].
        status: PageStatus,
    },
    /// A lodged page, in answer to a [`crate::msg::lodge::LodgeGet`].
    Lodged {
        /// The owner's number of the page.
        entry: u32,
        /// The content's generation; never zero.
        generation: u64,
        /// A content follows with [`Status::Done`].
        status: Status,
    },
}

impl Subject {
    const fn has_content(self) -> bool {
        match self {
            Self::Space { status, .. } => matches!(status, PageStatus::Data),
            Self::Lodged { status, .. } => matches!(status, Status::Done),
        }
    }
}

/// What a part's head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The request that is answered.
    pub request: RequestId,
    /// The page.
    pub subject: Subject,
    /// Of the whole content; [`Seal::NONE`] if none follows.
    pub seal: Seal,
    /// Which part of it follows.
    pub part: Part,
}

impl Piece {
    /// Where in the content the part is.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.part.range(self.seal.len.into())
    }
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Wire {
    name: U64,
    number: U64,
    page_sum: U32,
    sort: u8,
    status: u8,
    part: u8,
    count: u8,
    len: U16,
    zero: [u8; 6],
}

const _: () = assert!(size_of::<Wire>() == HEAD_LEN);

const SPACE: u8 = 1;
const LODGED: u8 = 2;

/// What comes before a part's content.
#[must_use]
pub fn encode(addresses: &Addresses, piece: &Piece) -> [u8; FRONT_LEN] {
    let (name, number, sort, status) = match piece.subject {
        Subject::Space { space, index, status } => (space.0, index, SPACE, status.number()),
        Subject::Lodged { entry, generation, status } => {
            (u64::from(entry), generation, LODGED, status.number())
        }
    };
    let head: [u8; HEAD_LEN] = transmute!(Wire {
        name: U64::new(name),
        number: U64::new(number),
        page_sum: U32::new(piece.seal.sum),
        sort,
        status,
        part: piece.part.number,
        count: piece.part.count,
        len: U16::new(piece.seal.len),
        zero: [0; 6],
    });
    let mut front = [0; FRONT_LEN];
    if let Some(place) = front.last_chunk_mut::<HEAD_LEN>() {
        *place = head;
    }
    let header = Header {
        kind: DatagramKind::Piece,
        source: addresses.source,
        destination: addresses.destination,
        lives: Lives::Tag(tag(addresses.source_incarnation, addresses.destination_incarnation)),
        source_session: 0,
        destination_session: 0,
        packet: piece.request.0,
        is_urgent: true,
    };
    // Can't fail: the buffer holds header and head, and the lengths are constants.
    let encoded = header.encode(&mut front);
    debug_assert!(encoded.is_ok());
    front
}

/// Checks what comes before a part's content: form, checksum and values. `content_len` is the
/// length of what follows, which is compared with what the head says.
///
/// # Errors
/// The first check that fails; [`DatagramError::WrongPath`] if it is no piece.
pub fn decode(
    front: &[u8; FRONT_LEN],
    content_len: usize,
) -> Result<(Header, Piece), DatagramError> {
    let (header, body) = Header::decode(front)?;
    if header.kind != DatagramKind::Piece {
        return Err(DatagramError::WrongPath);
    }
    if header.source_session != 0 || header.destination_session != 0 {
        return Err(DatagramError::BadField);
    }
    let request = RequestId(header.packet);
    let piece = decode_head(request, body).map_err(|_| DatagramError::Malformed)?;
    if piece.range().len() != content_len {
        return Err(DatagramError::BadLength);
    }
    Ok((header, piece))
}

fn decode_head(request: RequestId, body: &[u8]) -> Result<Piece, DecodeError> {
    let wire: &Wire = exact(body)?;
    check_zero(&wire.zero)?;
    let (name, number) = (wire.name.get(), wire.number.get());
    let subject = match wire.sort {
        SPACE if number < INDEX_END => Subject::Space {
            space: SpaceId(name),
            index: number,
            status: PageStatus::from_number(wire.status)
                .filter(|status| *status != PageStatus::Held)
                .ok_or(DecodeError::value("status"))?,
        },
        LODGED if number != 0 => Subject::Lodged {
            entry: u32::try_from(name).map_err(|_| DecodeError::value("entry"))?,
            generation: number,
            status: Status::from_number(wire.status)
                .filter(|status| *status != Status::Ask)
                .ok_or(DecodeError::value("status"))?,
        },
        SPACE | LODGED => return Err(DecodeError::value("number")),
        _ => return Err(DecodeError::value("sort")),
    };
    let part = Part { number: wire.part, count: wire.count };
    let seal = Seal { sum: wire.page_sum.get(), len: wire.len.get() };
    let piece = Piece { request, subject, seal, part };
    if !subject.has_content() {
        return match (part, seal) {
            (Part::NONE, Seal::NONE) => Ok(piece),
            (Part::NONE, _) => Err(DecodeError::value("page_sum")),
            _ => Err(DecodeError::value("part")),
        };
    }
    // Only what lodges may be shorter than a page.
    let is_whole = usize::from(seal.len) == PAGE_LEN;
    if !is_whole && (wire.sort == SPACE || !seal.is_some()) {
        return Err(DecodeError::value("len"));
    }
    let is_part = part.number < part.count && usize::from(part.count) <= PARTS_MAX;
    if !is_part || piece.range().is_empty() {
        return Err(DecodeError::value("part"));
    }
    Ok(piece)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::id::{Incarnation, Slot};

    fn addresses() -> Addresses {
        Addresses {
            source: Slot::new(1).expect("slot"),
            source_incarnation: Incarnation([3; 16]),
            destination: Slot::new(2).expect("slot"),
            destination_incarnation: Incarnation([5; 16]),
        }
    }

    fn piece() -> Piece {
        let subject = Subject::Lodged { entry: 7, generation: 9, status: Status::Done };
        let part = Part { number: 1, count: 3 };
        let seal = Seal { sum: 0xdead_beef, len: 4096 };
        Piece { request: RequestId(77), subject, seal, part }
    }

    #[test]
    fn parts_cover_the_page_once_and_fit() {
        // The last is narrower than any path may be.
        let paths =
            [(8952, 1), (4168, 1), (4167, 2), (1472, 3), (1392, 4), (1232, 4), (0, PARTS_MAX)];
        for (payload, count) in paths {
            assert_eq!(Part::all(PAGE_LEN, payload).count(), count, "{payload}");
            for len in 1..=PAGE_LEN {
                let mut end = 0;
                for part in Part::all(len, payload) {
                    let range = part.range(len);
                    assert_eq!(range.start, end);
                    assert!(FRONT_LEN + range.len() <= payload || payload == 0);
                    assert!(!range.is_empty(), "{len} {payload}");
                    end = range.end;
                }
                assert_eq!(end, len);
            }
        }
        assert_eq!(Part::all(0, 1472).count(), 0);
    }

    #[test]
    fn comes_back_as_it_was() {
        let space = |status| Subject::Space { space: SpaceId(4), index: INDEX_END - 1, status };
        let lodged = |status| Subject::Lodged { entry: u32::MAX, generation: 1, status };
        let mut pieces = vec![piece()];
        for status in [PageStatus::Zero, PageStatus::Gone, PageStatus::Busy] {
            let (seal, part) = (Seal::NONE, Part::NONE);
            pieces.push(Piece { subject: space(status), seal, part, ..piece() });
        }
        for status in [Status::Gone, Status::Stale, Status::Busy, Status::NoRoom] {
            pieces.push(Piece {
                subject: lodged(status),
                seal: Seal::NONE,
                part: Part::NONE,
                ..piece()
            });
        }
        pieces.push(Piece { subject: space(PageStatus::Data), ..piece() });
        pieces.push(Piece { seal: Seal { sum: 1, len: 100 }, ..piece() });
        for piece in pieces {
            let front = encode(&addresses(), &piece);
            let len = piece.range().len();
            let (header, back) = decode(&front, len).expect("good");
            assert_eq!(back, piece);
            assert_eq!(
                (header.source, header.destination),
                (addresses().source, addresses().destination)
            );
            assert_eq!(decode(&front, len + 1), Err(DatagramError::BadLength));
        }
    }

    #[test]
    fn each_damaged_byte_is_seen() {
        let front = encode(&addresses(), &piece());
        let len = piece().range().len();
        for at in 0..front.len() {
            let mut bad = front;
            if let Some(byte) = bad.get_mut(at) {
                *byte ^= 0x20;
            }
            assert!(decode(&bad, len).is_err(), "byte {at}");
        }
    }

    /// A field changed by whoever can make a good checksum.
    #[test]
    fn wrong_values_are_refused() {
        let is_good = |piece: Piece| {
            let front = encode(&addresses(), &piece);
            decode(&front, piece.range().len()).is_ok()
        };
        assert!(is_good(piece()));
        for (number, count) in [(0, 0), (3, 3), (255, 3), (0, 5), (4, 5), (1, 0), (255, 255)] {
            assert!(
                !is_good(Piece { part: Part { number, count }, ..piece() }),
                "{number} {count}"
            );
        }
        let lodged = |generation, status| Piece {
            subject: Subject::Lodged { entry: 7, generation, status },
            ..piece()
        };
        assert!(!is_good(lodged(0, Status::Done)));
        assert!(!is_good(lodged(1, Status::Ask)));
        assert!(!is_good(lodged(1, Status::Gone)), "a content that can't be");
        let gone = Piece { part: Part::NONE, ..lodged(1, Status::Gone) };
        assert!(!is_good(gone), "a checksum of nothing");
        assert!(is_good(Piece { seal: Seal::NONE, ..gone }));
        let far = Subject::Space { space: SpaceId(1), index: INDEX_END, status: PageStatus::Data };
        assert!(!is_good(Piece { subject: far, ..piece() }));
        let long = |len| Piece { seal: Seal { sum: 1, len }, ..piece() };
        assert!(is_good(long(3)) && is_good(long(4095)));
        assert!(!is_good(long(0)) && !is_good(long(4097)) && !is_good(long(u16::MAX)));
        assert!(!is_good(long(1)), "the second part of one byte");
        let near = Subject::Space { space: SpaceId(1), index: 0, status: PageStatus::Data };
        assert!(!is_good(Piece { subject: near, ..long(4095) }), "a page of a space is whole");
    }
}
