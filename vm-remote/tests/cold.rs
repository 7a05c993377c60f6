//! What goes first, and what does not.

use vm_remote::cold::bits::Bits;
use vm_remote::cold::regions::{RegionId, Regions};

fn bits(pages: impl IntoIterator<Item = u16>) -> Bits {
    let mut bits = Bits::NONE;
    pages.into_iter().for_each(|page| bits.insert(page));
    bits
}

/// Rounds in which region `n` is touched as `touched[n]` says.
fn rounds(regions: &mut Regions, count: u32, touched: &[Bits]) {
    for _ in 0..count {
        for (id, touched) in (0..).zip(touched) {
            regions.sample(RegionId(id), bits(0..64), *touched);
        }
        regions.end_round();
    }
}

fn regions(count: u32) -> Regions {
    let mut regions = Regions::new(count).expect("memory");
    assert!((0..count).all(|id| regions.add(RegionId(id))));
    assert!(!regions.add(RegionId(count)));
    regions
}

#[test]
fn the_oldest_pages_go_first() {
    let mut regions = regions(3);
    assert_eq!(regions.next_cold(), None, "nothing is known");
    rounds(&mut regions, 10, &[bits(0..64), bits(0..64), bits(0..64)]);
    rounds(&mut regions, 4, &[bits(0..64), Bits::NONE, bits(0..60)]);
    let (id, pages) = regions.next_cold().expect("region 1");
    assert_eq!((id, pages.count()), (RegionId(1), 64));
    pages.iter().for_each(|page| regions.evicted(id, page));
    let (id, pages) = regions.next_cold().expect("region 2");
    assert_eq!((id, pages), (RegionId(2), bits(60..64)), "not those that are in use");
    pages.iter().for_each(|page| regions.kept(id, page));
    assert_eq!(regions.next_cold(), None, "what is left is in use");
}

#[test]
fn what_could_not_be_looked_at_is_as_cold_as_before() {
    let mut regions = regions(2);
    rounds(&mut regions, 1, &[Bits::NONE, Bits::NONE]);
    rounds(&mut regions, 9, &[Bits::NONE, bits(60..64)]);
    let first = regions.next_cold().expect("region 0");
    assert_eq!(first.0, RegionId(0));
    regions.passed(first.0);
    let (id, pages) = regions.next_cold().expect("region 1");
    assert_eq!((id, pages), (RegionId(1), bits(0..60)), "the next one has its turn");
    pages.iter().for_each(|page| regions.leaving(id, page));
    assert!(regions.is_any_passed());
    regions.again();
    assert!(!regions.is_any_passed());
    assert_eq!(regions.next_cold(), Some(first), "without another round");
    first.1.iter().for_each(|page| regions.evicted(first.0, page));
    assert_eq!(regions.next_cold(), None);
    regions.again();
    assert_eq!(regions.next_cold(), None, "nothing was passed");
    regions.not_leaving(id, 0);
    rounds(&mut regions, 1, &[Bits::NONE, Bits::NONE]);
    assert_eq!(regions.next_cold(), Some((id, bits(0..1))), "one that could not go for now");
}

#[test]
fn what_was_passed_is_left_out_until_again() {
    let mut regions = regions(2);
    rounds(&mut regions, 1, &[Bits::NONE, Bits::NONE]);
    rounds(&mut regions, 9, &[Bits::NONE, bits(0..64)]);
    rounds(&mut regions, 3, &[Bits::NONE, Bits::NONE]);
    let (busy, _) = regions.next_cold().expect("region 0");
    assert_eq!(busy, RegionId(0));
    regions.passed(busy);
    let (id, pages) = regions.next_cold().expect("region 1, of a later generation");
    assert_eq!(id, RegionId(1));
    pages.iter().for_each(|page| regions.kept(id, page));
    assert_eq!(regions.next_cold(), None);
    rounds(&mut regions, 3, &[Bits::NONE, Bits::NONE]);
    assert_eq!(regions.next_cold().map(|cold| cold.0), Some(id), "rounds don't end it");
    assert!(regions.is_any_passed());
    regions.again();
    assert_eq!(regions.next_cold().map(|cold| cold.0), Some(busy), "and it is the coldest");
}

#[test]
fn a_page_that_came_back_stays() {
    let mut regions = regions(2);
    rounds(&mut regions, 10, &[bits(0..64), bits(0..64)]);
    rounds(&mut regions, 3, &[Bits::NONE, bits(0..64)]);
    let (id, _) = regions.next_cold().expect("region 0");
    (0..8).for_each(|page| regions.evicted(id, page));
    assert!(regions.returned(id, 3), "too soon");
    // It is not touched again, and yet it does not go at once.
    regions.sample(RegionId(0), bits(8..64).or(bits([3])), bits([3]));
    regions.sample(RegionId(1), bits(0..64), bits(0..64));
    regions.end_round();
    regions.sample(RegionId(0), bits(8..64).or(bits([3])), Bits::NONE);
    regions.sample(RegionId(1), bits(0..64), bits(0..64));
    regions.end_round();
    let (_, pages) = regions.next_cold().expect("region 0");
    assert!(pages.contains(8) && !pages.contains(3));
}

#[test]
fn what_came_back_is_seen_by_the_sample() {
    let mut regions = regions(2);
    rounds(&mut regions, 10, &[bits(0..64), bits(0..64)]);
    rounds(&mut regions, 3, &[Bits::NONE, bits(0..64)]);
    let (id, _) = regions.next_cold().expect("region 0");
    (0..8).for_each(|page| regions.evicted(id, page));
    for touched in [bits([3]), Bits::NONE] {
        regions.sample(RegionId(0), bits(8..64).or(bits([3])), touched);
        regions.sample(RegionId(1), bits(0..64), bits(0..64));
        regions.end_round();
    }
    let (_, pages) = regions.next_cold().expect("region 0");
    assert!(pages.contains(8) && !pages.contains(3));
}

#[test]
fn one_that_comes_back_after_long_was_rightly_evicted() {
    let mut regions = regions(2);
    rounds(&mut regions, 3, &[bits(0..64), bits(0..64)]);
    regions.evicted(RegionId(0), 1);
    (0..64).cycle().take(200).for_each(|page| regions.evicted(RegionId(1), page));
    assert!(!regions.returned(RegionId(0), 1));
}

#[test]
fn a_region_that_is_left_goes_before_one_with_its_usual_pause() {
    let mut regions = regions(2);
    // Region 0 is touched in each eighth round, region 1 in each.
    for round in 0..64 {
        let now = if round % 8 == 0 { bits(0..64) } else { Bits::NONE };
        rounds(&mut regions, 1, &[now, bits(0..64)]);
    }
    // From now on 1 is not touched any more: by age alone 0 would go first.
    for round in 0..7 {
        let now = if round == 1 { bits(0..64) } else { Bits::NONE };
        rounds(&mut regions, 1, &[now, Bits::NONE]);
    }
    let (id, _) = regions.next_cold().expect("some");
    assert_eq!(id, RegionId(1));
}

#[test]
fn a_region_that_is_no_more_gives_nothing() {
    let mut regions = regions(1);
    rounds(&mut regions, 4, &[Bits::NONE]);
    regions.remove(RegionId(0));
    regions.end_round();
    assert_eq!(regions.next_cold(), None);
    regions.sample(RegionId(0), bits(0..64), Bits::NONE);
    regions.end_round();
    assert_eq!(regions.next_cold(), None);
}
