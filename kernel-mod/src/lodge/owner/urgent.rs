//! The page that a task waits for, outside of the links: asked for by a datagram of its own, and
//! put together where its parts are received.

use kapi::page::PAGE_LEN;
use netproto::{
    msg::lodge::{BatchFlags, Item, LodgeGet, Seal, Status},
    page::Get,
    piece::{Piece, Subject},
    RequestId,
};
use vm_remote::{gather::Gather, lodge::Peer};

use super::{
    owning,
    state::{Batch, State},
    stats,
};
use crate::port::net::{self, now, Content};

/// Asks for the first page of a batch.
pub(super) fn ask(to: Peer, request: RequestId, item: &Item, flags: BatchFlags) {
    let get = LodgeGet { request, entry: item.entry, generation: item.generation, flags };
    // Only to this life of it; what is not sent is as good as lost on the way.
    if net::incarnation_of(to.slot) == Some(to.incarnation) {
        let _ = net::send_get(to.slot, &Get::Lodge(get));
    }
}

/// A part of a page came, or word of it. In softirq context.
pub(in crate::lodge) fn piece_came(from: Peer, piece: &Piece, content: &Content<'_>) {
    let Subject::Lodged { entry, generation, status } = piece.subject else { return };
    let Some(owning) = owning() else { return };
    let item = Item { position: 0, status, entry, seal: piece.seal, generation };
    let mut state = owning.state.lock();
    let seal = match status {
        Status::Done => match state.put(from, (piece, &item), content) {
            Some(seal) if seal == piece.seal => Some(seal),
            Some(_) => {
                state.owner.came_damaged(now(), from, piece.request, &item);
                drop(state);
                return owning.make_due();
            }
            None => return,
        },
        _ => None,
    };
    let accepted = state.owner.handle_page(now(), from, piece.request, &item, seal);
    let op = accepted.map(|accepted| accepted.op);
    if let Some(Batch::In(fetch)) = op.and_then(|op| state.batches.get_mut(usize::from(op.0))) {
        fetch.came |= 1;
        let len = usize::from(piece.seal.len);
        fetch.packed_len = if len == PAGE_LEN { 0 } else { len };
    }
    let woken = owning.look(&mut state);
    drop(state);
    owning.wake(woken);
    match op.and_then(|op| owning.waits.get(usize::from(op.0))) {
        Some(wait) => wait.wake_all(),
        // It is to be read again, or elsewhere.
        None => owning.make_due(),
    }
}

impl State {
    /// Puts a part into the first page of the batch that waits for it. The whole content's seal
    /// when all parts are there.
    fn put(
        &mut self,
        from: Peer,
        (piece, item): (&Piece, &Item),
        content: &Content<'_>,
    ) -> Option<Seal> {
        let Some(op) = self.owner.awaits(from, piece.request, item) else {
            stats::PIECES_STRAY.add(1);
            return None;
        };
        let Some(Batch::In(fetch)) = self.batches.get_mut(usize::from(op.0)) else { return None };
        let page = fetch.pages.first_mut()?.as_mut()?;
        let place = page.bytes_mut().get_mut(piece.range())?;
        if !content.copy(place) || !fetch.gather.add(piece.part) {
            return None;
        }
        fetch.gather = Gather::new();
        page.bytes().get(..piece.seal.len.into()).map(Seal::of)
    }
}
