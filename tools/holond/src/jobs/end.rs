//! How a job ends: its command, then its last process anywhere, then its namespaces everywhere.

use super::handle::{InitHandle, InitNews};
use super::inits;
use super::lost;
use super::record::{JobRecord, JobState};
use crate::cgroup::{self, Instance};
use crate::node::{Node, ACTION_TIME, ANSWER_TIME};
use crate::peer::message::{PeerReply, PeerRequest};
use crate::tasks;
use holon_api::rows::EventRow;
use holon_api::ProcessId;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SIGNAL_BASE: i32 = 128;

/// A wait status as a shell tells it.
pub(crate) fn status_code(status: i32) -> i32 {
    if libc::WIFEXITED(status) {
        libc::WEXITSTATUS(status)
    } else {
        SIGNAL_BASE + libc::WTERMSIG(status)
    }
}

/// A job's init on this node says something.
pub(crate) fn on_news(node: &Arc<Node>, init: &InitHandle, news: InitNews) {
    let job = init.instance.job;
    match news {
        InitNews::Exited(pid, status) => {
            let pid = pid.unsigned_abs();
            if node.state().jobs.command_ended(node.own(), job, pid, status) {
                // May wait for the module's word about a lost node, so not on the reader's thread.
                let node = node.clone();
                tasks::spawn(move || main_ended(&node, job, pid, status));
            }
        }
        InitNews::Count => {
            let is_finishing = |r: JobRecord| r.state == JobState::Finishing;
            if node.job(job).is_some_and(is_finishing) {
                let node = node.clone();
                tasks::spawn(move || finish_if_empty(&node, job));
            }
        }
        InitNews::Gone => init_gone(node, init),
    }
}

/// The job's first process ended.
pub(crate) fn main_ended(node: &Arc<Node>, job: u32, pid: u32, status: i32) {
    let code = status_code(status);
    let lost = code == holon_api::EXIT_NODE_LOST && lost::was_lost(node, job, pid);
    if lost && lost::run_again_here(node, job) {
        return;
    }
    let mut is_over = true;
    node.change_job(job, |r| {
        is_over = r.state.is_over();
        if !is_over {
            r.state = JobState::Finishing;
            r.status = Some(code);
        }
    });
    if is_over {
        return;
    }
    let note = lost.then(|| "the node that it ran on was lost".to_owned());
    if let Some(session) = node.sessions.of_job(job) {
        session.finish(node, code, note);
    }
    finish_if_empty(node, job);
}

/// Ends a job of ours whose command has ended, if no process of it is left anywhere.
pub(crate) fn finish_if_empty(node: &Arc<Node>, job: u32) {
    let ours = |r: &JobRecord| r.home == node.own() && r.state == JobState::Finishing;
    let is_finishing = node.job(job).as_ref().is_some_and(ours);
    let is_empty_here = node.inits.get(job).is_none_or(|init| init.is_empty());
    if !is_finishing || !is_empty_here {
        return;
    }
    let peers: Vec<u32> = node.state().up.iter().copied().collect();
    let request = PeerRequest::HasProcesses { job };
    for (_, reply) in node.ask_each(&peers, &request, ANSWER_TIME) {
        // Who does not answer is asked again at the next tick; who died has none.
        match reply {
            Ok(PeerReply::HasProcesses { has: false }) | Err(crate::peer::rpc::CallError::Down) => {
            }
            _ => return,
        }
    }
    over(node, job, JobState::Ended, None);
}

/// A job of ours is over: tells everybody and clears up.
pub(crate) fn over(node: &Arc<Node>, job: u32, state: JobState, reason: Option<String>) {
    let mut first = false;
    let changed = node.change_job(job, |r| {
        first = !r.state.is_over();
        r.state = state;
    });
    let Some(record) = changed.filter(|_| first) else {
        return;
    };
    let restarts = record.restarts;
    forget_logged(node, job, restarts);
    node.state().prepared.remove(&job);
    node.tell_peers(PeerRequest::Forget { job, restarts });
    let status = record.status.map(|status| format!("status {status}"));
    node.note(EventRow {
        kind: event_kind(state).into(),
        job: Some(job),
        reason: reason.or(status),
        ..EventRow::default()
    });
}

fn event_kind(over: JobState) -> &'static str {
    match over {
        JobState::Lost => "job-lost",
        JobState::Fenced => "job-fenced",
        JobState::Starting | JobState::Running | JobState::Finishing | JobState::Ended => {
            "job-ended"
        }
    }
}

/// Ends what is left on this node of a job's runs up to this one. After success no process of them
/// runs here. Meanwhile no init of the job can be made here; that of a later run is left alone.
pub(crate) fn forget(node: &Arc<Node>, job: u32, upto: u32) -> anyhow::Result<()> {
    node.inits.with(job, |slot| {
        let is_old = slot.get().is_some_and(|init| init.instance.restarts <= upto);
        if is_old {
            slot.set(None);
        }
        let old = cgroup::instances_of(job, upto);
        let is_free = slot.get().is_none();
        if is_free {
            node.restartables.drop_job(job);
        }
        if !is_old && old.is_empty() {
            return Ok(());
        }
        let is_empty = clear_away(&old, node.time(ACTION_TIME));
        if let Some(device) = node.device.as_ref().filter(|_| is_free) {
            // ENOENT: the module has seen the init's end itself.
            let _ = device.job_del(job);
        }
        anyhow::ensure!(is_empty, "processes of job {job} on {} do not end", node.name());
        Ok(())
    })
}

/// Begins the end of instances: nobody waits for it here.
pub(crate) fn kill_all(instances: &[Instance]) {
    for instance in instances {
        // ENOENT: it has gone by itself.
        let _ = cgroup::kill(*instance);
    }
}

/// Ends instances and removes what they leave. False if their processes don't end in time.
pub(crate) fn clear_away(instances: &[Instance], time: Duration) -> bool {
    kill_all(instances);
    let end = Instant::now() + time;
    let left = |end: Instant| end.saturating_duration_since(Instant::now());
    let is_empty = instances.iter().all(|instance| cgroup::wait_empty(*instance, left(end)));
    instances.iter().copied().for_each(inits::forget_files);
    is_empty
}

/// [`forget`] where nobody waits for the outcome.
pub(crate) fn forget_logged(node: &Arc<Node>, job: u32, upto: u32) {
    if let Err(error) = forget(node, job, upto) {
        log::warn!("{error:#}");
    }
}

/// The init is gone: killed with its job, or by somebody.
fn init_gone(node: &Arc<Node>, init: &InitHandle) {
    let (job, pid, upto) = (init.instance.job, init.pid, init.instance.restarts);
    let node = node.clone();
    tasks::spawn(move || {
        let was_current = node.inits.with(job, |slot| {
            let is_it = slot.get().is_some_and(|init| init.pid == pid);
            if is_it {
                slot.set(None);
            }
            is_it
        });
        if !was_current {
            return;
        }
        forget_logged(&node, job, upto);
        let Some(record) = node.job(job) else { return };
        if record.home != node.own() || record.state.is_over() {
            return;
        }
        let killed = SIGNAL_BASE + libc::SIGKILL;
        node.change_job(job, |r| r.status = r.status.or(Some(killed)));
        // First: a client may take its time to read what is left.
        over(&node, job, JobState::Ended, Some("its init was killed".into()));
        if let Some(session) = node.sessions.of_job(job) {
            session.finish(&node, killed, Some("the job was ended as a whole".into()));
        }
    });
}

/// Sends a signal to a job's processes here; whether there are any.
pub(crate) fn signal(node: &Node, job: u32, signal: i32) -> anyhow::Result<bool> {
    use crate::init::proto::{InitReply, InitRequest};
    let Some(init) = node.inits.get(job) else {
        return Ok(false);
    };
    match init.call(&InitRequest::Signal { pid: -1, signal }, &[], node.time(ANSWER_TIME))? {
        InitReply::Failed { errno: libc::ESRCH, .. } => Ok(false),
        InitReply::Failed { errno, .. } => {
            anyhow::bail!("{}", nix::errno::Errno::from_raw(errno).desc())
        }
        _ => Ok(true),
    }
}

/// A job that was killed has no process anywhere: its record ends too, lest it be run again.
pub(crate) fn killed(node: &Arc<Node>, job: u32) {
    let Some(mut record) = node.job(job) else { return };
    if record.home == node.own() && !record.state.is_over() {
        return over(node, job, JobState::Ended, Some("it was killed".into()));
    }
    record.state = JobState::Ended;
    record.status = Some(SIGNAL_BASE + libc::SIGKILL);
    record.revision += 1;
    node.publish(record);
}

/// The name of a process in an event.
pub(crate) fn process(job: u32, pid: i32) -> ProcessId {
    ProcessId { job, pid: pid.unsigned_abs() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_as_a_shell_tells_them() {
        assert_eq!(status_code(0), 0);
        assert_eq!(status_code(7 << 8), 7);
        assert_eq!(status_code(9), 137);
        assert_eq!(status_code(11 | 0x80), 139);
        assert_eq!(status_code(245 << 8), holon_api::EXIT_NODE_LOST);
    }
}
