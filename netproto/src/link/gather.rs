//! A datagram on its way out: some bytes are written for it, long contents stay in their messages.

use crate::event::Class;
use crate::id::Slot;
use crate::limits::CARRIED_MAX;

/// A shorter content is copied: to gather it would cost more.
const OUTSIDE_MIN: usize = 256;

/// A stretch of a queued message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) class: Class,
    pub(crate) number: u64,
    pub(crate) offset: u16,
    pub(crate) len: u16,
}

/// Whether a content of so many bytes stays where it is.
pub(crate) const fn is_outside(len: usize) -> bool {
    len >= OUTSIDE_MIN
}

/// The contents of one datagram, each with the place in the written bytes that it belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contents {
    list: [(u16, Content); CARRIED_MAX],
    count: usize,
}

impl Contents {
    pub(crate) const fn new() -> Self {
        let none = Content { class: Class::Fault, number: 0, offset: 0, len: 0 };
        Self { list: [(0, none); CARRIED_MAX], count: 0 }
    }

    /// Adds one behind `at` bytes of a datagram's head. There is room for one with each fragment.
    pub(crate) fn add(&mut self, at: usize, content: Content) {
        let place = self.list.get_mut(self.count);
        debug_assert!(place.is_some(), "no more contents than fragments");
        if let (Some(place), Ok(at)) = (place, u16::try_from(at)) {
            *place = (at, content);
            self.count = self.count.saturating_add(1);
        }
    }

    pub(crate) fn as_slice(&self) -> &[(u16, Content)] {
        self.list.get(..self.count).unwrap_or_default()
    }

    /// Their bytes together.
    pub(crate) fn len(&self) -> usize {
        self.as_slice().iter().fold(0, |sum, (_, content)| sum.saturating_add(content.len.into()))
    }
}

/// A datagram to be sent, as [`crate::Transport::poll_transmit`] gives it: bytes that it wrote,
/// with contents of queued messages between them. [`crate::Transport::parts`] has both.
#[derive(Debug, Clone, Copy)]
pub struct Transmit {
    pub(crate) slot: Slot,
    pub(crate) head_len: usize,
    pub(crate) contents: Contents,
}

impl Transmit {
    /// Parts of one datagram, at most.
    pub const PARTS_MAX: usize = 2 * CARRIED_MAX + 1;

    /// To whom.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// Bytes that were written for it.
    #[must_use]
    pub const fn head_len(&self) -> usize {
        self.head_len
    }

    /// Its length on the wire.
    #[must_use]
    pub fn len(&self) -> usize {
        self.head_len.saturating_add(self.contents.len())
    }

    /// Its parts at most.
    #[must_use]
    pub fn parts_count(&self) -> usize {
        self.contents.as_slice().len().saturating_mul(2).saturating_add(1)
    }

    /// Never: there is a header.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.head_len == 0
    }

    /// Its bytes in order: `head` is what was written, `content` finds the rest.
    pub(crate) fn parts<'a>(
        &'a self,
        head: &'a [u8],
        content: impl Fn(&Content) -> &'a [u8] + 'a,
    ) -> impl Iterator<Item = &'a [u8]> {
        let contents = self.contents.as_slice();
        let place = |index: Option<usize>| {
            let of = index.and_then(|index| contents.get(index));
            of.map_or(self.head_len, |(at, _)| usize::from(*at))
        };
        let parts = (0..=contents.len()).flat_map(move |index| {
            let before = index.checked_sub(1);
            let start = if before.is_some() { place(before) } else { 0 };
            let written = head.get(start..place(Some(index))).unwrap_or_default();
            let behind = contents.get(index).map_or(&[][..], |(_, of)| content(of));
            [written, behind]
        });
        parts.filter(|part| !part.is_empty())
    }
}
