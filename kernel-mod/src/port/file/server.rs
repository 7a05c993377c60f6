//! The holder's side: requests of other nodes, and what goes back to them.

use core::time::Duration;

use kapi::{Errno, Result};
use netproto::{
    msg::file::{Cancel, Event, Flags, Op, Ref, Reply, Request},
    FileId, Kind, Lane, SendError, Slot,
};

use super::{
    counters, files,
    request::{Answer, Task},
    Files,
};
use crate::port::net;

/// How long one turn of waiting for room lasts, times the time scale; a peer that is down ends it
/// for good.
const ROOM_WAIT: Duration = Duration::from_secs(1);
/// After so many turns a peer that is up but takes nothing loses its session: others wait behind.
const ROOM_TURNS_MAX: u32 = 30;

/// Takes a request. On the driver thread.
pub(super) fn request(files: &'static Files, from: Slot, request: Request, data: &[u8]) {
    if let Err(errno) = accept(files, from, request, data) {
        counters::REFUSED.add(1);
        reply_late(files, from, &request, Answer::number(Err(errno)));
    }
}

fn accept(files: &'static Files, from: Slot, head: Request, data: &[u8]) -> Result {
    if head.flags != Flags::default() && head.flags != Flags::NOWAIT {
        return Err(Errno::EINVAL);
    }
    if head.op == Op::OPEN_REF {
        return open(files, from, head);
    }
    match head.op {
        Op::READ => counters::SERVED_READ.add(1),
        Op::WRITE => counters::SERVED_WRITE.add(1),
        Op::POLL => counters::SERVED_POLL.add(1),
        Op::IOCTL => counters::SERVED_IOCTL.add(1),
        _ => counters::SERVED_OTHER.add(1),
    }
    let object = files.table.held_by(head.file, from).ok_or(Errno::ESTALE)?;
    object.push(Task::new(from, head, data)?)
}

/// A reference for the asking node, taken now: a later message may give it back.
fn open(files: &'static Files, from: Slot, head: Request) -> Result {
    let object = files.table.take(head.file, from)?;
    files.late.push(move || {
        let name = object.file().display_name().unwrap_or_default();
        answer(from, &head, &Answer::status(object.file(), &name));
    })
}

fn reply_late(files: &'static Files, to: Slot, head: &Request, result: Answer) {
    let head = *head;
    if files.late.push(move || answer(to, &head, &result)).is_err() {
        counters::REPLY_LOST.add(1);
    }
}

/// Ends a request early. On the driver thread.
pub(super) fn cancel(files: &'static Files, from: Slot, cancel: Cancel) {
    if let Some(object) = files.table.held_by(cancel.file, from) {
        if object.cancel(from, cancel.request).is_err() {
            counters::REFUSED.add(1);
        }
    }
}

/// Gives references of a node back; they are taken by opening. On the driver thread.
pub(super) fn change(files: &'static Files, from: Slot, change: Ref) {
    if change.delta < 0 {
        files.table.give(change.file, from, change.delta.unsigned_abs());
    } else {
        counters::REFUSED.add(1);
    }
}

/// A node's session ended: so do its references and requests.
pub(super) fn node_lost(files: &'static Files, slot: Slot) {
    for object in files.table.give_all(slot) {
        object.forget(slot);
    }
}

/// Sends a result. On a worker: waits for room in the queue to the peer.
pub(super) fn answer(to: Slot, request: &Request, answer: &Answer) {
    let head = Reply { request: request.request, result: answer.result }.encode();
    if send(to, request.file, Kind::FILE_REPLY, &[&head, &answer.data]).is_err() {
        counters::REPLY_LOST.add(1);
    }
}

/// Tells that a polled file is ready. On a worker.
pub(super) fn event(to: Slot, event: Event) {
    if send(to, event.file, Kind::FILE_EVENT, &[&event.encode()]).is_err() {
        counters::REPLY_LOST.add(1);
    }
}

/// Sends a short message, from any thread: if there is no room now, a worker waits for it. What a
/// program that is being killed has to say must arrive too.
pub(super) fn send_soon(to: Slot, file: FileId, kind: Kind, bytes: [u8; 16]) {
    match net::send_in(to, (kind.class(), Lane::of(file.0)), kind, &[&bytes]) {
        Err(SendError::Busy | SendError::NoMemory) => {
            let later = files().and_then(|files| {
                files.late.push(move || {
                    let _ = send(to, file, kind, &[&bytes]);
                })
            });
            if later.is_err() {
                counters::REPLY_LOST.add(1);
            }
        }
        // Without a session there is nothing to tell: all that the peer had of ours is gone.
        Ok(()) | Err(SendError::Down | SendError::UnknownPeer | SendError::TooLong) => {}
    }
}

/// Sends, and waits for room while the peer is up. What is about one file arrives in order; the
/// loss of a packet that is about another one does not hold it up.
pub(super) fn send(
    to: Slot,
    file: FileId,
    kind: Kind,
    parts: &[&[u8]],
) -> core::result::Result<(), SendError> {
    let order = (kind.class(), Lane::of(file.0));
    for _ in 0..ROOM_TURNS_MAX {
        match net::send_in_waiting(to, order, kind, parts, ROOM_WAIT) {
            Err(SendError::Busy) if !kapi::thread::fatal_signal_pending() => {}
            result => return result,
        }
    }
    log::error!("node {to} takes no answers: its session ends");
    net::end_session(to);
    Err(SendError::Down)
}
