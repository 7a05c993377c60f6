//! Control calls that move memory between two processes without the rest of Holon. Only in modules
//! built with the feature `selftest`, never in one that is shipped. The last slot is this node
//! itself: what is sent to it comes back at once.

use alloc::vec::Vec;
use core::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use holon_uapi::memory as uapi;
use kapi::{
    clock, lock_class, mm::Mm, page::pool_stat, thread::CAP_SYS_ADMIN, uaccess, Errno, Global,
    Mutex, Result,
};
use netproto::{
    msg::page::{PageData, PageGet},
    Slot, SpaceId,
};
use uapi::SelfTest;
use vm_remote::target::Loss;

use super::{get, places, space, wire};
use crate::ioctl::{open::OpenFile, table::Record};

pub(super) static RECORDS: &[Record] =
    &[Record::new(uapi::SELF_TEST, "SELF_TEST", Some(CAP_SYS_ADMIN), call)];

static TARGETS: Global<Mutex<Vec<Option<space::Target>>>> = Global::new();
static RELEASED: AtomicU64 = AtomicU64::new(0);
static LOSS: AtomicU64 = AtomicU64::new(0);
static NO_HUGE: AtomicBool = AtomicBool::new(false);
static SENT: AtomicU64 = AtomicU64::new(0);

/// As if there were no huge page to be had.
pub(super) fn has_huge() -> bool {
    !NO_HUGE.load(Ordering::Relaxed)
}

/// As if the request had come from the last slot.
pub(super) fn looped_get(request: &PageGet) {
    if let (Ok(memory), Some(slot)) = (get(), wire::loop_slot()) {
        memory.server.push(slot, *request);
    }
}

/// As if the answer had come from the last slot.
pub(super) fn looped_data(data: &PageData, content: &[u8]) {
    let loss = LOSS.load(Ordering::Relaxed);
    if loss != 0 && SENT.fetch_add(1, Ordering::Relaxed) % loss == 0 {
        return;
    }
    if let (Ok(memory), Some(slot)) = (get(), wire::loop_slot()) {
        memory.fetches.answered(slot, data, content);
    }
}

/// As if the last slot had said so.
pub(super) fn looped_done(id: SpaceId) {
    if let (Ok(memory), Some(slot)) = (get(), wire::loop_slot()) {
        memory.sources.done(slot, id);
    }
}

/// Makes room for the targets.
pub(super) fn load() -> Result {
    TARGETS.set(Mutex::new(lock_class!(c"holon-selftest"), Vec::new())?).map(|_| ())
}

/// Drops them.
pub(super) fn unload(token: &kapi::module::Unloading) {
    TARGETS.clear(token);
}

fn slot(number: u64) -> Result<Slot> {
    u8::try_from(number).ok().and_then(Slot::new).ok_or(Errno::EINVAL)
}

fn with<R>(number: u64, use_it: impl FnOnce(&space::Target) -> Result<R>) -> Result<R> {
    let targets = TARGETS.get().ok_or(Errno::ENODEV)?.lock();
    let target = usize::try_from(number).ok().and_then(|at| targets.get(at)?.as_ref());
    use_it(target.ok_or(Errno::ENOENT)?)
}

fn call(_file: &OpenFile, address: u64) -> Result<u64> {
    let mut test: SelfTest = uaccess::read(address)?;
    step(test.op, &mut test.arg)?;
    uaccess::write(address, &test)?;
    Ok(0)
}

fn step(op: u64, arg: &mut [u64; 5]) -> Result {
    match op {
        uapi::TEST_SOURCE => {
            let mm = Mm::current().ok_or(Errno::ESRCH)?;
            let id = space::create_source(mm, slot(arg[0])?, |_why| {
                RELEASED.fetch_add(1, Ordering::Relaxed);
            })?;
            arg[0] = id.0;
            if arg[1] != 0 {
                space::open_source(id)
            } else {
                Ok(())
            }
        }
        uapi::TEST_TARGET => {
            let target = space::create_target(slot(arg[1])?, SpaceId(arg[0]))?;
            let mut targets = TARGETS.get().ok_or(Errno::ENODEV)?.lock();
            targets.try_reserve(1)?;
            arg[0] = targets.len() as u64;
            targets.push(Some(target));
            Ok(())
        }
        uapi::TEST_INSERT => insert(arg),
        uapi::TEST_START => with(arg[0], space::Target::start),
        uapi::TEST_STAT => {
            let stat = with(arg[0], |target| Ok(target.stat()))?;
            let lost = u64::from(stat.lost);
            *arg = [arg[0], stat.inserted, stat.outstanding, lost, pool_stat().used];
            Ok(())
        }
        uapi::TEST_WAIT => {
            let time = Duration::from_millis(arg[1]);
            with(arg[0], |target| target.wait_complete(time))
        }
        uapi::TEST_DROP => {
            let mut targets = TARGETS.get().ok_or(Errno::ENODEV)?.lock();
            let at = usize::try_from(arg[0]).map_err(|_| Errno::EINVAL)?;
            drop(targets.get_mut(at).and_then(Option::take).ok_or(Errno::ENOENT)?);
            Ok(())
        }
        uapi::TEST_OPEN => space::open_source(SpaceId(arg[0])),
        uapi::TEST_DROP_SOURCE => {
            space::drop_source(SpaceId(arg[0]));
            Ok(())
        }
        _ => more(op, arg),
    }
}

fn insert(arg: &mut [u64; 5]) -> Result {
    let mm = Mm::current().ok_or(Errno::ESRCH)?;
    let began = clock::now_ns();
    let (start, pages, over) = (arg[1], arg[2], arg[3]);
    arg[3] = with(arg[0], |target| match over {
        0 => target.insert(&mm, start, pages),
        1 => target.replace(&mm, start, pages),
        _ => target.insert_huge(&mm, start, pages),
    })?;
    arg[4] = clock::now_ns() - began;
    Ok(())
}

fn more(op: u64, arg: &mut [u64; 5]) -> Result {
    let memory = get()?;
    match op {
        uapi::TEST_PEER_DOWN => {
            let slot = slot(arg[0])?;
            memory.targets.lose_all(slot, Loss::PeerDown, &memory.fetches);
            memory.sources.peer_down(slot);
        }
        uapi::TEST_PLACES => {
            let mm = Mm::current().ok_or(Errno::ESRCH)?;
            let began = clock::now_ns();
            let found = places::collect(&mm)?;
            let runs = found.anon.len() + found.written.len();
            let ns = clock::now_ns() - began;
            let mut known = found.anon;
            let pages = (known.pages(), found.written.pages());
            found.written.iter().try_for_each(|run| known.insert(run))?;
            let began = clock::now_ns();
            let again = places::collect_again(&mm, &known)?;
            if (again.anon.pages(), again.written.pages()) != pages {
                return Err(Errno::EIO);
            }
            *arg = [pages.0, pages.1, runs as u64, clock::now_ns() - began, ns];
        }
        uapi::TEST_COUNT => {
            arg[0] = memory.targets.count();
            arg[1] = memory.sources.count();
            arg[2] = RELEASED.load(Ordering::Relaxed);
        }
        uapi::TEST_LOSS => LOSS.store(arg[0], Ordering::Relaxed),
        uapi::TEST_NO_HUGE => NO_HUGE.store(arg[0] != 0, Ordering::Relaxed),
        _ => return Err(Errno::EINVAL),
    }
    Ok(())
}
