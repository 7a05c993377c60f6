//! What happened, as one number.

/// A hash over what happened; two runs of a seed must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace(u64);

impl Trace {
    /// Nothing has happened.
    #[must_use]
    pub const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// This has happened.
    pub fn note(&mut self, bytes: &[u8]) {
        for eight in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..eight.len()].copy_from_slice(eight);
            self.note_number(u64::from_le_bytes(word));
        }
    }

    /// This number stands for what has happened.
    pub fn note_number(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x0000_0100_0000_01b3);
        self.0 ^= self.0 >> 29;
    }

    /// All of it.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[&str]) -> u64 {
        let mut trace = Trace::new();
        parts.iter().for_each(|part| trace.note(part.as_bytes()));
        trace.value()
    }

    #[test]
    fn what_happened_and_its_order_tell() {
        assert_eq!(of(&["one", "two"]), of(&["one", "two"]));
        assert_ne!(of(&["one", "two"]), of(&["two", "one"]));
        assert_ne!(of(&["one", "two"]), of(&["one"]));
        assert_ne!(of(&["a line longer than a word"]), of(&["a line longer than a werd"]));
    }
}
