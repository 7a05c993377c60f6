//! Memory of processes that have moved: pages that are still where the process was.
//!
//! ```text
//!  fault ──> fetch ──PAGE_GET──> (peer) serve ──> source: the address space that was left
//!  stream ─────┘ <──PAGE_DATA── (peer)
//!  insert: fills a new address space with pages of the pool, each tagged with its place
//! ```
//! [`space`] is what the rest of the module uses, [`places`] tells where a process has pages.
//!
//! Locks, outermost first: `Sources` mutex; `TargetSpace::places`; spin locks (each alone).

mod fault;
mod fetch;
mod insert;
mod knobs;
pub(crate) mod places;
#[cfg(feature = "selftest")]
mod selftest;
mod serve;
mod source;
pub(crate) mod space;
mod stats;
mod stream;
mod target;
mod wire;

use alloc::vec::Vec;

use kapi::{
    lock_class,
    module::Unloading,
    page::{self, pool_stat},
    sysctl::Table,
    thread::KThread,
    Global, Mutex, Result,
};
use netproto::{msg::space::Done, page::PageDatagram, Kind, Message, Slot};
use vm_remote::target::Loss;

use crate::{
    areas::Area,
    port::net::{self, Down},
};

/// The area's state.
struct Memory {
    fetches: fetch::Fetches,
    targets: target::Targets,
    sources: source::Sources,
    server: serve::Server,
    pool: Mutex<()>,
    threads: Mutex<Vec<KThread>>,
    table: Mutex<Option<Table>>,
}

static MEMORY: Global<Memory> = Global::new();

fn get() -> Result<&'static Memory> {
    MEMORY.get().ok_or(kapi::Errno::ENODEV)
}

/// The area's record.
pub(crate) static AREA: Area = Area {
    name: "spaces",
    load,
    unload,
    held,
    kind_class: Some(0x04),
    message,
    peer_down,
    #[cfg(feature = "selftest")]
    ioctls: selftest::RECORDS,
    ..Area::NONE
};

fn load() -> Result {
    let memory = MEMORY.set(Memory {
        fetches: fetch::Fetches::new()?,
        targets: target::Targets::new()?,
        sources: source::Sources::new()?,
        server: serve::Server::new()?,
        pool: Mutex::new(lock_class!(c"holon-pool"), ())?,
        threads: Mutex::new(lock_class!(c"holon-memory-threads"), Vec::new())?,
        table: Mutex::new(lock_class!(c"holon-memory-table"), None)?,
    })?;
    page::set_pager(&fault::FAULTS)?;
    net::set_page_handler(page_datagram)?;
    *memory.table.lock() = Some(knobs::table()?);
    #[cfg(feature = "selftest")]
    selftest::load()?;
    let mut threads = memory.threads.lock();
    threads.try_reserve(serve::THREADS + stream::THREADS)?;
    serve::start(memory, &mut threads)?;
    stream::start(memory, &mut threads)
}

fn unload(token: &Unloading) {
    if let Some(memory) = MEMORY.get() {
        drop(memory.table.lock().take());
        let threads = core::mem::take(&mut *memory.threads.lock());
        drop(threads);
        memory.sources.finish();
    }
    #[cfg(feature = "selftest")]
    selftest::unload(token);
    if let Err(errno) = page::pool_release(token) {
        log::error!("the pool can't be given back: {errno}");
    }
    page::clear_pager(token);
    MEMORY.clear(token);
}

/// Spaces of both kinds; pages of the pool keep a space each.
fn held() -> u64 {
    let Some(memory) = MEMORY.get() else { return 0 };
    let spaces = memory.targets.count() + memory.sources.count();
    if spaces == 0 {
        // None should be left: but if one is, the module's code is still needed.
        return pool_stat().used;
    }
    spaces
}

/// On the driver thread: hands the datagram on, and never blocks.
fn page_datagram(from: Slot, datagram: PageDatagram<'_>) {
    let Some(memory) = MEMORY.get() else { return };
    match datagram {
        PageDatagram::Get(get) => memory.server.push(from, get),
        PageDatagram::Data(data, content) => memory.fetches.answered(from, &data, content),
    }
}

fn message(message: Message) {
    let Some(memory) = MEMORY.get() else { return };
    match message.kind {
        Kind::SPACE_DONE => match Done::decode(&message.payload) {
            Ok(done) => memory.sources.done(message.from, done.space),
            Err(error) => log::warn!("slot {}: wrong SPACE_DONE: {error}", message.from),
        },
        Kind::SPACE_LOST => match netproto::msg::space::Lost::decode(&message.payload) {
            Ok(lost) => memory
                .targets
                .lose_one(message.from, lost.space, &memory.fetches),
            Err(error) => log::warn!("slot {}: wrong SPACE_LOST: {error}", message.from),
        },
        other => log::warn!("slot {}: unknown message {other:?}", message.from),
    }
}

fn peer_down(slot: Slot, _down: Down) {
    let Some(memory) = MEMORY.get() else { return };
    memory
        .targets
        .lose_all(slot, Loss::PeerDown, &memory.fetches);
    memory.sources.peer_down(slot);
}
