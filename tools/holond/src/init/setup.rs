//! From `holond job-init` to pid 1 of the job.

use super::cursor::Cursor;
use super::proto::InitConfig;
use super::{main_loop, view};
use crate::{cgroup, sys};
use anyhow::{Context, Result};
use nix::sched::{unshare, CloneFlags};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::unistd::ForkResult;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::process::exit;

/// Said on stdout by pid 1 when it serves requests, after a line with its PID outside.
pub(crate) const READY: &str = "ready";

/// Runs the job init; ends with the job.
///
/// Stdout is a pipe to the daemon: first the PID (of the daemon's namespace) of pid 1, then `ready`
/// or what went wrong.
pub fn run(config: &str) -> Result<()> {
    let config: InitConfig = serde_json::from_str(config).context("no configuration")?;
    cgroup::enter(config.instance).context("can't enter the job's cgroup")?;
    nix::unistd::setsid().context("setsid")?;
    let flags = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWPID;
    // Bound here, outside of the view, so that the daemon finds it under its own name.
    let listener = UnixListener::bind(&config.socket).context("can't listen")?;
    unshare(flags).context("can't make namespaces")?;
    let (gate_out, gate_in) = std::io::pipe().context("pipe")?;
    match sys::fork_single_threaded().context("can't fork pid 1")? {
        ForkResult::Parent { child } => {
            drop(gate_out);
            println!("{child}");
            drop(gate_in);
            Ok(())
        }
        ForkResult::Child => {
            drop(gate_in);
            // Wait for the line above, so that the two writers' lines come in order.
            let _ = (&gate_out).read(&mut [0]);
            let code = match pid_one(&config, listener) {
                Ok(()) => 0,
                Err(error) => {
                    println!("{error:#}");
                    1
                }
            };
            exit(code)
        }
    }
}

fn pid_one(config: &InitConfig, listener: UnixListener) -> Result<()> {
    nix::unistd::sethostname(&config.hostname).context("sethostname")?;
    // Signals are read from a descriptor; a pid 1 gets none from inside but those it asks for.
    let mut wanted = SigSet::empty();
    wanted.add(Signal::SIGCHLD);
    nix::sys::signal::sigprocmask(SigmaskHow::SIG_BLOCK, Some(&wanted), None)?;
    prctl::set_name(c"holon-init").context("prctl")?;
    let device = main_loop::open_device();
    let cursor = Cursor::start(config.slot).context("can't set the namespace's PIDs up")?;
    view::build(config.view.as_ref())?;
    let server = main_loop::Init::new(config, listener, wanted, device, cursor)?;
    println!("{READY}");
    std::io::stdout().flush()?;
    // The pipe is done with: its end tells the daemon's reader so.
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    for fd in 0..2 {
        sys::place_fd(std::os::fd::AsFd::as_fd(&null), fd)?;
    }
    server.serve()
}
