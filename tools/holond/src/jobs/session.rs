//! A client that waits for a job's first process, and the streams between them.
//!
//! ```text
//! clusterctl ── Unix socket ── daemon ──────────────────────────── job      (job's home is here)
//! clusterctl ── Unix socket ── daemon ── transport ── home's daemon ── job  (elsewhere)
//! ```
//! The home's side is a [`Session`]. Bytes are sent one piece at a time and the next only when the
//! last was taken, so a slow reader slows the writer and nothing piles up.

use super::stdio::Ours;
use crate::node::Node;
use crate::peer::message::{PeerRequest, SessionOutput};
use crate::sys;
use crate::tasks;
use holon_api::frame::Connection;
use holon_api::request::{Reply, WindowSize};
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use std::collections::HashMap;
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{sync_channel, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

const CHUNK_LEN: usize = 32 << 10;
/// Pieces of input on their way to the command: one, and the terminal's end of file.
const PIECES_MAX: usize = 4;
/// A peer that is up takes a piece as slowly as the client reads; its death ends the wait.
const PIECE_TIME: Duration = Duration::from_secs(24 * 3600);

/// Who gets the output.
#[derive(Clone)]
pub(crate) enum Client {
    /// Connected to this daemon.
    Local(Arc<Connection>),
    /// Connected to a peer's; it has this number there.
    Peer(u32, u64),
}

/// The home's side.
pub(crate) struct Session {
    /// Our number of it.
    pub(crate) id: u64,
    /// The job.
    pub(crate) job: u32,
    client: Client,
    input: Mutex<Option<SyncSender<Vec<u8>>>>,
    terminal: Option<OwnedFd>,
    /// Whether what was typed last ended a line.
    at_line_start: AtomicBool,
    pumps: Mutex<Vec<JoinHandle<()>>>,
    /// Closed when the command has ended: pumps then stop as soon as nothing is left to read.
    done: Mutex<Option<PipeWriter>>,
}

/// All sessions: those whose job is here, and clients here whose job is elsewhere.
#[derive(Default)]
pub(crate) struct Sessions {
    next: AtomicU64,
    homes: Mutex<HashMap<u64, Arc<Session>>>,
    remotes: Mutex<HashMap<u64, Remote>>,
}

/// A client here whose job's home is elsewhere.
#[derive(Clone)]
pub(crate) struct Remote {
    /// The home's slot.
    pub(crate) home: u32,
    /// The client.
    pub(crate) connection: Arc<Connection>,
}

impl Sessions {
    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Notes a client whose job will be elsewhere; our number for it.
    pub(crate) fn add_remote(&self, home: u32, connection: Arc<Connection>) -> u64 {
        let id = self.number();
        self.remotes().insert(id, Remote { home, connection });
        id
    }

    /// A client whose job is elsewhere.
    pub(crate) fn remote(&self, id: u64) -> Option<Remote> {
        self.remotes().get(&id).cloned()
    }

    /// Forgets it.
    pub(crate) fn remove_remote(&self, id: u64) -> Option<Remote> {
        self.remotes().remove(&id)
    }

    /// Takes out the clients of a home that died.
    pub(crate) fn take_remotes_of(&self, home: u32) -> Vec<Remote> {
        let mut remotes = self.remotes();
        let ids: Vec<u64> =
            remotes.iter().filter(|(_, r)| r.home == home).map(|(id, _)| *id).collect();
        ids.iter().filter_map(|id| remotes.remove(id)).collect()
    }

    /// How many clients here have their job elsewhere.
    pub(crate) fn count_remotes(&self) -> usize {
        self.remotes().len()
    }

    /// A session of ours.
    pub(crate) fn get(&self, id: u64) -> Option<Arc<Session>> {
        self.homes().get(&id).cloned()
    }

    /// The session of a job of ours.
    pub(crate) fn of_job(&self, job: u32) -> Option<Arc<Session>> {
        self.homes().values().find(|session| session.job == job).cloned()
    }

    /// Forgets a session of ours.
    pub(crate) fn remove(&self, id: u64) -> Option<Arc<Session>> {
        self.homes().remove(&id)
    }

    fn homes(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Session>>> {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remotes(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Remote>> {
        self.remotes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins a session and its pumps.
pub(crate) fn begin(
    node: &Arc<Node>,
    job: u32,
    client: Client,
    ours: Ours,
    has_terminal: bool,
) -> std::io::Result<Arc<Session>> {
    let (done_seen, done) = std::io::pipe()?;
    let terminal = match &ours.input {
        Some(input) if has_terminal => Some(input.try_clone()?),
        _ => None,
    };
    let session = Arc::new(Session {
        id: node.sessions.number(),
        job,
        client,
        input: Mutex::default(),
        terminal,
        at_line_start: AtomicBool::new(true),
        pumps: Mutex::default(),
        done: Mutex::new(Some(done)),
    });
    node.sessions.homes().insert(session.id, session.clone());
    if let Some(input) = ours.input {
        session.start_input(node, input);
    }
    for (from, output) in
        [(ours.output, SessionOutput::Stdout), (ours.errors, SessionOutput::Stderr)]
    {
        if let Some(from) = from {
            let (node, worker) = (node.clone(), session.clone());
            let done = done_seen.try_clone()?;
            let pump = std::thread::spawn(move || worker.pump(&node, from.into(), &output, &done));
            session.pumps.lock().unwrap_or_else(PoisonError::into_inner).push(pump);
        }
    }
    Ok(session)
}

impl Session {
    fn start_input(self: &Arc<Self>, node: &Arc<Node>, input: OwnedFd) {
        let (sender, pieces) = sync_channel::<Vec<u8>>(PIECES_MAX);
        *self.input.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        let (node, session) = (node.clone(), self.clone());
        tasks::spawn(move || {
            let mut input = File::from(input);
            for piece in pieces {
                // The command may have closed its stdin: then the bytes go nowhere, as in a pipe.
                let _ = input.write_all(&piece);
                session.emit(&node, &SessionOutput::StdinTaken, &[]);
            }
        });
    }

    /// Bytes for the command; none: end of file.
    pub(crate) fn input(&self, bytes: Vec<u8>) {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = bytes.last() {
            self.at_line_start.store(matches!(last, b'\n' | b'\r'), Ordering::Relaxed);
        }
        if bytes.is_empty() {
            if let (Some(sender), Some(_)) = (&*input, &self.terminal) {
                let at_line_start = self.at_line_start.load(Ordering::Relaxed);
                let _ = sender.try_send(end_of_file(at_line_start));
            }
            *input = None;
        } else if let Some(Err(error)) = input.as_ref().map(|sender| sender.try_send(bytes)) {
            // Who does not wait for the word that the last piece was taken has no more to say.
            log::warn!("job {}: its client's input is cut off: {error}", self.job);
            *input = None;
        }
    }

    /// The client's terminal has another size.
    pub(crate) fn resize(&self, size: WindowSize) {
        if let Some(terminal) = &self.terminal {
            let _ = sys::set_window_size(terminal.as_fd(), size.rows, size.columns);
        }
    }

    fn pump(&self, node: &Arc<Node>, mut from: File, output: &SessionOutput, done: &PipeReader) {
        let mut buffer = vec![0; CHUNK_LEN];
        loop {
            let (readable, ended) = {
                let mut fds = [
                    PollFd::new(from.as_fd(), PollFlags::POLLIN),
                    PollFd::new(done.as_fd(), PollFlags::POLLIN),
                ];
                if poll(&mut fds, PollTimeout::NONE) == Err(nix::errno::Errno::EINTR) {
                    continue;
                }
                (fds[0].any().unwrap_or(false), fds[1].any().unwrap_or(false))
            };
            if !readable && ended {
                return;
            }
            match from.read(&mut buffer) {
                Ok(got) if got > 0 => {
                    if !self.emit(node, output, &buffer[..got]) {
                        return;
                    }
                }
                // A terminal without a program at its other end gives EIO.
                _ => return,
            }
        }
    }

    /// Sends to the client; false if it is gone.
    fn emit(&self, node: &Arc<Node>, output: &SessionOutput, bytes: &[u8]) -> bool {
        match &self.client {
            Client::Local(connection) => deliver(connection, output, bytes),
            Client::Peer(slot, session) => {
                let request =
                    PeerRequest::SessionOutput { session: *session, output: output.clone() };
                node.ask(*slot, request, bytes, PIECE_TIME).is_ok()
            }
        }
    }

    /// The command has ended: sends what is left of its output, then its status.
    pub(crate) fn finish(&self, node: &Arc<Node>, status: i32, note: Option<String>) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).take();
        let pumps: Vec<_> =
            self.pumps.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect();
        for pump in pumps {
            let _ = pump.join();
        }
        self.emit(node, &SessionOutput::Exited { status, note }, &[]);
        self.input.lock().unwrap_or_else(PoisonError::into_inner).take();
        node.sessions.remove(self.id);
    }
}

/// What means the end of file when typed: once at the start of a line; within one the first only
/// hands the line over.
fn end_of_file(at_line_start: bool) -> Vec<u8> {
    /// Ctrl-D, as terminals have it at first.
    const VEOF: u8 = 4;
    vec![VEOF; if at_line_start { 1 } else { 2 }]
}

/// Sends a session's output to a client of this daemon.
pub(crate) fn deliver(connection: &Connection, output: &SessionOutput, bytes: &[u8]) -> bool {
    let reply = match output {
        SessionOutput::Stdout => Reply::Stdout,
        SessionOutput::Stderr => Reply::Stderr,
        SessionOutput::StdinTaken => Reply::StdinTaken,
        SessionOutput::Exited { status, note } => {
            Reply::Exited { status: *status, note: note.clone() }
        }
    };
    connection.send_with(&reply, bytes, &[]).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_told_the_end_of_input() {
        assert_eq!(end_of_file(true), [4]);
        assert_eq!(end_of_file(false), [4, 4]);
    }
}
