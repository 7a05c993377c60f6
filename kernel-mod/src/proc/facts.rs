//! From a survey to what the eligibility check wants to know.

use kapi::{
    fileref::{self, FileInfo},
    task::Task,
};
use sched_migrate::eligible::{self, Flags, OpenKinds, Reasons, State};

use super::{
    files,
    survey::{vm, Survey},
};

const MAGIC_PROC: u64 = 0x9fa0;
const MAGIC_SYSFS: u64 = 0x6265_6572;
const MAGIC_CGROUP2: u64 = 0x6367_7270;
const MAGIC_DEBUGFS: u64 = 0x6462_6720;
const MAGIC_TRACEFS: u64 = 0x7472_6163;

/// What a look at the process alone does not tell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Besides {
    /// Nothing.
    Nothing,
    /// It is being moved.
    BeingMoved,
    /// It sleeps where no signal wakes it, and does not seem to wake by itself.
    Stuck,
}

/// How long an uninterruptible sleep is looked at before it counts: most last a moment.
const STUCK_US: u32 = 250_000;

/// Looks at a process that is not being moved: one that is parked sleeps uninterruptibly too.
pub(crate) fn besides(task: &Task) -> Besides {
    if task.is_stuck(STUCK_US) {
        Besides::Stuck
    } else {
        Besides::Nothing
    }
}

/// Why a process can't move; none, if it can.
pub(crate) fn reasons(survey: &Survey, besides: Besides) -> Reasons {
    let being_moved = besides == Besides::BeingMoved;
    let facts = &survey.facts;
    eligible::check(&eligible::Facts {
        state: state(survey, besides),
        flags: flags(survey) | mapping_flags(survey) | set(being_moved, Flags::BEING_MOVED),
        open: open(survey),
        threads: facts.threads,
        children: facts.children,
        fds: survey.fds.len() as u32,
        mappings: survey.mappings.len() as u32,
        pending: 0,
    })
}

fn set(on: bool, flag: Flags) -> Flags {
    if on {
        flag
    } else {
        Flags::empty()
    }
}

fn state(survey: &Survey, besides: Besides) -> State {
    let facts = &survey.facts;
    if facts.exiting != 0 {
        State::Dead
    } else if facts.traced != 0 {
        State::Traced
    } else if facts.stopped != 0 {
        State::Stopped
    } else if besides == Besides::Stuck {
        State::Uninterruptible
    } else {
        State::Interruptible
    }
}

fn flags(survey: &Survey) -> Flags {
    let facts = &survey.facts;
    let timers = facts.posix_timers != 0 || facts.itimers != 0;
    set(true, Flags::IN_JOB)
        | set(facts.kernel != 0, Flags::KERNEL_THREAD)
        | set(facts.traced != 0, Flags::TRACED)
        | set(facts.vforking != 0, Flags::VFORK)
        | set(timers, Flags::TIMERS)
        | set(facts.seccomp != 0, Flags::SECCOMP)
        | set(facts.other_namespaces != 0 || facts.user_ns_other != 0, Flags::FOREIGN_NAMESPACE)
        | set(survey.root != survey.init_root, Flags::FOREIGN_ROOT)
        | set(facts.compat != 0, Flags::FOREIGN_ARCHITECTURE)
        | set(facts.io_uring != 0, Flags::ASYNC)
        | set(facts.sysv_undo != 0, Flags::SEMAPHORE_UNDO)
        | set(facts.real_time != 0, Flags::REALTIME)
        | set(facts.files_shared != 0 || facts.fs_shared != 0, Flags::FILES_SHARED)
        | set(facts.mm_shared != 0, Flags::MEMORY_SHARED)
        | set(survey.locks, Flags::FILE_LOCK)
        | set(facts.locked_vm != 0, Flags::LOCKED)
        | set(!is_plain(&survey.cwd), Flags::NO_PATH)
        | set(survey.exe.info().unlinked != 0, Flags::NO_PATH)
}

/// Whether a path can be given to `open` elsewhere.
pub(crate) fn is_plain(path: &[u8]) -> bool {
    path.first() == Some(&b'/') && !path.ends_with(b" (deleted)")
}

fn mapping_flags(survey: &Survey) -> Flags {
    let plain = survey.mappings.iter().filter(|mapping| !mapping.special);
    plain.fold(Flags::empty(), |all, mapping| {
        let bits = mapping.flags;
        let shared = bits & vm::SHARED != 0 && bits & (vm::WRITE | vm::MAYWRITE) != 0;
        let no_name = mapping.file.as_ref().is_some_and(|file| {
            let info = file.info();
            info.unlinked != 0 || info.nameless != 0 || info.kind != fileref::KIND_REGULAR
        });
        let odd = mapping.file.is_none() && !mapping.anon;
        all | set(shared, Flags::SHARED_MAPPING)
            | set(no_name, Flags::DELETED_MAPPING)
            | set(odd || bits & vm::STRANGE != 0, Flags::STRANGE_MAPPING)
            | set(bits & vm::HUGETLB != 0, Flags::HUGETLB)
            | set(bits & vm::LOCKED != 0, Flags::LOCKED)
            | set(bits & vm::UFFD != 0, Flags::USER_FAULT)
            | set(bits & (vm::PFNMAP | vm::IO | vm::MIXEDMAP) != 0, Flags::DEVICE_MAPPING)
    })
}

fn open(survey: &Survey) -> OpenKinds {
    survey.fds.iter().fold(OpenKinds::empty(), |all, fd| {
        let info = fd.file.info();
        all | match info.kind {
            fileref::KIND_SOCKET => OpenKinds::SOCKET,
            fileref::KIND_ANON if files::is_ours(&fd.file) => OpenKinds::empty(),
            fileref::KIND_ANON => anonymous(&fd.file.name()),
            _ => named(&fd.file, &info),
        }
    })
}

fn named(file: &fileref::FileRef, info: &FileInfo) -> OpenKinds {
    let local = [MAGIC_PROC, MAGIC_SYSFS, MAGIC_CGROUP2, MAGIC_DEBUGFS, MAGIC_TRACEFS];
    if files::is_ours(file) || files::can_describe(file, info) {
        OpenKinds::empty()
    } else if local.contains(&info.magic) {
        OpenKinds::NODE_LOCAL
    } else {
        OpenKinds::OTHER
    }
}

fn anonymous(name: &[u8; 64]) -> OpenKinds {
    const KINDS: [(&[u8], OpenKinds); 8] = [
        (b"[eventpoll]", OpenKinds::EPOLL),
        (b"inotify", OpenKinds::NOTIFY),
        (b"[fanotify]", OpenKinds::NOTIFY),
        (b"[timerfd]", OpenKinds::TIMERFD),
        (b"[signalfd]", OpenKinds::SIGNALFD),
        (b"[eventfd", OpenKinds::EVENTFD),
        (b"[userfaultfd]", OpenKinds::USERFAULTFD),
        (b"[io_uring]", OpenKinds::IO_URING),
    ];
    let known = KINDS.iter().find(|(prefix, _)| name.starts_with(prefix));
    known.map_or(OpenKinds::OTHER, |(_, kind)| *kind)
}
