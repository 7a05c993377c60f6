//! Which nodes are cordoned: the last word about each, so that an old one never comes back.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was said last about a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Word {
    /// Grows with each word about the node.
    pub(crate) revision: u64,
    /// Why it is cordoned; none: it is not. Of two words at once the cordon holds.
    pub(crate) reason: Option<String>,
}

/// The last word about each slot, "no longer cordoned" included.
#[derive(Debug, Default)]
pub(crate) struct Cordons(BTreeMap<u32, Word>);

impl Cordons {
    /// Whether a node is cordoned.
    pub(crate) fn has(&self, slot: u32) -> bool {
        self.why(slot).is_some()
    }

    /// Why a node is cordoned, if it is.
    pub(crate) fn why(&self, slot: u32) -> Option<&String> {
        self.0.get(&slot)?.reason.as_ref()
    }

    /// A new word about a node; to be told to all, this node included.
    pub(crate) fn next(&self, slot: u32, reason: Option<String>) -> Word {
        let revision = self.0.get(&slot).map_or(0, |word| word.revision) + 1;
        Word { revision, reason }
    }

    /// Hears a word. True if it changes whether or why the node is cordoned.
    pub(crate) fn hear(&mut self, slot: u32, word: Word) -> bool {
        let known = self.0.get(&slot);
        if known.is_some_and(|known| *known >= word) {
            return false;
        }
        let changes = known.and_then(|known| known.reason.as_ref()) != word.reason.as_ref();
        self.0.insert(slot, word);
        changes
    }

    /// All words.
    pub(crate) fn words(&self) -> Vec<(u32, Word)> {
        self.0.iter().map(|(slot, word)| (*slot, word.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fan() -> Option<String> {
        Some("fan".into())
    }

    #[test]
    fn an_old_cordon_does_not_come_back() {
        let mut cordons = Cordons::default();
        let drained = cordons.next(1, fan());
        assert!(cordons.hear(1, drained.clone()) && cordons.has(1));
        assert!(!cordons.hear(1, drained.clone()), "the same again");
        let undrained = cordons.next(1, None);
        assert!(cordons.hear(1, undrained) && !cordons.has(1));
        assert!(!cordons.hear(1, drained), "from a node that was away meanwhile");
        assert!(!cordons.has(1));
    }

    #[test]
    fn what_the_kernel_kept_is_older_than_any_word() {
        let mut cordons = Cordons::default();
        assert!(cordons.hear(1, Word { revision: 0, reason: fan() }));
        assert!(cordons.hear(1, Word { revision: 1, reason: None }));
    }

    #[test]
    fn of_two_words_at_once_the_cordon_holds_everywhere() {
        let words = [Word { revision: 3, reason: None }, Word { revision: 3, reason: fan() }];
        for order in [[0, 1], [1, 0]] {
            let mut cordons = Cordons::default();
            for i in order {
                cordons.hear(1, words[i].clone());
            }
            assert!(cordons.has(1));
        }
    }
}
