//! Taking in what another node says of jobs.

use super::end;
use super::record::JobRecord;
use crate::node::Node;
use crate::peer::message::PeerRequest;
use crate::tasks;
use std::sync::Arc;

/// What becomes of a record from another node.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It replaces what is known.
    Take,
    /// Not news.
    Drop,
    /// It says that a job is over which runs here: our record must win, from this revision on.
    Defend(u32),
    /// It tells of a job of this node that this node does not know: of an earlier life. Whoever saw
    /// the end of that life decides what becomes of it.
    EarlierLife,
}

fn verdict(known: Option<&JobRecord>, said: &JobRecord, own: u32) -> Verdict {
    let Some(known) = known else {
        let is_ours = said.home == own && !said.state.is_over();
        return if is_ours { Verdict::EarlierLife } else { Verdict::Take };
    };
    let is_ours = known.home == own && !known.state.is_over();
    let same_run = said.restarts == known.restarts && said.home == own;
    if is_ours && same_run && said.state.is_over() {
        return match said.revision >= known.revision {
            true => Verdict::Defend(said.revision + 1),
            false => Verdict::Drop,
        };
    }
    if said.is_newer_than(known) {
        Verdict::Take
    } else {
        Verdict::Drop
    }
}

/// Takes records; what they put an end to here is ended.
pub(crate) fn take(node: &Arc<Node>, records: Vec<JobRecord>) {
    for record in records {
        let (job, home, over, restarts) =
            (record.job, record.home, record.state.is_over(), record.restarts);
        if super::adopt::claim(node, &record) {
            continue;
        }
        let old = {
            let mut state = node.state();
            let old = state.jobs.get(job).cloned();
            match verdict(old.as_ref(), &record, node.own()) {
                Verdict::Take => drop(state.jobs.merge(record)),
                Verdict::Drop => continue,
                Verdict::EarlierLife => {
                    state.jobs.note_number(job);
                    continue;
                }
                Verdict::Defend(revision) => {
                    let defended = state.jobs.change(job, |r| r.revision = revision);
                    drop(state);
                    let records = defended.into_iter().collect();
                    node.tell_peers(PeerRequest::Jobs { records });
                    continue;
                }
            }
            old
        };
        let was_ours = old.as_ref().is_some_and(|old| old.home == node.own());
        let moved_from = old.filter(|old| old.home != home).map(|old| old.restarts);
        if let Some(upto) = if over { Some(restarts) } else { moved_from } {
            let node = node.clone();
            tasks::spawn(move || {
                end::forget_logged(&node, job, upto);
                if let Some(session) = node.sessions.of_job(job).filter(|_| was_ours) {
                    let note = format!("it runs again on {}", node.config.name(home));
                    session.finish(&node, holon_api::EXIT_NODE_LOST, Some(note));
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::record::tests::record;
    use crate::jobs::record::JobState;

    #[test]
    fn nobody_else_ends_a_job_that_runs_here() {
        let ours = record(3, 0);
        let mut said = JobRecord { state: JobState::Lost, revision: 1, ..record(3, 0) };
        assert_eq!(verdict(Some(&ours), &said, 0), Verdict::Defend(2));
        said.revision = 0;
        assert_eq!(verdict(Some(&ours), &said, 0), Verdict::Defend(1), "both changed it");
        assert_eq!(verdict(Some(&ours), &said, 1), Verdict::Drop, "not its home");
        let ahead = JobRecord { revision: 5, ..record(3, 0) };
        assert_eq!(verdict(Some(&ahead), &said, 0), Verdict::Drop);
        let ended = JobRecord { state: JobState::Ended, ..record(3, 0) };
        assert_eq!(verdict(Some(&ended), &said, 0), Verdict::Drop);
    }

    #[test]
    fn a_later_run_wins_even_here() {
        let ours = record(3, 0);
        let later = JobRecord { restarts: 1, ..record(3, 1) };
        assert_eq!(verdict(Some(&ours), &later, 0), Verdict::Take);
        assert_eq!(verdict(Some(&later), &ours, 0), Verdict::Drop);
    }

    #[test]
    fn jobs_of_an_earlier_life_are_not_ours() {
        assert_eq!(verdict(None, &record(3, 0), 0), Verdict::EarlierLife);
        assert_eq!(verdict(None, &record(3, 1), 0), Verdict::Take);
        let over = JobRecord { state: JobState::Lost, ..record(3, 0) };
        assert_eq!(verdict(None, &over, 0), Verdict::Take);
    }
}
