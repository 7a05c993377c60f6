//! Checks of the source tree itself.
//!
//! - [`tidy`]: what can be seen line by line: sizes, widths, leftovers, licences, foreign hosts.
//! - [`layers`]: which crate may use which, and that the pure ones are.
//! - [`wrap`]: breaks comments that are too wide, for tidiness by hand.
//!
//! The first two run among the tests (`cargo test -p xtask`) and by hand (`cargo xtask check`).

pub mod layers;
pub mod tidy;
pub mod tree;
pub mod wrap;

use std::fmt;

/// Something in the tree that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offence {
    /// The file, from the top of the repository.
    pub path: String,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}
