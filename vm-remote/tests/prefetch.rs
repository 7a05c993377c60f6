//! Faults of several threads at once: each is foreseen as if it were alone.

use std::collections::BTreeSet;

use vm_remote::prefetch::{Prefetch, Shape};

/// Several threads: each scans its own region, and the faults of all come in any order. Gives the
/// faults that nothing had been asked for.
fn scans(prefetch: &mut Prefetch, starts: &[u64], stride: i64, steps: u64) -> u64 {
    let mut asked = BTreeSet::new();
    let (mut word, mut faults) = (1_u64, 0);
    let mut done: Vec<u64> = starts.iter().map(|_| 0).collect();
    while done.iter().any(|done| *done < steps) {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let who = usize::try_from(word >> 33).expect("small") % starts.len();
        if done[who] == steps {
            continue;
        }
        let way = stride * i64::try_from(done[who]).expect("small");
        let page = starts[who].saturating_add_signed(way);
        done[who] += 1;
        let plan = if asked.contains(&page) {
            prefetch.touched(Shape::Stride(stride), None);
            prefetch.reached(page)
        } else {
            faults += 1;
            prefetch.fault(page)
        };
        asked.extend(plan);
    }
    faults
}

#[test]
fn interleaved_scans_are_told_apart() {
    for count in 1..=6_usize {
        for stride in [1, -1, 3] {
            let starts = (1..=count).map(|at| 1_000_000 * u64::try_from(at).expect("small"));
            let starts: Vec<u64> = starts.collect();
            let faults = scans(&mut Prefetch::new(), &starts, stride, 2_000);
            let most = 6 * u64::try_from(count).expect("small");
            assert!(faults <= most, "{count} scans by {stride}: {faults} faults");
        }
    }
}

#[test]
fn a_scan_beside_random_faults_goes_on() {
    let mut prefetch = Prefetch::new();
    let (mut word, mut at, mut faults) = (1_u64, 500_u64, 0);
    let mut asked = BTreeSet::new();
    for turn in 0..20_000_u32 {
        // One step in eight is the scan's.
        if turn % 8 == 0 {
            let plan = if asked.contains(&at) {
                prefetch.touched(Shape::Stride(1), None);
                prefetch.reached(at)
            } else {
                faults += 1;
                prefetch.fault(at)
            };
            asked.extend(plan);
            at += 1;
            continue;
        }
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let plan = prefetch.fault(10_000_000 + (word >> 33) % 50_000_000);
        let shape = plan.shape();
        (0..plan.count()).for_each(|_| prefetch.wasted(shape));
    }
    assert!(faults <= 10, "{faults} of 2500 steps were not seen coming");
    let [stride, around] = prefetch.ahead();
    assert!(stride >= 8 && around == 0, "{stride} along, {around} around");
}

#[test]
fn a_scan_goes_on_after_its_pages_were_put_in() {
    let mut prefetch = Prefetch::new();
    for step in 0..8 {
        prefetch.fault(1_000 + step);
        prefetch.fault(900_000 - step);
    }
    prefetch.placed(1_007, 1_030);
    prefetch.placed(899_970, 899_993);
    assert_eq!(prefetch.fault(1_031).next(), Some(1_032));
    assert_eq!(prefetch.fault(899_969).next(), Some(899_968));
    assert_eq!(prefetch.fault(1_032).shape(), Shape::Stride(1));
    assert_eq!(prefetch.fault(899_968).shape(), Shape::Stride(-1));
}
