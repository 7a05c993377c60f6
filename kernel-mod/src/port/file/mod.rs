//! Remote files: open files whose real description stays on another node.
//!
//! ```text
//! program -> client -> calls -FILE_REQUEST-> server -> object -> worker: steps
//!               ^        ^                                         |
//!               |        +-----------FILE_REPLY--------------------+
//!               +-----------------FILE_EVENT (poll)----------------+
//! ```
//! At the *holder* an [`object`] is a reference to the real file and the requests for it. No
//! request ever waits in a thread: a worker tries each without waiting, and one that would wait is
//! parked until the file's own wait queues say that something changed. So any number of them may
//! wait, and a cancel only takes one from the list: what was read before it came is in the reply.
//!
//! A file lives in the [`table`] while some node holds references to it. Who opens a remote file
//! takes one of its own before the one who handed it over drops his; a node's references end with
//! its session. Bytes that were read for a node which died before it got them are gone with it.

mod calls;
mod client;
mod counters;
mod handover;
mod ioctl;
mod object;
mod request;
mod server;
mod table;

use alloc::sync::Arc;

use kapi::{file::Watching, module::Unloading, workqueue::WorkQueue, Errno, Global, Result};
use netproto::{msg::file as wire, Kind, Message, Slot};

use crate::{areas::Area, port::net::Down};

pub(crate) use handover::{hand_over, HandOver};

/// All that the area has.
struct Files {
    table: table::Table,
    calls: calls::Calls,
    clients: client::Clients,
    exports: ioctl::Exports,
    _counters: kapi::sysctl::Table,
    // After all that may use them: dropped last, in this order.
    late: WorkQueue,
    _watching: Watching,
}

static FILES: Global<Files> = Global::new();

fn files() -> Result<&'static Files> {
    FILES.get().ok_or(Errno::ENODEV)
}

/// Remote files.
pub(crate) static AREA: Area = Area {
    name: "files",
    load,
    unload,
    held: || FILES.get().map_or(0, |files| files.table.len() + files.clients.len()),
    kind_class: Some(0x05),
    message,
    peer_down,
    opener_closed,
    ioctls: ioctl::RECORDS,
    ..Area::NONE
};

fn load() -> Result {
    FILES
        .set(Files {
            table: table::Table::new()?,
            calls: calls::Calls::new()?,
            clients: client::Clients::new()?,
            exports: ioctl::Exports::new()?,
            _counters: counters::table()?,
            late: WorkQueue::new(c"holon_file_late", 16)?,
            _watching: Watching::start(object::run)?,
        })
        .map(drop)
}

fn unload(token: &Unloading) {
    FILES.clear(token);
}

/// The file of the device that made them available was closed.
pub(crate) fn opener_closed(opener: u64) {
    if let Some(files) = FILES.get() {
        files.exports.closed(opener);
    }
}

fn message(message: Message) {
    let Some(files) = FILES.get() else { return };
    let from = message.from;
    let decoded =
        match message.kind {
            Kind::FILE_REQUEST => wire::Request::decode(&message.payload)
                .map(|(request, data)| server::request(files, from, request, data)),
            Kind::FILE_REPLY => wire::Reply::decode(&message.payload)
                .map(|(reply, data)| files.calls.reply(from, reply, data)),
            Kind::FILE_CANCEL => wire::Cancel::decode(&message.payload)
                .map(|cancel| server::cancel(files, from, cancel)),
            Kind::FILE_REF => wire::Ref::decode(&message.payload)
                .map(|change| server::change(files, from, change)),
            Kind::FILE_EVENT => {
                wire::Event::decode(&message.payload).map(|event| files.clients.event(from, event))
            }
            _ => {
                counters::MALFORMED.add(1);
                return;
            }
        };
    if decoded.is_err() {
        counters::MALFORMED.add(1);
    }
}

fn peer_down(slot: Slot, _down: Down) {
    if let Some(files) = FILES.get() {
        files.clients.node_lost(slot);
        files.calls.node_lost(slot);
        server::node_lost(files, slot);
    }
}

/// A file by its number, for the worker.
fn object_of(id: u64) -> Option<Arc<object::Object>> {
    FILES.get()?.table.get(id)
}
