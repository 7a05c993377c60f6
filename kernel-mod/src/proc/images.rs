//! Control calls of a helper: about the image that it is to become.

use alloc::sync::Arc;

use holon_uapi::proc as uapi;
use kapi::{
    task::Task,
    thread::{capable, CAP_SYS_ADMIN},
    uaccess::{self, UserSlice},
    Errno, Result,
};
use netproto::AttemptId;
use sched_migrate::Step;

use super::{incoming::Incoming, state};
use crate::ioctl::{open::OpenFile, table::take};

fn incoming_of(image: u64) -> Result<Arc<Incoming>> {
    let tables = state::get()?.tables.lock();
    tables.incoming.get(AttemptId(image)).cloned().ok_or(Errno::ENOENT)
}

/// The image whose helper the caller is.
fn mine(image: u64) -> Result<Arc<Incoming>> {
    let incoming = incoming_of(image)?;
    if incoming.is_mine() {
        Ok(incoming)
    } else {
        Err(Errno::EPERM)
    }
}

pub(super) fn attach(_file: &OpenFile, arg: u64) -> Result<u64> {
    let mut call: uapi::ImageAttach = take(arg)?;
    let incoming = incoming_of(call.image)?;
    let task = Task::current()?;
    {
        let mut tables = state::get()?.tables.lock();
        // Only the process with this very name, or the surrogate that was told to.
        let (_, caller) = tables.jobs.current().ok_or(Errno::EPERM)?;
        let surrogate = incoming.record.as_ref().is_none_or(|record| record.task.is_current());
        if caller != incoming.process || !surrogate {
            return Err(Errno::EPERM);
        }
        tables.watch(incoming.process, &task)?;
    }
    incoming.attach(task)?;
    call.job = incoming.process.job.0;
    call.pid = i32::try_from(incoming.process.pid.0).unwrap_or(0);
    call.kind = if incoming.is_exec() { uapi::IMAGE_KIND_EXEC } else { uapi::IMAGE_KIND_PROCESS };
    call.source = u32::from(incoming.source.get());
    call.manifest_bytes = incoming.manifest_bytes.len() as u64;
    uaccess::write(arg, &call).map(|()| 0)
}

pub(super) fn read(_file: &OpenFile, arg: u64) -> Result<u64> {
    let mut call: uapi::ImageRead = take(arg)?;
    let incoming = mine(call.image)?;
    let offset = usize::try_from(call.offset).map_err(|_| Errno::EINVAL)?;
    let rest = incoming.manifest_bytes.get(offset..).ok_or(Errno::EINVAL)?;
    let len = usize::try_from(call.bytes).unwrap_or(usize::MAX).min(rest.len());
    UserSlice::new(call.data, len).write(&rest[..len])?;
    call.bytes = len as u64;
    uaccess::write(arg, &call).map(|()| 0)
}

pub(super) fn fail(_file: &OpenFile, arg: u64) -> Result<u64> {
    let call: uapi::ImageFail = take(arg)?;
    let incoming = incoming_of(call.image)?;
    if !incoming.is_mine() && !capable(CAP_SYS_ADMIN) {
        return Err(Errno::EPERM);
    }
    let step = match call.step {
        uapi::FAIL_STEP_FORK => Step::Fork,
        uapi::FAIL_STEP_MANIFEST => Step::Manifest,
        uapi::FAIL_STEP_FILES => Step::Files,
        uapi::FAIL_STEP_CONTEXT => Step::Creds,
        uapi::FAIL_STEP_EXEC => Step::Exec,
        _ => Step::Other,
    };
    incoming.give_up(step, Errno::from_code(-i64::from(call.errno)))?;
    super::again::failed_here(&incoming);
    if incoming.is_mine() {
        incoming.turn_back()?;
    }
    Ok(0)
}

pub(super) fn exec_go(_file: &OpenFile, arg: u64) -> Result<u64> {
    let call: uapi::ExecGo = take(arg)?;
    let incoming = mine(call.image)?;
    if !incoming.is_exec() {
        return Err(Errno::EINVAL);
    }
    super::area::with_own(|own| incoming.wait_exec(own)).map(|()| 0)
}
