//! Threads that nobody joins.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;
use std::time::Duration;

/// The system may be short of threads for a moment.
const TRIES_MAX: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// Has a thread of its own do the work. False, and the work is not done, if there is none to have;
/// the caller's thread goes on in any case.
pub(crate) fn spawn(work: impl FnOnce() + Send + 'static) -> bool {
    let work = Arc::new(Mutex::new(Some(work)));
    for _ in 0..TRIES_MAX {
        let work = work.clone();
        let run = move || {
            let work = work.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(work) = work {
                work();
            }
        };
        match Builder::new().spawn(run) {
            Ok(_) => return true,
            Err(error) => log::warn!("no thread: {error}"),
        }
        std::thread::sleep(PAUSE);
    }
    log::error!("no thread: something is left undone");
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_once() {
        let (sender, receiver) = std::sync::mpsc::channel();
        assert!(spawn(move || sender.send(7).expect("somebody listens")));
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [7]);
    }
}
