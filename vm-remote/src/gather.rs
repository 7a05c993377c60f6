//! A page's content that comes in parts.

use netproto::piece::Part;

/// Which parts are there. Parts of an answer that is cut differently begin anew: the asker's
/// repeated request is answered in shorter datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gather {
    count: u8,
    have: u8,
}

impl Gather {
    /// Nothing is there.
    #[must_use]
    pub const fn new() -> Self {
        Self { count: 0, have: 0 }
    }

    /// A part is in its place now. Whether that was the last one.
    pub fn add(&mut self, part: Part) -> bool {
        if self.count != part.count {
            *self = Self { count: part.count, have: 0 };
        }
        self.have |= part.bit();
        self.have.count_ones() >= u32::from(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u8, count: u8) -> Part {
        Part { number, count }
    }

    #[test]
    fn is_whole_when_each_came_once() {
        let mut gather = Gather::new();
        assert!(!gather.add(part(2, 3)));
        assert!(!gather.add(part(2, 3)), "a duplicate");
        assert!(!gather.add(part(0, 3)));
        assert!(gather.add(part(1, 3)));
        assert!(Gather::new().add(part(0, 1)));
    }

    #[test]
    fn parts_of_different_cuts_are_not_counted_together() {
        let mut gather = Gather::new();
        assert!(!gather.add(part(0, 3)));
        assert!(!gather.add(part(1, 3)));
        assert!(!gather.add(part(2, 4)));
        assert!(!gather.add(part(0, 4)));
        assert!(!gather.add(part(1, 4)));
        assert!(gather.add(part(3, 4)));
    }
}
