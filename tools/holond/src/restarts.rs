//! Teaches the module how this kernel restarts a sleeping call.
//!
//! The kernel keeps the address of a static function for it, which no module can look up. So a
//! child of ours sleeps in each such call, the module looks at it there, and the child is ended.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use clap::ValueEnum;
use nix::poll::{poll, PollTimeout};

use crate::kernel::Device;

/// Longer than any lesson takes.
const SLEEP: Duration = Duration::from_secs(60);
/// A child that does not get to its sleep in this time never will.
const LESSON_MAX: Duration = Duration::from_secs(20);
/// Between two looks: the child has to start first.
const LOOK: Duration = Duration::from_millis(20);

/// What a child sleeps in. The numbers are the bits of `RestartLearn::known`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sleep {
    /// `clock_nanosleep`.
    Nanosleep,
    /// `poll`.
    Poll,
    /// A futex with a time-out.
    Futex,
}

impl Sleep {
    fn bit(self) -> u32 {
        use holon_uapi::proc;
        match self {
            Self::Nanosleep => proc::RESTART_NANOSLEEP,
            Self::Poll => proc::RESTART_POLL,
            Self::Futex => proc::RESTART_FUTEX,
        }
    }
}

/// The child's part: sleeps, until it is killed or the time is over.
pub fn sleep_in(kind: Sleep) -> Result<()> {
    match kind {
        Sleep::Nanosleep => std::thread::sleep(SLEEP),
        Sleep::Poll => drop(poll(&mut [], PollTimeout::try_from(SLEEP)?)?),
        Sleep::Futex => std::thread::park_timeout(SLEEP),
    }
    Ok(())
}

/// Has the module learn all kinds. Without one, a call of that kind ends with EINTR when its
/// process is moved out of it.
pub(crate) fn teach(device: &Device) -> Result<()> {
    for kind in [Sleep::Nanosleep, Sleep::Poll, Sleep::Futex] {
        if device.restart_learn(0)? & kind.bit() == 0 {
            lesson(device, kind).with_context(|| format!("{kind:?}"))?;
        }
    }
    Ok(())
}

/// A sleeping child, ended with this value.
struct Sleeper(Child);

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn lesson(device: &Device, kind: Sleep) -> Result<()> {
    let name = kind.to_possible_value().context("a kind without a name")?;
    let mut command = Command::new("/proc/self/exe");
    command.args(["sleep-in", name.get_name()]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let child = Sleeper(command.spawn().context("start a child that sleeps")?);
    let pid = i32::try_from(child.0.id())?;
    let started = Instant::now();
    while device.restart_learn(pid)? & kind.bit() == 0 {
        if started.elapsed() > LESSON_MAX {
            bail!("not learnt in {} s", LESSON_MAX.as_secs());
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}
