//! The area's record and state.

use alloc::vec::Vec;

use kapi::{
    lock_class,
    module::Unloading,
    page::{self, pool_stat},
    sysctl::Table,
    thread::KThread,
    Global, Mutex, Result,
};
use netproto::{
    msg::{
        page::{HeldPage, PageData, PageGet, PageStatus},
        space::Done,
    },
    piece::Piece,
    Kind, Message, Slot,
};
use vm_remote::target::Loss;

#[cfg(feature = "selftest")]
use super::selftest;
use super::{fault, fetch, knobs, serve, source, stats, stream, target};
use crate::{
    areas::Area,
    port::net::{self, Content, Down},
};

/// The area's state.
pub(super) struct Memory {
    pub(super) fetches: fetch::Fetches,
    pub(super) targets: target::Targets,
    pub(super) sources: source::Sources,
    pub(super) server: serve::Server,
    pub(super) pool: Mutex<()>,
    pub(super) threads: Mutex<Vec<KThread>>,
    pub(super) table: Mutex<Option<Table>>,
}

static MEMORY: Global<Memory> = Global::new();

pub(super) fn get() -> Result<&'static Memory> {
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
    net::set_page_handler(page_came)?;
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
        return pool_stat().used.saturating_sub(crate::lodge::far());
    }
    spaces
}

/// On the driver thread: never blocks.
fn page_came(from: Slot, data: &PageData, content: &[u8]) {
    let Some(memory) = MEMORY.get() else { return };
    if data.status != PageStatus::Held {
        memory.fetches.answered(from, data, content);
        return;
    }
    let Ok(held) = HeldPage::decode(content) else { return stats::ANSWERS_STRAY.add(1) };
    let is_read = crate::lodge::with_held(from, (&held, data.page_sum), |page| {
        // Its content was compared with the checksum where it lay.
        let data = PageData { status: PageStatus::Data, ..*data };
        if memory.fetches.answered(from, &data, page) {
            stats::PAGES_HELD.add(1);
        }
        true
    });
    if !is_read {
        memory.fetches.not_held(from, data);
    }
}

/// In softirq context.
pub(crate) fn page_get(from: Slot, get: PageGet) {
    if let Some(memory) = MEMORY.get() {
        memory.server.push(from, get);
    }
}

/// In softirq context.
pub(crate) fn space_piece(from: Slot, piece: &Piece, content: &Content<'_>) {
    if let Some(memory) = MEMORY.get() {
        memory.fetches.piece_came(from, piece, content);
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
            Ok(lost) => memory.targets.lose_one(message.from, lost.space, &memory.fetches),
            Err(error) => log::warn!("slot {}: wrong SPACE_LOST: {error}", message.from),
        },
        other => log::warn!("slot {}: unknown message {other:?}", message.from),
    }
}

fn peer_down(slot: Slot, _down: Down) {
    let Some(memory) = MEMORY.get() else { return };
    memory.targets.lose_all(slot, Loss::PeerDown, &memory.fetches);
    memory.sources.peer_down(slot);
}
