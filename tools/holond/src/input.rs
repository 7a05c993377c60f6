//! What a client of a running command says, at the job's home.

use crate::init::proto::InitRequest;
use crate::jobs::session::Session;
use crate::node::{Node, ANSWER_TIME};
use holon_api::request::{Reply, RunInput};
use holon_api::{ApiError, Code};

/// Passes it on to the command.
pub(crate) fn take(node: &Node, session: &Session, input: RunInput, bytes: Vec<u8>) {
    match input {
        RunInput::Stdin => session.input(bytes),
        RunInput::Resize(size) => session.resize(size),
        RunInput::Signal { signal } => signal_group(node, session.job, signal),
    }
}

/// The client went away: its command is told as by a terminal that hangs up.
pub(crate) fn client_gone(node: &Node, session: u64) {
    if let Some(session) = node.sessions.remove(session) {
        signal_group(node, session.job, libc::SIGHUP);
        signal_group(node, session.job, libc::SIGCONT);
        session.input(Vec::new());
    }
}

/// The daemon of a home was started anew: the streams of its jobs' commands are gone.
pub(crate) fn home_restarted(node: &Node, home: u32) {
    for client in node.sessions.take_remotes_of(home) {
        let why = format!("holond on {} was restarted; the job may go on", node.config.name(home));
        let error =
            ApiError::new(Code::RunFailed, "lost the job", why).fix("see `clusterctl job list`");
        let _ = client.connection.send(&Reply::Error(error));
    }
}

/// Signals the process group of the job's first process.
fn signal_group(node: &Node, job: u32, signal: i32) {
    let Some(record) = node.job(job).filter(|r| r.main_pid > 1) else {
        return;
    };
    let Some(init) = node.inits.get(job) else {
        return;
    };
    let pid = i32::try_from(record.main_pid).map_or(0, |pid| -pid);
    let request = InitRequest::Signal { pid, signal };
    if let Err(error) = init.call(&request, &[], node.time(ANSWER_TIME)) {
        log::warn!("job {job} was not signalled: {error:#}");
    }
}
