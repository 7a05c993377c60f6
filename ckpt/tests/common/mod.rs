//! Random images, by seed.

#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use ckpt::freeze::{Clocks, Final, Freeze};
use ckpt::id::{AttemptId, Epoch, FileId, GlobalPid, Pid, Slot, SpaceId};
use ckpt::manifest::{Body, Manifest, Memory};
use ckpt::object::change::{Change, Span};
use ckpt::object::creds::{Caps, Creds, Ids};
use ckpt::object::exec::Exec;
use ckpt::object::file::{Fd, FileKind, Files, Subkind};
use ckpt::object::fs::{Exe, Fs};
use ckpt::object::mm::Mm;
use ckpt::object::places::Places;
use ckpt::object::position::{Position, Positions};
use ckpt::object::regs::{Regs, Xstate};
use ckpt::object::restart::{Deadline, Restart};
use ckpt::object::signal::{Action, AltStack, Pending, Signals};
use ckpt::object::subject::{ImageKind, Subject};
use ckpt::object::task::{Rlimit, Task};
use ckpt::object::thread::Thread;
use ckpt::object::vma::{MappedFile, Vma, VmaFlags, VmaKind, Vmas};
use ckpt::Bytes;

/// SplitMix64.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn len(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(u64::try_from(bound).expect("small"))).expect("small")
    }

    pub fn u32(&mut self) -> u32 {
        u32::try_from(self.next() >> 32).expect("32 bits")
    }

    pub fn small(&mut self, bound: u32) -> u32 {
        u32::try_from(self.below(u64::from(bound))).expect("32 bits")
    }

    pub fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).expect("a byte")
    }

    pub fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    pub fn word(&mut self, bound: usize) -> Bytes {
        let len = self.len(bound);
        let word: Vec<u8> = (0..len).map(|_| self.byte().max(1)).collect();
        Bytes::from(word)
    }

    pub fn path(&mut self) -> Bytes {
        let mut path = vec![b'/'];
        for _ in 0..self.below(4) {
            path.extend_from_slice(b"dir");
            path.push(b'a' + u8::try_from(self.below(26)).expect("a letter"));
            path.push(b'/');
        }
        Bytes::from(path)
    }

    pub fn slot(&mut self) -> Slot {
        Slot::new(u8::try_from(self.below(64)).expect("a slot")).expect("a slot")
    }

    pub fn address(&mut self) -> u64 {
        self.below(1 << 47)
    }
}

pub const PAGE: u64 = 4096;

pub fn subject(rng: &mut Rng, kind: ImageKind) -> Subject {
    Subject {
        attempt: AttemptId(rng.next()),
        kind,
        process: GlobalPid::new(rng.u32(), rng.small(1 << 22) + 2),
        parent_pid: Pid(rng.small(1 << 22)),
        group_pid: Pid(rng.small(1 << 22)),
        session_pid: Pid(rng.small(1 << 22)),
        origin: rng.slot(),
        source: rng.slot(),
        epoch: Epoch(rng.next()),
        space: SpaceId(rng.next()),
        kernel_build: rng.next(),
        xfeatures: rng.next(),
    }
}

fn task(rng: &mut Rng) -> Task {
    let mut rlimits = [Rlimit::default(); 16];
    for limit in &mut rlimits {
        let soft = rng.next();
        *limit = Rlimit { soft, hard: soft.saturating_add(rng.next()) };
    }
    Task {
        comm: rng.word(16),
        personality: rng.u32(),
        nice: i32::try_from(rng.below(40)).expect("small") - 20,
        rlimits,
        oom_score_adj: i32::try_from(rng.below(2001)).expect("small") - 1000,
        utime_ns: rng.next(),
        stime_ns: rng.next(),
    }
}

fn ids(rng: &mut Rng) -> Ids {
    Ids { real: rng.u32(), effective: rng.u32(), saved: rng.u32(), fs: rng.u32() }
}

fn creds(rng: &mut Rng) -> Creds {
    Creds {
        user: ids(rng),
        group: ids(rng),
        groups: (0..rng.below(5)).map(|_| rng.u32()).collect(),
        caps: Caps {
            inheritable: rng.next(),
            permitted: rng.next(),
            effective: rng.next(),
            bounding: rng.next(),
            ambient: rng.next(),
        },
        securebits: rng.u32(),
        dumpable: u8::try_from(rng.below(3)).expect("small"),
        no_new_privs: rng.coin(),
    }
}

fn file_kind(rng: &mut Rng) -> FileKind {
    match rng.below(3) {
        0 => FileKind::Path {
            path: rng.path(),
            flags: rng.u32(),
            position: rng.below(1 << 63),
            mode: rng.u32(),
        },
        1 => FileKind::Remote {
            holder: rng.slot(),
            file: FileId(rng.next()),
            flags: rng.u32(),
            fmode: rng.u32(),
            subkind: Subkind::from_number(u8::try_from(rng.below(5)).expect("small"))
                .expect("known"),
        },
        _ => FileKind::Dev { path: rng.path(), flags: rng.u32() },
    }
}

pub fn files(rng: &mut Rng) -> Files {
    let mut files = Files::default();
    let mut number = 0;
    for _ in 0..rng.below(8) {
        number += rng.small(4) + 1;
        let groups = u32::try_from(files.descriptions.len()).expect("few");
        let group = rng.small(groups + 1);
        if group == groups {
            files.descriptions.push(file_kind(rng));
        }
        files.fds.push(Fd { fd: number, group, cloexec: rng.coin() });
    }
    files
}

fn span(rng: &mut Rng) -> (u64, u64) {
    let start = rng.address();
    (start, start + rng.below(1 << 30))
}

fn mm(rng: &mut Rng) -> Mm {
    let (start_code, end_code) = span(rng);
    let (start_data, end_data) = span(rng);
    let (start_brk, brk) = span(rng);
    let (arg_start, arg_end) = span(rng);
    let (env_start, env_end) = span(rng);
    let (vdso_start, vdso_end) = span(rng);
    let auxv_len = rng.len(22) * 16;
    Mm {
        start_code,
        end_code,
        start_data,
        end_data,
        start_brk,
        brk,
        start_stack: rng.address(),
        arg_start,
        arg_end,
        env_start,
        env_end,
        mmap_base: rng.address(),
        vdso_start,
        vdso_end,
        flags: rng.next(),
        auxv: Bytes::from((0..auxv_len).map(|_| rng.byte()).collect::<Vec<u8>>()),
    }
}

pub fn mapped_file(rng: &mut Rng) -> MappedFile {
    MappedFile {
        path: rng.path(),
        page_offset: rng.below(1 << 30),
        dev: rng.below(4),
        ino: rng.below(100),
        size_bytes: rng.next(),
        mtime_ns: i64::try_from(rng.below(1 << 62)).expect("positive"),
    }
}

pub fn vma_kind(rng: &mut Rng) -> VmaKind {
    match rng.below(8) {
        0 | 1 => VmaKind::FilePrivate(mapped_file(rng)),
        2 => VmaKind::FileShared(mapped_file(rng)),
        3 => VmaKind::Stack,
        4 => VmaKind::Special,
        _ => VmaKind::Anon,
    }
}

pub fn flags_for(rng: &mut Rng, kind: &VmaKind) -> VmaFlags {
    let all = VmaFlags::all().bits();
    let mut flags = VmaFlags::from_bits_truncate(rng.u32() & all);
    if matches!(kind, VmaKind::FileShared(_)) {
        flags.remove(VmaFlags::WRITE);
    }
    flags
}

/// Mappings within a few hundred pages, so that lists meet each other often.
pub fn vmas(rng: &mut Rng) -> Vmas {
    let mut list = Vec::new();
    let mut page = 16;
    for _ in 0..rng.below(12) {
        page += rng.below(6);
        let count = rng.below(8) + 1;
        let kind = vma_kind(rng);
        let flags = flags_for(rng, &kind);
        list.push(Vma { start: page * PAGE, end: (page + count) * PAGE, flags, kind });
        page += count;
    }
    Vmas(list)
}

pub fn places_in(rng: &mut Rng, vmas: &Vmas) -> Places {
    let mut places = Places::new();
    for vma in vmas.0.iter().filter(|vma| vma.has_places()) {
        for page in vma.start / PAGE..vma.end / PAGE {
            if rng.below(3) == 0 {
                assert!(places.push(page, 1).expect("memory"));
            }
        }
    }
    places
}

pub fn live(rng: &mut Rng) -> Manifest {
    let vmas = vmas(rng);
    let places = places_in(rng, &vmas);
    Manifest {
        subject: subject(rng, ImageKind::Live),
        task: task(rng),
        creds: creds(rng),
        fs: Fs { cwd: rng.path(), umask: rng.small(0o1000) },
        files: files(rng),
        body: Body::Live(Memory { exe: Exe { path: rng.path() }, mm: mm(rng), vmas, places }),
    }
}

pub fn exec(rng: &mut Rng) -> Manifest {
    Manifest {
        subject: subject(rng, ImageKind::Exec),
        task: task(rng),
        creds: creds(rng),
        fs: Fs { cwd: rng.path(), umask: rng.small(0o1000) },
        files: files(rng),
        body: Body::Exec(Exec {
            path: rng.path(),
            argv: (0..rng.below(6)).map(|_| rng.word(30)).collect(),
            envp: (0..rng.below(6)).map(|_| rng.word(30)).collect(),
            blocked: rng.next(),
            ignored: rng.next(),
        }),
    }
}

fn restart(rng: &mut Rng) -> Restart {
    let clocks = [0, 1, 7, 11];
    let clock = clocks[rng.len(4)];
    let deadline = Deadline { clock, at_ns: rng.below(1 << 63) };
    match rng.below(4) {
        0 => Restart::None,
        1 => Restart::Nanosleep {
            deadline,
            remaining_address: rng.address(),
            remaining_kind: u8::from(rng.coin()),
        },
        2 => Restart::Poll {
            fds_address: rng.address(),
            fds_len: rng.u32(),
            deadline_ns: Some(deadline.at_ns).filter(|_| rng.coin()),
        },
        _ => Restart::Futex {
            address: rng.address(),
            value: rng.u32(),
            flags: rng.u32(),
            bitset: rng.u32(),
            deadline: Some(deadline).filter(|_| rng.coin()),
        },
    }
}

fn signals(rng: &mut Rng) -> Signals {
    let mut actions = vec![Action::default(); 64];
    for action in &mut actions {
        *action = Action {
            handler: rng.next(),
            flags: rng.next(),
            restorer: rng.next(),
            mask: rng.next(),
        };
    }
    let pending = (0..rng.below(4)).map(|_| {
        let mut info = [0; 128];
        info.fill_with(|| rng.byte());
        let number = [1, 2, 10, 15, 17, 34, 64][rng.len(7)];
        info[..4].copy_from_slice(&i32::to_le_bytes(number));
        Pending { shared: rng.coin(), info }
    });
    let pending = pending.collect();
    Signals {
        blocked: rng.next(),
        saved: Some(rng.next()).filter(|_| rng.coin()),
        actions,
        alt_stack: AltStack { address: rng.next(), len: rng.next(), flags: rng.u32() },
        pending,
    }
}

pub fn xstate(rng: &mut Rng) -> Xstate {
    let len = 576 + rng.len(2000);
    let mut bytes: Vec<u8> = (0..len).map(|_| rng.byte()).collect();
    let enabled = rng.next();
    bytes[464..472].copy_from_slice(&enabled.to_le_bytes());
    bytes[512..520].copy_from_slice(&(enabled & rng.next()).to_le_bytes());
    Xstate(Bytes::from(bytes))
}

pub fn regs(rng: &mut Rng) -> Regs {
    let mut regs = [0; 27];
    regs.fill_with(|| rng.next());
    regs[Regs::CS] = 0x33;
    regs[Regs::SS] = 0x2b;
    for index in [Regs::RIP, Regs::FS_BASE, Regs::GS_BASE] {
        regs[index] = rng.address();
    }
    Regs(regs)
}

pub fn last(rng: &mut Rng) -> Final {
    let map: Vec<Vma> = vmas(rng).0.into_iter().filter(Vma::is_anon).collect();
    let mut places = Places::new();
    let mut positions = Vec::new();
    let mut unmap = Vec::new();
    let (mut page, mut group, mut at) = (0, 0, 0);
    for _ in 0..rng.below(6) {
        page += rng.below(100);
        let count = rng.below(100);
        assert!(places.push(page, count).expect("memory"));
        page += count;
        positions.push(Position { group, position: rng.below(1 << 63), flags: rng.u32() });
        group += 1 + rng.small(3);
        let start = at + rng.below(100);
        at = start + 1 + rng.below(100);
        unmap.push(Span { start: start * PAGE, end: at * PAGE });
    }
    Final {
        freeze: Freeze {
            attempt: AttemptId(rng.next()),
            process: GlobalPid::new(rng.u32(), rng.u32()),
            epoch: Epoch(rng.next()),
            clocks: Clocks {
                monotonic_ns: rng.next(),
                boottime_ns: rng.next(),
                realtime_ns: rng.next(),
            },
            utime_ns: rng.next(),
            stime_ns: rng.next(),
        },
        places,
        regs: regs(rng),
        xstate: xstate(rng),
        signals: signals(rng),
        thread: Thread {
            rseq_address: rng.address(),
            rseq_len: rng.u32(),
            rseq_signature: rng.u32(),
            robust_list: rng.address(),
            clear_child_tid: rng.address(),
            parent_death_signal: rng.small(65),
            rseq_ids: [rng.u32(), rng.u32(), rng.u32()],
        },
        restart: restart(rng),
        positions: Positions(positions),
        change: Change { unmap, map, brk: rng.address() },
    }
}
