//! All jobs that a node knows of, and the numbers for new ones.

use super::record::{JobRecord, JobState};
use holon_api::id::SLOTS_MAX;
use std::collections::BTreeMap;

/// Ended jobs that are remembered.
const ENDED_MAX: usize = 256;
/// Numbers from here on are given without a quorum: each slot has its own million.
const LONELY_FIRST: u32 = 1_000_000;
const LONELY_PER_SLOT: u32 = 1_000_000;

const _: () = {
    let lonely = LONELY_PER_SLOT as u64 * SLOTS_MAX as u64;
    assert!(LONELY_FIRST as u64 + lonely <= u32::MAX as u64);
};

/// Records by number.
///
/// Invariants: a record is replaced only by a newer one; `number_max` is at least every number
/// below the lonely ones, and never shrinks.
#[derive(Debug, Default)]
pub(crate) struct JobTable {
    records: BTreeMap<u32, JobRecord>,
    number_max: u32,
    /// Commands that ended before the word of their start: job and PID, wait status.
    early_exits: BTreeMap<(u32, u32), i32>,
}

impl JobTable {
    /// A job.
    pub(crate) fn get(&self, job: u32) -> Option<&JobRecord> {
        self.records.get(&job)
    }

    /// All, by number.
    pub(crate) fn all(&self) -> impl Iterator<Item = &JobRecord> {
        self.records.values()
    }

    /// Takes a record that another node sent. True if it was news.
    pub(crate) fn merge(&mut self, record: JobRecord) -> bool {
        let known = self.records.get(&record.job);
        if known.is_some_and(|known| !record.is_newer_than(known)) {
            return false;
        }
        self.note_number(record.job);
        let mut record = record;
        record.drop_unneeded();
        self.records.insert(record.job, record);
        self.forget_old();
        true
    }

    /// Changes a job of this home; the changed record, to be told to the others. None if it has
    /// another home, by now perhaps.
    pub(crate) fn change_own(
        &mut self,
        own: u32,
        job: u32,
        change: impl FnOnce(&mut JobRecord),
    ) -> Option<JobRecord> {
        self.get(job).filter(|record| record.home == own)?;
        self.change(job, change)
    }

    /// Changes a job; the changed record, to be told to the others.
    pub(crate) fn change(
        &mut self,
        job: u32,
        change: impl FnOnce(&mut JobRecord),
    ) -> Option<JobRecord> {
        let record = self.records.get_mut(&job)?;
        change(record);
        record.revision += 1;
        record.drop_unneeded();
        Some(record.clone())
    }

    /// A command that a job's init at its home started has ended. True if it was the job's first
    /// process; if the word of a start is still to come, the end is kept for it.
    pub(crate) fn command_ended(&mut self, own: u32, job: u32, pid: u32, status: i32) -> bool {
        let ours = |r: &&JobRecord| r.home == own && !r.state.is_over();
        let Some(record) = self.records.get(&job).filter(ours) else {
            return false;
        };
        if record.state == JobState::Starting {
            self.early_exits.insert((job, pid), status);
            return false;
        }
        record.state == JobState::Running && record.main_pid == pid
    }

    /// The PID of a command that ended before the word of its start.
    pub(crate) fn early_exit(&self, job: u32) -> Option<u32> {
        self.early_exits.keys().find(|(of, _)| *of == job).map(|(_, pid)| *pid)
    }

    /// A job's command is to be started (again): its PID is not known yet.
    pub(crate) fn command_starts(&mut self, own: u32, job: u32) -> Option<JobRecord> {
        self.early_exits.retain(|(of, _), _| *of != job);
        let is_over = self.records.get(&job)?.state.is_over();
        if is_over {
            return None;
        }
        self.change_own(own, job, |r| {
            r.state = JobState::Starting;
            r.main_pid = 0;
        })
    }

    /// A job's command was started: the record, and how it ended if it has already. None if the
    /// job is over or another's meanwhile.
    pub(crate) fn command_started(
        &mut self,
        own: u32,
        job: u32,
        pid: u32,
    ) -> Option<(JobRecord, Option<i32>)> {
        let early = self.early_exits.remove(&(job, pid));
        self.early_exits.retain(|(of, _), _| *of != job);
        if self.records.get(&job)?.state.is_over() {
            return None;
        }
        let record = self.change_own(own, job, |r| {
            r.state = JobState::Running;
            r.main_pid = pid;
            r.status = None;
        })?;
        Some((record, early))
    }

    /// Somebody wants this number for a new job. Each is granted once at most; the highest known
    /// then is it, or what stands against it.
    pub(crate) fn grant(&mut self, job: u32) -> bool {
        let is_free = job > self.number_max && job < LONELY_FIRST;
        if is_free {
            self.number_max = job;
        }
        is_free
    }

    /// The next number of a node that sees no quorum: from its own range, so that the other part
    /// of the cluster can't give the same.
    pub(crate) fn next_lonely_number(&self, slot: u32) -> u32 {
        let first = LONELY_FIRST + slot * LONELY_PER_SLOT;
        let last = self.records.range(first..first + LONELY_PER_SLOT).next_back();
        last.map_or(first, |(job, _)| job + 1)
    }

    /// The highest ordinary number known.
    pub(crate) fn number_max(&self) -> u32 {
        self.number_max
    }

    /// Heard of a number.
    pub(crate) fn note_number(&mut self, job: u32) {
        if job < LONELY_FIRST {
            self.number_max = self.number_max.max(job);
        }
    }

    /// Jobs at a home that are not over.
    pub(crate) fn alive_at(&self, home: u32) -> Vec<JobRecord> {
        let alive = |r: &&JobRecord| r.home == home && !r.state.is_over();
        self.records.values().filter(alive).cloned().collect()
    }

    fn forget_old(&mut self) {
        let over = |r: &&JobRecord| matches!(r.state, JobState::Ended | JobState::Lost);
        let ended: Vec<u32> = self.records.values().filter(over).map(|r| r.job).collect();
        let too_many = ended.len().saturating_sub(ENDED_MAX);
        for job in &ended[..too_many] {
            self.records.remove(job);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::record::tests::record;
    use holon_api::request::Restart;

    #[test]
    fn numbers_are_small_and_never_given_twice() {
        let mut table = JobTable::default();
        assert!(table.grant(1) && table.grant(2));
        assert!(!table.grant(2) && !table.grant(1), "given");
        table.merge(record(7, 1));
        assert!(!table.grant(7) && table.grant(8));
        table.note_number(20);
        assert!(!table.grant(20));
        assert_eq!(table.number_max(), 20);
        assert!(!table.grant(LONELY_FIRST), "not an ordinary one");
    }

    #[test]
    fn without_quorum_each_slot_has_its_own() {
        let mut table = JobTable::default();
        let first = table.next_lonely_number(2);
        table.merge(record(first, 2));
        assert_eq!(table.next_lonely_number(2), first + 1);
        assert_eq!(table.next_lonely_number(3), first + LONELY_PER_SLOT);
        assert!(table.grant(1), "the others go on with small ones");
    }

    #[test]
    fn later_records_win() {
        let mut table = JobTable::default();
        table.merge(record(3, 0));
        let changed = table.change(3, |r| r.state = JobState::Ended).expect("known");
        assert!(!table.merge(record(3, 0)), "an old one");
        let other = table.change_own(1, 3, |r| r.state = JobState::Running);
        assert!(other.is_none() && table.get(3).is_some_and(|r| r.state == JobState::Ended));
        assert!(!table.merge(changed), "the same again");
        let mut taken_over = record(3, 1);
        taken_over.restarts = 1;
        assert!(table.merge(taken_over));
        assert_eq!(table.get(3).map(|r| r.home), Some(1));
    }

    #[test]
    fn an_end_is_told_once_however_fast() {
        let mut table = JobTable::default();
        let starting = JobRecord { state: JobState::Starting, main_pid: 0, ..record(3, 0) };
        table.merge(starting);
        assert!(!table.command_ended(0, 3, 17, 256), "kept: nobody knows its PID yet");
        assert_eq!(table.early_exit(3), Some(17));
        assert!(!table.command_ended(0, 3, 18, 0), "another one of the job's");
        let (started, early) = table.command_started(0, 3, 17).expect("not over");
        assert_eq!((started.main_pid, early), (17, Some(256)));
        assert_eq!(started.state, JobState::Running);

        assert!(!table.command_ended(0, 3, 18, 0), "not the first process");
        assert!(!table.command_ended(1, 3, 17, 0), "not ours");
        assert!(table.command_ended(0, 3, 17, 0));

        let again = table.command_starts(0, 3).expect("not over");
        assert_eq!((again.state, again.main_pid), (JobState::Starting, 0));
        let (_, early) = table.command_started(0, 3, 17).expect("not over");
        assert_eq!(early, None, "the end of an earlier run is not this one's");

        table.change(3, |r| r.state = JobState::Ended);
        assert!(!table.command_ended(0, 3, 17, 0));
        assert!(table.command_started(0, 3, 19).is_none() && table.command_starts(0, 3).is_none());
        assert_eq!(table.get(3).map(|r| r.state), Some(JobState::Ended), "stays over");
    }

    #[test]
    fn what_can_not_run_again_keeps_no_environment() {
        let spec = Some(Box::new(holon_api::request::RunSpec {
            argv: vec![],
            env: vec!["SECRET=1".into()],
            cwd: "/".into(),
            umask: 0,
            limits: vec![],
            on: None,
            restart: Restart::Exec,
            uid: None,
            detach: true,
            terminal: None,
        }));
        let mut table = JobTable::default();
        table.merge(JobRecord { spec: spec.clone(), restart: Restart::Exec, ..record(3, 0) });
        let has_spec = |table: &JobTable| table.get(3).is_some_and(|r| r.spec.is_some());
        table.change(3, |r| r.state = JobState::Fenced);
        assert!(has_spec(&table));
        table.change(3, |r| r.state = JobState::Ended);
        assert!(!has_spec(&table));
    }

    #[test]
    fn old_jobs_are_forgotten_running_ones_never() {
        let mut table = JobTable::default();
        table.merge(record(1, 0));
        for job in 2..1000 {
            let mut ended = record(job, 0);
            ended.state = JobState::Ended;
            table.merge(ended);
        }
        assert!(table.get(1).is_some());
        assert!(table.get(2).is_none());
        assert_eq!(table.all().count(), ENDED_MAX + 1);
        assert_eq!(table.number_max(), 999);
    }
}
