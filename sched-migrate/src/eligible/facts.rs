//! What the module sees of a live task.

use ckpt::limits::{FDS_MAX, PENDING_MAX, VMAS_MAX};

use super::reason::Reason;
use super::reasons::Reasons;

/// What the task is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// Running, or sleeping where signals wake it.
    #[default]
    Interruptible,
    /// Sleeping where nothing but its event wakes it, or only a fatal signal.
    Uninterruptible,
    /// Stopped by a signal.
    Stopped,
    /// Stopped by its tracer.
    Traced,
    /// Ending or ended.
    Dead,
}

bitflags::bitflags! {
    /// What is there or not.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Flags: u64 {
        /// It belongs to a job.
        const IN_JOB = 1 << 0;
        /// It is its job's init on this node.
        const JOB_INIT = 1 << 1;
        /// It is a thread of the kernel.
        const KERNEL_THREAD = 1 << 2;
        /// It is traced, or traces.
        const TRACED = 1 << 3;
        /// It waits for a vfork child, or is one that has not executed yet.
        const VFORK = 1 << 4;
        /// It has POSIX timers, or an interval timer is set.
        const TIMERS = 1 << 5;
        /// It has a seccomp filter.
        const SECCOMP = 1 << 6;
        /// One of its namespaces is not its job's.
        const FOREIGN_NAMESPACE = 1 << 7;
        /// Its root is not its job's.
        const FOREIGN_ROOT = 1 << 8;
        /// Its descriptor table or its `fs_struct` is shared.
        const FILES_SHARED = 1 << 9;
        /// Its address space has other users.
        const MEMORY_SHARED = 1 << 10;
        /// It has an asynchronous I/O context, or a descriptor with an owner for signals.
        const ASYNC = 1 << 11;
        /// It is no 64-bit program, or has an LDT or I/O permissions.
        const FOREIGN_ARCHITECTURE = 1 << 12;
        /// It has System V semaphores to undo, or attached shared memory.
        const SEMAPHORE_UNDO = 1 << 13;
        /// Its policy is a real-time or deadline one.
        const REALTIME = 1 << 14;
        /// Its working directory or its program has no path in the job's tree.
        const NO_PATH = 1 << 15;
        /// It was told to stay.
        const PINNED = 1 << 16;
        /// A move of it is under way, or its fetch.
        const BEING_MOVED = 1 << 17;
        /// It has a session keyring of its own with keys, or a pidfd.
        const KEYED = 1 << 18;
        /// Its page faults are handled through userfaultfd, by whomever.
        const USER_FAULT = 1 << 19;
        /// Its address space maps explicit huge pages.
        const HUGETLB = 1 << 20;
        /// Its address space maps a device's memory (`VM_PFNMAP`, `VM_IO`, `VM_MIXEDMAP`).
        const DEVICE_MAPPING = 1 << 21;
        /// It maps a file without a name.
        const DELETED_MAPPING = 1 << 22;
        /// It has a writable shared mapping.
        const SHARED_MAPPING = 1 << 23;
        /// It has locked memory.
        const LOCKED = 1 << 24;
        /// It has a mapping with a property that can't be made again.
        const STRANGE_MAPPING = 1 << 25;
        /// It holds a lock or lease on a file that would be lost.
        const FILE_LOCK = 1 << 26;
    }
}

bitflags::bitflags! {
    /// Kinds of open files that can't move.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct OpenKinds: u32 {
        /// A socket.
        const SOCKET = 1 << 0;
        /// An epoll instance.
        const EPOLL = 1 << 1;
        /// inotify, fanotify.
        const NOTIFY = 1 << 2;
        /// A timer descriptor.
        const TIMERFD = 1 << 3;
        /// A signal descriptor.
        const SIGNALFD = 1 << 4;
        /// An event descriptor.
        const EVENTFD = 1 << 5;
        /// A userfaultfd.
        const USERFAULTFD = 1 << 6;
        /// An io_uring.
        const IO_URING = 1 << 7;
        /// A pidfd.
        const PIDFD = 1 << 8;
        /// A file of this node's /proc, /sys or /dev.
        const NODE_LOCAL = 1 << 9;
        /// A file without a path in the job's tree, that can't be a remote file either.
        const NO_PATH = 1 << 10;
        /// Any other that can't be used from afar.
        const OTHER = 1 << 11;
    }
}

/// What the module sees of a live task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    /// What it is doing.
    pub state: State,
    /// What is there or not.
    pub flags: Flags,
    /// Its open files that can't move.
    pub open: OpenKinds,
    /// How many threads it has, itself included.
    pub threads: u32,
    /// How many children it has, ended ones included.
    pub children: u32,
    /// How many descriptors are open.
    pub fds: u32,
    /// How many mappings there are.
    pub mappings: u32,
    /// How many signals are pending.
    pub pending: u32,
}

/// Why the process can't move; nothing, if it can.
pub fn check(facts: &Facts) -> Reasons {
    let mut reasons = Reasons::NONE;
    reasons.add_if(!facts.flags.contains(Flags::IN_JOB), Reason::NotInJob);
    reasons.add_if(facts.threads > 1, Reason::Threads);
    reasons.add_if(facts.children > 0, Reason::Children);
    let counts = [(facts.fds, FDS_MAX), (facts.mappings, VMAS_MAX), (facts.pending, PENDING_MAX)];
    let too_many = counts.into_iter().any(|(count, max)| exceeds(count, max));
    reasons.add_if(too_many, Reason::TooMany);
    match facts.state {
        State::Interruptible => {}
        State::Uninterruptible => reasons.add(Reason::Uninterruptible),
        State::Stopped => reasons.add(Reason::Stopped),
        State::Traced => reasons.add(Reason::Traced),
        State::Dead => reasons.add(Reason::Exiting),
    }
    for (flag, reason) in OF_FLAGS {
        reasons.add_if(facts.flags.contains(flag), reason);
    }
    for (kind, reason) in OF_OPEN_KINDS {
        reasons.add_if(facts.open.contains(kind), reason);
    }
    reasons
}

fn exceeds(count: u32, max: usize) -> bool {
    usize::try_from(count).map_or(true, |count| count > max)
}

const OF_FLAGS: [(Flags, Reason); 26] = [
    (Flags::JOB_INIT, Reason::JobInit),
    (Flags::KERNEL_THREAD, Reason::KernelThread),
    (Flags::TRACED, Reason::Traced),
    (Flags::VFORK, Reason::Vfork),
    (Flags::TIMERS, Reason::Timers),
    (Flags::SECCOMP, Reason::Seccomp),
    (Flags::FOREIGN_NAMESPACE, Reason::Namespaces),
    (Flags::FOREIGN_ROOT, Reason::Root),
    (Flags::FILES_SHARED, Reason::FilesShared),
    (Flags::MEMORY_SHARED, Reason::MemoryShared),
    (Flags::ASYNC, Reason::Async),
    (Flags::FOREIGN_ARCHITECTURE, Reason::Architecture),
    (Flags::SEMAPHORE_UNDO, Reason::SemaphoreUndo),
    (Flags::REALTIME, Reason::Realtime),
    (Flags::NO_PATH, Reason::Path),
    (Flags::PINNED, Reason::Pinned),
    (Flags::BEING_MOVED, Reason::BeingMoved),
    (Flags::KEYED, Reason::KeyedState),
    (Flags::USER_FAULT, Reason::UserFault),
    (Flags::HUGETLB, Reason::HugePages),
    (Flags::DEVICE_MAPPING, Reason::DeviceMapping),
    (Flags::DELETED_MAPPING, Reason::DeletedMapping),
    (Flags::SHARED_MAPPING, Reason::SharedMapping),
    (Flags::LOCKED, Reason::LockedMemory),
    (Flags::STRANGE_MAPPING, Reason::MappingKind),
    (Flags::FILE_LOCK, Reason::FileLock),
];

const OF_OPEN_KINDS: [(OpenKinds, Reason); 12] = [
    (OpenKinds::SOCKET, Reason::Socket),
    (OpenKinds::EPOLL, Reason::Epoll),
    (OpenKinds::NOTIFY, Reason::Notify),
    (OpenKinds::TIMERFD, Reason::TimerFd),
    (OpenKinds::SIGNALFD, Reason::SignalFd),
    (OpenKinds::EVENTFD, Reason::EventFd),
    (OpenKinds::USERFAULTFD, Reason::UserFault),
    (OpenKinds::IO_URING, Reason::IoUring),
    (OpenKinds::PIDFD, Reason::KeyedState),
    (OpenKinds::NODE_LOCAL, Reason::OutsideView),
    (OpenKinds::NO_PATH, Reason::Path),
    (OpenKinds::OTHER, Reason::FileKind),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn movable() -> Facts {
        Facts { flags: Flags::IN_JOB, threads: 1, fds: 3, mappings: 20, ..Facts::default() }
    }

    #[test]
    fn an_ordinary_process_can_move() {
        assert!(check(&movable()).is_empty());
    }

    #[test]
    fn each_flag_and_kind_has_its_reason() {
        for flag in Flags::all().iter().filter(|flag| *flag != Flags::IN_JOB) {
            let facts = Facts { flags: flag | Flags::IN_JOB, ..movable() };
            assert_eq!(check(&facts).iter().count(), 1, "{flag:?}");
        }
        for open in OpenKinds::all().iter() {
            assert_eq!(check(&Facts { open, ..movable() }).iter().count(), 1, "{open:?}");
        }
    }

    #[test]
    fn every_reason_can_come() {
        let all = Facts {
            flags: Flags::all() - Flags::IN_JOB,
            open: OpenKinds::all(),
            threads: 2,
            children: 1,
            fds: u32::MAX,
            ..movable()
        };
        let states = [State::Uninterruptible, State::Stopped, State::Traced, State::Dead];
        let bits = states.map(|state| check(&Facts { state, ..all }).bits());
        let reasons = Reasons::from_bits(bits.into_iter().fold(0, |all, bits| all | bits));
        assert_eq!(reasons.iter().count(), Reason::COUNT);
    }

    #[test]
    fn numbers() {
        assert!(check(&Facts { threads: 2, ..movable() }).contains(Reason::Threads));
        assert!(check(&Facts { children: 1, ..movable() }).contains(Reason::Children));
        assert!(check(&Facts { pending: 1025, ..movable() }).contains(Reason::TooMany));
        assert!(check(&Facts::default()).contains(Reason::NotInJob));
    }
}
