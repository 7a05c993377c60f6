//! Moving a process whose body is here, and telling why it can't move.

use crate::local;
use crate::node::{Node, ANSWER_TIME};
use crate::peer::message::PeerRequest;
use crate::tasks;
use holon_api::rows::{EventRow, Explanation, Moved, Reason};
use holon_api::{ApiError, Code, ProcessId};
use holon_uapi::proc::{self as uapi, EvMigrated};
use nix::errno::Errno;
use sched_migrate::Failure;
use std::collections::HashMap;
use std::sync::mpsc::{sync_channel, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Bound of one move, at timescale 1.
const MOVE_TIME: Duration = Duration::from_secs(30);

/// Attempts that somebody waits for, and results that came before anybody did.
#[derive(Default)]
pub(crate) struct Moves {
    inner: Mutex<HashMap<u64, Attempt>>,
}

enum Attempt {
    Awaited(SyncSender<EvMigrated>),
    Over(EvMigrated),
}

impl Moves {
    fn wait_for(&self, attempt: u64) -> Receiver<EvMigrated> {
        let (sender, receiver) = sync_channel(1);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        match inner.remove(&attempt) {
            Some(Attempt::Over(event)) => drop(sender.try_send(event)),
            Some(Attempt::Awaited(_)) | None => {
                inner.insert(attempt, Attempt::Awaited(sender));
            }
        }
        receiver
    }

    fn forget(&self, attempt: u64) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).remove(&attempt);
    }

    fn over(&self, event: EvMigrated) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        match inner.remove(&event.attempt) {
            Some(Attempt::Awaited(sender)) => drop(sender.try_send(event)),
            Some(Attempt::Over(_)) | None => {
                inner.insert(event.attempt, Attempt::Over(event));
            }
        }
    }
}

fn pid_of(process: ProcessId) -> i32 {
    i32::try_from(process.pid).unwrap_or(0)
}

/// Moves a process whose body is on this node.
pub(crate) fn migrate(node: &Arc<Node>, process: ProcessId, to: u32) -> Result<Moved, ApiError> {
    let what = format!("can't move {process}");
    let refuse = |why: String| ApiError::new(Code::Refused, what.clone(), why);
    let Some(device) = &node.device else {
        let why = format!("{}: {}", node.name(), node.module_problem);
        return Err(ApiError::new(Code::NotReady, what, why));
    };
    let names = (node.name().to_owned(), node.config.name(to));
    check_target(node, process, to).map_err(refuse)?;
    let time = node.time(MOVE_TIME);
    note(node, "migrate-start", process, to, None);
    tell_command(node, process, to);
    let attempt = match device.migrate(process.job, pid_of(process), to, time) {
        Ok(attempt) => attempt,
        Err((errno, _)) => {
            let error = refusal(node, process, errno);
            note(node, "migrate-refused", process, to, Some(error.why.clone()));
            return Err(error);
        }
    };
    let over = node.moves.wait_for(attempt);
    let result = over.recv_timeout(time * 2);
    node.moves.forget(attempt);
    let Ok(event) = result else {
        return Err(ApiError::new(Code::TimedOut, what, "the module has not told the end of it"));
    };
    match outcome(&event) {
        None => Ok(Moved {
            process,
            from: names.0,
            to: names.1,
            freeze_us: event.freeze_us,
            total_us: event.total_us,
        }),
        Some((code, why)) => {
            let why = match reasons(node, process) {
                reasons if event.outcome == uapi::MIG_NOT_ELIGIBLE && !reasons.is_empty() => {
                    sentence(&reasons)
                }
                _ => why,
            };
            let error = ApiError::new(code, what, why);
            Err(match code {
                Code::NotFound => error,
                _ => error.fix("it goes on where it was"),
            })
        }
    }
}

/// Has the target know the command line: there it is in memory that is still here.
fn tell_command(node: &Arc<Node>, process: ProcessId, to: u32) {
    let Some(row) = local::numbered_rows(node).into_values().find(|row| row.id == process) else {
        return;
    };
    let node = node.clone();
    tasks::spawn(move || {
        let request = PeerRequest::Command { process, command: row.command };
        if let Err(error) = node.ask(to, request, &[], ANSWER_TIME) {
            log::info!("{} does not know what {process} is called: {error}", node.config.name(to));
        }
    });
}

fn check_target(node: &Node, process: ProcessId, to: u32) -> Result<(), String> {
    let name = node.config.name(to);
    if to == node.own() {
        return Err(format!("it is on {name} already"));
    }
    if !node.is_up(to) {
        return Err(format!("{name} is down"));
    }
    let state = node.state();
    // What comes home is no new work. The target's kernel has the last word.
    match state.cordons.why(to) {
        Some(reason) if process.origin_slot() != to => {
            Err(format!("{name} is cordoned: {reason} ({})", Failure::Cordoned.name()))
        }
        _ => Ok(()),
    }
}

fn refusal(node: &Node, process: ProcessId, errno: Errno) -> ApiError {
    let what = format!("can't move {process}");
    let error = |code, why: &str| ApiError::new(code, what.clone(), why);
    match errno {
        Errno::EPERM => {
            let reasons = reasons(node, process);
            error(Code::Refused, &sentence(&reasons))
                .fix(format!("see `clusterctl explain {process}`"))
        }
        Errno::ESRCH | Errno::ENOENT => error(Code::NotFound, "no such process here"),
        Errno::EBUSY | Errno::EALREADY | Errno::EINPROGRESS => {
            error(Code::Refused, "it is being moved already, or its memory is still on its way")
                .fix("try again when that has ended")
        }
        Errno::ESTALE => error(Code::Refused, "it has just moved to another node")
            .fix("see where it is with `clusterctl ps`, and try again"),
        Errno::EPROTO => {
            let failure = Failure::Version;
            error(Code::Refused, &format!("{failure} ({})", failure.name()))
                .fix("install the same packages on both nodes")
        }
        Errno::EHOSTDOWN | Errno::EHOSTUNREACH | Errno::ENOTCONN => {
            error(Code::Refused, "the target is down")
        }
        other => error(Code::Failure, other.desc()),
    }
}

fn sentence(reasons: &[Reason]) -> String {
    if reasons.is_empty() {
        return "it can't move now".into();
    }
    let texts: Vec<String> = reasons.iter().map(|r| format!("{} ({})", r.text, r.name)).collect();
    texts.join("; ")
}

fn reasons(node: &Node, process: ProcessId) -> Vec<Reason> {
    let Some(device) = &node.device else {
        return Vec::new();
    };
    let lines = device.explain(process.job, pid_of(process)).unwrap_or_default();
    lines.iter().map(|line| reason(line)).collect()
}

fn reason(line: &str) -> Reason {
    let (name, text) = line.split_once(": ").unwrap_or((line, line));
    Reason { name: name.trim().into(), text: text.trim().into() }
}

/// Tells whether a process whose body is here could move.
pub(crate) fn explain(node: &Node, process: ProcessId) -> Result<Explanation, ApiError> {
    let what = format!("can't explain {process}");
    let Some(device) = &node.device else {
        return Err(ApiError::new(Code::NotReady, what, &node.module_problem));
    };
    match device.explain(process.job, pid_of(process)) {
        Ok(lines) => Ok(Explanation {
            process,
            node: node.name().into(),
            movable: lines.is_empty(),
            reasons: lines.iter().map(|line| reason(line)).collect(),
        }),
        Err(Errno::ESRCH | Errno::ENOENT) => {
            Err(ApiError::new(Code::NotFound, what, "no such process"))
        }
        Err(errno) => Err(ApiError::new(Code::Failure, what, errno.desc())),
    }
}

/// Why a move did not happen; none if it did.
fn outcome(event: &EvMigrated) -> Option<(Code, String)> {
    let failure = Failure::from_number(u16::try_from(event.detail).unwrap_or(0));
    Some(match event.outcome {
        uapi::MIG_DONE => return None,
        uapi::MIG_NOT_ELIGIBLE => (Code::Refused, "it can't move".into()),
        uapi::MIG_REFUSED => {
            (Code::Refused, format!("the target refused: {failure} ({})", failure.name()))
        }
        uapi::MIG_TIMEOUT => (Code::TimedOut, "the target did not answer in time".into()),
        uapi::MIG_PEER_DOWN => (Code::Refused, "the target is down".into()),
        uapi::MIG_EXITED => (Code::NotFound, "it ended meanwhile".into()),
        uapi::MIG_NOT_PARKED => {
            (Code::Refused, "it could not be stopped in time (uninterruptible or traced)".into())
        }
        uapi::MIG_LOCAL => {
            (Code::Failure, format!("a step on this node failed: {failure} ({})", failure.name()))
        }
        uapi::MIG_LOST => (Code::Failure, "another node had it already".into()),
        other => (Code::Failure, format!("unknown outcome {other}")),
    })
}

fn note(node: &Node, kind: &str, process: ProcessId, to: u32, reason: Option<String>) {
    node.note(EventRow {
        kind: kind.into(),
        process: Some(process),
        job: Some(process.job),
        from: Some(node.name().into()),
        to: Some(node.config.name(to)),
        reason,
        ..EventRow::default()
    });
}

/// The module tells the end of a move that began here.
pub(crate) fn on_migrated(node: &Node, event: EvMigrated) {
    let why = outcome(&event);
    let done = why.is_none();
    node.note(EventRow {
        kind: if done { "migrate-done" } else { "migrate-failed" }.into(),
        process: Some(crate::jobs::end::process(event.job, event.pid)),
        job: Some(event.job),
        from: Some(node.config.name(event.from)),
        to: Some(node.config.name(event.to)),
        reason: why.map(|(_, why)| why),
        freeze_us: done.then_some(event.freeze_us),
        total_us: done.then_some(event.total_us),
        ..EventRow::default()
    });
    node.moves.over(event);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_a_name_and_a_text() {
        let parsed = reason("threads: it has 3 threads");
        assert_eq!((parsed.name.as_str(), parsed.text.as_str()), ("threads", "it has 3 threads"));
        assert_eq!(reason("odd").name, "odd");
        let text = sentence(&[reason("a: b"), reason("c: d")]);
        assert_eq!(text, "b (a); d (c)");
    }

    #[test]
    fn a_result_may_come_before_its_waiter() {
        let moves = Moves::default();
        let event = EvMigrated {
            attempt: 7,
            job: 1,
            pid: 2,
            from: 0,
            to: 1,
            outcome: 0,
            detail: 0,
            epoch: 1,
            freeze_us: 5,
            total_us: 6,
        };
        moves.over(event);
        let waited = moves.wait_for(7).recv_timeout(Duration::from_secs(5));
        assert_eq!(waited.map(|e| e.freeze_us), Ok(5));
    }
}
