//! The thread behind the socket: receives, lets time pass, tells the areas.

use alloc::vec::Vec;
use core::{
    net::SocketAddrV4,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use kapi::{clock, thread, wait::Mode, Errno};
use netproto::{
    page::{self, Path},
    Event, Instant, Kind, Message, Slot,
};

use super::{
    net::{now, Down, Net, Why},
    pages,
};
use crate::control::{dispatch, knobs, stats};

/// Datagrams taken before the transport is drained: bounds how long a timer can be late.
const BATCH_LEN: usize = 32;

/// Counts the times that a send queue got room or a session ended.
static ROOM_GENERATION: AtomicU64 = AtomicU64::new(0);

pub(super) fn room_generation() -> u64 {
    ROOM_GENERATION.load(Ordering::Acquire)
}

/// Runs until the thread is stopped.
pub(super) fn run(net: &'static Net, mut buffer: Vec<u8>) {
    while !thread::should_stop() {
        receive_batch(net, &mut buffer);
        turn(net);
        knobs::apply();
        wait(net);
        thread::cond_resched();
    }
}

fn receive_batch(net: &Net, buffer: &mut [u8]) {
    for _ in 0..BATCH_LEN {
        match net.socket.recv(buffer) {
            Ok((len, from)) => receive(net, buffer.get(..len).unwrap_or(buffer), from),
            Err(Errno::EAGAIN) => return,
            // The error of a datagram that we sent (a peer's port is closed): go on with the next.
            Err(_) => (),
        }
    }
}

fn receive(net: &Net, datagram: &[u8], from: SocketAddrV4) {
    let known = source_slot(datagram).and_then(|slot| net.line(slot));
    if known.is_some_and(|line| line.address != from) {
        stats::RX_WRONG_ADDRESS.add(1);
        return;
    }
    match page::classify(datagram) {
        Path::Page => pages::receive(net, datagram),
        Path::Link | Path::Bad => {
            // The transport counts what it refuses.
            let _ = net.inner.lock().transport.handle_datagram(now(), datagram);
        }
    }
}

/// The slot that a datagram claims to come from.
fn source_slot(datagram: &[u8]) -> Option<Slot> {
    const SOURCE_AT: usize = 6;
    datagram.get(SOURCE_AT).copied().and_then(Slot::new)
}

/// Drains the transport in the order that it asks for.
fn turn(net: &Net) {
    stats::DRIVER_TURNS.add(1);
    net.inner.lock().transport.handle_timeout(now());
    while let Some(event) = poll_event(net) {
        tell(net, event);
    }
    while let Some(message) = poll_message(net) {
        if message.kind == Kind::PAGE_DATA {
            pages::receive_data(&message);
            net.inner.lock().transport.recycle(message.payload);
        } else {
            dispatch::message(message);
        }
    }
    let mut inner = net.inner.lock();
    net.transmit(&mut inner);
    stats::publish(inner.transport.counters());
    let deadline = inner.transport.poll_timeout().map_or(u64::MAX, Instant::as_ns);
    net.deadline_ns.store(deadline, Ordering::Release);
}

// A handler may send, so it must run without the lock.
fn poll_event(net: &Net) -> Option<Event> {
    net.inner.lock().transport.poll_event()
}

fn poll_message(net: &Net) -> Option<Message> {
    net.inner.lock().transport.poll_message()
}

fn tell(net: &Net, event: Event) {
    match event {
        Event::Up { slot, incarnation } => {
            net.set_up(slot, Some(incarnation));
            log::info!("peer {slot} is up");
            dispatch::peer_up(slot);
        }
        Event::Down { slot, incarnation, reason } => {
            net.set_up(slot, None);
            log::info!("peer {slot} is down: {reason:?}");
            made_room(net);
            dispatch::peer_down(slot, Down { why: Why::from(reason), incarnation });
        }
        Event::Restarted { slot, old, .. } => {
            net.set_up(slot, None);
            log::info!("peer {slot} has restarted");
            made_room(net);
            dispatch::peer_down(slot, Down { why: Why::Restarted, incarnation: old });
        }
        Event::Writable { slot, class } => {
            made_room(net);
            dispatch::writable(slot, class);
        }
    }
}

fn made_room(net: &Net) {
    ROOM_GENERATION.fetch_add(1, Ordering::AcqRel);
    net.room.wake_all();
}

/// Waits for a datagram, the transport's next time, or a poke.
fn wait(net: &Net) {
    let deadline_ns = net.deadline_ns.load(Ordering::Acquire);
    let left = deadline_ns.saturating_sub(clock::now_ns());
    if left != 0 {
        let timeout = (deadline_ns != u64::MAX).then_some(Duration::from_nanos(left));
        let something =
            || net.socket.readable() || net.poked.load(Ordering::Acquire) || thread::should_stop();
        // An idle wait ends by its condition or its time.
        let _ = net.socket.queue().wait(Mode::Idle, timeout, something);
    }
    net.poked.store(false, Ordering::Release);
}
