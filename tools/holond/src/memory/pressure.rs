//! How long programs wait for memory (PSI), for the module, which decides by it when pages go.
//!
//! As long as nobody waits the thread sleeps: the kernel wakes it by a trigger.

use crate::kernel::Device;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PATH: &str = "/proc/pressure/memory";
/// Wakes when some program waited for 20 ms of a second.
const TRIGGER: &[u8] = b"some 20000 1000000\0";
const INTERVAL: Duration = Duration::from_millis(500);
/// Calm intervals until the trigger is waited for again.
const CALM_INTERVALS: u32 = 6;

/// Starts to measure. Without PSI the module decides by free memory alone.
pub(crate) fn start(device: &Arc<Device>) {
    let trigger = match arm() {
        Ok(trigger) => trigger,
        Err(error) => {
            log::warn!("{PATH}: {error}: only free memory tells when pages are to go");
            return;
        }
    };
    let device = device.clone();
    let thread = std::thread::Builder::new().name("pressure".into());
    if let Err(error) = thread.spawn(move || run(&device, &trigger)) {
        log::error!("no thread for {PATH}: {error}");
    }
}

fn arm() -> std::io::Result<File> {
    let mut file = OpenOptions::new().read(true).write(true).open(PATH)?;
    file.write_all(TRIGGER)?;
    Ok(file)
}

fn run(device: &Device, trigger: &File) {
    loop {
        let mut fds = [PollFd::new(trigger.as_fd(), PollFlags::POLLPRI)];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => {
                log::error!("{PATH}: {errno}: only free memory tells when pages are to go");
                return;
            }
        }
        measure(device);
    }
}

/// Tells the module of each interval until nobody waits any more.
fn measure(device: &Device) {
    let (mut before, mut at) = (total_us(), Instant::now());
    let mut calm = 0;
    while calm < CALM_INTERVALS {
        std::thread::sleep(INTERVAL);
        let (now_us, now) = (total_us(), Instant::now());
        let share = share(now_us.saturating_sub(before), now.duration_since(at));
        (before, at) = (now_us, now);
        calm = if share == 0 { calm + 1 } else { 0 };
        if let Err(errno) = device.memory_stall(share) {
            log::warn!("the module was not told of waits for memory: {errno}");
        }
    }
}

fn total_us() -> u64 {
    fs::read_to_string(PATH).ok().and_then(|text| parse(&text)).unwrap_or(0)
}

fn parse(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    line.split_ascii_whitespace().find_map(|word| word.strip_prefix("total="))?.parse().ok()
}

/// In hundredths of a per cent.
fn share(waited_us: u64, elapsed: Duration) -> u32 {
    let elapsed_us = elapsed.as_micros().max(1);
    let share = u128::from(waited_us) * 10_000 / elapsed_us;
    u32::try_from(share.min(10_000)).unwrap_or(10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_tells() {
        let text = "some avg10=1.23 avg60=0.40 avg300=0.09 total=123456\n\
            full avg10=0.00 avg60=0.00 avg300=0.00 total=99\n";
        assert_eq!(parse(text), Some(123_456));
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_share_is_of_the_time_that_went_by() {
        assert_eq!(share(50_000, Duration::from_millis(500)), 1000);
        assert_eq!(share(1, Duration::from_millis(500)), 0);
        assert_eq!(share(600_000, Duration::from_millis(500)), 10_000, "readings are not one");
    }
}
