//! What is kept for whom, found by owner and entry. Open addressing, sized beforehand.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use netproto::msg::lodge::Seal;
use netproto::Slot;

/// Whose page, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) owner: Slot,
    pub(super) entry: u32,
}

/// The number of a frame at the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frame(pub u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The driver copies the content into the frame.
    Filling(Frame),
    /// The frame has it.
    Held(Frame),
    /// It was released; a STORE from before must not bring it back.
    Tomb,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    pub(super) key: Key,
    pub(super) generation: u64,
    /// The STORE that brought it, or the RELEASE that ended it: what is from before does nothing.
    pub(super) request: u64,
    pub(super) seal: Seal,
    pub(super) state: State,
}

/// The table. At most half of it is used, so that a search is short.
#[derive(Debug)]
pub(super) struct Table {
    places: Vec<Option<Record>>,
    len: u32,
    room: u32,
}

fn hash(key: Key) -> u64 {
    let word = u64::from(key.entry) << 8 | u64::from(key.owner.get());
    let mixed = (word ^ (word >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 32)
}

impl Table {
    /// For at most `room` records.
    pub(super) fn new(room: u32) -> Result<Self, TryReserveError> {
        let len = usize::try_from(room).unwrap_or(usize::MAX / 4).saturating_mul(2);
        let len = len.max(2).checked_next_power_of_two().unwrap_or(usize::MAX);
        let mut places = Vec::new();
        places.try_reserve_exact(len)?;
        places.resize(len, None);
        Ok(Self { places, len: 0, room })
    }

    pub(super) const fn is_full(&self) -> bool {
        self.len >= self.room
    }

    fn mask(&self) -> usize {
        self.places.len().saturating_sub(1)
    }

    fn home(&self, key: Key) -> usize {
        usize::try_from(hash(key)).unwrap_or(0) & self.mask()
    }

    /// Where the key is, or would be.
    fn find(&self, key: Key) -> usize {
        let mut at = self.home(key);
        while let Some(Some(record)) = self.places.get(at) {
            if record.key == key {
                break;
            }
            at = at.wrapping_add(1) & self.mask();
        }
        at
    }

    pub(super) fn get(&self, key: Key) -> Option<&Record> {
        self.places.get(self.find(key))?.as_ref()
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Record> {
        let at = self.find(key);
        self.places.get_mut(at)?.as_mut()
    }

    /// Puts a record in, or another in its place. False if the table is full.
    pub(super) fn put(&mut self, record: Record) -> bool {
        let at = self.find(record.key);
        let is_full = self.is_full();
        match self.places.get_mut(at) {
            Some(Some(old)) => {
                *old = record;
                true
            }
            Some(place) if !is_full => {
                *place = Some(record);
                self.len = self.len.saturating_add(1);
                true
            }
            _ => false,
        }
    }

    pub(super) fn remove(&mut self, key: Key) {
        let at = self.find(key);
        self.remove_at(at);
    }

    /// Empties a place and moves up what was pushed past it, so that searches need no marks.
    fn remove_at(&mut self, at: usize) {
        let mask = self.mask();
        if self.places.get_mut(at).and_then(Option::take).is_none() {
            return;
        }
        self.len = self.len.saturating_sub(1);
        let (mut hole, mut next) = (at, at.wrapping_add(1) & mask);
        while let Some(Some(record)) = self.places.get(next).copied() {
            let distance_home = next.wrapping_sub(self.home(record.key)) & mask;
            let distance_hole = next.wrapping_sub(hole) & mask;
            if distance_home >= distance_hole {
                if let Some(place) = self.places.get_mut(hole) {
                    *place = Some(record);
                }
                if let Some(place) = self.places.get_mut(next) {
                    *place = None;
                }
                hole = next;
            }
            next = next.wrapping_add(1) & mask;
        }
    }

    /// Takes out all records that `is_out` says so of.
    pub(super) fn remove_all(&mut self, mut is_out: impl FnMut(&Record) -> bool) {
        let mut at = 0;
        while at < self.places.len() {
            let record = self.places.get(at).copied().flatten();
            if record.is_some_and(|record| is_out(&record)) {
                // What moves up into this place is looked at next.
                self.remove_at(at);
            } else {
                at = at.saturating_add(1);
            }
        }
    }

    /// Places that [`Self::remove_all`] looks at.
    pub(super) fn places(&self) -> u32 {
        u32::try_from(self.places.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Record> {
        self.places.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;

    fn key(owner: u8, entry: u32) -> Key {
        Key { owner: Slot::new(owner).expect("a slot"), entry }
    }

    #[test]
    fn agrees_with_a_map() {
        let mut table = Table::new(64).expect("memory");
        let mut map: BTreeMap<(u8, u32), u64> = BTreeMap::new();
        let mut seed = 1_u64;
        let mut next = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        for generation in 1..20_000 {
            let owner = u8::try_from(next(4)).expect("small");
            let entry = u32::try_from(next(40)).expect("small");
            let state = State::Held(Frame(0));
            match next(8) {
                0..4 => {
                    let (key, seal) = (key(owner, entry), Seal::NONE);
                    let record = Record { key, generation, request: 0, seal, state };
                    let fits = map.len() < 64 || map.contains_key(&(owner, entry));
                    assert_eq!(table.put(record), fits);
                    if fits {
                        map.insert((owner, entry), generation);
                    }
                }
                4..7 => {
                    table.remove(key(owner, entry));
                    map.remove(&(owner, entry));
                }
                _ if next(20) == 0 => {
                    table.remove_all(|record| record.key.owner.get() == owner);
                    map.retain(|(other, _), _| *other != owner);
                }
                _ => (),
            }
            let found = table.get(key(owner, entry)).map(|record| record.generation);
            assert_eq!(found, map.get(&(owner, entry)).copied());
            assert_eq!(table.iter().count(), map.len());
        }
        assert!(map.iter().all(|((owner, entry), _)| table.get(key(*owner, *entry)).is_some()));
    }
}
