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
use holon_simkit::Rng;

pub const PAGE: u64 = 4096;

fn word(rng: &mut Rng, end: usize) -> Bytes {
    let len = rng.index(end);
    let word: Vec<u8> = (0..len).map(|_| rng.byte().max(1)).collect();
    Bytes::from(word)
}

fn path(rng: &mut Rng) -> Bytes {
    let mut path = vec![b'/'];
    for _ in 0..rng.below(4) {
        path.extend_from_slice(b"dir");
        path.push(b'a' + u8::try_from(rng.below(26)).expect("a letter"));
        path.push(b'/');
    }
    Bytes::from(path)
}

fn slot(rng: &mut Rng) -> Slot {
    Slot::new(u8::try_from(rng.below(64)).expect("a slot")).expect("a slot")
}

fn address(rng: &mut Rng) -> u64 {
    rng.below(1 << 47)
}

pub fn subject(rng: &mut Rng, kind: ImageKind) -> Subject {
    Subject {
        attempt: AttemptId(rng.draw()),
        kind,
        process: GlobalPid::new(rng.u32(), rng.below_u32(1 << 22) + 2),
        parent_pid: Pid(rng.below_u32(1 << 22)),
        group_pid: Pid(rng.below_u32(1 << 22)),
        session_pid: Pid(rng.below_u32(1 << 22)),
        origin: slot(rng),
        source: slot(rng),
        epoch: Epoch(rng.draw()),
        space: SpaceId(rng.draw()),
        kernel_build: rng.draw(),
        xfeatures: rng.draw(),
    }
}

fn task(rng: &mut Rng) -> Task {
    let mut rlimits = [Rlimit::default(); 16];
    for limit in &mut rlimits {
        let soft = rng.draw();
        *limit = Rlimit { soft, hard: soft.saturating_add(rng.draw()) };
    }
    Task {
        comm: word(rng, 16),
        personality: rng.u32(),
        nice: i32::try_from(rng.below(40)).expect("small") - 20,
        rlimits,
        oom_score_adj: i32::try_from(rng.below(2001)).expect("small") - 1000,
        utime_ns: rng.draw(),
        stime_ns: rng.draw(),
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
            inheritable: rng.draw(),
            permitted: rng.draw(),
            effective: rng.draw(),
            bounding: rng.draw(),
            ambient: rng.draw(),
        },
        securebits: rng.u32(),
        dumpable: u8::try_from(rng.below(3)).expect("small"),
        no_new_privs: rng.coin(),
    }
}

fn file_kind(rng: &mut Rng) -> FileKind {
    match rng.below(3) {
        0 => FileKind::Path {
            path: path(rng),
            flags: rng.u32(),
            position: rng.below(1 << 63),
            mode: rng.u32(),
        },
        1 => FileKind::Remote {
            holder: slot(rng),
            file: FileId(rng.draw()),
            flags: rng.u32(),
            fmode: rng.u32(),
            subkind: Subkind::from_number(u8::try_from(rng.below(5)).expect("small"))
                .expect("known"),
        },
        _ => FileKind::Dev { path: path(rng), flags: rng.u32() },
    }
}

pub fn files(rng: &mut Rng) -> Files {
    let mut files = Files::default();
    let mut number = 0;
    for _ in 0..rng.below(8) {
        number += rng.below_u32(4) + 1;
        let groups = u32::try_from(files.descriptions.len()).expect("few");
        let group = rng.below_u32(groups + 1);
        if group == groups {
            files.descriptions.push(file_kind(rng));
        }
        files.fds.push(Fd { fd: number, group, cloexec: rng.coin() });
    }
    files
}

fn span(rng: &mut Rng) -> (u64, u64) {
    let start = address(rng);
    (start, start + rng.below(1 << 30))
}

fn mm(rng: &mut Rng) -> Mm {
    let (start_code, end_code) = span(rng);
    let (start_data, end_data) = span(rng);
    let (start_brk, brk) = span(rng);
    let (arg_start, arg_end) = span(rng);
    let (env_start, env_end) = span(rng);
    let (vdso_start, vdso_end) = span(rng);
    let auxv_len = rng.index(22) * 16;
    Mm {
        start_code,
        end_code,
        start_data,
        end_data,
        start_brk,
        brk,
        start_stack: address(rng),
        arg_start,
        arg_end,
        env_start,
        env_end,
        mmap_base: address(rng),
        vdso_start,
        vdso_end,
        flags: rng.draw(),
        auxv: Bytes::from((0..auxv_len).map(|_| rng.byte()).collect::<Vec<u8>>()),
    }
}

pub fn mapped_file(rng: &mut Rng) -> MappedFile {
    MappedFile {
        path: path(rng),
        page_offset: rng.below(1 << 30),
        dev: rng.below(4),
        ino: rng.below(100),
        size_bytes: rng.draw(),
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
    push_huge(rng, &mut places);
    places
}

fn push_huge(rng: &mut Rng, places: &mut Places) {
    let mut number = 0;
    for _ in 0..rng.below(4) {
        number += rng.below(5);
        let count = rng.below(5) + 1;
        assert!(places.push_huge(number, count).expect("memory"));
        number += count;
    }
}

pub fn live(rng: &mut Rng) -> Manifest {
    let vmas = vmas(rng);
    let places = places_in(rng, &vmas);
    Manifest {
        subject: subject(rng, ImageKind::Live),
        task: task(rng),
        creds: creds(rng),
        fs: Fs { cwd: path(rng), umask: rng.below_u32(0o1000) },
        files: files(rng),
        body: Body::Live(Memory { exe: Exe { path: path(rng) }, mm: mm(rng), vmas, places }),
    }
}

pub fn exec(rng: &mut Rng) -> Manifest {
    Manifest {
        subject: subject(rng, ImageKind::Exec),
        task: task(rng),
        creds: creds(rng),
        fs: Fs { cwd: path(rng), umask: rng.below_u32(0o1000) },
        files: files(rng),
        body: Body::Exec(Exec {
            path: path(rng),
            argv: (0..rng.below(6)).map(|_| word(rng, 30)).collect(),
            envp: (0..rng.below(6)).map(|_| word(rng, 30)).collect(),
            blocked: rng.draw(),
            ignored: rng.draw(),
        }),
    }
}

fn restart(rng: &mut Rng) -> Restart {
    let clock = rng.pick(&[0, 1, 7, 11]);
    let deadline = Deadline { clock, at_ns: rng.below(1 << 63) };
    match rng.below(4) {
        0 => Restart::None,
        1 => Restart::Nanosleep {
            deadline,
            remaining_address: address(rng),
            remaining_kind: u8::from(rng.coin()),
        },
        2 => Restart::Poll {
            fds_address: address(rng),
            fds_len: rng.u32(),
            deadline_ns: Some(deadline.at_ns).filter(|_| rng.coin()),
        },
        _ => Restart::Futex {
            address: address(rng),
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
            handler: rng.draw(),
            flags: rng.draw(),
            restorer: rng.draw(),
            mask: rng.draw(),
        };
    }
    let pending = (0..rng.below(4)).map(|_| {
        let mut info = [0; 128];
        info.fill_with(|| rng.byte());
        let number = rng.pick(&[1, 2, 10, 15, 17, 34, 64]);
        info[..4].copy_from_slice(&i32::to_le_bytes(number));
        Pending { shared: rng.coin(), info }
    });
    let pending = pending.collect();
    Signals {
        blocked: rng.draw(),
        saved: Some(rng.draw()).filter(|_| rng.coin()),
        actions,
        alt_stack: AltStack { address: rng.draw(), len: rng.draw(), flags: rng.u32() },
        pending,
    }
}

pub fn xstate(rng: &mut Rng) -> Xstate {
    let len = 576 + rng.index(2000);
    let mut bytes: Vec<u8> = (0..len).map(|_| rng.byte()).collect();
    let enabled = rng.draw();
    bytes[464..472].copy_from_slice(&enabled.to_le_bytes());
    bytes[512..520].copy_from_slice(&(enabled & rng.draw()).to_le_bytes());
    Xstate(Bytes::from(bytes))
}

pub fn regs(rng: &mut Rng) -> Regs {
    let mut regs = [0; 27];
    regs.fill_with(|| rng.draw());
    regs[Regs::CS] = 0x33;
    regs[Regs::SS] = 0x2b;
    for index in [Regs::RIP, Regs::FS_BASE, Regs::GS_BASE] {
        regs[index] = address(rng);
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
        group += 1 + rng.below_u32(3);
        let start = at + rng.below(100);
        at = start + 1 + rng.below(100);
        unmap.push(Span { start: start * PAGE, end: at * PAGE });
    }
    push_huge(rng, &mut places);
    Final {
        freeze: Freeze {
            attempt: AttemptId(rng.draw()),
            process: GlobalPid::new(rng.u32(), rng.u32()),
            epoch: Epoch(rng.draw()),
            clocks: Clocks {
                monotonic_ns: rng.draw(),
                boottime_ns: rng.draw(),
                realtime_ns: rng.draw(),
            },
            utime_ns: rng.draw(),
            stime_ns: rng.draw(),
        },
        places,
        regs: regs(rng),
        xstate: xstate(rng),
        signals: signals(rng),
        thread: Thread {
            rseq_address: address(rng),
            rseq_len: rng.u32(),
            rseq_signature: rng.u32(),
            robust_list: address(rng),
            clear_child_tid: address(rng),
            parent_death_signal: rng.below_u32(65),
            rseq_ids: [rng.u32(), rng.u32(), rng.u32()],
        },
        restart: restart(rng),
        positions: Positions(positions),
        change: Change { unmap, map, brk: address(rng) },
    }
}
