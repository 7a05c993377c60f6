//! A member turns hostile: as owner towards a holder, as holder towards an owner, as source of a
//! moved process. Its messages decode, for what does not never gets here; any field may lie.
//! Nothing panics, what is kept is bounded, others have what they had, and what was refused is
//! counted.

mod fetches;
mod holder;
mod owner;

use holon_simkit::mutate::mutate;
use holon_simkit::Rng;
use netproto::msg::lodge::{Batch, Item, Seal};
use netproto::{Duration, Incarnation, Instant, Kind, Slot};
use vm_remote::lodge::Peer;

const ATTACKER: u8 = 1;
const HONEST: u8 = 2;

fn slot(number: u8) -> Slot {
    Slot::new(number).expect("a slot")
}

fn peer(number: u8) -> Peer {
    Peer { slot: slot(number), incarnation: Incarnation([number + 1; 16]) }
}

fn at(ms: u64) -> Instant {
    Instant::ZERO.after(Duration::from_ms(ms))
}

/// A seal that differs from others' in its checksum and its length.
fn seal(number: u32) -> Seal {
    Seal { sum: number, len: u16::try_from(1 + number % 4096).expect("short") }
}

/// A batch as it is on the wire; contents are zeros.
fn wire(head: &Batch, items: &[Item]) -> Vec<u8> {
    let count = u16::try_from(items.len()).expect("few");
    let mut bytes = Batch { count, ..*head }.encode().to_vec();
    items.iter().for_each(|item| bytes.extend(item.encode()));
    let contents: usize = items.iter().map(|item| usize::from(item.seal.len)).sum();
    bytes.resize(bytes.len() + contents, 0);
    bytes
}

/// The message with some change, if it still is one.
fn changed(kind: Kind, bytes: &[u8], rng: &mut Rng) -> Option<(Batch, Vec<Item>)> {
    let mut bytes = bytes.to_vec();
    for _ in 0..rng.below(3) {
        mutate(&mut bytes, rng);
    }
    let (head, parts) = Batch::decode(kind, &bytes).ok()?;
    Some((head, parts.iter().map(|(item, _)| item).collect()))
}
