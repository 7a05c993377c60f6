//! The formats once more, by offsets and rules, with no code of the crate: what [`super`] compares
//! the crate's decoders with. Whoever changes a format changes it here by hand, too.

mod header;
mod messages;

pub(crate) use header::{header, sum, HeaderFields};
pub(crate) use messages::{HELD, HELLO, LODGE_GET, MESSAGES, PAGE_GET, PIECE, STATUS};

/// What a field may be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rule {
    Any,
    /// Reserved.
    Zero,
    NotZero,
    /// From the one to the other, both included.
    From(u64, u64),
    /// The same, signed.
    Signed(i64, i64),
    /// None but these bits.
    Bits(u64),
}

/// A little-endian number of up to 8 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) at: usize,
    pub(crate) width: usize,
    pub(crate) rule: Rule,
}

/// A payload's format.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Format {
    pub(crate) name: &'static str,
    /// Length of the head.
    pub(crate) len: usize,
    pub(crate) fields: &'static [Field],
    /// Whether what follows the head, and what fields say of each other, is right.
    pub(crate) rest: fn(&[u8], &[u8]) -> bool,
}

const fn field(at: usize, width: usize, rule: Rule) -> Field {
    Field { at, width, rule }
}

/// The number of `width` bytes at `at`.
pub(crate) fn number(bytes: &[u8], at: usize, width: usize) -> u64 {
    (0..width).rev().fold(0, |number, byte| (number << 8) | u64::from(bytes[at + byte]))
}

impl Field {
    fn fits(&self, bytes: &[u8]) -> bool {
        let value = number(bytes, self.at, self.width);
        let unused = 64 - 8 * u32::try_from(self.width).expect("small");
        let signed = i64::from_le_bytes((value << unused).to_le_bytes()) >> unused;
        match self.rule {
            Rule::Any => true,
            Rule::Zero => value == 0,
            Rule::NotZero => value != 0,
            Rule::From(low, high) => (low..=high).contains(&value),
            Rule::Signed(low, high) => (low..=high).contains(&signed),
            Rule::Bits(mask) => value & !mask == 0,
        }
    }
}

impl Format {
    /// Whether a payload is right.
    pub(crate) fn accepts(&self, bytes: &[u8]) -> bool {
        bytes.len() >= self.len
            && self.fields.iter().all(|field| field.fits(bytes))
            && (self.rest)(&bytes[..self.len], &bytes[self.len..])
    }

    /// The values of all fields but the reserved ones.
    pub(crate) fn values(&self, bytes: &[u8]) -> Vec<u64> {
        let told = self.fields.iter().filter(|field| !matches!(field.rule, Rule::Zero));
        told.map(|field| number(bytes, field.at, field.width)).collect()
    }
}
