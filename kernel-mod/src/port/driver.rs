//! The thread behind the socket: receives, lets time pass, tells the areas.

use alloc::vec::Vec;
use core::{
    net::SocketAddrV4,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use kapi::{clock, thread, udp::Received, wait::Mode};
use netproto::{limits::DATAGRAM_LEN_MAX, Event, Instant, Kind, Message, Slot};

use super::{
    net::{now, recycle, urgent_of, Down, Line, Net, Why},
    pages, paths,
};
use crate::control::{dispatch, knobs, stats};

/// Datagrams taken before the transport is drained: bounds how long a timer can be late.
const BATCH_LEN: usize = 32;

/// For a datagram that lies in pieces. One byte too many, so that a longer one is seen to be that.
pub(super) const SPARE_LEN: usize = DATAGRAM_LEN_MAX + 1;

/// Counts the times that a send queue got room or a session ended.
static ROOM_GENERATION: AtomicU64 = AtomicU64::new(0);

pub(super) fn room_generation() -> u64 {
    ROOM_GENERATION.load(Ordering::Acquire)
}

/// Runs until the thread is stopped.
pub(super) fn run(net: &'static Net, mut spare: Vec<u8>) {
    let mut look_at_ns = 0;
    while !thread::should_stop() {
        receive_batch(net, &mut spare);
        if clock::now_ns() >= look_at_ns {
            net.look_at_paths(&mut net.inner.lock());
            look_at_ns = clock::now_ns() + paths::LOOK.as_nanos() as u64;
        }
        turn(net);
        knobs::apply();
        wait(net);
        thread::cond_resched();
    }
}

/// What somebody waits for is taken first, and again after each reception of the rest.
fn receive_batch(net: &Net, spare: &mut [u8]) {
    let mut taken = 0;
    while taken < BATCH_LEN {
        let socket = match (net.urgent.readable(), net.socket.readable()) {
            (true, _) => &net.urgent,
            (false, true) => &net.socket,
            (false, false) => return,
        };
        match socket.recv() {
            Ok(received) => taken += receive(net, &received, spare),
            // Damage, or the error of a datagram that we sent (a peer's port is closed): go on with
            // the next.
            Err(_) => taken += 1,
        }
    }
}

/// Takes what came together; how many datagrams it was.
fn receive(net: &Net, received: &Received, spare: &mut [u8]) -> usize {
    let (count, now) = (received.count(), now());
    for index in 0..count {
        // Its bytes are read where they lie until they are copied into their message.
        if let Some(datagram) = received.datagram(index, spare) {
            receive_one(net, now, datagram, received.from());
        }
    }
    if count > 1 {
        stats::RX_BURSTS.add(1);
    }
    count
}

fn receive_one(net: &Net, now: Instant, datagram: &[u8], from: SocketAddrV4) {
    let known = source_slot(datagram).and_then(|slot| net.line(slot));
    let is_its = |line: Line| from == line.address || from == urgent_of(line.address);
    if known.is_some_and(|line| !is_its(line)) {
        stats::RX_WRONG_ADDRESS.add(1);
        return;
    }
    // The transport counts what it refuses.
    let _ = net.inner.lock().transport.handle_datagram(now, datagram);
}

/// The slot that a datagram claims to come from.
fn source_slot(datagram: &[u8]) -> Option<Slot> {
    const SOURCE_AT: usize = 6;
    datagram.get(SOURCE_AT).copied().and_then(Slot::new)
}

/// Drains the transport in the order that it asks for.
fn turn(net: &Net) {
    stats::DRIVER_TURNS.add(1);
    begin_turn(net);
    while let Some(event) = poll_event(net) {
        tell(net, event);
    }
    while let Some(message) = poll_message(net) {
        if message.kind == Kind::PAGE_DATA {
            pages::receive_data(&message);
            recycle(message.payload);
        } else {
            dispatch::message(message);
        }
    }
    let mut inner = net.inner.lock();
    net.drain(&mut inner);
    net.stock.check(&inner);
    stats::publish(inner.transport.counters());
    let deadline = inner.transport.poll_timeout().map_or(u64::MAX, Instant::as_ns);
    net.deadline_ns.store(deadline, Ordering::Release);
    net.in_turn.store(false, Ordering::Release);
}

fn begin_turn(net: &Net) {
    let mut inner = net.inner.lock();
    net.in_turn.store(true, Ordering::Release);
    inner.transport.handle_timeout(now());
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
        let something = || {
            net.urgent.readable()
                || net.socket.readable()
                || net.poked.load(Ordering::Acquire)
                || thread::should_stop()
        };
        // An idle wait ends by its condition or its time.
        let _ = net.wake.wait(Mode::Idle, timeout, something);
    }
    net.poked.store(false, Ordering::Release);
}
