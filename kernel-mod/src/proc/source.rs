//! Making the image of a process that leaves: on workers, for it may take long.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::time::Duration;

use ckpt::{
    diff,
    freeze::Freeze,
    object::{
        places::Places,
        subject::{ImageKind as SubjectKind, Subject},
    },
    Carry, Final, Incompatible, Manifest,
};
use kapi::{fileref::FileRef, Errno, Result};
use netproto::{
    msg::migrate::{self, ImageKind},
    AttemptId, Class, Epoch, Kind, Pid, Slot, SpaceId,
};
use sched_migrate::Failure;
use vm_remote::run::{Run, RunSet};

use super::{
    facts, files,
    leaving::{exported_as, Leaving, Out},
    manifest,
    survey::{self, Survey},
};
use crate::{
    memory::{places, space},
    port::net,
};

/// How many changes of the layout a target carries out at the freeze.
const CHANGES_MAX: usize = 256;
/// Bytes of an image in one message: a quarter of what a message may hold, so that others get in.
const PIECE_LEN: usize = 16 << 10;
/// How long one piece may wait for room, times the time scale.
const PIECE_WAIT: Duration = Duration::from_millis(2000);

/// What an attempt is about.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) attempt: AttemptId,
    pub(crate) target: Slot,
    pub(crate) origin: Slot,
    pub(crate) epoch: Epoch,
}

fn capture(errno: Errno) -> Failure {
    Failure::Capture { errno: u16::try_from(-errno.code()).unwrap_or(0) }
}

/// A number that nodes with the same kernel have in common.
pub(crate) fn kernel_build() -> u64 {
    let release = kapi::module::kernel_release();
    u64::from(netproto::wire::checksum(&[release.as_bytes()])) | (release.len() as u64) << 32
}

fn subject(
    leaving: &Leaving,
    plan: &Plan,
    kind: SubjectKind,
    space: SpaceId,
    ids: (i32, i32),
) -> Result<Subject> {
    let pid = |number: i32| Pid(u32::try_from(number).unwrap_or(0));
    Ok(Subject {
        attempt: plan.attempt,
        kind,
        process: leaving.process,
        parent_pid: Pid(0),
        group_pid: pid(ids.0),
        session_pid: pid(ids.1),
        origin: plan.origin,
        source: net::own_slot().ok_or(Errno::ENOTCONN)?,
        epoch: plan.epoch,
        space,
        kernel_build: kernel_build(),
        xfeatures: 0,
    })
}

fn listed(found: &places::Places) -> Result<Places> {
    let mut runs = Vec::new();
    for run in found.anon.iter().chain(found.written.iter()) {
        runs.try_reserve(1)?;
        runs.push((run.first(), run.pages()));
    }
    runs.sort_unstable();
    let mut places = Places::new();
    for (first, pages) in runs {
        places.push(first, pages)?;
    }
    for run in found.huge.iter() {
        places.push_huge(run.first(), run.pages())?;
    }
    Ok(places)
}

/// Takes the manifest and sends it.
pub(crate) fn prepare(leaving: &Arc<Leaving>, plan: &Plan) -> core::result::Result<(), Failure> {
    let out = match leaving.kind {
        ImageKind::Live => prepare_live(leaving, plan)?,
        ImageKind::Exec => prepare_exec(leaving, plan).map_err(capture)?,
    };
    let bytes = out.manifest.encode().map_err(|error| {
        log::warn!("{}: manifest: {error}", leaving.process);
        Failure::BadImage
    });
    // Where it is found again, to be dropped, whatever happens next.
    *leaving.out.lock() = Some(out);
    send_manifest(leaving, plan, &bytes?)
}

#[inline(never)]
fn prepare_live(leaving: &Arc<Leaving>, plan: &Plan) -> core::result::Result<Box<Out>, Failure> {
    let survey = survey::survey(&leaving.task, &leaving.init).map_err(capture)?;
    if !facts::reasons(&survey, facts::Besides::Nothing).is_empty() {
        return Err(Failure::Ineligible);
    }
    let (process, request) = (leaving.process, leaving.request);
    let on_release = move |_: space::Release| super::driver::memory_released(process, request);
    let space =
        space::create_source(survey.mm.share(), plan.target, on_release).map_err(capture)?;
    live_out(leaving, plan, &survey, space).map_err(|errno| {
        space::drop_source(space);
        capture(errno)
    })
}

#[inline(never)]
fn live_out(leaving: &Leaving, plan: &Plan, survey: &Survey, space: SpaceId) -> Result<Box<Out>> {
    let ids = (survey.facts.pgid, survey.facts.sid);
    let subject = subject(leaving, plan, SubjectKind::Live, space, ids)?;
    let mut exported = Vec::new();
    let manifest = manifest::live(
        survey,
        subject,
        listed(&places::collect(&survey.mm)?)?,
        &mut |file: &FileRef| {
            let (kind, kept) = files::describe(file, survey.refs_of(file))?;
            exported.try_reserve(1)?;
            exported.push((file.identity(), kept));
            Ok(kind)
        },
    )?;
    let attempt = plan.attempt;
    Ok(Box::new(Out { attempt, manifest, space: Some(space), exported, final_part: Vec::new() }))
}

#[inline(never)]
fn prepare_exec(leaving: &Leaving, plan: &Plan) -> Result<Box<Out>> {
    let kept = leaving.kept.as_ref().ok_or(Errno::EINVAL)?;
    let ids = (kept.facts.pgid, kept.facts.sid);
    let subject = subject(leaving, plan, SubjectKind::Exec, SpaceId(0), ids)?;
    let mut exported = Vec::new();
    let context = manifest::Context {
        facts: &kept.facts,
        groups: &kept.groups,
        fds: &kept.fds,
        cwd: &kept.cwd,
    };
    let manifest = manifest::exec(&context, subject, kept.exec()?, &mut |file: &FileRef| {
        // The table's and the kept ones; of one that is placed again only these are left.
        let kept_refs = kept.refs_of(file);
        let in_table = leaving.task.fd_refs(file);
        let (kind, keep) = files::describe(file, kept_refs + in_table)?;
        exported.try_reserve(1)?;
        exported.push((file.identity(), keep));
        Ok(kind)
    })?;
    let attempt = plan.attempt;
    Ok(Box::new(Out { attempt, manifest, space: None, exported, final_part: Vec::new() }))
}

/// The pieces of an image: offset and bytes. One of no bytes is one empty piece.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let count = bytes.len().div_ceil(PIECE_LEN).max(1);
    (0..count).map(move |index| {
        let start = index * PIECE_LEN;
        (start, &bytes[start..bytes.len().min(start + PIECE_LEN)])
    })
}

#[inline(never)]
fn send_manifest(
    leaving: &Leaving,
    plan: &Plan,
    bytes: &[u8],
) -> core::result::Result<(), Failure> {
    let total_len = u32::try_from(bytes.len()).map_err(|_| Failure::BadImage)?;
    for (offset, piece) in pieces(bytes) {
        let head = migrate::Prepare {
            attempt: plan.attempt,
            process: leaving.process,
            origin: plan.origin,
            kind: leaving.kind,
            epoch: plan.epoch,
            total_len,
            offset: offset as u32,
        };
        send_piece(plan.target, migrate::Prepare::KIND, &[&head.encode(), piece])?;
    }
    Ok(())
}

/// Sends the final part that [`compare`] made.
pub(crate) fn send_final(
    leaving: &Leaving,
    attempt: AttemptId,
    target: Slot,
) -> core::result::Result<(), Failure> {
    let bytes = {
        let mut out = leaving.out.lock();
        let out = out.as_mut().filter(|out| out.attempt == attempt).ok_or(Failure::Aborted)?;
        if let Some(space) = out.space {
            space::open_source(space).map_err(capture)?;
        }
        core::mem::take(&mut out.final_part)
    };
    let total_len = u32::try_from(bytes.len()).map_err(|_| Failure::BadImage)?;
    for (offset, piece) in pieces(&bytes) {
        let head = migrate::Final { attempt, total_len, offset: offset as u32 };
        send_piece(target, migrate::Final::KIND, &[&head.encode(), piece])?;
    }
    Ok(())
}

fn send_piece(target: Slot, kind: Kind, parts: &[&[u8]]) -> core::result::Result<(), Failure> {
    let class: Class = kind.class();
    net::send_waiting(target, class, kind, parts, PIECE_WAIT).map_err(|error| {
        log::debug!("image for node {target}: {error:?}");
        Failure::TargetDown
    })
}

/// How a stopped process compares with what was prepared.
pub(crate) enum Compared {
    /// The final part is made.
    Fits,
    /// Too much has changed.
    Differs,
}

/// Compares, and makes the final part.
pub(crate) fn compare(leaving: &Leaving) -> core::result::Result<Compared, Failure> {
    let survey = survey::survey(&leaving.task, &leaving.init).map_err(capture)?;
    let reasons = facts::reasons(&survey, facts::Besides::Nothing);
    if !reasons.is_empty() {
        return Err(Failure::Ineligible);
    }
    let mut out = leaving.out.lock();
    let out = out.as_mut().ok_or(Failure::Aborted)?;
    let now = match look_again(&survey, out) {
        Ok(now) => now,
        Err(Errno::ESTALE) => return Ok(Compared::Differs),
        Err(errno) => return Err(capture(errno)),
    };
    match diff(&out.manifest, &now, Carry { changes_max: CHANGES_MAX }) {
        Ok(fits) => {
            out.final_part = final_part(leaving, out, &survey, fits)?;
            Ok(Compared::Fits)
        }
        Err(Incompatible::NoMemory) => Err(Failure::NoMemory),
        Err(difference) => {
            log::debug!("{}: {difference}", leaving.process);
            Ok(Compared::Differs)
        }
    }
}

/// The places of the manifest, which need no second look.
fn known(out: &Out) -> Result<RunSet> {
    let mut known = RunSet::new();
    let ranges = out.manifest.memory().map(|memory| memory.places.ranges()).unwrap_or_default();
    for range in ranges {
        if let Some(run) = Run::new(range.start, range.count) {
            known.insert(run)?;
        }
    }
    Ok(known)
}

#[inline(never)]
fn look_again(survey: &Survey, out: &Out) -> Result<Box<Manifest>> {
    let subject = out.manifest.subject;
    let places = listed(&places::collect_again(&survey.mm, &known(out)?)?)?;
    manifest::live(survey, subject, places, &mut |file: &FileRef| {
        files::describe_again(file, exported_as(&out.exported, file))
    })
}

#[inline(never)]
fn final_part(
    leaving: &Leaving,
    out: &Out,
    survey: &Survey,
    fits: ckpt::Compatible,
) -> core::result::Result<Vec<u8>, Failure> {
    let mut live = leaving.live.lock();
    let live = live.as_mut().ok_or(capture(Errno::EIO))?;
    let part = Final {
        freeze: Freeze {
            attempt: out.attempt,
            process: leaving.process,
            epoch: out.manifest.subject.epoch,
            clocks: live.clocks,
            utime_ns: survey.facts.utime_ns,
            stime_ns: survey.facts.stime_ns,
        },
        places: fits.places,
        regs: live.regs,
        xstate: ckpt::object::regs::Xstate(
            live.xstate.0.try_clone().map_err(|_| Failure::NoMemory)?,
        ),
        signals: core::mem::replace(&mut live.signals, super::live::no_signals()),
        thread: live.thread,
        restart: live.restart,
        positions: fits.positions,
        change: fits.change,
    };
    let bytes = part.encode().map_err(|error| {
        log::warn!("{}: final part: {error}", leaving.process);
        Failure::BadImage
    });
    live.signals = part.signals;
    bytes
}
