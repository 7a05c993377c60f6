//! Messages to holders.

use core::time::Duration;

use kapi::{lodge::LODGE_MAX, page::PAGE_LEN, wait::Mode};
use netproto::{
    msg::lodge::{Batch as Head, BatchFlags, ITEM_LEN},
    Kind, SendError,
};
use vm_remote::lodge::{
    owner::{OpId, OpKind},
    Body, Items, Transmit,
};

use super::{
    state::{Owning, PAGES},
    stats, urgent,
};
use crate::{lodge::wire, port::net};

/// Head, items, and a content for each page of a STORE.
const PARTS_MAX: usize = 2 + PAGES;

const _: () = assert!(PAGES == LODGE_MAX, "a batch has room for what the machine may put in");

/// What to do when the link's queue is full.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// Nothing: the batch is repeated by time.
    Leave,
    /// Wait for room, but not for long.
    Wait,
}

/// For room in a link's queue, times the time scale.
const ROOM_WAIT: Duration = Duration::from_millis(500);

impl Owning {
    /// Sends all that a batch which was just begun has to say.
    #[inline(never)]
    pub(super) fn send_all_of(&self, op: OpId, full: Full) {
        loop {
            let transmit = self.state.lock().owner.poll_transmit_of(net::now(), op);
            match transmit {
                Some(transmit) => self.send(&transmit, full),
                None => return,
            }
        }
    }

    /// Sends one message.
    #[inline(never)]
    pub(super) fn send(&self, transmit: &Transmit, full: Full) {
        loop {
            let room = self.sendable.load(core::sync::atomic::Ordering::Acquire);
            match (self.try_send(transmit), full) {
                (Err(SendError::Busy), Full::Wait) if self.wait_for_room(room) => (),
                _ => return,
            }
        }
    }

    fn wait_for_room(&self, room: u64) -> bool {
        let moved = || self.sendable.load(core::sync::atomic::Ordering::Acquire) != room;
        let time = ROOM_WAIT * net::timescale();
        let waited = self.sending.wait(Mode::Idle, Some(time), moved);
        waited == Ok(kapi::wait::Waited::Ready) && !kapi::thread::should_stop()
    }

    #[inline(never)]
    fn try_send(&self, transmit: &Transmit) -> Result<(), SendError> {
        let to = transmit.to;
        match &transmit.body {
            Body::Reserve(limit) => {
                let kind = Kind::LODGE_RESERVE;
                wire::send(to, kind.class(), kind, &[&limit.encode()])
            }
            Body::Batch { kind, op, head, items } if *kind == Kind::LODGE_STORE => self
                .with_contents(*op, head, items, |parts| {
                    wire::send(to, kind.class(), *kind, parts)
                }),
            Body::Batch { kind, head, items, .. } => {
                let (mut head, mut items) = (*head, *items);
                if head.flags.contains(BatchFlags::FAULT) {
                    if let Some(item) = items.pop_first() {
                        urgent::ask(to, head.request, &item, head.flags);
                    }
                    if items.is_empty() {
                        return Ok(());
                    }
                    head.flags.remove(BatchFlags::FAULT);
                    head.count = items.len();
                }
                let list = encoded(&items);
                let list = &list[..usize::from(items.len()) * ITEM_LEN];
                wire::send(to, kind.class(), *kind, &[&head.encode(), list])
            }
        }
    }

    /// Gives a STORE's parts to `send`, unless its batch is over.
    #[inline(never)]
    fn with_contents(
        &self,
        op: OpId,
        head: &Head,
        items: &Items,
        send: impl FnOnce(&[&[u8]]) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        let kind = self.state.lock().owner.kind(op);
        let (head_bytes, list) = (head.encode(), encoded(items));
        let list = &list[..usize::from(items.len()) * ITEM_LEN];
        let mut parts: [&[u8]; PARTS_MAX] = [&[]; PARTS_MAX];
        (parts[0], parts[1]) = (&head_bytes, list);
        let mut count = 2;
        // Under the buffer's lock nobody fills it anew: if the batch is the same, so is this.
        if kind == Some(OpKind::Evict) {
            let Some(store) = self.store_of(op) else { return Ok(()) };
            let store = self.stores[store].lock();
            if store.op != Some(op) || !self.state.lock().is_now(op, head.request) {
                return Ok(());
            }
            for (item, part) in items.iter().zip(&mut parts[2..]) {
                *part = store.content(usize::from(item.position));
                count += 1;
            }
            return send(&parts[..count]);
        }
        let Some(mend) = self.mend_of(op) else { return Ok(()) };
        let mend = self.mends[mend].lock();
        if !self.state.lock().is_now(op, head.request) {
            return Ok(());
        }
        for (item, part) in items.iter().zip(&mut parts[2..]) {
            let at = usize::from(item.position) * PAGE_LEN;
            *part = mend.contents.get(at..at + usize::from(item.seal.len)).unwrap_or_default();
            count += 1;
        }
        send(&parts[..count])
    }

    /// The buffer of a batch that is moved from holder to holder. There are as many as batches.
    #[inline(never)]
    pub(super) fn mend_of(&self, op: OpId) -> Option<usize> {
        let mut free = None;
        for (at, mend) in self.mends.iter().enumerate() {
            let mend = mend.lock();
            if mend.op == Some(op) {
                return Some(at);
            }
            let kind = mend.op.and_then(|op| self.state.lock().owner.kind(op));
            if !matches!(kind, Some(OpKind::MendRead | OpKind::MendStore)) {
                free = Some(at);
            }
        }
        if let Some(mend) = free.and_then(|at| self.mends.get(at)) {
            mend.lock().op = Some(op);
        } else {
            stats::MENDS_WITHOUT_BUFFER.add(1);
        }
        free
    }
}

fn encoded(items: &Items) -> [u8; PAGES * ITEM_LEN] {
    let mut bytes = [0; PAGES * ITEM_LEN];
    for (item, place) in items.iter().zip(bytes.chunks_exact_mut(ITEM_LEN)) {
        place.copy_from_slice(&item.encode());
    }
    bytes
}
