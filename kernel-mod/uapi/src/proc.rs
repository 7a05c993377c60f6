//! Jobs, processes, hand-off and exec placement: ioctls 0x40..=0x5f of the device, and their
//! events.
//!
//! Every `reserved` field must be zero. Slots are node slots (0..=63). Times are in the unit that
//! ends the name. All requests need CAP_SYS_ADMIN, except those marked *helper*, which are also
//! allowed to the task that an image was attached to.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::number::iowr;

/// Registers a job on this node (after its job init runs).
pub const JOB_ADD: u32 = iowr::<JobAdd>(0x40);
/// Forgets a job; refused with EBUSY while a process record of it exists here.
pub const JOB_DEL: u32 = iowr::<JobDel>(0x41);
/// Sets exec placement of this node: names of programs, weights of slots.
pub const PLACE_SET: u32 = iowr::<PlaceSet>(0x42);
/// Registers the helper binary and a device file for surrogates that turn into a helper.
pub const HELPER_SET: u32 = iowr::<HelperSet>(0x43);
/// Moves a process; returns when the attempt was accepted. Ends with an `EV_MIGRATED` event.
pub const MIGRATE: u32 = iowr::<Migrate>(0x44);
/// Says why a process could not move. Disturbs nothing.
pub const EXPLAIN: u32 = iowr::<Explain>(0x45);
/// Lists the process records of this node.
pub const PROC_LIST: u32 = iowr::<ProcList>(0x46);
/// *helper* Binds the calling task to an image and tells about it.
pub const IMAGE_ATTACH: u32 = iowr::<ImageAttach>(0x47);
/// *helper* Reads bytes of the image's manifest (format: crate `ckpt`).
pub const IMAGE_READ: u32 = iowr::<ImageRead>(0x48);
/// *helper* Gives up: the restore failed. In a surrogate that became a helper this call does not
/// return: the task becomes the surrogate again.
pub const IMAGE_FAIL: u32 = iowr::<ImageFail>(0x49);
/// *helper* Image kind Exec only: waits till the hand-off is committed, then returns 0 and the
/// helper must `execve`. -ECANCELED: end quietly.
pub const EXEC_GO: u32 = iowr::<ExecGo>(0x4a);
/// Told by the job init about a child: stopped or continued (waitpid WUNTRACED|WCONTINUED).
pub const BODY_STATE: u32 = iowr::<BodyState>(0x4b);
/// Counts what a drain must wait for.
pub const PROC_COUNTS: u32 = iowr::<ProcCounts>(0x4c);
/// Learns how a sleeping call is restarted in this kernel, from a process that sleeps in
/// one. Asked at start, for each kind, until `known` has its bit.
pub const RESTART_LEARN: u32 = iowr::<RestartLearn>(0x4d);

/// Magic of the file that a helper execs: these 8 bytes, then the image id as 8 bytes, little end
/// first.
pub const IMAGE_MAGIC: [u8; 8] = *b"HOLONIMG";
/// Exit code of a surrogate whose body's node was lost.
pub const EXIT_NODE_LOST: u32 = 245;
/// Longest `PlaceSet` name list, in bytes.
pub const PLACE_NAMES_BYTES_MAX: u32 = 4096;
/// Slots of a cluster.
pub const SLOTS: usize = 64;

/// `JOB_ADD`.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct JobAdd {
    /// Job number, cluster-wide; not 0.
    pub job: u32,
    /// Slot of the job's home.
    pub home: u32,
    /// Pid (in the caller's namespace) of the job init, which is pid 1 of the job's namespace here.
    pub init_pid: i32,
    /// `JOB_PLACE`.
    pub flags: u32,
    /// Zero.
    pub reserved: [u64; 2],
}
/// Exec placement is on for this job.
pub const JOB_PLACE: u32 = 1;

/// `JOB_DEL`.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct JobDel {
    /// Job number.
    pub job: u32,
    /// Zero.
    pub reserved: u32,
}

/// `PLACE_SET`. A target's share of the execs is its weight over the sum (own slot included);
/// a slot with weight 0 gets none.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct PlaceSet {
    /// Address of basenames, each ended by a NUL.
    pub names: u64,
    /// Bytes of the list; 0 switches placement off.
    pub names_bytes: u32,
    /// How long an exec may wait for the chosen node before it runs here.
    pub timeout_ms: u32,
    /// Weight per slot.
    pub weights: [u16; SLOTS],
}

/// `HELPER_SET`.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct HelperSet {
    /// Open fd of the helper binary (mode 0711: so that its user can't trace it).
    pub exec_fd: i32,
    /// Open fd of the device, handed to the helper as its control fd.
    pub dev_fd: i32,
    /// Zero.
    pub reserved: u64,
}

/// `RESTART_LEARN`.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RestartLearn {
    /// Process that sleeps in nanosleep, poll or futex; in the caller's pid namespace. 0: only ask.
    pub pid: i32,
    /// Out: bits `RESTART_*`.
    pub known: u32,
}
/// A sleep is known.
pub const RESTART_NANOSLEEP: u32 = 1 << 1;
/// A poll is known.
pub const RESTART_POLL: u32 = 1 << 2;
/// A futex wait is known.
pub const RESTART_FUTEX: u32 = 1 << 3;

/// `MIGRATE`.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Migrate {
    /// Job number.
    pub job: u32,
    /// Pid inside the job.
    pub pid: i32,
    /// Target slot (the own one is allowed only with the module's self-test knob).
    pub target: u32,
    /// Bound of the whole attempt; 0: default.
    pub timeout_ms: u32,
    /// Out: number of the attempt.
    pub attempt: u64,
    /// Out: first reason when refused with EPERM (see `Explain`), else 0.
    pub reason: u32,
    /// Zero.
    pub reserved: u32,
}

/// `EXPLAIN`.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Explain {
    /// Job number.
    pub job: u32,
    /// Pid inside the job.
    pub pid: i32,
    /// Address for text: one reason per line, `name: detail`.
    pub text: u64,
    /// Room there.
    pub text_bytes_max: u32,
    /// Out: bytes written.
    pub text_bytes: u32,
    /// Out: number of reasons; 0: may move.
    pub count: u32,
    /// Zero.
    pub reserved: u32,
}

/// `PROC_LIST`.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct ProcList {
    /// Address of `ProcInfo` entries.
    pub entries: u64,
    /// Room, in entries.
    pub count_max: u32,
    /// Out: entries that exist (may be more than were written).
    pub count: u32,
}

/// One process record. Processes that never left have none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct ProcInfo {
    /// Job number.
    pub job: u32,
    /// Pid inside the job.
    pub pid: i32,
    /// `ROLE_*`.
    pub role: u32,
    /// Surrogate: slot of the body. Body: slot of the origin. Restoring: slot of the source.
    pub slot: u32,
    /// Epoch of the directory entry as known here.
    pub epoch: u64,
    /// Pid in the caller's namespace, 0 if none.
    pub host_pid: i32,
    /// `PSTATE_*` bits.
    pub state: u32,
    /// Pages of its old memory kept here for a body elsewhere.
    pub kept_pages: u64,
    /// Pages that are not here yet.
    pub remote_pages: u64,
    /// The slot of the node that they are fetched from; [`NO_SLOT`] if there is none.
    pub remote_slot: u32,
    /// Zero.
    pub reserved: u32,
    /// Name of the program.
    pub comm: [u8; 16],
}
/// For [`ProcInfo::remote_slot`]: all its pages are here, or not by a move.
pub const NO_SLOT: u32 = u32::MAX;
/// The task here stands for a body elsewhere.
pub const ROLE_SURROGATE: u32 = 1;
/// The task here is the body of a process that started elsewhere.
pub const ROLE_BODY: u32 = 2;
/// A restore is being prepared here.
pub const ROLE_RESTORING: u32 = 3;
/// Plain process that is being moved away.
pub const ROLE_LEAVING: u32 = 4;
/// The process came home, and some of its memory is not here yet. The kernel finds no task for it:
/// `host_pid` is 0 and `comm` empty.
pub const ROLE_HOME: u32 = 5;
/// The body is stopped.
pub const PSTATE_STOPPED: u32 = 1;
/// A hand-off is going on.
pub const PSTATE_MOVING: u32 = 2;
/// It was placed at exec and may run again elsewhere.
pub const PSTATE_PLACED: u32 = 4;

/// `IMAGE_ATTACH`.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct ImageAttach {
    /// Image id, from the event or the helper's arguments.
    pub image: u64,
    /// Out: job number.
    pub job: u32,
    /// Out: pid inside the job.
    pub pid: i32,
    /// Out: `IMAGE_KIND_*`.
    pub kind: u32,
    /// Out: slot of the source.
    pub source: u32,
    /// Out: bytes of the manifest.
    pub manifest_bytes: u64,
}
/// A running process: set up, then exec the image file.
pub const IMAGE_KIND_PROCESS: u32 = 1;
/// A program placed at exec: set up, `EXEC_GO`, then execve.
pub const IMAGE_KIND_EXEC: u32 = 2;

/// `IMAGE_READ`.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct ImageRead {
    /// Image id.
    pub image: u64,
    /// Offset in the manifest.
    pub offset: u64,
    /// Address to copy to.
    pub data: u64,
    /// Bytes wanted; out: bytes copied.
    pub bytes: u64,
}

/// `IMAGE_FAIL`. Also by `holond`, when it can't make a helper.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct ImageFail {
    /// Image id.
    pub image: u64,
    /// Positive errno.
    pub errno: u32,
    /// Step that failed (`FAIL_STEP_*`), for the event.
    pub step: u32,
}
/// The helper could not be made.
pub const FAIL_STEP_FORK: u32 = 1;
/// The manifest could not be read.
pub const FAIL_STEP_MANIFEST: u32 = 2;
/// A file could not be opened again.
pub const FAIL_STEP_FILES: u32 = 3;
/// Working directory, limits or credentials.
pub const FAIL_STEP_CONTEXT: u32 = 4;
/// The exec of the image.
pub const FAIL_STEP_EXEC: u32 = 5;

/// `EXEC_GO`.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct ExecGo {
    /// Image id.
    pub image: u64,
}

/// `BODY_STATE`.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct BodyState {
    /// Job number.
    pub job: u32,
    /// Pid inside the job.
    pub pid: i32,
    /// 1 stopped, 2 continued.
    pub state: u32,
    /// Signal that stopped it.
    pub signo: u32,
}

/// `PROC_COUNTS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct ProcCounts {
    /// Jobs registered here.
    pub jobs: u32,
    /// Surrogates here.
    pub surrogates: u32,
    /// Bodies here.
    pub bodies: u32,
    /// Restores being prepared here.
    pub restoring: u32,
    /// Hand-offs going away.
    pub leaving: u32,
    /// Zero.
    pub reserved: u32,
}

/// Event: make a helper for an image. Payload `EvRestore`.
pub const EV_RESTORE: u32 = 16;
/// Event: an attempt to move ended. Payload `EvMigrated`.
pub const EV_MIGRATED: u32 = 17;
/// Event: a process record ended or changed by itself. Payload `EvProcess`.
pub const EV_PROCESS: u32 = 18;

/// Payload of `EV_RESTORE`. `holond` gets the job's init here (making it first if needed: root
/// from `home`), has it `clone3(set_tid = pid)` a helper, which does `IMAGE_ATTACH`.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct EvRestore {
    /// Image id.
    pub image: u64,
    /// Job number.
    pub job: u32,
    /// Pid inside the job.
    pub pid: i32,
    /// `IMAGE_KIND_*`.
    pub kind: u32,
    /// Slot of the job's home.
    pub home: u32,
    /// Slot of the source.
    pub source: u32,
    /// Slot of the origin (where the surrogate is).
    pub origin: u32,
    /// Uid of the process.
    pub uid: u32,
    /// Zero.
    pub reserved: u32,
}

/// Payload of `EV_MIGRATED` (raised at the source).
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct EvMigrated {
    /// Number of the attempt.
    pub attempt: u64,
    /// Job number.
    pub job: u32,
    /// Pid inside the job.
    pub pid: i32,
    /// Source slot.
    pub from: u32,
    /// Target slot.
    pub to: u32,
    /// 0: moved. Else why not: `MIG_*`.
    pub outcome: u32,
    /// Detail: number of a `sched_migrate::Failure`, 0 for none.
    pub detail: u32,
    /// New epoch when moved.
    pub epoch: u64,
    /// From freeze to run (as the source measures it, the last round trip included).
    pub freeze_us: u64,
    /// From request to run.
    pub total_us: u64,
}
/// Moved.
pub const MIG_DONE: u32 = 0;
/// Not eligible: `EXPLAIN` tells why.
pub const MIG_NOT_ELIGIBLE: u32 = 1;
/// The target refused, or its version differs; detail: number of a `sched_migrate::Failure`.
pub const MIG_REFUSED: u32 = 2;
/// No answer in time.
pub const MIG_TIMEOUT: u32 = 3;
/// The target's node is down.
pub const MIG_PEER_DOWN: u32 = 4;
/// The process ended meanwhile.
pub const MIG_EXITED: u32 = 5;
/// It could not be stopped in time (uninterruptible, vfork, traced).
pub const MIG_NOT_PARKED: u32 = 6;
/// Capture or another local step failed; detail: number of a `sched_migrate::Failure`.
pub const MIG_LOCAL: u32 = 7;
/// Another owner won the directory entry: the process was ended here.
pub const MIG_LOST: u32 = 8;

/// Payload of `EV_PROCESS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct EvProcess {
    /// Job number.
    pub job: u32,
    /// Pid inside the job.
    pub pid: i32,
    /// `PEV_*`.
    pub what: u32,
    /// Other node that is concerned.
    pub slot: u32,
    /// Detail: wait status, errno.
    pub detail: u64,
}
/// A body ended; detail: wait status.
pub const PEV_EXITED: u32 = 1;
/// The body's node was lost: its surrogate ended with `EXIT_NODE_LOST`.
pub const PEV_NODE_LOST: u32 = 2;
/// The origin's node was lost: the body here was killed.
pub const PEV_ORIGIN_LOST: u32 = 3;
/// An exec was placed on `slot`.
pub const PEV_PLACED: u32 = 4;
/// A placed exec is run again, on `slot`.
pub const PEV_PLACED_AGAIN: u32 = 5;

const _: () = {
    assert!(size_of::<JobAdd>() == 32);
    assert!(size_of::<PlaceSet>() == 144);
    assert!(size_of::<Migrate>() == 32);
    assert!(size_of::<Explain>() == 32);
    assert!(size_of::<ProcInfo>() == 72);
    assert!(size_of::<ImageAttach>() == 32);
    assert!(size_of::<EvRestore>() == 40);
    assert!(size_of::<EvMigrated>() == 56);
    assert!(size_of::<EvProcess>() == 24);
};
