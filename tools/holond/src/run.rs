//! `run`: starting a job for a client and staying between the two.

use crate::client::unexpected;
use crate::input;
use crate::jobs::session::Client;
use crate::jobs::start;
use crate::jobs::users::Account;
use crate::node::{Node, ACTION_TIME};
use crate::peer::message::{PeerReply, PeerRequest};
use holon_api::frame::Connection;
use holon_api::request::{Reply, RunInput, RunSpec};
use holon_api::{ApiError, Code};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// A piece of input is taken by the peer's daemon at once; its death ends the wait.
const PIECE_TIME: Duration = Duration::from_secs(60);

/// Serves a `run` to its end.
pub(crate) fn serve(
    node: &Arc<Node>,
    connection: &Arc<Connection>,
    spec: RunSpec,
    account: Account,
    fds: Vec<OwnedFd>,
) -> Result<(), ApiError> {
    let home = match &spec.on {
        None => node.own(),
        Some(name) => home_named(node, name)?,
    };
    if home == node.own() {
        here(node, connection, spec, account, fds)
    } else {
        elsewhere(node, connection, home, spec, account)
    }
}

fn home_named(node: &Node, name: &str) -> Result<u32, ApiError> {
    let error = |code: Code, why: String| {
        ApiError::new(code, "can't run", why).fix("see `clusterctl node list`")
    };
    let Some(config) = node.config.by_name(name) else {
        return Err(error(Code::RunFailed, format!("no node is named \"{name}\"")));
    };
    if !node.is_up(config.slot) {
        return Err(error(Code::RunFailed, format!("{name} is down")));
    }
    Ok(config.slot)
}

fn here(
    node: &Arc<Node>,
    connection: &Arc<Connection>,
    spec: RunSpec,
    account: Account,
    fds: Vec<OwnedFd>,
) -> Result<(), ApiError> {
    let client = (!spec.detach).then(|| Client::Local(connection.clone()));
    let streamed = spec.terminal.is_some();
    let started = start::start(node, spec, account, client, fds)?;
    let (job, process) = (started.process.job, started.process);
    let told = connection.send(&Reply::Started { job, process, streamed });
    if started.session == 0 {
        return Ok(());
    }
    while told.is_ok() {
        let Ok(Some(frame)) = connection.receive::<RunInput>() else { break };
        if let Some(session) = node.sessions.get(started.session) {
            input::take(node, &session, frame.value, frame.blob);
        }
    }
    input::client_gone(node, started.session);
    Ok(())
}

fn elsewhere(
    node: &Arc<Node>,
    connection: &Arc<Connection>,
    home: u32,
    spec: RunSpec,
    account: Account,
) -> Result<(), ApiError> {
    let detach = spec.detach;
    let ours = if detach { 0 } else { node.sessions.add_remote(home, connection.clone()) };
    let request = PeerRequest::Run { spec: Box::new(spec), account, session: ours };
    let theirs = match node.ask(home, request, &[], ACTION_TIME) {
        Ok(PeerReply::Started { job, process, session }) => {
            let _ = connection.send(&Reply::Started { job, process, streamed: true });
            session
        }
        other => {
            node.sessions.remove_remote(ours);
            let error = unexpected(node, home, "can't run", other);
            let own_codes = [Code::RunNotFound, Code::RunNotExecutable];
            let keeps = own_codes.contains(&error.code);
            return Err(if keeps { error } else { error.with_code(Code::RunFailed) });
        }
    };
    if detach {
        return Ok(());
    }
    while let Ok(Some(frame)) = connection.receive::<RunInput>() {
        let request = PeerRequest::SessionInput { session: theirs, input: frame.value };
        if node.ask(home, request, &frame.blob, PIECE_TIME).is_err() {
            break;
        }
    }
    node.sessions.remove_remote(ours);
    let _ = node.ask(home, PeerRequest::SessionClosed { session: theirs }, &[], ACTION_TIME);
    Ok(())
}
