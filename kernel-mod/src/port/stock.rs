//! Keeps the transport's buffers in stock, on a thread of its own: it may wait for memory, which
//! those who send and receive must not.

use core::sync::atomic::{AtomicBool, Ordering};

use kapi::{
    thread::{self, KThread},
    wait::Mode,
    Result, WaitQueue,
};

use super::net::{Inner, Net};

/// What the stock thread waits for.
pub(super) struct Stock {
    wake: WaitQueue,
    wanted: AtomicBool,
}

impl Stock {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { wake: WaitQueue::new()?, wanted: AtomicBool::new(false) })
    }

    /// Has buffers made if any is missing. Never waits.
    pub(super) fn check(&self, inner: &Inner) {
        let is_missing = inner.transport.shortage().is_some();
        if is_missing && !self.wanted.swap(true, Ordering::AcqRel) {
            self.wake.wake_all();
        }
    }
}

/// Starts the thread.
pub(super) fn start(net: &'static Net) -> Result<KThread> {
    KThread::spawn(c"holon-stock", move || {
        while !thread::should_stop() {
            let ready = || thread::should_stop() || net.stock.wanted.load(Ordering::Acquire);
            // Nothing but its condition ends this wait.
            let _ = net.stock.wake.wait(Mode::Idle, None, ready);
            net.stock.wanted.store(false, Ordering::Release);
            fill(net);
        }
    })
}

fn fill(net: &Net) {
    while !thread::should_stop() {
        let missing = net.inner.lock().transport.shortage();
        // Without memory the next who finds too few asks again.
        let Some(buffer) = missing.and_then(netproto::allocate) else { return };
        net.inner.lock().transport.recycle(buffer);
        thread::cond_resched();
    }
}
