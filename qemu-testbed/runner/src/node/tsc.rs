//! The rate of this host's time stamp counter, which an emulated guest reads as its own.
//!
//! A guest's kernel measures it while it boots, against an emulated timer. When the host is busy
//! that goes wrong by any factor, and with it every time-out of the guest, for as long as guests
//! are started from its saved state. So it is told instead (`tsc_early_khz`).

use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// Long enough for an error of some millionths.
const SPAN: Duration = Duration::from_millis(100);

/// In kHz, measured once.
pub(crate) fn khz() -> u64 {
    static KHZ: OnceLock<u64> = OnceLock::new();
    *KHZ.get_or_init(|| {
        let (began, from) = read();
        thread::sleep(SPAN);
        let (ended, to) = read();
        let span_us = ended.duration_since(began).as_micros().max(1);
        u64::try_from(u128::from(to - from) * 1000 / span_us).unwrap_or(0)
    })
}

/// The counter and the time, of the same moment: the closest of some pairs, for we may have been
/// preempted between the two.
fn read() -> (Instant, u64) {
    let pair = || {
        let before = Instant::now();
        // SAFETY: every x86_64 has the counter, and Linux lets user mode read it.
        let count = unsafe { std::arch::x86_64::_rdtsc() };
        (before.elapsed(), before, count)
    };
    let (_, time, count) = (0..16).map(|_| pair()).min_by_key(|pair| pair.0).unwrap_or_else(pair);
    (time, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_itself() {
        let (began, from) = read();
        thread::sleep(SPAN);
        let (ended, to) = read();
        let expected = u128::from(khz()) * ended.duration_since(began).as_micros() / 1000;
        let counted = u128::from(to - from);
        assert!(counted.abs_diff(expected) < expected / 1000, "{counted} beside {expected}");
    }
}
