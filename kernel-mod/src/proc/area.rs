//! The area's record, and what is registered with the kernel while the module is loaded.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use kapi::{
    binfmt::{Bprm, Format, Loader},
    exits, lock_class,
    module::Unloading,
    own::{self, Own},
    park,
    sysctl::Table,
    thread::KThread,
    Errno, Global, Mutex, Result,
};
use netproto::{AttemptId, Class, Message, Slot};

use super::{
    counters, driver, exec, ioctl, load as loader,
    state::{self, Input, Proc},
};
use crate::{areas::Area, port::net::Down};

/// The high bytes of the kinds of messages.
const MIGRATE: u8 = 0x02;
pub(super) const SURROGATE: u8 = 0x03;

/// Hand-offs and processes.
pub(crate) static AREA: Area = Area {
    name: "processes",
    load,
    unload,
    held,
    kind_class: Some(MIGRATE),
    message,
    peer_up,
    peer_down,
    writable,
    daemon_died,
    ioctls: ioctl::RECORDS,
    ..Area::NONE
};

/// The second class of messages; all else is the first area's.
pub(crate) static SURROGATES: Area =
    Area { name: "", kind_class: Some(SURROGATE), message, ..Area::NONE };

/// What is registered while the module is loaded; dropped in this order.
struct Doors {
    format: Option<Format>,
    _counters: Table,
    _hook: exits::Hook,
    _thread: KThread,
}

static DOORS: Global<Mutex<Option<Doors>>> = Global::new();

struct ImageLoader;

static LOADER: ImageLoader = ImageLoader;

impl Loader for ImageLoader {
    fn image(&self, own: &Own, bprm: Bprm<'_>, image: u64) -> Result {
        let incoming = {
            let tables = state::get().map_err(|_| Errno::ENOEXEC)?.tables.lock();
            tables.incoming.get(AttemptId(image)).cloned().ok_or(Errno::ENOEXEC)?
        };
        if !incoming.is_mine() {
            return Err(Errno::ENOEXEC);
        }
        loader::image(own, &bprm, &incoming).inspect_err(|errno| {
            log::warn!("{}: image: {errno}", incoming.process);
            let step = sched_migrate::Step::Layout;
            // The machine is told in any case; what follows ends the task or returns to it.
            let _ = incoming.give_up(step, *errno);
        })
    }

    fn exec(&self, own: &Own, bprm: Bprm<'_>) -> Result {
        exec::exec(own, &bprm)
    }
}

fn load() -> Result {
    let proc = state::global().set(Proc::new()?)?;
    let doors = DOORS.set(Mutex::new(lock_class!(c"holon-proc-doors"), None)?)?;
    let hook = exits::Hook::new(&proc.wake)?;
    let thread = KThread::spawn(c"holon-proc", move || driver::run(proc))?;
    let format = Some(Format::new(&LOADER)?);
    *doors.lock() =
        Some(Doors { format, _counters: counters::table()?, _hook: hook, _thread: thread });
    Ok(())
}

fn unload(token: &Unloading) {
    kapi::binfmt::placement(false);
    if let Some(doors) = DOORS.get() {
        if let Some(mut doors) = doors.lock().take() {
            if let Some(format) = doors.format.take() {
                format.end(token);
            }
        }
    }
    park::quiesce();
    state::global().clear(token);
    DOORS.clear(token);
}

fn held() -> u64 {
    let Ok(proc) = state::get() else { return 0 };
    let mut tables = proc.tables.lock();
    tables.jobs.forget_ended();
    let count = tables.records.len() + tables.leaving.len() + tables.incoming.len();
    count as u64 + park::outstanding()
}

fn push(input: Input) {
    if let Ok(proc) = state::get() {
        proc.push(input);
    }
}

fn message(message: Message) {
    push(Input::Message(message));
}

fn peer_up(slot: Slot) {
    push(Input::PeerUp(slot));
}

fn peer_down(slot: Slot, _down: Down) {
    if let Ok(proc) = state::get() {
        proc.outbox.forget(slot);
    }
    push(Input::PeerDown(slot));
}

fn writable(slot: Slot, _class: Class) {
    if let Ok(proc) = state::get() {
        proc.outbox.writable(slot);
    }
}

/// Without a daemon there is no helper; and its device file would keep the module loaded.
fn daemon_died() {
    if let Ok(proc) = state::get() {
        let helper = proc.tables.lock().helper.take();
        drop(helper);
    }
}

/// Runs what belongs in the calling task's own context: only for control calls, which are.
pub(super) fn with_own<T>(call: impl FnOnce(&Own) -> Result<T>) -> Result<T> {
    own::in_control_call(call)
}

/// Whether this node has any job, or had at the last call: never waits, for who has the tables may
/// wait for memory, and that for our caller.
pub(crate) fn has_jobs() -> bool {
    static HAD: AtomicBool = AtomicBool::new(false);
    let Ok(state) = state::get() else { return false };
    if let Some(tables) = state.tables.try_lock() {
        HAD.store(tables.jobs.len() != 0, Ordering::Relaxed);
    }
    HAD.load(Ordering::Relaxed)
}

/// Puts the pid namespaces of this node's jobs, as [`kapi::task::PidNs::number`] has them, into a
/// list: as many as it has room for. Never waits either: what the list has may be that of the last
/// call.
pub(crate) fn put_job_spaces(list: &mut Vec<u64>) {
    let Ok(state) = state::get() else { return list.clear() };
    if let Some(tables) = state.tables.try_lock() {
        let room = list.capacity();
        list.clear();
        list.extend(tables.jobs.spaces().take(room));
    }
}
