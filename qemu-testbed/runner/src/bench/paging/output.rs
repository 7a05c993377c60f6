//! Reads what the programs print: lines of a name, and of names with numbers.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

/// Numbers by line and name.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures(BTreeMap<String, BTreeMap<String, f64>>);

impl Figures {
    /// Reads lines such as `fault-latency median_us 12.5 p99_us 80.0 slow 3 of 4`; words that are
    /// no number end a name.
    pub(super) fn read(text: &str) -> Self {
        let mut all = BTreeMap::new();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let Some(name) = words.next() else { continue };
            let mut numbers = BTreeMap::new();
            let mut last = None;
            for word in words {
                match (word.parse(), last.take()) {
                    (Ok(number), Some(name)) => {
                        numbers.insert(name, number);
                    }
                    _ => last = Some(word.to_owned()),
                }
            }
            all.insert(name.to_owned(), numbers);
        }
        Self(all)
    }

    /// One number.
    pub(super) fn get(&self, line: &str, name: &str) -> Result<f64> {
        let found = self.0.get(line).and_then(|numbers| numbers.get(name));
        found.copied().with_context(|| format!("no `{line} … {name}` was printed: {:?}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_programs_print() {
        let read = Figures::read("x-latency median_us 12.5 p99_us 80.0 slow 3 of 4\ndone us 7\n");
        assert_eq!(read.get("x-latency", "median_us").ok(), Some(12.5));
        assert_eq!(read.get("x-latency", "of").ok(), Some(4.0));
        assert_eq!(read.get("done", "us").ok(), Some(7.0));
        assert!(read.get("done", "median_us").is_err());
        assert!(Figures::read("failed: bad page 3").get("done", "us").is_err());
    }
}
