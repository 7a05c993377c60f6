//! Pages that a task of their owner waits for, on a thread of its own: between the softirq of the
//! network and the answer no other thread is woken.

use alloc::collections::VecDeque;

use kapi::{lock_class, thread, udp::Scratch, wait::Mode, Result, SpinLock, WaitQueue};
use netproto::{
    msg::lodge::{BatchFlags, Item, LodgeGet, Seal, Status},
    piece::Subject,
};
use vm_remote::lodge::Peer;

use super::{Keeper, KEEPER};
use crate::{
    lodge::{area, stats},
    port::net::{self, Answer},
};

/// Requests that wait. What is dropped is asked for again.
const QUEUE_LEN: usize = 512;

/// The requests that wait.
pub(super) struct Asked {
    queue: SpinLock<VecDeque<(Peer, LodgeGet)>>,
    wake: WaitQueue,
}

impl Asked {
    pub(super) fn new() -> Result<Self> {
        let mut queue = VecDeque::new();
        queue.try_reserve_exact(QUEUE_LEN)?;
        let queue = SpinLock::new(lock_class!(c"holon-lend-asked"), queue)?;
        Ok(Self { queue, wake: WaitQueue::new()? })
    }

    fn push(&self, from: Peer, get: LodgeGet) {
        let mut queue = self.queue.lock();
        if queue.len() >= QUEUE_LEN {
            return stats::GETS_DROPPED.add(1);
        }
        queue.push_back((from, get));
        drop(queue);
        self.wake.wake_all();
    }

    fn pop(&self) -> Option<(Peer, LodgeGet)> {
        self.queue.lock().pop_front()
    }

    fn is_empty(&self) -> bool {
        self.queue.lock().is_empty()
    }
}

/// A page is wanted. In softirq context.
pub(in crate::lodge) fn asked(from: Peer, get: LodgeGet) {
    if let Some(keeper) = KEEPER.get() {
        keeper.asked.push(from, get);
    }
}

/// The thread.
pub(super) fn run(keeper: &Keeper, mut scratch: Scratch) {
    let asked = &keeper.asked;
    while !thread::should_stop() {
        while let Some((from, get)) = asked.pop() {
            // A request of another life, or of one that is not known yet, has no answer; nor has
            // one that the way did not take: it is asked for again.
            let _ = answer(keeper, from, &get, &mut scratch);
            thread::cond_resched();
        }
        let ready = || thread::should_stop() || !asked.is_empty();
        // Nothing but its condition ends this wait.
        let _ = asked.wake.wait(Mode::Idle, None, ready);
    }
}

fn answer(keeper: &Keeper, from: Peer, get: &LodgeGet, scratch: &mut Scratch) -> Result {
    let &LodgeGet { request, entry, generation, flags } = get;
    let again = flags.contains(BatchFlags::AGAIN);
    let mut send = |status, seal, content: &[u8]| {
        let subject = Subject::Lodged { entry, generation, status };
        net::send_answer(from.slot, &Answer { request, subject, seal, again, content }, scratch)
    };
    let mut place = keeper.state.lock();
    // One that is not reached is not told that its page is gone, for that may be wrong soon.
    let known = place.as_mut().filter(|state| state.up[from.slot.index()] == Some(from));
    let Some(state) = known else {
        drop(place);
        return if is_dead(from) { send(Status::Gone, Seal::NONE, &[]) } else { Ok(()) };
    };
    let item = Item { position: 0, status: Status::Ask, entry, seal: Seal::NONE, generation };
    match state.machine.fetch(from, &item) {
        Ok((frame, seal)) => match state.frames.content(frame, seal) {
            // The frame is what it is for as long as the lock is held.
            Some(content) => send(Status::Done, seal, content),
            None => send(Status::Gone, Seal::NONE, &[]),
        },
        Err(status) => send(status, Seal::NONE, &[]),
    }
}

/// Whether what an owner had here is no more, and never will be.
fn is_dead(peer: Peer) -> bool {
    area::get().is_ok_and(|lodge| lodge.peers.is_dead(peer))
}
