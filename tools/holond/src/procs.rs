//! The rows of `ps` for this node: processes whose body runs here.

use crate::cgroup::{self, Instance};
use crate::jobs::users::user_name;
use holon_api::rows::ProcessRow;
use holon_api::ProcessId;
use holon_uapi::proc::{ProcInfo, PSTATE_MOVING, ROLE_RESTORING, ROLE_SURROGATE};
use std::collections::HashMap;
use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const PAGE_BYTES: u64 = 4096;
/// How long a command line is kept that nobody has asked for.
const COMMAND_TIME: Duration = Duration::from_secs(600);

/// What is known of a job. Its user may have a name at its home only.
pub(crate) struct JobFacts {
    /// The name of its home.
    pub(crate) home: String,
    /// As whom it was started.
    pub(crate) uid: u32,
    /// That user's name.
    pub(crate) user: String,
}

/// What `/proc/PID/status` tells of a process.
#[derive(Debug, Default, PartialEq, Eq)]
struct Facts {
    name: String,
    state: char,
    uid: u32,
    inner_pid: u32,
    resident_bytes: u64,
}

fn parse_status(text: &str) -> Option<Facts> {
    let mut facts = Facts::default();
    for line in text.lines() {
        let (key, value) = line.split_once(':')?;
        let mut words = value.split_ascii_whitespace();
        match key {
            "Name" => facts.name = value.trim().to_owned(),
            "State" => facts.state = words.next()?.chars().next()?,
            "Uid" => facts.uid = words.nth(1)?.parse().ok()?,
            // Ours, then the job's, then those of namespaces that the job made itself.
            "NSpid" => facts.inner_pid = words.nth(1)?.parse().ok()?,
            "RssAnon" | "RssShmem" => {
                facts.resident_bytes += words.next()?.parse::<u64>().ok()? * 1024;
            }
            _ => {}
        }
    }
    (facts.inner_pid > 1).then_some(facts)
}

fn state_name(state: char) -> &'static str {
    match state {
        'R' => "running",
        'S' | 'I' => "sleeping",
        'D' => "waiting",
        'T' | 't' => "stopped",
        'Z' | 'X' => "zombie",
        _ => "unknown",
    }
}

fn command(pid: i32, name: &str) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<_> = bytes.split(|b| *b == 0).filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        return format!("[{name}]");
    }
    let text = words.iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>().join(" ");
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Command lines as they were read or told last.
///
/// A command line is in its process's memory. While that is elsewhere, to read it is to fetch it,
/// and to wait for who has it.
#[derive(Default)]
pub(crate) struct Commands(Mutex<HashMap<ProcessId, (String, Instant)>>);

impl Commands {
    /// Notes the command line of a process that is here or comes soon.
    pub(crate) fn note(&self, id: ProcessId, command: String) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (_, at)| at.elapsed() < COMMAND_TIME);
        known.insert(id, (command, Instant::now()));
    }

    fn of(&self, id: ProcessId, is_here: bool, name: &str, read: impl Fn() -> String) -> String {
        if is_here {
            let command = read();
            self.note(id, command.clone());
            return command;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((command, at)) = known.get_mut(&id) else {
            return format!("[{name}]");
        };
        *at = Instant::now();
        command.clone()
    }
}

/// What the module knows of processes here.
pub(crate) struct Elsewhere<'a> {
    /// Its records of those that moved.
    pub(crate) known: &'a [ProcInfo],
    /// Pages that lodge elsewhere, by the process's number here.
    pub(crate) lodged: &'a HashMap<u32, u64>,
}

/// A process that was found in a job's cgroup.
pub(crate) struct Found {
    job: u32,
    pid: i32,
    facts: Facts,
}

/// All that are in `instances` now. To be looked for before the module is asked: else one that it
/// takes up in between would seem to be none of its own.
pub(crate) fn find(instances: &[Instance]) -> Vec<Found> {
    let found = |job, pid: i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        Some(Found { job, pid, facts: parse_status(&status)? })
    };
    let of = |it: &Instance| {
        let job = it.job;
        cgroup::processes(*it).into_iter().filter_map(move |pid| found(job, pid))
    };
    instances.iter().flat_map(of).collect()
}

/// Builds rows of what was found, by number here. `facts_of` tells about a job.
pub(crate) fn rows(
    (node, slot): (&str, u32),
    found: Vec<Found>,
    elsewhere: &Elsewhere<'_>,
    commands: &Commands,
    facts_of: &dyn Fn(u32) -> Option<JobFacts>,
) -> HashMap<u32, ProcessRow> {
    let known: HashMap<(u32, u32), &ProcInfo> =
        elsewhere.known.iter().map(|p| ((p.job, p.pid.unsigned_abs()), p)).collect();
    let mut rows = HashMap::new();
    for Found { job, pid, facts } in found {
        let Some(about) = facts_of(job) else { continue };
        let id = ProcessId { job, pid: facts.inner_pid };
        let record = known.get(&(job, facts.inner_pid)).copied();
        if !may_run_here(record) {
            continue;
        }
        let number = u32::try_from(pid).unwrap_or(0);
        let lodged = elsewhere.lodged.get(&number).copied().unwrap_or(0);
        let far = lodged.saturating_add(record.map_or(0, |r| r.remote_pages));
        let read = || command(pid, &facts.name);
        let is_whole = far == 0 && !record.is_some_and(is_moving);
        let is_here = is_whole && (record.is_some() || id.origin_slot() == slot);
        let command = commands.of(id, is_here, &facts.name, read);
        rows.insert(number, row(node, &about, facts, (id, record, far), command));
    }
    rows
}

/// Whether it may be the process. A surrogate's row comes from where the body is, and so does that
/// of one that is only being made; nor may anybody wait for memory of theirs.
fn may_run_here(record: Option<&ProcInfo>) -> bool {
    !record.is_some_and(|r| r.role == ROLE_SURROGATE || r.role == ROLE_RESTORING)
}

fn is_moving(record: &ProcInfo) -> bool {
    record.state & PSTATE_MOVING != 0
}

fn row(
    node: &str,
    about: &JobFacts,
    facts: Facts,
    (id, record, far): (ProcessId, Option<&ProcInfo>, u64),
    command: String,
) -> ProcessRow {
    let remote_bytes = far.saturating_mul(PAGE_BYTES);
    ProcessRow {
        id,
        job: id.job,
        pid: facts.inner_pid,
        user: if facts.uid == about.uid { about.user.clone() } else { user_name(facts.uid) },
        home: about.home.clone(),
        node: node.to_owned(),
        state: match record.is_some_and(is_moving) {
            true => "moving",
            false => state_name(facts.state),
        }
        .to_owned(),
        // The kernel counts a page that is elsewhere as resident.
        local_bytes: facts.resident_bytes.saturating_sub(remote_bytes),
        remote_bytes,
        command,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tcounter\nState:\tS (sleeping)\nTgid:\t4711\nPid:\t4711\n\
        Uid:\t1000\t1001\t1000\t1000\nNSpid:\t4711\t65537\nVmRSS:\t     900 kB\n\
        RssAnon:\t     100 kB\nRssFile:\t     796 kB\nRssShmem:\t       4 kB\n";

    #[test]
    fn reads_a_status() {
        let facts = parse_status(STATUS).expect("good");
        assert_eq!(facts.inner_pid, 65_537);
        assert_eq!((facts.uid, facts.state, facts.resident_bytes), (1001, 'S', 104 * 1024));
        assert_eq!(facts.name, "counter");
    }

    #[test]
    fn init_and_strangers_have_no_row() {
        assert_eq!(parse_status(&STATUS.replace("65537", "1")), None, "the job's init");
        assert_eq!(parse_status(&STATUS.replace("\t65537", "")), None, "not in the namespace");
        assert_eq!(parse_status(""), None);
    }

    #[test]
    fn a_command_line_that_is_elsewhere_is_not_fetched() {
        let commands = Commands::default();
        let id = ProcessId { job: 3, pid: 17 };
        let fetch = || -> String { panic!("fetched") };
        assert_eq!(commands.of(id, false, "counter", fetch), "[counter]");
        assert_eq!(commands.of(id, true, "counter", || "counter 1".into()), "counter 1");
        assert_eq!(commands.of(id, false, "counter", fetch), "counter 1");
        commands.note(id, "counter 2".into());
        assert_eq!(commands.of(id, false, "counter", fetch), "counter 2", "told by its source");
    }

    #[test]
    fn a_surrogate_is_no_second_process() {
        let facts = || parse_status(STATUS).expect("good");
        let record = |role| ProcInfo { role, remote_pages: 2, ..ProcInfo::default() };
        let about = JobFacts { home: "node1".into(), uid: 1001, user: "joe".into() };
        let make = |r: Option<&ProcInfo>| {
            let id = ProcessId { job: 3, pid: facts().inner_pid };
            let far = r.map_or(0, |r| r.remote_pages);
            row("node1", &about, facts(), (id, r, far), "counter".into())
        };
        assert_eq!(make(None).user, "joe");
        assert!(may_run_here(None) && may_run_here(Some(&record(2))));
        assert!(!may_run_here(Some(&record(ROLE_SURROGATE))));
        assert!(!may_run_here(Some(&record(ROLE_RESTORING))));
        assert_eq!(make(None).remote_bytes, 0);
        assert_eq!(make(Some(&record(2))).remote_bytes, 8192);
    }
}
