//! Who decides about the jobs of a home that is gone, and how.
//!
//! Nothing is decided by an event: each second the lowest node that is up looks at every record and
//! does what is due, so a word that was lost or a decider that died only costs time.
//!
//! 1. A home counts as gone when more than half of the configured nodes have seen it down for the
//!    fence's time. It then had no quorum for long enough to notice it and to end its restartable
//!    jobs. One cut link is no such thing: somebody still sees the home.
//! 2. The new home asks for these votes itself, and then for the word of more than half that they
//!    have taken its record. Of two that try at once, one at most gets that; a later one meets
//!    somebody who knows the record. Only then does it start the command.
//!
//! A home's own word that it does not run a job ([`JobState::Fenced`]) stands for the votes in 1.

use super::end;
use super::lost::FENCE_TIME;
use super::record::{JobRecord, JobState};
use super::start;
use crate::node::{Node, ACTION_TIME, ANSWER_TIME};
use crate::nodes;
use crate::peer::message::{PeerReply, PeerRequest};
use crate::tasks;
use holon_api::request::Restart;
use holon_api::rows::EventRow;
use holon_api::{ApiError, Code};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Decisions under way at once.
const DECIDING_MAX: usize = 8;
/// Between two tries to decide about one job.
const RETRY_TIME: Duration = Duration::from_secs(3);

/// What a node says of a run of a job.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Vote {
    /// For how long it has seen the job's home down; none: it sees it.
    pub(crate) down_ms: Option<u64>,
    /// The home itself has given this run up.
    pub(crate) is_fenced: bool,
    /// It knows of a later run, or of the job's end.
    pub(crate) later: Option<Box<JobRecord>>,
}

impl Vote {
    /// Whether the home counts as gone for this node: since before the question, `elapsed` ago.
    fn is_yes(&self, fence: Duration, elapsed: Duration) -> bool {
        let enough = |ms| Duration::from_millis(ms) >= fence.saturating_add(elapsed);
        self.later.is_none() && (self.is_fenced || self.down_ms.is_some_and(enough))
    }
}

/// What this node has to say.
pub(crate) fn vote(node: &Node, job: u32, restarts: u32, home: u32) -> Vote {
    let down = node.down_for(home);
    own_vote(node.job(job), restarts, home, down)
}

fn own_vote(known: Option<JobRecord>, restarts: u32, home: u32, down: Option<Duration>) -> Vote {
    let down_ms = down.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let Some(known) = known.filter(|known| known.restarts >= restarts) else {
        return Vote { down_ms, ..Vote::default() };
    };
    let is_fenced = known.state == JobState::Fenced;
    if known.restarts > restarts || known.home != home || (known.state.is_over() && !is_fenced) {
        return Vote { later: Some(Box::new(known)), ..Vote::default() };
    }
    Vote { down_ms, is_fenced, later: None }
}

/// Looks at all jobs; called each second.
pub(crate) fn look(node: &Arc<Node>) {
    let is_lowest = node.all_up().first() == Some(&node.own());
    if !is_lowest || !node.has_quorum() || !node.has_heard() {
        return;
    }
    for record in due(node) {
        let job = record.job;
        {
            let mut state = node.state();
            if state.deciding.len() >= DECIDING_MAX || !state.deciding.insert(job) {
                continue;
            }
        }
        let node = node.clone();
        tasks::spawn(move || {
            decide(&node, &record);
            std::thread::sleep(node.time(RETRY_TIME));
            node.state().deciding.remove(&job);
        });
    }
    ask_homes(node);
}

/// Jobs that somebody has to decide about.
fn due(node: &Node) -> Vec<JobRecord> {
    let fence = node.time(FENCE_TIME);
    let is_gone = |slot| node.down_for(slot).is_some_and(|down| down >= fence);
    let gone: Vec<u32> =
        node.config.nodes.iter().map(|n| n.slot).filter(|slot| is_gone(*slot)).collect();
    let state = node.state();
    let is_due = |r: &&JobRecord| {
        r.state == JobState::Fenced || (!r.state.is_over() && gone.contains(&r.home))
    };
    state.jobs.all().filter(is_due).cloned().collect()
}

fn decide(node: &Arc<Node>, record: &JobRecord) {
    if record.restart == Restart::Exec {
        propose(node, record);
    } else if is_gone(node, record) {
        give_up(node, record.clone());
    }
}

/// Homes that came up again, and now and then all, are asked whether they still have their jobs.
fn ask_homes(node: &Arc<Node>) {
    let homes: Vec<u32> = {
        let state = node.state();
        state.doubtful.intersection(&state.greeted).copied().collect()
    };
    for home in homes {
        // Asked again when it comes up again; what does not answer now is asked next time.
        node.state().doubtful.remove(&home);
        let node = node.clone();
        tasks::spawn(move || {
            let alive = node.state().jobs.alive_at(home);
            if !alive.iter().all(|record| ask_home(&node, record)) && node.is_up(home) {
                node.state().doubtful.insert(home);
            }
        });
    }
}

/// Asks a job's home for it. If it does not know the job nothing of it runs there. False if it does
/// not say.
fn ask_home(node: &Arc<Node>, record: &JobRecord) -> bool {
    let (job, restarts) = (record.job, record.restarts);
    match node.ask(record.home, PeerRequest::Job { job }, &[], ANSWER_TIME) {
        Ok(PeerReply::Job { record: Some(known) }) => {
            super::merge::take(node, vec![*known]);
            true
        }
        Ok(PeerReply::Job { record: None }) => {
            let forget = PeerRequest::Forget { job, restarts };
            if let Err(error) = node.ask(record.home, forget, &[], ACTION_TIME) {
                log::warn!("job {job} is not known to have ended: {error}");
                return false;
            }
            let mut given_up = record.clone();
            given_up.revision += 1;
            given_up.status = Some(holon_api::EXIT_NODE_LOST);
            if record.restart == Restart::Exec {
                given_up.state = JobState::Fenced;
                node.publish(given_up);
            } else {
                give_up(node, record.clone());
            }
            true
        }
        Ok(_) => true,
        Err(error) => {
            log::info!("job {job}: its home does not say: {error}");
            false
        }
    }
}

/// Tells everybody that a job is lost for good.
fn give_up(node: &Arc<Node>, mut record: JobRecord) {
    let (job, home) = (record.job, record.home);
    record.state = JobState::Lost;
    record.revision += 1;
    record.status = Some(holon_api::EXIT_NODE_LOST);
    if !node.publish(record) {
        return;
    }
    node.note(EventRow {
        kind: "job-lost".into(),
        job: Some(job),
        from: Some(node.config.name(home)),
        reason: Some("its home was lost".into()),
        ..EventRow::default()
    });
}

/// Finds a new home for a job and has it try.
fn propose(node: &Arc<Node>, record: &JobRecord) {
    let job = record.job;
    let mut record = record.clone();
    record.home = candidate(node);
    record.restarts += 1;
    record.revision += 1;
    record.state = JobState::Starting;
    record.main_pid = 0;
    record.status = None;
    let home = record.home;
    let request = PeerRequest::TakeOver { record: Box::new(record) };
    match node.ask(home, request, &[], ACTION_TIME) {
        Ok(PeerReply::Done) => {}
        Ok(_) => log::warn!("job {job} was not taken over: nonsense for an answer"),
        Err(error) => log::info!("job {job} was not taken over: {error}"),
    }
}

fn candidate(node: &Node) -> u32 {
    let state = node.state();
    let is_open = |slot: &u32| {
        let is_up = *slot == node.own() || state.up.contains(slot);
        is_up && !state.cordons.has(*slot)
    };
    let open = state.infos.iter().filter(|(slot, _)| is_open(slot));
    let candidates: Vec<_> = open.map(|(slot, info)| (*slot, info.clone(), info.jobs)).collect();
    nodes::best(&candidates, 0).unwrap_or(node.own())
}

/// Whether the run that a record tells of is gone, by the votes of more than half of all nodes.
fn is_gone(node: &Arc<Node>, record: &JobRecord) -> bool {
    let JobRecord { job, restarts, home, .. } = *record;
    let begin = Instant::now();
    let fence = node.time(FENCE_TIME);
    let request = PeerRequest::Vote { job, restarts, home };
    let mut yes = 0;
    for (_, reply) in node.ask_each(&node.all_up(), &request, ANSWER_TIME) {
        let Ok(PeerReply::Vote(mut vote)) = reply else { continue };
        if vote.is_yes(fence, begin.elapsed()) {
            yes += 1;
        }
        if let Some(later) = vote.later.take() {
            super::merge::take(node, vec![*later]);
            return false;
        }
    }
    node.config.is_majority(yes)
}

/// This node is to be a job's new home.
pub(crate) fn taken_over(node: &Arc<Node>, record: JobRecord) -> Result<(), ApiError> {
    let job = record.job;
    let refuse =
        |why: String| ApiError::new(Code::Refused, format!("can't run job {job} again"), why);
    let before = match node.job(job).filter(|known| known.restarts + 1 == record.restarts) {
        Some(before) => before,
        None => return Err(refuse("another run of it is known here".into())),
    };
    if !is_gone(node, &before) {
        return Err(refuse("more than half of the nodes must have seen its home down".into()));
    }
    end::forget(node, job, before.restarts).map_err(|error| refuse(format!("{error:#}")))?;
    if !node.state().jobs.merge(record.clone()) {
        return Err(refuse("something newer is known here".into()));
    }
    if !is_accepted(node, &record) {
        let reason = "no quorum for its new home";
        end::over(node, job, JobState::Fenced, Some(reason.into()));
        return Err(refuse(reason.into()));
    }
    let Some(mut spec) = record.spec.as_deref().cloned() else {
        end::over(node, job, JobState::Lost, Some("its command is not known".into()));
        return Ok(());
    };
    // The terminal and the client went down with the old home.
    spec.terminal = None;
    let result = start::start_record(node, &record, spec, None, Vec::new());
    if let Err(error) = &result {
        end::over(node, job, JobState::Lost, Some(error.to_string()));
    }
    result.map(drop)
}

/// Whether more than half of all nodes know this run now.
fn is_accepted(node: &Arc<Node>, record: &JobRecord) -> bool {
    let peers: Vec<u32> = node.all_up().into_iter().filter(|slot| *slot != node.own()).collect();
    let request = PeerRequest::Accept { record: Box::new(record.clone()) };
    let replies = node.ask_each(&peers, &request, ANSWER_TIME);
    let accepted = replies.iter().filter(|(_, reply)| matches!(reply, Ok(PeerReply::Done))).count();
    node.config.is_majority(accepted + 1)
}

/// Takes a run's record, unless another is known.
pub(crate) fn accept(node: &Arc<Node>, record: JobRecord) -> Result<(), ApiError> {
    let (job, home, restarts) = (record.job, record.home, record.restarts);
    super::merge::take(node, vec![record]);
    let is_it = |known: JobRecord| (known.home, known.restarts) == (home, restarts);
    match node.job(job).is_some_and(is_it) {
        true => Ok(()),
        false => {
            let what = format!("can't take the record of job {job}");
            Err(ApiError::new(Code::Refused, what, "another run is known"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::record::tests::record;

    const FENCE: Duration = Duration::from_secs(6);

    fn down(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    #[test]
    fn one_cut_link_is_no_majority() {
        // Nodes 1 and 2 don't see each other, node 3 sees both; the job is at home on node 1.
        let of_node2 = own_vote(Some(record(7, 0)), 0, 0, down(60));
        let of_node3 = own_vote(Some(record(7, 0)), 0, 0, None);
        let yes = |vote: &Vote| vote.is_yes(FENCE, Duration::ZERO);
        assert_eq!([yes(&of_node2), yes(&of_node3)], [true, false]);
    }

    #[test]
    fn the_fence_must_be_over_before_the_question() {
        let vote = own_vote(Some(record(7, 0)), 0, 0, down(7));
        assert!(vote.is_yes(FENCE, Duration::from_secs(1)));
        assert!(!vote.is_yes(FENCE, Duration::from_secs(2)));
    }

    #[test]
    fn later_runs_and_ends_are_told() {
        let mut known = record(7, 2);
        known.restarts = 1;
        let vote = own_vote(Some(known.clone()), 0, 0, down(60));
        assert!(vote.later.is_some() && !vote.is_yes(FENCE, Duration::ZERO));
        let vote = own_vote(Some(known.clone()), 1, 0, down(60));
        assert!(vote.later.is_some(), "the same run with another home");
        assert!(own_vote(Some(known.clone()), 1, 2, down(60)).is_yes(FENCE, Duration::ZERO));
        known.state = JobState::Ended;
        assert!(own_vote(Some(known.clone()), 1, 2, down(60)).later.is_some());
        known.state = JobState::Fenced;
        let vote = own_vote(Some(known), 1, 2, None);
        assert!(vote.is_yes(FENCE, Duration::ZERO), "the home's own word");
        assert!(own_vote(None, 0, 0, down(60)).is_yes(FENCE, Duration::ZERO), "it knows the home");
    }
}
