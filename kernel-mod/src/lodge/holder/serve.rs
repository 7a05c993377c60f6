//! Messages of owners, answered at once on the net's thread: no other thread is waited for, and at
//! most the contents of one message are copied. What can't be sent is asked for again.

use netproto::{
    limits::LODGE_CONTENTS_LEN_MAX,
    msg::lodge::{Batch, BatchFlags, Horizon, Item, Limit, Parts, Seal, Status, ITEM_LEN},
    Class, Kind, Message, RequestId,
};
use vm_remote::lodge::{
    holder::{Frame, Store},
    Items, Peer,
};

use super::State;
use crate::lodge::wire;

const ITEMS_MAX: usize = 32;
const ITEMS_LEN: usize = ITEMS_MAX * ITEM_LEN;

/// Answers. False if the message is not what its kind says.
pub(super) fn message(state: &mut State, from: Peer, message: &Message) -> bool {
    if message.kind == Kind::LODGE_RESERVE {
        return Limit::decode(&message.payload).map(|wish| reserve(state, from, &wish)).is_ok();
    }
    let Ok((head, parts)) = Batch::decode(message.kind, &message.payload) else {
        return false;
    };
    match message.kind {
        Kind::LODGE_STORE => store(state, from, &head, &parts),
        Kind::LODGE_FETCH => fetch(state, from, &head, &parts),
        _ => release(state, from, &head, &parts),
    }
    true
}

fn reserve(state: &mut State, from: Peer, wish: &Limit) {
    if let Some(grant) = state.machine.reserve(from, wish) {
        state.told[from.slot.index()] = Some(grant.spare);
        // If it gets lost, the owner asks again.
        let _ = wire::send(from, Class::Control, Kind::LODGE_GRANT, &[&grant.encode()]);
    }
}

/// Sends an answer about pages, without contents.
fn answer(to: Peer, kind: Kind, request: RequestId, items: &Items) {
    let mut bytes = [0; ITEMS_LEN];
    let list = encode(items.iter().map(|item| Item { seal: Seal::NONE, ..*item }), &mut bytes);
    let head = head(request, items.len()).encode();
    // If it gets lost, the owner asks again.
    let _ = wire::send(to, kind.class(), kind, &[&head, list]);
}

fn head(request: RequestId, count: u16) -> Batch {
    Batch { request, horizon: Horizon(0), count, flags: BatchFlags::empty() }
}

/// Writes items one after the other.
fn encode(items: impl Iterator<Item = Item>, bytes: &mut [u8; ITEMS_LEN]) -> &[u8] {
    let mut len = 0;
    for (place, item) in bytes.chunks_exact_mut(ITEM_LEN).zip(items) {
        place.copy_from_slice(&item.encode());
        len += ITEM_LEN;
    }
    &bytes[..len]
}

fn store(state: &mut State, from: Peer, head: &Batch, parts: &Parts<'_>) {
    if !state.keeps_module() {
        return;
    }
    let mut items = Items::new();
    for (item, content) in parts.iter() {
        let status = match state.machine.store(from, (head.request, head.horizon), &item) {
            Store::Into(frame) => {
                // The seal is that of what is in the frame now, whatever came in the message.
                let seal = state.fill(frame, content).map_or(Seal::NONE, Seal::of);
                state.machine.stored(from, &item, seal)
            }
            Store::Answer(status) => status,
        };
        items.push(Item { status, ..item });
    }
    answer(from, Kind::LODGE_STORED, head.request, &items);
}

fn release(state: &mut State, from: Peer, head: &Batch, parts: &Parts<'_>) {
    let mut items = Items::new();
    for (item, _) in parts.iter() {
        let status = state.machine.release(from, (head.request, head.horizon), &item);
        items.push(Item { status, ..item });
    }
    answer(from, Kind::LODGE_RELEASED, head.request, &items);
}

fn fetch(state: &mut State, from: Peer, head: &Batch, parts: &Parts<'_>) {
    let mut list = PageList::new();
    for (item, _) in parts.iter() {
        let found = state.machine.fetch(from, &item);
        let len = found.map_or(0, |(_, seal)| usize::from(seal.len));
        if len > list.room {
            list.send(state, from, head.request);
        }
        list.add(&item, found);
    }
    list.send(state, from, head.request);
}

/// The items of a PAGES, and the frames of those that have a content.
struct PageList {
    items: Items,
    frames: [(Frame, Seal); ITEMS_MAX],
    count: usize,
    /// Bytes that there is room for.
    room: usize,
}

impl PageList {
    fn new() -> Self {
        let (items, frames) = (Items::new(), [(Frame(0), Seal::NONE); ITEMS_MAX]);
        Self { items, frames, count: 0, room: LODGE_CONTENTS_LEN_MAX }
    }

    fn add(&mut self, item: &Item, found: Result<(Frame, Seal), Status>) {
        match found {
            Ok((frame, seal)) => {
                self.frames[self.count] = (frame, seal);
                self.count += 1;
                self.room = self.room.saturating_sub(seal.len.into());
                self.items.push(Item { status: Status::Done, seal, ..*item });
            }
            Err(status) => self.items.push(Item { status, seal: Seal::NONE, ..*item }),
        }
    }

    /// Sends what there is; the transport copies out of the frames.
    fn send(&mut self, state: &State, to: Peer, request: RequestId) {
        if self.items.is_empty() {
            return;
        }
        let mut bytes = [0; ITEMS_LEN];
        let list = encode(self.items.iter().copied(), &mut bytes);
        let head = head(request, self.items.len()).encode();
        let mut parts: [&[u8]; ITEMS_MAX + 2] = [&[]; ITEMS_MAX + 2];
        (parts[0], parts[1]) = (&head, list);
        for (part, (frame, seal)) in parts[2..].iter_mut().zip(&self.frames[..self.count]) {
            *part = state.frames.content(*frame, *seal).unwrap_or_default();
        }
        // If it gets lost, the owner asks again.
        let _ = wire::send(to, Class::Bulk, Kind::LODGE_PAGES, &parts[..self.count + 2]);
        *self = Self::new();
    }
}
