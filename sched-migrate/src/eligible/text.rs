//! What users read about each reason.

use super::reason::Reason;

/// What is said about a reason.
pub(super) struct Text {
    pub(super) reason: Reason,
    pub(super) code: &'static str,
    pub(super) name: &'static str,
    pub(super) why: &'static str,
    pub(super) help: &'static str,
}

const fn text(
    reason: Reason,
    code: &'static str,
    name: &'static str,
    why: &'static str,
    help: &'static str,
) -> Text {
    Text { reason, code, name, why, help }
}

/// In the order of the enum's variants.
pub(super) static TEXTS: [Text; Reason::COUNT] = [
    text(
        Reason::NotInJob,
        "R01",
        "not-in-job",
        "It is not a process of a job.",
        "Start it with `clusterctl run`.",
    ),
    text(
        Reason::JobInit,
        "R02",
        "job-init",
        "It is the init of its job on this node, which stays with the node.",
        "Move the job's other processes.",
    ),
    text(
        Reason::KernelThread,
        "R03",
        "kernel-thread",
        "It is a thread of the kernel.",
        "Nothing does.",
    ),
    text(
        Reason::Exiting,
        "R04",
        "exiting",
        "It is ending, or has ended and waits for its parent.",
        "Wait until it is gone.",
    ),
    text(
        Reason::Threads,
        "R05",
        "threads",
        "It has more than one thread.",
        "Move it before it starts threads, or when they have ended.",
    ),
    text(
        Reason::Children,
        "R06",
        "children",
        "It has children, which would lose their parent.",
        "Move the children, or wait until they have ended and were waited for.",
    ),
    text(
        Reason::SharedMapping,
        "R07",
        "shared-mapping",
        "It maps memory that it can write and that others may share.",
        "Move it before it maps the memory, or after it was unmapped.",
    ),
    text(
        Reason::Socket,
        "R08",
        "socket",
        "It has an open socket.",
        "Move it when its sockets are closed.",
    ),
    text(
        Reason::Epoll,
        "R09",
        "epoll",
        "It has an open epoll instance.",
        "Have it use poll, or move it when the instance is closed.",
    ),
    text(
        Reason::Notify,
        "R10",
        "file-watch",
        "It watches files with inotify or fanotify.",
        "Move it when the watch is closed.",
    ),
    text(
        Reason::TimerFd,
        "R11",
        "timerfd",
        "It has an open timer descriptor.",
        "Move it when the descriptor is closed.",
    ),
    text(
        Reason::SignalFd,
        "R12",
        "signalfd",
        "It has an open signal descriptor.",
        "Move it when the descriptor is closed.",
    ),
    text(
        Reason::EventFd,
        "R13",
        "eventfd",
        "It has an open event descriptor.",
        "Move it when the descriptor is closed.",
    ),
    text(
        Reason::UserFault,
        "R14",
        "userfaultfd",
        "It, or someone for it, handles its page faults through userfaultfd.",
        "Move it when the descriptor is closed.",
    ),
    text(
        Reason::IoUring,
        "R15",
        "io-uring",
        "It has an open io_uring.",
        "Have it use ordinary calls, or move it when the ring is closed.",
    ),
    text(
        Reason::Traced,
        "R16",
        "traced",
        "It is traced by a debugger or the like, or traces another process.",
        "Detach the tracer.",
    ),
    text(
        Reason::Vfork,
        "R17",
        "vfork",
        "It waits in vfork for its child to execute or end, or is such a child.",
        "Try again in a moment.",
    ),
    text(
        Reason::Timers,
        "R18",
        "timers",
        "It has a POSIX timer, or an interval timer or alarm is set.",
        "Move it when its timers are deleted or have expired.",
    ),
    text(
        Reason::Seccomp,
        "R19",
        "seccomp",
        "It runs under a seccomp filter, which could not be made again elsewhere.",
        "Start it without the filter.",
    ),
    text(
        Reason::LockedMemory,
        "R20",
        "locked-memory",
        "It has locked memory, which must not be fetched from afar.",
        "Have it unlock the memory.",
    ),
    text(
        Reason::HugePages,
        "R21",
        "huge-pages",
        "It maps memory of explicit huge pages (hugetlbfs).",
        "Use transparent huge pages.",
    ),
    text(
        Reason::DeviceMapping,
        "R22",
        "device-mapping",
        "It maps a device's memory.",
        "Nothing does while the mapping is there.",
    ),
    text(
        Reason::DeletedMapping,
        "R23",
        "deleted-mapping",
        "It maps a file that has no name any more, or another one now.",
        "Restart it, as after an upgrade of its libraries.",
    ),
    text(
        Reason::Namespaces,
        "R24",
        "namespaces",
        "It has left a namespace of its job.",
        "Run it in the job's own namespaces.",
    ),
    text(
        Reason::Root,
        "R25",
        "root",
        "Its root directory is not its job's.",
        "Run it without chroot.",
    ),
    text(
        Reason::Uninterruptible,
        "R26",
        "uninterruptible",
        "It waits in the kernel where nothing may interrupt it.",
        "Try again in a moment; if it lasts, look at what it waits for.",
    ),
    text(
        Reason::Stopped,
        "R27",
        "stopped",
        "It is stopped by a signal.",
        "Continue it with SIGCONT.",
    ),
    text(
        Reason::FilesShared,
        "R28",
        "files-shared",
        "It shares its table of descriptors or its working directory with another process.",
        "Move it after one of them has executed or ended.",
    ),
    text(
        Reason::MemoryShared,
        "R29",
        "memory-shared",
        "It shares its address space with another process.",
        "Move it after one of them has executed or ended.",
    ),
    text(
        Reason::FileKind,
        "R30",
        "file-kind",
        "It has an open file of a kind that can't be used from another node.",
        "Close the file; `explain` tells which descriptor it is.",
    ),
    text(
        Reason::FileLock,
        "R31",
        "file-lock",
        "It holds or has a lock or lease on a file that it would lose.",
        "Move it when the lock is released.",
    ),
    text(
        Reason::Async,
        "R32",
        "async-io",
        "It has a context for asynchronous I/O, or a descriptor that sends it signals.",
        "Move it when the I/O is done.",
    ),
    text(
        Reason::MappingKind,
        "R33",
        "mapping-kind",
        "It has a mapping with a property that can't be made again elsewhere (sealed, shadow \
         stack, protection key, secret).",
        "Start it without that feature.",
    ),
    text(
        Reason::Architecture,
        "R34",
        "architecture",
        "It is not a 64-bit program, or has a local descriptor table or permissions for I/O ports.",
        "Use a 64-bit build of it.",
    ),
    text(
        Reason::SemaphoreUndo,
        "R35",
        "sysv-ipc",
        "It has System V semaphores to undo at its end.",
        "Have it use another kind of semaphore.",
    ),
    text(
        Reason::Realtime,
        "R36",
        "realtime",
        "It has a real-time or deadline scheduling policy.",
        "Give it an ordinary policy with chrt.",
    ),
    text(
        Reason::TooMany,
        "R37",
        "too-much-state",
        "It has more descriptors, mappings or pending signals than an image may hold.",
        "Have it close or unmap some.",
    ),
    text(
        Reason::Path,
        "R38",
        "no-path",
        "Its working directory, its program or an open file has no path in its job's file tree.",
        "Use files below the job's root.",
    ),
    text(Reason::Pinned, "R39", "pinned", "It, or its job, was told to stay.", "Unpin it."),
    text(
        Reason::BeingMoved,
        "R40",
        "being-moved",
        "It is being moved already, or its memory of the last move is still coming.",
        "Wait for the end of that.",
    ),
    text(
        Reason::OutsideView,
        "R41",
        "outside-view",
        "It uses a file of this node's /proc, /sys or /dev that means another thing elsewhere.",
        "Close the file; `explain` tells which descriptor it is.",
    ),
    text(
        Reason::KeyedState,
        "R42",
        "keyed-state",
        "It uses a kernel key of its own (a session keyring with keys, a pidfd).",
        "Move it when the key or descriptor is gone.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::format;

    #[test]
    fn the_table_is_in_order_and_complete() {
        for (index, text) in TEXTS.iter().enumerate() {
            assert_eq!(text.code, format!("R{:02}", index + 1));
            assert_eq!(text.reason.index(), u32::try_from(index).expect("small"));
            assert_eq!(Reason::from_code(text.code), Some(text.reason));
            assert!(text.why.ends_with('.') && text.help.ends_with('.'), "{}", text.code);
        }
        assert!(Reason::all().is_sorted());
        let names: BTreeSet<_> = Reason::all().map(Reason::name).collect();
        assert_eq!(names.len(), Reason::COUNT);
        assert_eq!(Reason::from_code("R99"), None);
    }
}
