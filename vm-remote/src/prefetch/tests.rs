use super::*;
use alloc::vec::Vec;

fn after(faults: impl IntoIterator<Item = u64>) -> (Prefetch, Plan) {
    let mut prefetch = Prefetch::new();
    let mut plan = prefetch.fault(1_000_000);
    for page in faults {
        plan = prefetch.fault(page);
    }
    (prefetch, plan)
}

#[test]
fn finds_strides() {
    for stride in [1, 3, -1, -7] {
        let faults = (1..10).map(|step| 500_u64.saturating_add_signed(stride * step));
        let (_, plan) = after(faults);
        assert_eq!(plan.shape(), Shape::Stride(stride));
        let first = 500_u64.saturating_add_signed(stride * 10);
        assert_eq!(plan.clone().next(), Some(first));
        assert_eq!(plan.count(), 8);
    }
}

#[test]
fn a_majority_survives_noise() {
    let faults = [10, 12, 14, 900, 902, 904, 906, 13, 15, 17];
    let (_, plan) = after(faults);
    assert_eq!(plan.shape(), Shape::Stride(2));
}

#[test]
fn without_a_stride_it_is_the_block() {
    let (_, plan) = after([77, 3, 900, 41, 500, 13]);
    assert_eq!(plan.shape(), Shape::Around);
    assert_eq!(plan.collect::<Vec<_>>(), [14, 15, 8, 9, 10, 11, 12]);
}

#[test]
fn grows_while_it_pays_and_ends_when_it_does_not() {
    let mut prefetch = Prefetch::new();
    let stride = Shape::Stride(1);
    (0..200).for_each(|_| prefetch.touched(stride, None));
    assert_eq!(prefetch.ahead(), [AHEAD_MAX, AROUND_MAX]);
    (0..200).for_each(|_| prefetch.wasted(stride));
    (0..200).for_each(|_| prefetch.wasted(Shape::Around));
    assert_eq!(prefetch.ahead(), [0, 0]);
    let probes = (0..320).filter(|page| prefetch.fault(page * 7919 % 1000).count() > 0).count();
    assert_eq!(probes, 10, "one in a while");
    (0..16).for_each(|_| prefetch.touched(stride, None));
    assert_eq!(prefetch.ahead(), [2, 0], "and it is on again");
}

#[test]
fn ends_of_the_numbers() {
    let (_, plan) = after((0..9).map(|step| u64::MAX - 8 + step));
    assert_eq!(plan.collect::<Vec<_>>(), [], "nothing past the last page");
    let (_, plan) = after((0..9).map(|step| 8 - step));
    assert_eq!(plan.collect::<Vec<_>>(), []);
}

/// Goes on from `page` by `stride`, faulting only on the first page of what was asked for at
/// the same time. Gives what was asked for at each fault.
fn scan(prefetch: &mut Prefetch, page: u64, stride: i64, faults: usize) -> Vec<Vec<u64>> {
    let mut asked = Vec::new();
    let mut at = page;
    for _ in 0..faults {
        let waiting: Vec<u64> = asked.iter().flatten().copied().collect();
        let plan = if asked.is_empty() { prefetch.fault(at) } else { prefetch.reached(at) };
        let plan: Vec<u64> = plan.collect();
        let mut end = at;
        while waiting.contains(&end.saturating_add_signed(stride)) && end.abs_diff(at) < 7 {
            end = end.saturating_add_signed(stride);
        }
        prefetch.placed(at.min(end), at.max(end));
        at = end.saturating_add_signed(stride);
        asked.push(plan);
    }
    asked
}

#[test]
fn a_chunk_is_asked_for_when_the_one_before_it_is_reached() {
    for stride in [1, -1] {
        let faults = (0..=3).map(|step| 5_000_u64.saturating_add_signed(stride * step));
        let (mut prefetch, plan) = after(faults);
        assert_eq!(plan.shape(), Shape::Around, "too early to tell");
        let from = 5_000_u64.saturating_add_signed(stride * 4);
        let asked = scan(&mut prefetch, from, stride, 40);
        assert_eq!(asked.iter().take(2).map(Vec::len).collect::<Vec<_>>(), [8, 8]);
        let mut all: Vec<u64> = asked.into_iter().flatten().collect();
        let count = all.len();
        assert!(count >= 40, "{count}");
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "no page twice");
        let span = all.last().zip(all.first()).map(|(a, b)| a - b + 1);
        assert_eq!(span, u64::try_from(count).ok(), "and none left out");
    }
}

#[test]
fn a_program_that_goes_elsewhere_begins_anew() {
    let (mut prefetch, _) = after((0..10).map(|step| 500 + step));
    let plan = prefetch.fault(90_000);
    assert_eq!((plan.shape(), plan.clone().next()), (Shape::Stride(1), Some(90_001)));
    assert_eq!(prefetch.reached(90_001).next(), Some(90_009));
    assert_eq!(prefetch.reached(90_002).count(), 0, "both chunks were asked for");
}

#[test]
fn a_wide_stride_is_found_among_faults_that_are_near_to_nothing() {
    let (_, plan) = after((1..12).map(|step| 500 + 5_000 * step));
    assert_eq!((plan.shape(), plan.clone().next()), (Shape::Stride(5_000), Some(500 + 60_000)));
}
