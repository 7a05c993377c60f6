//! What a page of the pool carries: which space it belongs to, and which page of it it stands for.

use crate::limits::{PAGE_NUMBER_BITS, TARGETS_MAX};

/// A target space's number on this node; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(u32);

impl Handle {
    /// The handle with this number, `1..=`[`TARGETS_MAX`].
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if number == 0 || number > TARGETS_MAX {
            None
        } else {
            Some(Self(number))
        }
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Its place in a table of [`TARGETS_MAX`] entries.
    #[must_use]
    pub fn index(self) -> usize {
        usize::try_from(self.0.saturating_sub(1)).unwrap_or(usize::MAX)
    }
}

/// A handle and a page number in one word; as a word it is never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(u64);

impl Tag {
    const PAGE_MASK: u64 = (1 << PAGE_NUMBER_BITS) - 1;

    /// The tag of page number `page` in the space `handle`; `None` if the number is too big.
    #[must_use]
    pub fn new(handle: Handle, page: u64) -> Option<Self> {
        (page <= Self::PAGE_MASK).then(|| Self(u64::from(handle.0) << PAGE_NUMBER_BITS | page))
    }

    /// Out of the word that a page carried.
    #[must_use]
    pub fn from_word(word: u64) -> Option<Self> {
        let handle = u32::try_from(word >> PAGE_NUMBER_BITS).ok()?;
        Handle::new(handle).map(|_| Self(word))
    }

    /// The word for a page to carry.
    #[must_use]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// The page's number in its space.
    #[must_use]
    pub const fn page(self) -> u64 {
        self.0 & Self::PAGE_MASK
    }

    /// The space's handle.
    #[must_use]
    pub fn handle(self) -> Handle {
        Handle(u32::try_from(self.0 >> PAGE_NUMBER_BITS).unwrap_or(u32::MAX))
    }
}

/// What a page of the pool stands for that is no space's: a page that lodges elsewhere. The last
/// handle, which no space has.
const LODGED: u64 = (1 << (64 - PAGE_NUMBER_BITS)) - 1;

/// The word for the page that stands for an entry of `lodge::owner`.
#[must_use]
pub const fn lodged_word(entry: u32) -> u64 {
    // u64::from() is not const.
    let [a, b, c, d] = entry.to_le_bytes();
    LODGED << PAGE_NUMBER_BITS | u64::from_le_bytes([a, b, c, d, 0, 0, 0, 0])
}

/// The entry that a page with this word stands for, if it is one of these.
#[must_use]
pub fn lodged_entry(word: u64) -> Option<u32> {
    let number = u32::try_from(word & Tag::PAGE_MASK).ok()?;
    (word >> PAGE_NUMBER_BITS == LODGED).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_keeps_both_parts() {
        let handle = Handle::new(TARGETS_MAX).expect("last handle");
        let tag = Tag::new(handle, (1 << 44) - 1).expect("last page");
        assert_eq!((tag.handle(), tag.page()), (handle, (1 << 44) - 1));
        assert_eq!(Tag::from_word(tag.word()), Some(tag));
        assert_ne!(tag.word(), 0);
    }

    #[test]
    fn a_lodged_page_is_no_spaces() {
        for entry in [0, 1, u32::MAX] {
            let word = lodged_word(entry);
            assert_eq!(lodged_entry(word), Some(entry));
            assert_eq!(Tag::from_word(word), None);
        }
        let tag = Tag::new(Handle::new(TARGETS_MAX).expect("last"), 7).expect("a tag");
        assert_eq!(lodged_entry(tag.word()), None);
        assert_eq!(lodged_entry(lodged_word(0) | 1 << 40), None, "no such entry");
    }

    #[test]
    fn wrong_parts_are_refused() {
        assert_eq!(Handle::new(0), None);
        assert_eq!(Handle::new(TARGETS_MAX + 1), None);
        assert_eq!(Tag::from_word(12), None, "no handle");
        assert_eq!(Tag::from_word(u64::MAX), None, "no such handle");
        let handle = Handle::new(1).expect("a handle");
        assert_eq!(Tag::new(handle, 1 << 44), None);
    }
}
