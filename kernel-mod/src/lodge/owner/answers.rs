//! What holders say. On the net's thread: nothing here waits or allocates.

use kapi::page::PAGE_LEN;
use netproto::{
    msg::lodge::{Batch as Head, HandBack, Item, Limit, Offer, Seal},
    Kind, Message, RequestId,
};
use vm_remote::lodge::{
    owner::{Accepted, OpId, OpKind},
    Peer,
};

use super::{
    make, owning,
    state::{Batch, Owning},
    stats,
};
use crate::{lodge::content, port::net::now};

/// One message for the owner.
pub(super) fn message(from: Peer, message: &Message) {
    let known = match message.kind {
        Kind::LODGE_OFFER => Offer::decode(&message.payload).map(|offer| {
            make::note_spare(from.slot, offer.spare);
        }),
        _ => Ok(()),
    };
    let Some(owning) = owning() else { return };
    let done = match message.kind {
        Kind::LODGE_OFFER => known.map(|()| {
            owning.with(|owner, _| owner.set_spare(from.slot, make::spare(from.slot)));
        }),
        Kind::LODGE_GRANT => Limit::decode(&message.payload)
            .map(|grant| owning.with(|owner, _| owner.handle_grant(from, &grant)))
            .inspect(|()| super::evict::poke()),
        Kind::LODGE_HAND_BACK => HandBack::decode(&message.payload)
            .map(|back| owning.with(|owner, now| owner.handle_hand_back(now, from, &back))),
        kind => Head::decode(kind, &message.payload).map(|(head, parts)| {
            let mut came = None;
            for (item, content) in parts.iter() {
                came = one(owning, from, (kind, head.request), &item, content).or(came);
            }
            // Once for all of a message.
            if let Some(wait) = came.and_then(|op| owning.waits.get(usize::from(op.0))) {
                wait.wake_all();
            }
            let (woken, has_chores) = {
                let mut state = owning.state.lock();
                (owning.look(&mut state), state.owner.has_chores())
            };
            owning.wake(woken);
            if has_chores {
                owning.make_due();
            }
        }),
    };
    if let Err(error) = done {
        crate::lodge::stats::REFUSED_MESSAGES.add(1);
        log::warn!("slot {}: wrong {:?}: {error}", from.slot, message.kind);
    }
}

fn one(
    owning: &Owning,
    from: Peer,
    (kind, request): (Kind, RequestId),
    item: &Item,
    content: Option<&[u8]>,
) -> Option<OpId> {
    match kind {
        Kind::LODGE_STORED => {
            owning.state.lock().owner.handle_stored(now(), from, request, item);
        }
        Kind::LODGE_RELEASED => {
            owning.state.lock().owner.handle_released(now(), from, request, item);
        }
        _ => return page(owning, from, request, item, content),
    }
    None
}

/// A page came, or word of it. Gives the batch that has it now.
#[inline(never)]
fn page(
    owning: &Owning,
    from: Peer,
    request: RequestId,
    item: &Item,
    content: Option<&[u8]>,
) -> Option<OpId> {
    let seal = content.map(Seal::of);
    let mut state = owning.state.lock();
    let accepted = state.owner.handle_page(now(), from, request, item, seal);
    let (accepted, content) = (accepted?, content?);
    if accepted.kind == OpKind::MendRead {
        drop(state);
        keep(owning, accepted, content);
        return None;
    }
    let at = usize::from(accepted.position);
    let fetch = match state.batches.get_mut(usize::from(accepted.op.0)) {
        Some(Batch::In(fetch)) => fetch,
        _ => return None,
    };
    // Whoever waits for it may give up meanwhile: then the page is ours alone.
    let (serial, page) = (fetch.serial, fetch.pages.get_mut(at).and_then(Option::take));
    drop(state);
    let mut page = page?;
    // It fits its seal, so it is what was made of the page here. Should that not make a page, then
    // memory was damaged: the page does not come, and its fault says so in time.
    if !content::take(content, page.bytes_mut()) {
        stats::NOT_UNPACKED.add(1);
        return None;
    }
    let mut state = owning.state.lock();
    let mut page = Some(page);
    if let Some(fetch) = state.fetch(accepted.op, serial) {
        fetch.came |= 1 << accepted.position;
        if let Some(place) = fetch.pages.get_mut(at) {
            *place = page.take();
        }
    }
    Some(accepted.op)
}

/// A page that is moved on: into the batch's buffer.
#[inline(never)]
fn keep(owning: &Owning, accepted: Accepted, content: &[u8]) {
    let Some(mend) = owning.mend_of(accepted.op) else {
        stats::MENDS_WITHOUT_BUFFER.add(1);
        return;
    };
    let at = usize::from(accepted.position) * PAGE_LEN;
    if let Some(place) = owning.mends[mend].lock().contents.get_mut(at..at + content.len()) {
        place.copy_from_slice(content);
    }
}
