//! Signals as values: those that a running command should get, and changes of the window.

use nix::sys::signal::{sigprocmask, SigSet, SigmaskHow, Signal};

/// Signals that are passed on to the command.
const FORWARDED: [Signal; 6] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// Blocks them in this thread and those that it will start; to be waited for.
pub(crate) fn block() -> SigSet {
    let mut set = SigSet::empty();
    for signal in FORWARDED {
        set.add(signal);
    }
    set.add(Signal::SIGWINCH);
    // Can only fail for arguments that make no sense.
    let _ = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None);
    set
}
