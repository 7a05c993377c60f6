//! Pages of a moved process: answers that were not asked for.

use std::collections::BTreeMap;

use holon_simkit::mutate::{mutate, rounds};
use holon_simkit::Rng;
use netproto::msg::page::{PageData, PageStatus};
use netproto::{RequestId, SpaceId};
use vm_remote::fetch::{Ask, Table, What};

use crate::{slot, ATTACKER, HONEST};

/// What each request still waits for, in a plain map.
#[derive(Debug)]
struct Wanted {
    from: u8,
    space: u64,
    pages: Vec<u64>,
}

fn answer(request: RequestId, space: u64, index: u64, rng: &mut Rng) -> PageData {
    let status = rng.pick(&[PageStatus::Zero, PageStatus::Gone, PageStatus::Busy]);
    PageData { request, space: SpaceId(space), index, status, page_sum: 0 }
}

/// Requests to both nodes are open. Of all that the hostile one says the table takes exactly what
/// it was asked for, and nothing of what the other one was asked for.
#[test]
fn answers_reach_no_request_of_others() {
    let (mut taken, mut refused) = (0_u64, 0_u64);
    for seed in 0..rounds(200) {
        let mut rng = Rng::new(seed);
        let mut table = Table::new(3, 16, seed).expect("memory");
        let mut wanted: BTreeMap<RequestId, Wanted> = BTreeMap::new();
        for _ in 0..400 {
            if table.len() < 16 && rng.coin() {
                let (from, space) = (rng.pick(&[ATTACKER, HONEST]), rng.below(3));
                let (first, count) = (rng.below(200), 1 + rng.below(32));
                let count = u16::try_from(count).expect("small");
                let ask = Ask { source: slot(from), space: SpaceId(space), first, count };
                let request = table.begin(ask, ()).expect("room");
                let pages = (first..first + u64::from(count)).collect();
                wanted.insert(request, Wanted { from, space, pages });
            }
            let Some((request, of)) = wanted.iter().nth(rng.index(wanted.len().max(1))) else {
                continue;
            };
            let index = rng.below(240);
            let mut bytes = answer(*request, of.space, index, &mut rng).encode().to_vec();
            if rng.coin() {
                mutate(&mut bytes, &mut rng);
            }
            let Ok((data, _)) = PageData::decode(&bytes) else {
                continue;
            };
            let is_open = wanted.get(&data.request).is_some_and(|of| {
                of.from == ATTACKER && of.space == data.space.0 && of.pages.contains(&data.index)
            });
            let accepted = table.accept(slot(ATTACKER), &data);
            let is_taken = accepted.is_some();
            assert_eq!(is_taken, is_open && data.status != PageStatus::Busy, "{data:?}");
            *(if is_taken { &mut taken } else { &mut refused }) += 1;
            if let Some(accepted) = accepted {
                assert_eq!(accepted.what == What::Gone, data.status == PageStatus::Gone);
                let of = wanted.get_mut(&data.request).expect("known");
                of.pages.retain(|page| *page != data.index);
                assert_eq!(accepted.finished, of.pages.is_empty());
            }
            // The others' requests stand as they stood.
            for (request, of) in &wanted {
                let open = table.fetch(*request).expect("under way").open_pages();
                assert_eq!(usize::try_from(open), Ok(of.pages.len()));
            }
            if let Some(request) = wanted.keys().copied().find(|_| rng.one_in(40)) {
                assert!(table.end(request).is_some());
                wanted.remove(&request);
            }
        }
    }
    assert!(taken > 1_000 && refused > 1_000, "{taken} taken, {refused} refused");
}
