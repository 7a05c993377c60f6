//! Answering other daemons.

use super::message::{Hello, PeerReply, PeerRequest};
use super::rpc::Incoming;
use crate::jobs::session::{deliver, Client};
use crate::jobs::{end, merge, start, takeover};
use crate::node::Node;
use crate::tasks;
use crate::{input, local, memory, moves};
use holon_api::{ApiError, Code};
use std::sync::Arc;

/// Answers a question from a peer; on a thread of its own, for some take long.
pub(crate) fn on_incoming(node: &Arc<Node>, incoming: Incoming) {
    let node = node.clone();
    tasks::spawn(move || {
        let reply = match incoming.request {
            Ok(request) => handle(&node, incoming.slot, request, incoming.blob),
            Err(error) => PeerReply::Error(ApiError::new(
                Code::Failure,
                "can't understand the question",
                error,
            )),
        };
        if let Some(device) = &node.device {
            node.rpc.reply(&**device, incoming.slot, incoming.id, &reply, &[]);
        }
    });
}

fn answer<T>(result: Result<T, ApiError>, wrap: impl FnOnce(T) -> PeerReply) -> PeerReply {
    result.map_or_else(PeerReply::Error, wrap)
}

/// Does what `from` asks for.
pub(crate) fn handle(
    node: &Arc<Node>,
    from: u32,
    request: PeerRequest,
    blob: Vec<u8>,
) -> PeerReply {
    match request {
        PeerRequest::Hello(hello) => {
            take_hello(node, from, &hello);
            node.state().greet(from);
            PeerReply::Hello(Box::new(own_hello(node, from)))
        }
        PeerRequest::Info => PeerReply::Info(Box::new(local::info(node))),
        PeerRequest::Rows => answer(local::rows(node), |rows| PeerReply::Rows { rows }),
        request
        @ (PeerRequest::Memory | PeerRequest::Hurt { .. } | PeerRequest::DownFor { .. }) => {
            handle_memory(node, request)
        }
        PeerRequest::Events { after_seq } => {
            let (events, last_seq) = node.events.after(after_seq);
            PeerReply::Events { events, last_seq }
        }
        PeerRequest::JobNumber { job } => {
            // Who has just come up does not know yet which numbers were given.
            let has_heard = node.has_heard();
            let jobs = &mut node.state().jobs;
            let granted = has_heard && jobs.grant(job);
            PeerReply::JobNumber { granted, max: jobs.number_max() }
        }
        PeerRequest::Job { job } => PeerReply::Job { record: node.job(job).map(Box::new) },
        PeerRequest::TakeOver { record } => {
            answer(takeover::taken_over(node, *record), |()| PeerReply::Done)
        }
        PeerRequest::Vote { job, restarts, home } => {
            PeerReply::Vote(takeover::vote(node, job, restarts, home))
        }
        PeerRequest::Accept { record } => {
            answer(takeover::accept(node, *record), |()| PeerReply::Done)
        }
        PeerRequest::Jobs { records } => {
            merge::take(node, records);
            PeerReply::Done
        }
        PeerRequest::Prepare { job } => {
            if let Some(record) = start::find_record(node, job, from) {
                if let Err(error) = start::ensure_init(node, &record) {
                    log::warn!("can't prepare for job {job}: {error:#}");
                }
            }
            PeerReply::Done
        }
        request @ (PeerRequest::Run { .. }
        | PeerRequest::SessionInput { .. }
        | PeerRequest::SessionOutput { .. }
        | PeerRequest::SessionClosed { .. }) => handle_session(node, from, request, blob),
        request => handle_process(node, request),
    }
}

/// Of [`handle`]: running commands and their streams.
fn handle_session(node: &Arc<Node>, from: u32, request: PeerRequest, blob: Vec<u8>) -> PeerReply {
    match request {
        PeerRequest::Run { spec, account, session } => {
            let client = (session != 0).then_some(Client::Peer(from, session));
            let started = start::start(node, *spec, account, client, Vec::new());
            answer(started, |s| PeerReply::Started {
                job: s.process.job,
                process: s.process,
                session: s.session,
            })
        }
        PeerRequest::SessionInput { session, input } => {
            if let Some(session) = node.sessions.get(session) {
                input::take(node, &session, input, blob);
            }
            PeerReply::Done
        }
        PeerRequest::SessionOutput { session, output } => {
            let delivered = node
                .sessions
                .remote(session)
                .is_some_and(|remote| deliver(&remote.connection, &output, &blob));
            if delivered {
                PeerReply::Done
            } else {
                PeerReply::Error(ApiError::new(Code::Cancelled, "no client", "it is gone"))
            }
        }
        PeerRequest::SessionClosed { session } => {
            input::client_gone(node, session);
            PeerReply::Done
        }
        _ => nonsense(),
    }
}

fn nonsense() -> PeerReply {
    let why = "it is of another kind";
    PeerReply::Error(ApiError::new(Code::Failure, "can't understand the question", why))
}

/// Of [`handle`]: remote memory.
fn handle_memory(node: &Node, request: PeerRequest) -> PeerReply {
    match request {
        PeerRequest::Memory => PeerReply::Memory(Box::new(memory::rows::own(node))),
        PeerRequest::Hurt { slot } => PeerReply::Hurt { hurt: memory::blast::own(node, slot) },
        PeerRequest::DownFor { slot } => {
            let ms = node.down_for(slot).map(|time| u64::try_from(time.as_millis()));
            PeerReply::DownFor { ms: ms.map(|ms| ms.unwrap_or(u64::MAX)) }
        }
        _ => nonsense(),
    }
}

/// Of [`handle`]: processes and what is left of them.
fn handle_process(node: &Arc<Node>, request: PeerRequest) -> PeerReply {
    match request {
        PeerRequest::Migrate { process, to } => {
            answer(moves::migrate(node, process, to), PeerReply::Moved)
        }
        PeerRequest::Command { process, command } => {
            node.commands.note(process, command);
            PeerReply::Done
        }
        PeerRequest::Explain { process } => {
            answer(moves::explain(node, process), PeerReply::Explained)
        }
        PeerRequest::Signal { job, signal } => {
            let error = |e: anyhow::Error| ApiError::new(Code::Failure, "can't signal", e);
            let told = end::signal(node, job, signal).map_err(error);
            answer(told, |has| PeerReply::HasProcesses { has })
        }
        PeerRequest::Forget { job, restarts } => {
            let error = |e: anyhow::Error| ApiError::new(Code::Failure, "can't end the job", e);
            answer(end::forget(node, job, restarts).map_err(error), |()| PeerReply::Done)
        }
        PeerRequest::Killed { job } => {
            end::killed(node, job);
            PeerReply::Done
        }
        PeerRequest::Cordon { slot, word } => {
            local::cordon(node, slot, word);
            PeerReply::Done
        }
        PeerRequest::Left => answer(local::left(node), PeerReply::Left),
        PeerRequest::Tidy => {
            local::tidy(node);
            PeerReply::Done
        }
        PeerRequest::HasProcesses { job } => {
            let has = node.inits.get(job).is_some_and(|init| !init.is_empty());
            PeerReply::HasProcesses { has }
        }
        _ => nonsense(),
    }
}

/// What this node knows, for a peer.
pub(crate) fn own_hello(node: &Node, to: u32) -> Hello {
    let given_up = memory::verdict::given_up(node, to);
    let state = node.state();
    Hello {
        version: env!("CARGO_PKG_VERSION").into(),
        life: node.life,
        records: state.jobs.all().cloned().collect(),
        job_max: state.jobs.number_max(),
        cordons: state.cordons.words(),
        given_up,
    }
}

/// Learns what another node knows.
pub(crate) fn take_hello(node: &Arc<Node>, from: u32, hello: &Hello) {
    if hello.version != env!("CARGO_PKG_VERSION") {
        log::warn!("a peer's holond has version {}, this one another", hello.version);
    }
    node.state().jobs.note_number(hello.job_max);
    for (slot, word) in &hello.cordons {
        local::cordon(node, *slot, word.clone());
    }
    let old_life = node.state().lives.insert(from, hello.life);
    if old_life.is_some_and(|life| life != hello.life) {
        input::home_restarted(node, from);
    }
    if let Some(lives) = &hello.given_up {
        memory::verdict::heard(node, from, lives);
    }
    merge::take(node, hello.records.clone());
}
