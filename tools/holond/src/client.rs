//! Answering `clusterctl`.

use crate::caller::Caller;
use crate::gather;
use crate::jobs::record::{JobRecord, JobState};
use crate::jobs::users::{account, user_name};
use crate::node::{Node, ACTION_TIME};
use crate::peer::message::{PeerReply, PeerRequest};
use crate::{drain, events_all, memory, run};
use holon_api::frame::Connection;
use holon_api::request::{Reply, Request};
use holon_api::rows::List;
use holon_api::{ApiError, Code, ProcessId};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

/// How long a client may take to say what it wants.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// Longest request: a command with all of its environment.
const REQUEST_LEN_MAX: usize = 1 << 20;
/// How long a move may take, with its forwarding.
const MOVE_TIME: Duration = Duration::from_secs(90);

/// Serves one connection to its end.
pub(crate) fn serve(node: &Arc<Node>, socket: UnixStream, caller: Caller) {
    // Until it has said what it wants it only takes up room.
    let _ = socket.set_read_timeout(Some(REQUEST_TIME));
    let connection = Arc::new(Connection::new(socket));
    let frame = match connection.receive_within::<Request>(REQUEST_LEN_MAX) {
        Ok(Some(frame)) => frame,
        Ok(None) => return,
        Err(error) => {
            let why = format!("{error} (is clusterctl of another version?)");
            let error = ApiError::new(Code::Usage, "holond can't understand the request", why);
            let _ = connection.send(&Reply::Error(error));
            return;
        }
    };
    let _ = connection.socket().set_read_timeout(None);
    if let Err(error) = answer(node, &connection, caller, frame.value, frame.fds) {
        let _ = connection.send(&Reply::Error(error));
    }
}

fn send(connection: &Connection, reply: &Reply) -> Result<(), ApiError> {
    connection.send(reply).map_err(|e| ApiError::new(Code::Cancelled, "the client is gone", e))
}

fn answer(
    node: &Arc<Node>,
    connection: &Arc<Connection>,
    caller: Caller,
    request: Request,
    fds: Vec<OwnedFd>,
) -> Result<(), ApiError> {
    let reply = match request {
        Request::Status => Reply::Status(Box::new(gather::status(node))),
        Request::NodeList => Reply::Nodes(List::new("NodeList", gather::nodes(node))),
        Request::JobList { all } => Reply::Jobs(gather::jobs(node, all)),
        Request::Ps => Reply::Processes(gather::processes(node)),
        Request::Memory => Reply::Memory(memory::rows::all(node)),
        Request::Blast { node: name } => Reply::Blast(Box::new(memory::blast::all(node, &name)?)),
        Request::Events { follow } => return events_all::serve(node, connection, follow),
        Request::Run(mut spec) => {
            if !caller.is_root() {
                let cant = |e| ApiError::new(Code::RunFailed, "can't run", format!("{e:#}"));
                spec.limits = caller.limits().map_err(cant)?;
            }
            let wanted = spec.uid.clone().unwrap_or_else(|| caller.uid.to_string());
            let account = account(&wanted)?;
            if account.uid != caller.uid && !caller.is_root() {
                return Err(permission("can't run as somebody else").with_code(Code::RunFailed));
            }
            return run::serve(node, connection, *spec, account, fds);
        }
        Request::Migrate { process, to } => {
            own_job(node, caller, process.job, &format!("can't move {process}"))?;
            migrate(node, process, &to)?
        }
        Request::Explain { process } => {
            let what = format!("can't explain {process}");
            let slot = gather::where_is(node, process)
                .map_err(|error| ApiError { what: what.clone(), ..error })?;
            match node.ask(slot, PeerRequest::Explain { process }, &[], ACTION_TIME) {
                Ok(PeerReply::Explained(explanation)) => Reply::Explained(explanation),
                other => return Err(unexpected(node, slot, &what, other)),
            }
        }
        Request::Drain { node: name, reason, dry_run, timeout_ms } => {
            root_only(caller, &format!("can't drain {name}"))?;
            let time = Duration::from_millis(timeout_ms);
            return drain::serve(node, connection, &name, &reason, dry_run, time);
        }
        Request::Undrain { node: name } => {
            root_only(caller, &format!("can't undrain {name}"))?;
            drain::undrain(node, &name)?
        }
        Request::JobKill { job, signal } => {
            let what = format!("can't signal job {job}");
            own_job(node, caller, job, &what)?;
            kill(node, job, signal, &what)?
        }
        Request::Version => Reply::Version {
            daemon: env!("CARGO_PKG_VERSION").into(),
            module: node.module_version(),
        },
    };
    send(connection, &reply)
}

fn permission(what: &str) -> ApiError {
    ApiError::new(Code::Permission, what, "only root may").fix("use sudo")
}

fn root_only(caller: Caller, what: &str) -> Result<(), ApiError> {
    caller.is_root().then_some(()).ok_or_else(|| permission(what))
}

fn own_job(node: &Node, caller: Caller, job: u32, what: &str) -> Result<(), ApiError> {
    let is_there = |r: &JobRecord| !r.state.is_over() || r.state == JobState::Fenced;
    let record = node.job(job).filter(is_there);
    let Some(record) = record else {
        return Err(ApiError::new(Code::NotFound, what, format!("no job {job} runs"))
            .fix("see `clusterctl job list`"));
    };
    if caller.is_root() || caller.uid == record.account.uid {
        return Ok(());
    }
    let why = format!("the job is {}'s", user_name(record.account.uid));
    Err(ApiError::new(Code::Permission, what, why))
}

/// An error from an answer that is not the hoped-for one.
pub(crate) fn unexpected(
    node: &Node,
    slot: u32,
    what: &str,
    reply: Result<PeerReply, crate::peer::rpc::CallError>,
) -> ApiError {
    let error = reply.err().unwrap_or(crate::peer::rpc::CallError::Nonsense);
    error.for_user(what, &node.config.name(slot))
}

fn migrate(node: &Arc<Node>, process: ProcessId, to: &str) -> Result<Reply, ApiError> {
    let what = format!("can't move {process}");
    let target = match to {
        "home" => node.job(process.job).map(|r| r.home),
        name => node.config.by_name(name).map(|n| n.slot),
    };
    let Some(target) = target else {
        return Err(ApiError::new(Code::NotFound, what, format!("no node is named \"{to}\""))
            .fix("see `clusterctl node list`"));
    };
    let slot = gather::where_is(node, process)
        .map_err(|error| ApiError { what: what.clone(), ..error })?;
    let request = PeerRequest::Migrate { process, to: target };
    match node.ask(slot, request, &[], MOVE_TIME) {
        Ok(PeerReply::Moved(moved)) => Ok(Reply::Moved(moved)),
        other => Err(unexpected(node, slot, &what, other)),
    }
}

/// An error of another node's daemon, which names neither what was asked here nor its node.
fn named(node: &Node, slot: u32, what: &str, error: ApiError) -> ApiError {
    if error.what == what {
        return error;
    }
    let why = format!("{}: {}", node.config.name(slot), error.why);
    ApiError { what: what.into(), why, ..error }
}

fn kill(node: &Arc<Node>, job: u32, signal: i32, what: &str) -> Result<Reply, ApiError> {
    // Surrogates pass signals on, but a process that a body forked elsewhere has none.
    let mut told = 0;
    let mut problem = None;
    let up = node.all_up();
    for (slot, reply) in node.ask_each(&up, &PeerRequest::Signal { job, signal }, ACTION_TIME) {
        match reply {
            Ok(PeerReply::HasProcesses { has }) => told += u32::from(has),
            other => problem = Some(named(node, slot, what, unexpected(node, slot, what, other))),
        }
    }
    if let Some(error) = problem {
        return Err(error.with_code(Code::Partial));
    }
    let note = match told {
        0 if signal == libc::SIGKILL => {
            let home = node.job(job).map_or(node.own(), |record| record.home);
            let by = if node.is_up(home) { home } else { node.own() };
            match node.ask(by, PeerRequest::Killed { job }, &[], ACTION_TIME) {
                Ok(PeerReply::Done) => format!("job {job} had no process; it is over"),
                other => return Err(unexpected(node, by, what, other)),
            }
        }
        0 => format!("job {job} has no process"),
        1 => format!("signal {signal} sent to job {job} on 1 node"),
        _ => format!("signal {signal} sent to job {job} on {told} nodes"),
    };
    Ok(Reply::Done { note })
}
