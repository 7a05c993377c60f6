//! Control calls about processes.

use alloc::vec::Vec;
use core::{fmt::Write, time::Duration};

use holon_uapi::{gate as gate_uapi, proc as uapi};
use kapi::{
    clock,
    fileref::FileRef,
    own, park,
    task::{PidNs, Task},
    thread::CAP_SYS_ADMIN,
    uaccess::{self, UserSlice},
    Errno, Result,
};
use netproto::{GlobalPid, JobId, RequestId, Slot};
use sched_migrate::{eligible::Reasons, source::Work, Request, StartError};
use zerocopy::IntoBytes;

use super::{
    driver::{forget_leaving, with_mover},
    facts, gate, images,
    jobs::Job,
    leaving::Leaving,
    record::Role,
    signals,
    state::{self, Helper, Input, Proc, Tables},
    survey,
};
use crate::{
    ioctl::{
        open::OpenFile,
        table::{must_be_zero, take, Record},
    },
    memory::space::Target,
};

const ADMIN: Option<u32> = Some(CAP_SYS_ADMIN);

/// The calls.
pub(super) static RECORDS: &[Record] = &[
    Record::new(uapi::JOB_ADD, "job_add", ADMIN, job_add),
    Record::new(uapi::JOB_DEL, "job_del", ADMIN, job_del),
    Record::new(uapi::PLACE_SET, "place_set", ADMIN, place_set),
    Record::new(uapi::HELPER_SET, "helper_set", ADMIN, helper_set),
    Record::new(uapi::MIGRATE, "migrate", ADMIN, migrate),
    Record::new(uapi::EXPLAIN, "explain", ADMIN, explain),
    Record::new(uapi::PROC_LIST, "proc_list", ADMIN, proc_list),
    Record::new(uapi::IMAGE_ATTACH, "image_attach", None, images::attach),
    Record::new(uapi::IMAGE_READ, "image_read", None, images::read),
    Record::new(uapi::IMAGE_FAIL, "image_fail", None, images::fail),
    Record::new(uapi::EXEC_GO, "exec_go", None, images::exec_go),
    Record::new(uapi::BODY_STATE, "body_state", ADMIN, body_state),
    Record::new(uapi::PROC_COUNTS, "proc_counts", ADMIN, proc_counts),
    Record::new(uapi::RESTART_LEARN, "restart_learn", ADMIN, restart_learn),
    Record::new(gate_uapi::GATE_SET, "gate_set", ADMIN, gate::set),
    Record::new(gate_uapi::GATE_GET, "gate_get", ADMIN, gate::get),
];

fn slot_of(number: u32) -> Result<Slot> {
    u8::try_from(number).ok().and_then(Slot::new).ok_or(Errno::EINVAL)
}

fn process_of(job: u32, pid: i32) -> Result<GlobalPid> {
    let pid = u32::try_from(pid).ok().filter(|pid| *pid > 1).ok_or(Errno::EINVAL)?;
    if job == 0 {
        return Err(Errno::EINVAL);
    }
    Ok(GlobalPid::new(job, pid))
}

fn job_add(_file: &OpenFile, arg: u64) -> Result<u64> {
    let add: uapi::JobAdd = take(arg)?;
    let unknown = add.flags & !uapi::JOB_PLACE;
    if add.job == 0 || unknown != 0 || add.reserved != [0; 2] {
        return Err(Errno::EINVAL);
    }
    let ns = PidNs::of_init(add.init_pid)?;
    let job = Job {
        id: JobId(add.job),
        home: slot_of(add.home)?,
        init: Task::find(&ns, 1)?,
        ns,
        place: add.flags & uapi::JOB_PLACE != 0,
    };
    state::get()?.tables.lock().jobs.add(job).map(|()| 0)
}

fn job_del(_file: &OpenFile, arg: u64) -> Result<u64> {
    let del: uapi::JobDel = take(arg)?;
    must_be_zero(&[del.reserved])?;
    let mut tables = state::get()?.tables.lock();
    let job = JobId(del.job);
    let of_job = |process: GlobalPid| process.job == job;
    let used = tables.records.iter().any(|(process, _)| of_job(process))
        || tables.leaving.iter().any(|(process, _)| of_job(process))
        || tables.incoming.iter().any(|(_, incoming)| of_job(incoming.process));
    if used {
        return Err(Errno::EBUSY);
    }
    tables.jobs.remove(job).map(|()| 0)
}

fn place_set(_file: &OpenFile, arg: u64) -> Result<u64> {
    let set: uapi::PlaceSet = take(arg)?;
    let names = UserSlice::new(set.names, set.names_bytes as usize)
        .read_all(uapi::PLACE_NAMES_BYTES_MAX as usize)?;
    let mut tables = state::get()?.tables.lock();
    tables.placement.set(names, set.weights, set.timeout_ms)?;
    kapi::binfmt::placement(tables.placement.is_on());
    Ok(0)
}

fn helper_set(_file: &OpenFile, arg: u64) -> Result<u64> {
    let set: uapi::HelperSet = take(arg)?;
    if set.reserved != 0 {
        return Err(Errno::EINVAL);
    }
    let helper = Helper { exec: FileRef::of_fd(set.exec_fd)?, device: FileRef::of_fd(set.dev_fd)? };
    let before = state::get()?.tables.lock().helper.replace(helper);
    drop(before);
    Ok(0)
}

/// The process here and its job's init.
fn find(tables: &Tables, process: GlobalPid) -> Result<(Task, Task)> {
    Ok((tables.jobs.find(process)?, tables.jobs.get(process.job)?.init.clone()))
}

fn migrate(_file: &OpenFile, arg: u64) -> Result<u64> {
    let mut call: uapi::Migrate = take(arg)?;
    must_be_zero(&[call.reserved])?;
    let process = process_of(call.job, call.pid)?;
    let target = slot_of(call.target)?;
    let proc = state::get()?;
    let (task, init) = {
        let tables = proc.tables.lock();
        let record = tables.records.get(process);
        if record.is_some_and(|record| record.role() == Role::Surrogate) {
            return Err(Errno::ESTALE);
        }
        if tables.leaving.get(process).is_some() {
            return Err(Errno::EBUSY);
        }
        find(&tables, process)?
    };
    let looked = survey::survey(&task, &init)?;
    let reasons = facts::reasons(&looked, facts::besides(&task));
    if let Some(first) = reasons.iter().next() {
        call.reason = first.index();
        uaccess::write(arg, &call)?;
        return Err(Errno::EPERM);
    }
    drop(looked);
    let until_ns = match call.timeout_ms {
        0 => u64::MAX,
        given => clock::now_ns().saturating_add(u64::from(given) * 1_000_000),
    };
    call.attempt = start(proc, process, (task, init), target, until_ns)?;
    uaccess::write(arg, &call).map(|()| 0)
}

/// Starts a move. Its number comes back in the event.
fn start(
    proc: &'static Proc,
    process: GlobalPid,
    (task, init): (Task, Task),
    target: Slot,
    until_ns: u64,
) -> Result<u64> {
    let id = proc.next_request();
    let leaving = Leaving::new(process, task.clone(), init, id, None)?;
    leaving.set_patience(until_ns);
    let space = {
        let mut tables = proc.tables.lock();
        if tables.leaving.get(process).is_some() {
            return Err(Errno::EBUSY);
        }
        tables.watch(process, &task)?;
        tables.leaving.insert(process, leaving)?;
        tables.spaces.get(process).cloned()
    };
    let fetching = space.as_ref().is_some_and(|space| space.stat().outstanding != 0);
    let request = RequestId(id);
    let request = Request { request, process, work: Work::Running, target, fetching };
    let started = with_mover(proc, |mover, now| mover.start(now, request));
    let refused = match started {
        Some(Ok(_)) => None,
        Some(Err(error)) => Some(match error {
            StartError::Busy => Errno::EBUSY,
            StartError::SameNode => Errno::EEXIST,
            StartError::NotHere => Errno::ESTALE,
            StartError::TargetDown => Errno::EHOSTDOWN,
            StartError::Version => Errno::EPROTO,
            StartError::TooMany => Errno::EAGAIN,
            StartError::NoMemory => Errno::ENOMEM,
        }),
        None => Some(Errno::ENOTCONN),
    };
    if let Some(errno) = refused {
        forget_leaving(proc, process);
        return Err(errno);
    }
    if let (true, Some(space)) = (fetching, space) {
        proc.spawn(move || {
            // Too late, or lost: the machine's own bound ends the wait.
            if space.wait_complete(Duration::from_secs(600)).is_ok() {
                proc.push(Input::Fetched(process));
            }
        })?;
    }
    proc.push(Input::Look);
    Ok(id)
}

fn explain(_file: &OpenFile, arg: u64) -> Result<u64> {
    let mut call: uapi::Explain = take(arg)?;
    must_be_zero(&[call.reserved])?;
    let process = process_of(call.job, call.pid)?;
    let proc = state::get()?;
    let (task, init, moving) = {
        let tables = proc.tables.lock();
        let record = tables.records.get(process);
        if record.is_some_and(|record| record.role() == Role::Surrogate) {
            return Err(Errno::ESTALE);
        }
        let (task, init) = find(&tables, process)?;
        (task, init, tables.leaving.get(process).is_some())
    };
    let besides = if moving { facts::Besides::BeingMoved } else { facts::besides(&task) };
    let reasons = facts::reasons(&survey::survey(&task, &init)?, besides);
    let text = text_of(reasons);
    let bytes = text.as_bytes();
    let len = bytes.len().min(call.text_bytes_max as usize);
    UserSlice::new(call.text, call.text_bytes_max as usize).write(&bytes[..len])?;
    call.text_bytes = len as u32;
    call.count = reasons.iter().count() as u32;
    uaccess::write(arg, &call).map(|()| 0)
}

fn text_of(reasons: Reasons) -> alloc::string::String {
    let mut text = alloc::string::String::new();
    for reason in reasons.iter() {
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "{} {}: {} {}",
            reason.code(),
            reason.name(),
            reason.why(),
            reason.help()
        );
    }
    text
}

fn info(process: GlobalPid, task: &Task, role: u32, slot: Slot, epoch: u64) -> uapi::ProcInfo {
    uapi::ProcInfo {
        job: process.job.0,
        pid: i32::try_from(process.pid.0).unwrap_or(0),
        role,
        slot: u32::from(slot.get()),
        epoch,
        host_pid: task.pid_here(),
        state: 0,
        kept_pages: 0,
        remote_pages: 0,
        remote_slot: uapi::NO_SLOT,
        reserved: 0,
        comm: task.comm(),
    }
}

/// What of its memory is not here, and where that is.
fn tell_remote(entry: &mut uapi::ProcInfo, space: &Target) {
    let pages = space.stat().outstanding;
    let slot = if pages == 0 { uapi::NO_SLOT } else { u32::from(space.source().get()) };
    (entry.remote_pages, entry.remote_slot) = (pages, slot);
}

fn infos(tables: &Tables) -> Result<Vec<uapi::ProcInfo>> {
    let mut list = Vec::new();
    list.try_reserve(tables.records.len() + tables.incoming.len() + tables.at_home.len())?;
    for (process, record) in tables.records.iter() {
        let (slot, epoch) = record.peer();
        let role = match record.role() {
            Role::Surrogate => uapi::ROLE_SURROGATE,
            Role::Body => uapi::ROLE_BODY,
        };
        let mut entry = info(process, &record.task, role, slot, epoch.0);
        let state = record.state.lock();
        entry.state |= if state.stopped { uapi::PSTATE_STOPPED } else { 0 };
        entry.state |= if state.kept.is_some() { uapi::PSTATE_PLACED } else { 0 };
        entry.kept_pages = u64::from(state.keeps_memory);
        drop(state);
        if tables.leaving.get(process).is_some() {
            entry.state |= uapi::PSTATE_MOVING;
        }
        if let Some(space) = tables.spaces.get(process) {
            tell_remote(&mut entry, space);
        }
        list.push(entry);
    }
    for process in &tables.at_home {
        let space = tables.spaces.get(*process);
        // One that has all its memory needs no word.
        let Some(space) = space.filter(|space| space.stat().outstanding != 0) else { continue };
        let (job, pid) = (process.job.0, i32::try_from(process.pid.0).unwrap_or(0));
        let mut entry = uapi::ProcInfo { job, pid, role: uapi::ROLE_HOME, ..Default::default() };
        tell_remote(&mut entry, space);
        if tables.leaving.get(*process).is_some() {
            entry.state |= uapi::PSTATE_MOVING;
        }
        list.push(entry);
    }
    for (_, incoming) in tables.incoming.iter() {
        let helper = incoming.helper.lock().clone();
        if let Some(task) = helper.filter(|_| tables.records.get(incoming.process).is_none()) {
            let role = uapi::ROLE_RESTORING;
            let (slot, epoch) = (incoming.source, incoming.epoch.0);
            list.push(info(incoming.process, &task, role, slot, epoch));
        }
    }
    Ok(list)
}

fn proc_list(_file: &OpenFile, arg: u64) -> Result<u64> {
    let mut call: uapi::ProcList = take(arg)?;
    let list = infos(&state::get()?.tables.lock())?;
    let room = call.count_max as usize;
    let fitting = list.len().min(room);
    let to = UserSlice::new(call.entries, room.saturating_mul(size_of::<uapi::ProcInfo>()));
    to.write(list[..fitting].as_bytes())?;
    call.count = list.len() as u32;
    uaccess::write(arg, &call).map(|()| 0)
}

fn body_state(_file: &OpenFile, arg: u64) -> Result<u64> {
    let call: uapi::BodyState = take(arg)?;
    let process = process_of(call.job, call.pid)?;
    let stopped = match call.state {
        1 => Some(call.signo),
        2 => None,
        _ => return Err(Errno::EINVAL),
    };
    if signals::body_state(state::get()?, process, stopped) {
        Ok(0)
    } else {
        Err(Errno::ESRCH)
    }
}

fn restart_learn(_file: &OpenFile, arg: u64) -> Result<u64> {
    let mut learn: uapi::RestartLearn = take(arg)?;
    if learn.pid < 0 {
        return Err(Errno::EINVAL);
    }
    if learn.pid > 0 {
        park::look_at(&Task::find_here(learn.pid)?)?;
    }
    learn.known = own::restarts_known();
    uaccess::write(arg, &learn)?;
    Ok(0)
}

fn proc_counts(_file: &OpenFile, arg: u64) -> Result<u64> {
    let mut tables = state::get()?.tables.lock();
    tables.jobs.forget_ended();
    let of = |role: Role| {
        tables.records.iter().filter(|(_, record)| record.role() == role).count() as u32
    };
    let counts = uapi::ProcCounts {
        jobs: tables.jobs.len() as u32,
        surrogates: of(Role::Surrogate),
        bodies: of(Role::Body),
        restoring: tables.incoming.len() as u32,
        leaving: tables.leaving.len() as u32,
        reserved: 0,
    };
    uaccess::write(arg, &counts).map(|()| 0)
}
