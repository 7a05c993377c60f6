//! Starting a job at its home, and making its namespaces on other nodes.

use super::end;
use super::handle::InitHandle;
use super::inits;
use super::keep;
use super::number;
use super::record::{JobRecord, JobState};
use super::session::{self, Client};
use super::stdio::{self, Ours, Stdio};
use super::users::Account;
use crate::cgroup::Instance;
use crate::init::proto::{InitConfig, InitReply, InitRequest, SpawnSpec, SpawnStep, ViewConfig};
use crate::node::{Node, ACTION_TIME, ANSWER_TIME};
use crate::peer::message::{PeerReply, PeerRequest};
use crate::tasks;
use anyhow::{Context, Result};
use holon_api::arg::{command_line, Arg};
use holon_api::request::{Restart, RunSpec};
use holon_api::rows::EventRow;
use holon_api::time::now_rfc3339;
use holon_api::{ApiError, Code, ProcessId};
use nix::errno::Errno;
use std::collections::HashMap;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// A job that has just been started.
pub(crate) struct Started {
    /// Its first process.
    pub(crate) process: ProcessId,
    /// The home's number of the session; 0 if detached.
    pub(crate) session: u64,
}

/// What is kept of jobs with `--restart exec` to start them again: their streams.
#[derive(Default)]
pub(crate) struct Restartables(Mutex<HashMap<u32, [OwnedFd; 3]>>);

impl Restartables {
    fn keep(&self, job: u32, streams: [OwnedFd; 3]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(job, streams);
    }

    /// Forgets a job.
    pub(crate) fn drop_job(&self, job: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
    }

    fn raw(&self, job: u32) -> Option<[RawFd; 3]> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&job).map(|streams| [0, 1, 2].map(|i: usize| streams[i].as_raw_fd()))
    }
}

fn cant(why: impl std::fmt::Display) -> ApiError {
    ApiError::new(Code::RunFailed, "can't run", why)
}

/// Starts a job whose home is this node.
pub(crate) fn start(
    node: &Arc<Node>,
    spec: RunSpec,
    account: Account,
    client: Option<Client>,
    fds: Vec<OwnedFd>,
) -> Result<Started, ApiError> {
    let cordoned = node.state().cordons.why(node.own()).cloned();
    if let Some(reason) = cordoned {
        return Err(cant(format!("{} is cordoned: {reason}", node.name()))
            .fix("run it on another node with --on, or `clusterctl undrain` this one"));
    }
    let record = numbered(node, &spec, &account)?;
    let job = record.job;
    let result = start_record(node, &record, spec, client, fds);
    if let Err(error) = &result {
        node.change_job(job, |r| {
            r.state = JobState::Ended;
            r.status = Some(i32::from(error.code.status()));
        });
        end::forget_logged(node, job, record.restarts);
    }
    result
}

fn record(node: &Node, job: u32, spec: &RunSpec, account: &Account) -> JobRecord {
    JobRecord {
        job,
        home: node.own(),
        account: account.clone(),
        restart: spec.restart,
        command: command_line(&spec.argv),
        state: JobState::Starting,
        main_pid: 0,
        started: now_rfc3339(),
        restarts: 0,
        revision: 0,
        status: None,
        spec: (spec.restart == Restart::Exec).then(|| Box::new(spec.clone())),
    }
}

/// The record of a new job, with a number that no other has.
fn numbered(node: &Arc<Node>, spec: &RunSpec, account: &Account) -> Result<JobRecord, ApiError> {
    let end = Instant::now() + node.time(number::TIME);
    loop {
        let job = number::next(node, end)?;
        let record = record(node, job, spec, account);
        if node.state().jobs.merge(record.clone()) {
            return Ok(record);
        }
    }
}

/// Starts (or starts again) a job whose record says that this is its home.
pub(crate) fn start_record(
    node: &Arc<Node>,
    record: &JobRecord,
    mut spec: RunSpec,
    client: Option<Client>,
    fds: Vec<OwnedFd>,
) -> Result<Started, ApiError> {
    let job = record.job;
    let account = record.account.clone();
    let Stdio { command, ours } =
        streams(job, &spec, &account, client.is_some(), fds).map_err(|e| cant(format!("{e:#}")))?;
    let init = ensure_init(node, record).map_err(|e| cant(format!("{e:#}")))?;
    set_account_env(&mut spec, &account);
    let terminal = spec.terminal.is_some();
    let session = match client {
        Some(client) => Some(
            session::begin(node, job, client, ours, terminal)
                .map_err(|e| cant(format!("no session: {e}")))?,
        ),
        None => None,
    };
    let raw = [0, 1, 2].map(|i: usize| command[i].as_raw_fd());
    let spawned = spawn(node, &init, &spec, &account, &raw);
    let pid = match spawned {
        Ok(pid) => pid,
        Err(error) => {
            if let Some(session) = session {
                node.sessions.remove(session.id);
            }
            return Err(error);
        }
    };
    if record.restart == Restart::Exec {
        node.restartables.keep(job, command);
    }
    if !note_started(node, job, pid) {
        return Err(cant("it was ended meanwhile"));
    }
    let session = session.map_or(0, |session| session.id);
    Ok(Started { process: ProcessId { job, pid }, session })
}

/// Notes a start. False if the job is over meanwhile.
pub(crate) fn note_started(node: &Arc<Node>, job: u32, pid: u32) -> bool {
    let Some((record, early)) = node.state().jobs.command_started(node.own(), job, pid) else {
        return false;
    };
    let restarts = record.restarts;
    // A daemon that is started anew ends what it has no record of.
    keep::write(node);
    node.tell_peers(PeerRequest::Jobs { records: vec![record] });
    node.note(EventRow {
        kind: if restarts == 0 { "job-started" } else { "job-restarted" }.into(),
        job: Some(job),
        process: Some(ProcessId { job, pid }),
        to: Some(node.name().into()),
        ..EventRow::default()
    });
    if let Some(status) = early {
        let node = node.clone();
        tasks::spawn(move || end::main_ended(&node, job, pid, status));
    }
    true
}

/// Runs a job's command once more in its namespaces at home, where its streams still are.
pub(crate) fn respawn(node: &Arc<Node>, record: &JobRecord) -> Result<(), ApiError> {
    let job = record.job;
    let spec = record.spec.as_deref().ok_or_else(|| cant("its command is not known"))?;
    let mut spec = spec.clone();
    set_account_env(&mut spec, &record.account);
    let init = ensure_init(node, record).map_err(|e| cant(format!("{e:#}")))?;
    let raw = node.restartables.raw(job).ok_or_else(|| cant("its streams are gone"))?;
    node.state().jobs.change_own(node.own(), job, |r| r.restarts += 1);
    let pid = spawn(node, &init, &spec, &record.account, &raw)?;
    match note_started(node, job, pid) {
        true => Ok(()),
        false => Err(cant("it was ended meanwhile")),
    }
}

fn streams(
    job: u32,
    spec: &RunSpec,
    account: &Account,
    has_client: bool,
    fds: Vec<OwnedFd>,
) -> Result<Stdio> {
    match (spec.terminal, <[OwnedFd; 3]>::try_from(fds)) {
        _ if !has_client => stdio::detached(job, account.uid, account.gid),
        (Some(size), _) => stdio::terminal(size, account.uid),
        (None, Ok(command)) => Ok(Stdio { command, ours: Ours::default() }),
        (None, Err(_)) => stdio::pipes(),
    }
}

/// `HOME` and friends, when the job runs as somebody else than the caller.
fn set_account_env(spec: &mut RunSpec, account: &Account) {
    if spec.uid.is_none() {
        return;
    }
    let values = [
        ("HOME=", &account.home),
        ("USER=", &account.name),
        ("LOGNAME=", &account.name),
        ("SHELL=", &account.shell),
    ];
    for (name, value) in values {
        spec.env.retain(|e| !e.as_bytes().starts_with(name.as_bytes()));
        spec.env.push(Arg::Text(format!("{name}{value}")));
    }
}

fn spawn(
    node: &Node,
    init: &InitHandle,
    spec: &RunSpec,
    account: &Account,
    streams: &[RawFd],
) -> Result<u32, ApiError> {
    let request = InitRequest::Spawn(Box::new(SpawnSpec {
        run: spec.clone(),
        uid: account.uid,
        gid: account.gid,
        groups: account.groups.clone(),
    }));
    let reply = init
        .call(&request, streams, node.time(ACTION_TIME))
        .map_err(|error| cant(format!("{error:#}")))?;
    match reply {
        InitReply::Done { pid } => Ok(pid.unsigned_abs()),
        InitReply::Failed { step, errno } => Err(spawn_error(spec, step, Errno::from_raw(errno))),
        InitReply::Commands { .. } | InitReply::Exited { .. } | InitReply::Count { .. } => {
            Err(cant("the job's init answers nonsense"))
        }
    }
}

fn spawn_error(spec: &RunSpec, step: SpawnStep, errno: Errno) -> ApiError {
    let command = spec.argv.first().map(Arg::to_lossy).unwrap_or_default();
    let what = format!("can't run {command}");
    match step {
        SpawnStep::Exec if errno == Errno::ENOENT => {
            ApiError::new(Code::RunNotFound, what, "no such command")
        }
        SpawnStep::Exec => ApiError::new(Code::RunNotExecutable, what, errno.desc()),
        SpawnStep::Directory => {
            let why = format!("directory {}: {}", spec.cwd.to_lossy(), errno.desc());
            ApiError::new(Code::RunFailed, what, why)
                .fix("give one that the job's home has, with --cwd")
        }
        SpawnStep::Fork
        | SpawnStep::Terminal
        | SpawnStep::Streams
        | SpawnStep::Limits
        | SpawnStep::User
        | SpawnStep::Signal
        | SpawnStep::Request => {
            ApiError::new(Code::RunFailed, what, format!("{step:?}: {}", errno.desc()))
        }
    }
}

/// A job's init on this node, made if need be and made known to the module.
pub(crate) fn ensure_init(node: &Arc<Node>, record: &JobRecord) -> Result<Arc<InitHandle>> {
    let job = record.job;
    let init = node.inits.get_or_make(job, || {
        // Its end may have come while this waited for its turn.
        if node.job(job).is_some_and(|now| now.state.is_over() || now.home != record.home) {
            anyhow::bail!("job {job} is over, or has another home now");
        }
        let is_home = record.home == node.own();
        let home = node.config.node(record.home).context("the job's home is no node")?;
        let view = match is_home {
            true => None,
            false => Some(ViewConfig { tree: node.homes.get(node, record.home)?.path.clone() }),
        };
        let instance = Instance { job, restarts: record.restarts };
        let config = InitConfig {
            instance,
            home: record.home,
            slot: node.own(),
            hostname: home.name.clone(),
            socket: inits::socket_path(instance),
            view,
        };
        let listener = node.clone();
        let time = node.time(ACTION_TIME);
        let news = move |init: &InitHandle, news| end::on_news(&listener, init, news);
        let init = inits::make(&config, time, news)?;
        if let Err(error) = register(node, &init) {
            end::clear_away(&[instance], ANSWER_TIME);
            return Err(error);
        }
        Ok(init)
    })?;
    // The word of a new home may be faster than the end of what the old one had here.
    anyhow::ensure!(init.home == record.home, "an earlier run of job {job} is not ended here yet");
    Ok(init)
}

/// Tells the module about a job's namespace.
pub(crate) fn register(node: &Node, init: &InitHandle) -> Result<()> {
    let Some(device) = &node.device else {
        return Ok(());
    };
    let job = init.instance.job;
    let place = !node.config.place.is_empty();
    match device.job_add(job, init.home, init.pid, place) {
        Ok(()) => Ok(()),
        Err(Errno::ENOTTY) => {
            log::error!("the module can't move processes: job {job} stays here");
            Ok(())
        }
        Err(errno) => Err(errno).context("the module refused the job"),
    }
}

/// A job's record; the home is asked if it is not known here.
pub(crate) fn find_record(node: &Arc<Node>, job: u32, home: u32) -> Option<JobRecord> {
    if let Some(record) = node.job(job) {
        return Some(record);
    }
    match node.ask(home, PeerRequest::Job { job }, &[], ANSWER_TIME) {
        Ok(PeerReply::Job { record: Some(record) }) => {
            node.state().jobs.merge((*record).clone());
            Some(*record)
        }
        _ => None,
    }
}

/// The module wants a helper for an image.
pub(crate) fn restore(node: &Arc<Node>, event: &holon_uapi::proc::EvRestore) {
    let failed = |errno: i32, why: &str| {
        log::warn!("can't restore {}.{} here: {why}", event.job, event.pid);
        if let Some(device) = &node.device {
            let _ = device.image_fail(event.image, errno, holon_uapi::proc::FAIL_STEP_FORK);
        }
    };
    let Some(record) = find_record(node, event.job, event.home) else {
        return failed(libc::ESRCH, "the job is not known");
    };
    let init = match ensure_init(node, &record) {
        Ok(init) => init,
        Err(error) => return failed(libc::EHOSTUNREACH, &format!("{error:#}")),
    };
    let request = InitRequest::Restore { image: event.image, pid: event.pid };
    match init.call(&request, &[], node.time(ACTION_TIME)) {
        Ok(InitReply::Done { .. }) => {}
        Ok(InitReply::Failed { errno, .. }) => failed(errno, Errno::from_raw(errno).desc()),
        Ok(_) => failed(libc::EIO, "the job's init answers nonsense"),
        Err(error) => failed(libc::EIO, &format!("{error:#}")),
    }
}
