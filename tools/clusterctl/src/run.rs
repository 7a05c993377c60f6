//! `run`: starts a job and stands between it and the user until it ends.
//!
//! With a terminal on all three streams the job gets a terminal of its own, at its home, and ours
//! is raw: Ctrl-C and job control work there. Without that, a job on this node has our own streams;
//! a job elsewhere gets pipes, and the bytes come through the daemons.

use crate::args::{Args, RunArgs};
use crate::terminal::Raw;
use crate::{client, output, signals, sys};
use holon_api::arg::Arg;
use holon_api::frame::Connection;
use holon_api::request::{Reply, Request, RunInput, RunSpec, WindowSize};
use holon_api::{ApiError, Code};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::{umask, Mode};
use std::ffi::OsStr;
use std::io::{IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::Arc;
use std::thread;

const CHUNK_LEN: usize = 32 << 10;
const STREAMS: [i32; 3] = [0, 1, 2];
const SIGNAL_BASE: i32 = 128;

/// Runs the command; its exit status.
pub(crate) fn run(args: &Args, run: &RunArgs) -> Result<u8, ApiError> {
    let failed = |error: ApiError| error.with_code(Code::RunFailed);
    let wanted = signals::block();
    let spec = spec(run)?;
    let size = spec.terminal;
    let connection = Arc::new(client::connect(args).map_err(failed)?);
    let request = Request::Run(Box::new(spec));
    let fds: &[i32] = if size.is_none() && !run.detach { &STREAMS } else { &[] };
    client::send(&connection, &request, fds).map_err(failed)?;
    let is_started = Arc::new(AtomicBool::new(false));
    forward_signals(&connection, wanted, size.is_some(), is_started.clone());
    let (job, streamed) = match started(&connection).map_err(Stopped::into_error)? {
        First::Started { job, streamed } => (job, streamed),
        First::Exited(status) => return Ok(exit_status(status)),
    };
    is_started.store(true, Ordering::Release);
    if run.detach {
        output::print(&format!("{job}\n"))?;
        return Ok(0);
    }
    let raw = match size {
        Some(_) if std::io::stdin().is_terminal() => Raw::new().ok(),
        _ => None,
    };
    let taken = streamed.then(|| start_input(&connection));
    let result = take_output(&connection, taken.as_ref());
    drop(raw);
    // The terminal is the user's again before anything ends us.
    let (status, note) = result.map_err(|stopped| failed(stopped.into_error()))?;
    if let Some(note) = note {
        eprintln!("clusterctl: job {job}: {note}");
    }
    Ok(exit_status(status))
}

fn exit_status(status: i32) -> u8 {
    u8::try_from(status & 0xff).unwrap_or(u8::MAX)
}

/// What is known after the first replies.
enum First {
    Started { job: u32, streamed: bool },
    Exited(i32),
}

/// Waits for the job's number. From another node the first output may come before it.
fn started(connection: &Connection) -> Result<First, Stopped> {
    loop {
        match client::receive(connection)? {
            (Reply::Started { job, streamed, .. }, _) => {
                return Ok(First::Started { job, streamed });
            }
            (Reply::Stdout, bytes) => write(&mut std::io::stdout().lock(), &bytes)?,
            (Reply::Stderr, bytes) => write(&mut std::io::stderr().lock(), &bytes)?,
            (Reply::Exited { status, .. }, _) => return Ok(First::Exited(status)),
            _ => {
                let why = "holond answers something else";
                return Err(ApiError::new(Code::RunFailed, "can't run", why).into());
            }
        }
    }
}

fn spec(run: &RunArgs) -> Result<RunSpec, ApiError> {
    let cwd = match &run.cwd {
        Some(dir) => Ok(dir.clone()),
        None => std::env::current_dir(),
    };
    let cwd = cwd.map_err(|error| {
        ApiError::new(Code::RunFailed, "can't run", format!("no working directory: {error}"))
    })?;
    let mask = umask(Mode::empty());
    umask(mask);
    let env = std::env::vars_os().map(|(name, value)| {
        Arg::from(OsStr::from_bytes(&[name.as_bytes(), b"=", value.as_bytes()].concat()))
    });
    let ours = [
        std::io::stdin().is_terminal(),
        std::io::stdout().is_terminal(),
        std::io::stderr().is_terminal(),
    ];
    let terminal =
        (wants_terminal(run.tty, ours) && !run.detach).then(|| own_size().unwrap_or_default());
    Ok(RunSpec {
        argv: run.command.iter().map(|word| Arg::from(word.as_os_str())).collect(),
        env: env.collect(),
        cwd: Arg::from(cwd.as_os_str()),
        umask: mask.bits(),
        limits: sys::limits(),
        on: run.on.clone(),
        restart: run.restart.into(),
        uid: run.uid.clone(),
        detach: run.detach,
        terminal,
    })
}

/// Whether the job gets a terminal. With one, what it writes to stdout and stderr is one stream
/// with other line ends, which is nothing for a file.
fn wants_terminal(forced: bool, ours: [bool; 3]) -> bool {
    forced || ours == [true; 3]
}

fn own_size() -> Option<WindowSize> {
    let (stdin, stdout) = (std::io::stdin(), std::io::stdout());
    sys::window_size(stdin.as_fd()).or_else(|_| sys::window_size(stdout.as_fd())).ok()
}

/// Passes signals on. Those from the keyboard come as bytes when the job has a terminal. Before the
/// job is started there is nobody to pass them on to: they end us, and the daemon sees that.
fn forward_signals(
    connection: &Arc<Connection>,
    wanted: SigSet,
    has_terminal: bool,
    is_started: Arc<AtomicBool>,
) {
    let connection = connection.clone();
    thread::spawn(move || {
        while let Ok(signal) = wanted.wait() {
            let input = match (signal, has_terminal) {
                (Signal::SIGWINCH, true) => match own_size() {
                    Some(size) => RunInput::Resize(size),
                    None => continue,
                },
                (Signal::SIGWINCH, false) => continue,
                (signal, _) if !is_started.load(Ordering::Acquire) => {
                    std::process::exit(SIGNAL_BASE + signal as i32)
                }
                (signal, _) => RunInput::Signal { signal: signal as i32 },
            };
            if connection.send(&input).is_err() {
                return;
            }
        }
    });
}

/// Reads stdin and sends it, a piece at a time; the sender gets a word when a piece was taken.
fn start_input(connection: &Arc<Connection>) -> Sender<()> {
    let (taken, was_taken): (Sender<()>, Receiver<()>) = channel();
    let connection = connection.clone();
    thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut buffer = vec![0; CHUNK_LEN];
        loop {
            // An unreadable stdin is at its end.
            let got = stdin.read(&mut buffer).unwrap_or(0);
            let sent = connection.send_with(&RunInput::Stdin, &buffer[..got], &[]);
            if got == 0 || sent.is_err() || was_taken.recv().is_err() {
                return;
            }
        }
    });
    taken
}

/// Writes what the command writes, until it ends: its status, and what there is to say about it.
fn take_output(
    connection: &Connection,
    taken: Option<&Sender<()>>,
) -> Result<(i32, Option<String>), Stopped> {
    loop {
        let (reply, bytes) = client::receive(connection)?;
        match reply {
            Reply::Stdout => write(&mut std::io::stdout().lock(), &bytes)?,
            Reply::Stderr => write(&mut std::io::stderr().lock(), &bytes)?,
            Reply::StdinTaken => {
                if let Some(taken) = taken {
                    let _ = taken.send(());
                }
            }
            Reply::Exited { status, note } => return Ok((status, note)),
            other => {
                let why = format!("{other:?} came in between");
                return Err(ApiError::new(Code::RunFailed, "lost the job", why).into());
            }
        }
    }
}

/// Writes to a stream of ours. If nobody reads it any more the rest is for nobody.
fn write(stream: &mut impl Write, bytes: &[u8]) -> Result<(), Stopped> {
    match stream.write_all(bytes).and_then(|()| stream.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Stopped::NoReader),
        // A full disk is the user's to see to; the command goes on.
        _ => Ok(()),
    }
}

/// Why there is no more output to take.
#[derive(Debug)]
enum Stopped {
    /// Nobody reads ours.
    NoReader,
    /// The daemon said so, or is gone.
    Failed(ApiError),
}

impl From<ApiError> for Stopped {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

impl Stopped {
    /// The error; without a reader we end as any program would. The job is told by our hanging up.
    fn into_error(self) -> ApiError {
        match self {
            Self::Failed(error) => error,
            Self::NoReader => {
                let _ = sys::default_action(Signal::SIGPIPE);
                let _ = nix::sys::signal::raise(Signal::SIGPIPE);
                ApiError::new(Code::RunFailed, "lost the output", "nobody reads it")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_made_for_a_terminal_alone() {
        assert!(wants_terminal(false, [true, true, true]));
        assert!(!wants_terminal(false, [true, false, true]), "run -- ls >file");
        assert!(!wants_terminal(false, [false, true, true]), "echo hi | run -- cat");
        assert!(wants_terminal(true, [false, false, false]), "-t");
    }

    #[test]
    fn nobody_reading_is_no_error_of_the_command() {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        assert!(write(&mut writer, b"x").is_ok());
        drop(reader);
        assert!(matches!(write(&mut writer, b"x"), Err(Stopped::NoReader)));
    }
}
