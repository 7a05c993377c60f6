//! What is to come.

use std::collections::BTreeMap;

/// Things to come, by time; those of the same time in the order in which they were added.
#[derive(Debug, Clone)]
pub struct Agenda<T> {
    things: BTreeMap<(u64, u64), T>,
    added: u64,
}

impl<T> Agenda<T> {
    /// Nothing is to come.
    #[must_use]
    pub const fn new() -> Self {
        Self { things: BTreeMap::new(), added: 0 }
    }

    /// This comes then.
    pub fn add(&mut self, at_ns: u64, thing: T) {
        self.added += 1;
        self.things.insert((at_ns, self.added), thing);
    }

    /// When the next thing comes.
    #[must_use]
    pub fn next_at_ns(&self) -> Option<u64> {
        self.things.first_key_value().map(|((at_ns, _), _)| *at_ns)
    }

    /// Takes the next thing, if it has come by now.
    pub fn take_due(&mut self, now_ns: u64) -> Option<T> {
        let next = self.things.first_entry()?;
        (next.key().0 <= now_ns).then(|| next.remove())
    }
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_come_by_time_and_then_in_order() {
        let mut agenda = Agenda::new();
        for (at_ns, thing) in [(20, "c"), (10, "a"), (20, "d"), (10, "b"), (30, "e")] {
            agenda.add(at_ns, thing);
        }
        assert_eq!(agenda.next_at_ns(), Some(10));
        assert_eq!(agenda.take_due(9), None);
        let due: String = std::iter::from_fn(|| agenda.take_due(20)).collect();
        assert_eq!(due, "abcd");
        assert_eq!((agenda.next_at_ns(), agenda.take_due(29)), (Some(30), None));
        assert_eq!((agenda.take_due(30), agenda.next_at_ns()), (Some("e"), None));
    }
}
