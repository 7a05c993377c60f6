//! Measures the transport from inside: a stream to a peer, and questions that it answers. Only in
//! modules built with the feature `selftest`, never in one that is shipped.

use alloc::vec::Vec;
use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use holon_uapi::base as uapi;
use kapi::{
    clock,
    module::Unloading,
    thread::{self, CAP_SYS_ADMIN},
    uaccess,
    wait::{Mode, Waited},
    Errno, Global, Result, WaitQueue,
};
use netproto::{limits::MESSAGE_LEN_MAX, Class, Kind, Lane, Message, Slot};

use super::net;
use crate::{
    areas::Area,
    ioctl::{base::errno_of, open::OpenFile, table::Record},
};

/// Content; nobody looks at it.
const DATA: Kind = Kind(0x7f01);
/// Asks for an [`ANSWER`] of a length.
const ASK: Kind = Kind(0x7f02);
/// Begins with the number of the question.
const ANSWER: Kind = Kind(0x7f03);

/// What a patient caller waits for a peer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Questions in one measurement.
const COUNT_MAX: u64 = 1 << 20;

static ZEROS: [u8; 4096] = [0; 4096];
static ANSWERED: Global<WaitQueue> = Global::new();
static ASKED: AtomicU64 = AtomicU64::new(0);
/// The number of the last answer to a stream, and to a question.
static LAST: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// The area.
pub(crate) static AREA: Area = Area {
    name: "measurements",
    load: || ANSWERED.set(WaitQueue::new()?).map(|_| ()),
    unload: |token: &Unloading| ANSWERED.clear(token),
    kind_class: Some(0x7f),
    message,
    ioctls: &[Record::new(uapi::NET_TEST, "NET_TEST", Some(CAP_SYS_ADMIN), call)],
    ..Area::NONE
};

fn message(message: Message) {
    match message.kind {
        ASK => answer(&message),
        ANSWER => {
            let number = message.payload.first_chunk::<8>().copied().unwrap_or_default();
            let number = u64::from_le_bytes(number);
            last(number).store(number, Ordering::Release);
            if let Some(queue) = ANSWERED.get() {
                queue.wake_all();
            }
        }
        _ => (),
    }
    net::recycle(message.payload);
}

fn last(number: u64) -> &'static AtomicU64 {
    let [streams, questions] = &LAST;
    if number % 2 == 0 {
        streams
    } else {
        questions
    }
}

fn answer(message: &Message) {
    let Some((number, rest)) = message.payload.split_first_chunk::<8>() else { return };
    let Some((len, _)) = rest.split_first_chunk::<8>() else { return };
    let len = usize::try_from(u64::from_le_bytes(*len)).unwrap_or(0);
    let rest = ZEROS.get(..len.saturating_sub(8)).unwrap_or(&ZEROS);
    let order = (Class::Fault, Lane::Free);
    // One that is lost is a question without an answer, which the asker notices.
    let _ = net::send_in(message.from, order, ANSWER, &[number, rest]);
}

fn call(_file: &OpenFile, address: u64) -> Result<u64> {
    let mut test: uapi::NetTest = uaccess::read(address)?;
    let slot = u8::try_from(test.arg[0]).ok().and_then(Slot::new).ok_or(Errno::EINVAL)?;
    match test.op {
        uapi::NET_FLOW => test.arg[3] = flow(slot, test.arg[1], test.arg[2])?,
        uapi::NET_ASK => {
            let [_, count, request, reply, ..] = test.arg;
            [test.arg[4], test.arg[5]] = ask(slot, count, request, reply)?;
        }
        _ => return Err(Errno::EINVAL),
    }
    uaccess::write(address, &test)?;
    Ok(0)
}

fn length(len: u64) -> Result<usize> {
    usize::try_from(len).ok().filter(|len| *len <= MESSAGE_LEN_MAX).ok_or(Errno::EINVAL)
}

fn flow(slot: Slot, count: u64, len: u64) -> Result<u64> {
    let len = length(len)?;
    let mut parts: Vec<&[u8]> = Vec::new();
    parts.try_reserve_exact(len / ZEROS.len() + 1)?;
    parts.extend(core::iter::repeat_n(&ZEROS[..], len / ZEROS.len()));
    parts.push(ZEROS.get(..len % ZEROS.len()).unwrap_or_default());
    let began = clock::now_ns();
    for _ in 0..count {
        let order = (Class::Bulk, Lane::Free);
        let sent = net::send_in_waiting(slot, order, DATA, &parts, PATIENCE);
        sent.map_err(errno_of)?;
        if thread::fatal_signal_pending() {
            return Err(Errno::EINTR);
        }
    }
    // It is taken after all before it.
    question(slot, (Class::Bulk, Lane::Strict), &[], 16)?;
    Ok(clock::now_ns() - began)
}

fn ask(slot: Slot, count: u64, request: u64, reply: u64) -> Result<[u64; 2]> {
    let count = usize::try_from(count.min(COUNT_MAX)).map_err(|_| Errno::EINVAL)?;
    let rest = ZEROS.get(..length(request)?.saturating_sub(16)).ok_or(Errno::EINVAL)?;
    let mut took: Vec<u64> = Vec::new();
    took.try_reserve_exact(count)?;
    for _ in 0..count {
        let began = clock::now_ns();
        question(slot, (Class::Fault, Lane::Free), rest, reply)?;
        took.push(clock::now_ns() - began);
    }
    took.sort_unstable();
    let at = |index: usize| took.get(index).copied().unwrap_or(0);
    Ok([at(count / 2), at(count * 99 / 100)])
}

/// Asks and waits for the answer. One stream and one questioner at a time may wait: their numbers
/// are even and odd.
fn question(slot: Slot, order: (Class, Lane), rest: &[u8], reply: u64) -> Result {
    let is_asked = u64::from(order.0 == Class::Fault);
    let number = ASKED.fetch_add(2, Ordering::Relaxed) + 2 + is_asked;
    let parts = [&number.to_le_bytes()[..], &reply.to_le_bytes()[..], rest];
    net::send_in_waiting(slot, order, ASK, &parts, PATIENCE).map_err(errno_of)?;
    let queue = ANSWERED.get().ok_or(Errno::ENODEV)?;
    let is_answered = || last(number).load(Ordering::Acquire) == number;
    match queue.wait(Mode::Killable, Some(PATIENCE), is_answered)? {
        Waited::Ready => Ok(()),
        Waited::TimedOut => Err(Errno::ETIMEDOUT),
    }
}
