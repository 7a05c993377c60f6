//! What the final part carries makes the prepared address space what it was at the freeze.

mod common;

use std::collections::BTreeMap;

use ckpt::manifest::{Body, Manifest, Memory};
use ckpt::object::file::FileKind;
use ckpt::object::places::{PageRange, Places};
use ckpt::object::vma::{Vma, VmaKind, Vmas};
use ckpt::{diff, Carry, Compatible, Incompatible};
use common::PAGE;
use holon_simkit::Rng;

const CARRY: Carry = Carry { changes_max: 1000 };

/// What a page is, told so that merged and split mappings are alike.
type Page = (u32, u8, u64);

fn pages(vmas: &[Vma]) -> BTreeMap<u64, Page> {
    let mut pages = BTreeMap::new();
    for vma in vmas {
        for page in vma.start / PAGE..vma.end / PAGE {
            let (number, base) = match &vma.kind {
                VmaKind::Anon => (1, 0),
                VmaKind::Stack => (3, 0),
                VmaKind::Special => (4, 0),
                VmaKind::FilePrivate(file) => (2, file.page_offset + page - vma.start / PAGE),
                VmaKind::FileShared(file) => (5, file.page_offset + page - vma.start / PAGE),
            };
            pages.insert(page, (vma.flags.bits(), number, base));
        }
    }
    pages
}

fn set(places: &Places) -> BTreeMap<u64, ()> {
    let ranges = places.ranges().iter();
    ranges.flat_map(|range| range.start..range.end()).map(|page| (page, ())).collect()
}

fn memory(manifest: &Manifest) -> &Memory {
    manifest.memory().expect("a live image")
}

fn memory_mut(manifest: &mut Manifest) -> &mut Memory {
    match &mut manifest.body {
        Body::Live(memory) => memory,
        Body::Exec(_) => panic!("not a live image"),
    }
}

fn copy(manifest: &Manifest) -> Manifest {
    Manifest::decode(&manifest.encode().expect("encodes")).expect("decodes")
}

/// Does to the prepared address space what a target does.
fn apply(prepared: &Memory, change: &Compatible) -> (BTreeMap<u64, Page>, BTreeMap<u64, ()>) {
    let mut layout = pages(&prepared.vmas.0);
    let mut places = set(&prepared.places);
    for span in &change.change.unmap {
        for page in span.start / PAGE..span.end / PAGE {
            assert!(layout.remove(&page).is_some(), "unmaps what is not mapped");
            places.remove(&page);
        }
    }
    for (page, what) in pages(&change.change.map) {
        assert_eq!(layout.insert(page, what), None, "maps over a mapping");
    }
    for page in set(&change.places).into_keys() {
        assert!(layout.contains_key(&page), "a place outside of all mappings");
        places.insert(page, ());
    }
    (layout, places)
}

/// What a process does between the two: grows and shrinks its anonymous memory, writes pages.
fn live_on(rng: &mut Rng, manifest: &mut Manifest) {
    let memory = memory_mut(manifest);
    let before = set(&memory.places);
    let mut list = Vec::new();
    let mut end_last = 0;
    for mut vma in std::mem::take(&mut memory.vmas.0) {
        if vma.is_anon() {
            match rng.below(6) {
                0 => continue,
                1 => vma.end = (vma.end - PAGE).max(vma.start + PAGE),
                2 if vma.start >= end_last + PAGE => vma.start -= PAGE,
                3 => vma.flags = common::flags_for(rng, &vma.kind),
                _ => {}
            }
        }
        let gap = vma.start.saturating_sub(end_last) / PAGE;
        if gap > 2 && rng.below(4) == 0 {
            let kind = VmaKind::Anon;
            let flags = common::flags_for(rng, &kind);
            let start = end_last.max(PAGE);
            list.push(Vma { start, end: start + PAGE, flags, kind });
        }
        end_last = vma.end;
        let last = split(rng, vma, &mut list);
        list.push(last);
    }
    memory.vmas = Vmas(list);
    let mut places = Places::new();
    for vma in memory.vmas.0.iter().filter(|vma| vma.has_places()) {
        for page in vma.start / PAGE..vma.end / PAGE {
            let kept = before.contains_key(&page) && (!vma.is_anon() || rng.below(5) > 0);
            if kept || rng.below(4) == 0 {
                places.push(page, 1).expect("memory");
            }
        }
    }
    memory.places = places;
    memory.mm.brk += PAGE;
}

/// The kernel may hold one mapping as two: pushes the first and returns the second.
fn split(rng: &mut Rng, mut vma: Vma, list: &mut Vec<Vma>) -> Vma {
    let half = (vma.end - vma.start) / PAGE / 2 * PAGE;
    if half == 0 || rng.below(3) > 0 {
        return vma;
    }
    let middle = vma.start + half;
    let file = |file: &ckpt::object::vma::MappedFile, shift| ckpt::object::vma::MappedFile {
        path: file.path.try_clone().expect("memory"),
        page_offset: file.page_offset + shift,
        ..*file
    };
    let copy = |shift| match &vma.kind {
        VmaKind::Anon => VmaKind::Anon,
        VmaKind::Stack => VmaKind::Stack,
        VmaKind::Special => VmaKind::Special,
        VmaKind::FilePrivate(mapped) => VmaKind::FilePrivate(file(mapped, shift)),
        VmaKind::FileShared(mapped) => VmaKind::FileShared(file(mapped, shift)),
    };
    let (first, second) = (copy(0), copy(half / PAGE));
    list.push(Vma { start: vma.start, end: middle, flags: vma.flags, kind: first });
    vma.start = middle;
    vma.kind = second;
    vma
}

#[test]
fn what_is_carried_makes_the_new_layout() {
    let (mut unchanged, mut changed) = (0, 0);
    for seed in 0..4000 {
        let rng = &mut Rng::new(seed);
        let prepared = common::live(rng);
        let mut now = copy(&prepared);
        if rng.below(10) > 0 {
            live_on(rng, &mut now);
        }
        let result = diff(&prepared, &now, CARRY).expect("anonymous changes can be carried");
        let (layout, places) = apply(memory(&prepared), &result);
        assert_eq!(layout, pages(&memory(&now).vmas.0), "seed {seed}");
        let wanted = set(&memory(&now).places);
        assert!(wanted.keys().all(|page| places.contains_key(page)), "seed {seed}: places lost");
        // More than wanted only where an absent page reads as zeros.
        for page in places.keys().filter(|page| !wanted.contains_key(page)) {
            let vma = memory(&now).vmas.find(page * PAGE).expect("mapped");
            assert!(vma.is_anon(), "seed {seed}: a place in a file that was not written");
        }
        assert_eq!(result.change.brk, memory(&now).mm.brk);
        match result.change.is_empty() {
            true => unchanged += 1,
            false => changed += 1,
        }
    }
    assert!(unchanged > 200 && changed > 1000, "{unchanged} unchanged, {changed} changed");
}

#[test]
fn nothing_changed() {
    for seed in 0..200 {
        let prepared = common::live(&mut Rng::new(seed));
        let result = diff(&prepared, &copy(&prepared), Carry { changes_max: 0 });
        let result = result.expect("the same");
        assert!(result.change.is_empty() && result.places.pages() == 0, "seed {seed}");
    }
}

fn with(seed: u64, change: impl Fn(&mut Manifest)) -> Result<Compatible, Incompatible> {
    let prepared = common::live(&mut Rng::new(seed));
    let mut now = copy(&prepared);
    change(&mut now);
    diff(&prepared, &now, CARRY)
}

#[test]
fn what_can_not_be_carried() {
    for seed in 0..50 {
        let refused = |change: &dyn Fn(&mut Manifest)| with(seed, change).expect_err("refused");
        assert_eq!(refused(&|now| now.subject.epoch.0 ^= 1), Incompatible::Subject);
        assert_eq!(refused(&|now| now.subject.session_pid.0 ^= 1), Incompatible::Subject);
        assert_eq!(refused(&|now| now.creds.user.effective ^= 1), Incompatible::Creds);
        assert_eq!(refused(&|now| now.task.personality ^= 1), Incompatible::Task);
        assert_eq!(refused(&|now| now.fs.umask ^= 1), Incompatible::Fs);
        let path = || ckpt::Bytes::from(b"/other".to_vec());
        assert_eq!(refused(&|now| memory_mut(now).exe.path = path()), Incompatible::Exe);
        assert_eq!(refused(&|now| memory_mut(now).mm.start_brk ^= 1), Incompatible::Mm);
        let open = |now: &mut Manifest| {
            now.files.descriptions.push(FileKind::Dev { path: path(), flags: 0 });
        };
        assert_eq!(refused(&open), Incompatible::Files);
        assert!(with(seed, |now| now.task.utime_ns += 1).is_ok());
    }
}

#[test]
fn files_may_move_in_their_files_only() {
    let prepared = (0..).map(|seed| common::live(&mut Rng::new(seed)));
    let path = |kind: &FileKind| matches!(kind, FileKind::Path { .. });
    let mut with_file = prepared.filter(|m| m.files.descriptions.iter().any(path));
    let prepared = with_file.next().expect("some have");
    let mut now = copy(&prepared);
    for kind in &mut now.files.descriptions {
        if let FileKind::Path { position, flags, .. } = kind {
            *position = 12345;
            *flags = 0o2000;
        }
    }
    let carried = diff(&prepared, &now, CARRY).expect("positions are carried");
    let count = now.files.descriptions.iter().filter(|kind| path(kind)).count();
    assert_eq!(carried.positions.0.len(), count);
    assert!(carried.positions.0.iter().all(|p| (p.position, p.flags) == (12345, 0o2000)));
}

#[test]
fn file_mappings_must_stay() {
    let is_file = |vma: &Vma| matches!(vma.kind, VmaKind::FilePrivate(_));
    let mut tested = 0;
    for seed in 0..200 {
        let prepared = common::live(&mut Rng::new(seed));
        let Some(index) = memory(&prepared).vmas.0.iter().position(is_file) else {
            continue;
        };
        tested += 1;
        let mut now = copy(&prepared);
        let vma = memory_mut(&mut now).vmas.0.remove(index);
        let pages = (vma.start / PAGE, vma.end / PAGE);
        let left = memory(&prepared).places.ranges().iter().flat_map(|r| r.start..r.end());
        let mut places = Places::new();
        for page in left.filter(|page| !(pages.0..pages.1).contains(page)) {
            places.push(page, 1).expect("memory");
        }
        memory_mut(&mut now).places = places;
        assert_eq!(diff(&prepared, &now, CARRY), Err(Incompatible::Mappings), "unmapped");
        // Still mapped, but a written page of it was dropped.
        let dropped = memory(&prepared).places.within(pages.0, pages.1).next().is_some();
        memory_mut(&mut now).vmas.0.insert(index, vma);
        let result = diff(&prepared, &now, CARRY);
        match dropped {
            true => assert_eq!(result, Err(Incompatible::FilePage)),
            false => assert!(result.is_ok()),
        }
    }
    assert!(tested > 50);
}

#[test]
fn too_many_changes() {
    let mut refused = 0;
    for seed in 0..200 {
        let rng = &mut Rng::new(seed);
        let prepared = common::live(rng);
        let mut now = copy(&prepared);
        live_on(rng, &mut now);
        let free = diff(&prepared, &now, CARRY).expect("carried");
        let changes = free.change.unmap.len() + free.change.map.len();
        let bounded = diff(&prepared, &now, Carry { changes_max: changes });
        assert_eq!(bounded, Ok(free));
        if changes > 0 {
            let carry = Carry { changes_max: 0 };
            assert_eq!(diff(&prepared, &now, carry), Err(Incompatible::Changes));
            refused += 1;
        }
    }
    assert!(refused > 50);
}

#[test]
fn places_are_a_set() {
    for seed in 0..2000 {
        let rng = &mut Rng::new(seed);
        let make = |rng: &mut Rng| {
            let mut places = Places::new();
            let mut page = 0;
            for _ in 0..rng.below(8) {
                page += rng.below(5);
                let count = rng.below(5);
                places.push(page, count).expect("memory");
                page += count;
            }
            places
        };
        let (a, b) = (make(rng), make(rng));
        let minus: Vec<u64> = set(&a.minus(&b).expect("memory")).into_keys().collect();
        let (a_set, b_set) = (set(&a), set(&b));
        let expected: Vec<u64> =
            a_set.keys().copied().filter(|page| !b_set.contains_key(page)).collect();
        assert_eq!(minus, expected, "seed {seed}");
        let within: Vec<u64> = a.within(5, 15).flat_map(|r| r.start..r.end()).collect();
        let expected: Vec<u64> = a_set.into_keys().filter(|page| (5..15).contains(page)).collect();
        assert_eq!(within, expected, "seed {seed}");
    }
}

#[test]
fn huge_pages_cut_a_range() {
    let mut cut = 0;
    for seed in 0..2000 {
        let rng = &mut Rng::new(seed);
        let mut places = Places::new();
        let mut number = 0;
        for _ in 0..rng.below(4) {
            number += rng.below(4);
            let count = rng.below(3);
            places.push_huge(number, count).expect("memory");
            number += count;
        }
        let range = PageRange { start: rng.below(2000), count: 1 + rng.below(4000) };
        let is_huge = |page: u64| {
            let number = page / 512;
            let is_told = places.huge().iter().any(|r| r.start <= number && number < r.end());
            is_told && number * 512 >= range.start && (number + 1) * 512 <= range.end()
        };
        let pieces: Vec<_> = places.pieces(range).collect();
        let all: Vec<u64> =
            pieces.iter().flat_map(|piece| piece.range.start..piece.range.end()).collect();
        assert!(all.into_iter().eq(range.start..range.end()), "seed {seed}: {pieces:?}");
        for piece in &pieces {
            let mut pages = piece.range.start..piece.range.end();
            assert!(pages.all(|page| is_huge(page) == piece.huge), "seed {seed}: {pieces:?}");
        }
        cut += usize::from(pieces.len() > 2);
    }
    assert!(cut > 200);
}
