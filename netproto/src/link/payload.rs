//! The content of a queued message: bytes that were copied for it, and between them contents that
//! it refers to.
//!
//! Invariants:
//! - `held` is in the order of the message, and its contents do not overlap;
//! - `len` is the bytes of both.

use alloc::vec::Vec;
use core::fmt::Debug;
use core::ops::Range;

use crate::limits::HELD_MAX;
use crate::pool::{Pool, Purpose};

/// A shorter content is copied: to refer to it would cost more.
const HELD_LEN_MIN: usize = 1024;

/// A content that messages may refer to, for as long as any of their packets may have to leave
/// again: a clone is one more reference to the same bytes. They are the same, and as many, as long
/// as there is a reference. If they do change nothing wrong is taken for right, as far as the
/// checksums go: a packet that was under way is refused and leaves again.
pub trait Holdable: AsRef<[u8]> + Clone + Debug {}

impl<T: AsRef<[u8]> + Clone + Debug> Holdable for T {}

/// A piece of a message that is to be queued.
#[derive(Debug)]
pub enum Piece<'a, C> {
    /// Is copied.
    Bytes(&'a [u8]),
    /// Is referred to, if that can be.
    Held(&'a C),
}

impl<C> Clone for Piece<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Piece<'_, C> {}

impl<'a, C: Holdable> Piece<'a, C> {
    /// What is in it.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Held(content) => content.as_ref(),
        }
    }

    /// The content, if it is to be referred to.
    fn long(self) -> Option<(&'a C, usize)> {
        match self {
            Self::Bytes(_) => None,
            Self::Held(content) => {
                Some((content, content.as_ref().len())).filter(|(_, len)| *len >= HELD_LEN_MIN)
            }
        }
    }
}

#[derive(Debug)]
struct Held<C> {
    content: C,
    /// Where it is in the message.
    at: usize,
    len: usize,
    /// Bytes that were copied for what is before it.
    copied: usize,
}

impl<C> Held<C> {
    fn end(&self) -> usize {
        self.at.saturating_add(self.len)
    }
}

#[derive(Debug)]
pub(super) struct Payload<C> {
    copied: Vec<u8>,
    held: Vec<Held<C>>,
    len: usize,
}

/// Room for references, made beforehand: each for those of one message. So it is also the bound of
/// how many there are.
#[derive(Debug)]
pub(super) struct Lists<C>(Vec<Vec<Held<C>>>);

impl<C: Holdable> Lists<C> {
    /// For so many messages; `None` when there is no memory.
    pub(super) fn new(count: usize) -> Option<Self> {
        let mut lists = Vec::new();
        lists.try_reserve_exact(count).ok()?;
        for _ in 0..count {
            let mut list = Vec::new();
            list.try_reserve_exact(HELD_MAX).ok()?;
            lists.push(list);
        }
        Some(Self(lists))
    }
}

/// What became of the contents of a new message that could have been referred to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Taken {
    pub(crate) held: u64,
    pub(crate) copied: u64,
}

impl<C: Holdable> Payload<C> {
    /// Of no bytes.
    pub(super) const fn empty() -> Self {
        Self { copied: Vec::new(), held: Vec::new(), len: 0 }
    }

    /// Puts a message together. What can't be referred to since there are so many references is
    /// copied. `None` if there is no memory; nothing is kept then.
    pub(super) fn new<'a>(
        pieces: impl Iterator<Item = Piece<'a, C>> + Clone,
        purpose: Purpose,
        (lists, pool): (&mut Lists<C>, &mut Pool),
    ) -> Option<(Self, Taken)>
    where
        C: 'a,
    {
        let could = pieces.clone().filter_map(Piece::long);
        let list = if could.clone().next().is_some() { lists.0.pop() } else { None };
        let held_max = list.as_ref().map_or(0, |_| HELD_MAX);
        let not_copied = could.take(held_max).map(|(_, len)| len);
        let not_copied = not_copied.fold(0_usize, usize::saturating_add);
        let len = pieces.clone().fold(0_usize, |len, one| len.saturating_add(one.bytes().len()));
        let Some(copied) = pool.take(len.saturating_sub(not_copied), purpose) else {
            lists.0.extend(list);
            return None;
        };
        let mut payload = Self { copied, held: list.unwrap_or_default(), len: 0 };
        let mut taken = Taken::default();
        for piece in pieces {
            payload.add(piece, held_max, &mut taken);
        }
        debug_assert_eq!(payload.len, len);
        Some((payload, taken))
    }

    fn add(&mut self, piece: Piece<'_, C>, held_max: usize, taken: &mut Taken) {
        let len = match piece.long() {
            Some((content, len)) if self.held.len() < held_max => {
                let (at, copied) = (self.len, self.copied.len());
                self.held.push(Held { content: content.clone(), at, len, copied });
                taken.held = taken.held.saturating_add(1);
                len
            }
            could => {
                let bytes = piece.bytes();
                self.copied.extend_from_slice(bytes);
                taken.copied = taken.copied.saturating_add(u64::from(could.is_some()));
                bytes.len()
            }
        };
        self.len = self.len.saturating_add(len);
    }

    /// Gives all back, and up what it refers to.
    pub(super) fn give_back(mut self, (lists, pool): (&mut Lists<C>, &mut Pool)) {
        pool.put(self.copied);
        if self.held.capacity() > 0 {
            self.held.clear();
            lists.0.push(self.held);
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The bytes of a range, in the stretches that lie together. Those past the end are left out.
    pub(super) fn stretches(&self, range: Range<usize>) -> impl Iterator<Item = &[u8]> {
        let (mut at, end) = (range.start, range.end.min(self.len));
        let mut next = self.held.partition_point(|held| held.end() <= at);
        core::iter::from_fn(move || {
            let start = Some(at).filter(|at| *at < end)?;
            let held = self.held.get(next);
            let (bytes, from) = match held.filter(|held| held.at <= start) {
                Some(held) => {
                    next = next.saturating_add(1);
                    at = held.end().min(end);
                    (held.content.as_ref(), start.saturating_sub(held.at))
                }
                None => {
                    at = held.map_or(end, |held| held.at.min(end));
                    let before = next.checked_sub(1).and_then(|last| self.held.get(last));
                    let from = before.map_or(start, |last| {
                        start.saturating_sub(last.end()).saturating_add(last.copied)
                    });
                    (self.copied.as_slice(), from)
                }
            };
            let to = from.saturating_add(at.saturating_sub(start));
            let bytes = bytes.get(from..to);
            debug_assert!(bytes.is_some(), "a content is as long as it was");
            Some(bytes.unwrap_or_default())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::allocate;
    use alloc::sync::Arc;
    use alloc::vec;

    type Shared = Arc<[u8]>;

    fn shared(byte: u8, len: usize) -> Shared {
        vec![byte; len].into()
    }

    fn bytes(payload: &Payload<Shared>, range: Range<usize>) -> Vec<u8> {
        payload.stretches(range).collect::<Vec<_>>().concat()
    }

    #[test]
    fn any_range_reads_as_if_all_were_copied() {
        let mut pool = Pool::new([4, 4, 4], allocate).expect("memory");
        let mut lists = Lists::new(1).expect("memory");
        let (one, two, short) = (shared(1, 1024), shared(2, 1500), shared(3, 1023));
        let pieces = [
            Piece::Held(&one),
            Piece::Held(&two),
            Piece::Bytes(&[4; 32]),
            Piece::Held(&short),
            Piece::Held(&two),
            Piece::Bytes(&[]),
            Piece::Bytes(&[5; 700]),
        ];
        let whole = pieces.iter().map(|piece| piece.bytes()).collect::<Vec<_>>().concat();
        let made = Payload::new(pieces.iter().copied(), Purpose::Other, (&mut lists, &mut pool));
        let (payload, taken) = made.expect("memory");
        assert_eq!(taken, Taken { held: 3, copied: 0 });
        assert_eq!((payload.len(), payload.copied.len()), (whole.len(), 32 + 1023 + 700));
        let edges = [0, 1, 1023, 1024, 1025, 2523, 2524, 2556, 3579, 3580, 5079, 5080, 5778, 5779];
        for start in edges {
            for end in edges.into_iter().chain([9000]) {
                let expected = whole.get(start..end.min(whole.len())).unwrap_or_default();
                assert!(bytes(&payload, start..end) == expected, "{start}..{end}");
            }
        }
        assert_eq!(payload.stretches(0..whole.len()).count(), 5);
        assert_eq!((Arc::strong_count(&one), Arc::strong_count(&two)), (2, 3));
        assert!(lists.0.is_empty());
        payload.give_back((&mut lists, &mut pool));
        assert_eq!((Arc::strong_count(&one), Arc::strong_count(&two)), (1, 1));
        assert_eq!((lists.0.len(), pool.shortage()), (1, None));
    }

    #[test]
    fn past_the_bounds_all_is_copied() {
        let mut pool = Pool::new([4, 4, 4], allocate).expect("memory");
        let mut lists = Lists::new(1).expect("memory");
        let page = shared(1, 4096);
        let many = [Piece::Held(&page); HELD_MAX + 1];
        let mut make = |lists: &mut _, count| {
            let pieces = many.iter().take(count).copied();
            Payload::new(pieces, Purpose::Page, (lists, &mut pool)).expect("memory")
        };
        let (first, taken) = make(&mut lists, HELD_MAX + 1);
        assert_eq!(taken, Taken { held: 15, copied: 1 });
        let (second, taken) = make(&mut lists, 2);
        assert_eq!((taken, second.len()), (Taken { held: 0, copied: 2 }, 8192));
        assert!(bytes(&second, 0..8192) == [1; 8192]);
        for payload in [second, first] {
            payload.give_back((&mut lists, &mut pool));
        }
        assert_eq!((lists.0.len(), Arc::strong_count(&page)), (1, 1));
    }

    #[test]
    fn without_memory_nothing_is_kept() {
        let mut pool = Pool::new([0, 0, 0], |_| None).expect("memory");
        let mut lists = Lists::new(1).expect("memory");
        let page = shared(1, 4096);
        let pieces = [Piece::Bytes(&[1][..]), Piece::Held(&page)];
        let made = Payload::new(pieces.iter().copied(), Purpose::Page, (&mut lists, &mut pool));
        assert!(made.is_none());
        assert_eq!((lists.0.len(), Arc::strong_count(&page)), (1, 1));
        let made =
            Payload::new(pieces.iter().skip(1).copied(), Purpose::Page, (&mut lists, &mut pool));
        assert_eq!(made.expect("no bytes are copied").1, Taken { held: 1, copied: 0 });
    }
}
