//! A datagram on its way out: some bytes are written for it, long contents stay in their messages.

use crate::event::Class;
use crate::id::Slot;

/// A shorter content is copied: to gather it would cost more.
const OUTSIDE_MIN: usize = 256;
/// Contents of one datagram that stay where they are. The longest has two pages and parts of two
/// more.
pub(crate) const OUTSIDE_MAX: usize = 4;

/// A stretch of a queued message that lies together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) class: Class,
    /// The bytes of the datagram's head that it comes behind.
    pub(crate) at: u16,
    pub(crate) number: u64,
    pub(crate) offset: u16,
    pub(crate) len: u16,
}

/// The contents of one datagram, in their order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contents {
    list: [Content; OUTSIDE_MAX],
    count: usize,
}

impl Contents {
    pub(crate) const fn new() -> Self {
        let none = Content { class: Class::Fault, at: 0, number: 0, offset: 0, len: 0 };
        Self { list: [none; OUTSIDE_MAX], count: 0 }
    }

    /// Whether one of so many bytes stays where it is.
    pub(crate) const fn takes(&self, len: usize) -> bool {
        len >= OUTSIDE_MIN && self.count < OUTSIDE_MAX
    }

    /// Adds one, if [`Contents::takes`] said so.
    pub(crate) fn add(&mut self, content: Content) {
        let place = self.list.get_mut(self.count);
        debug_assert!(place.is_some(), "there is room");
        if let Some(place) = place {
            *place = content;
            self.count = self.count.saturating_add(1);
        }
    }

    pub(crate) fn as_slice(&self) -> &[Content] {
        self.list.get(..self.count).unwrap_or_default()
    }

    /// Their bytes together.
    pub(crate) fn len(&self) -> usize {
        self.as_slice().iter().fold(0, |sum, content| sum.saturating_add(content.len.into()))
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
    pub const PARTS_MAX: usize = 2 * OUTSIDE_MAX + 1;

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
            of.map_or(self.head_len, |content| usize::from(content.at))
        };
        let parts = (0..=contents.len()).flat_map(move |index| {
            let before = index.checked_sub(1);
            let start = if before.is_some() { place(before) } else { 0 };
            let written = head.get(start..place(Some(index))).unwrap_or_default();
            let behind = contents.get(index).map_or(&[][..], &content);
            [written, behind]
        });
        parts.filter(|part| !part.is_empty())
    }
}
