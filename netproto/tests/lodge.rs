//! The formats of pages that lodge elsewhere: to the byte, and whatever a peer may send.

use netproto::limits::{LODGE_CONTENTS_LEN_MAX, PAGE_LEN};
use netproto::msg::lodge::{
    Batch, BatchFlags, HandBack, HandBackReason, Horizon, Item, Limit, Offer, Seal, Status,
};
use netproto::{DecodeError, Kind, RequestId};

/// Without a content.
fn item(position: u8, status: Status) -> Item {
    Item { position, status, entry: 0x0102_0304, seal: Seal::NONE, generation: 5 }
}

fn with(position: u8, status: Status, len: usize) -> Item {
    let seal = Seal { sum: 0, len: u16::try_from(len).expect("short") };
    Item { seal, ..item(position, status) }
}

/// With contents that are filled with their number.
fn batch(items: &[Item], contents: &[usize]) -> Vec<u8> {
    let count = u16::try_from(items.len()).expect("few");
    let head = Batch {
        request: RequestId(0x1122),
        horizon: Horizon(0),
        count,
        flags: BatchFlags::empty(),
    };
    let mut bytes = head.encode().to_vec();
    items.iter().for_each(|item| bytes.extend(item.encode()));
    for (number, len) in (0..).zip(contents) {
        bytes.extend(vec![number; *len]);
    }
    bytes
}

#[test]
fn golden_bytes() {
    let seal = Seal { sum: 0xaabb_ccdd, len: 0x0203 };
    let bytes = batch(&[Item { seal, ..item(3, Status::Done) }], &[]);
    #[rustfmt::skip]
    assert_eq!(bytes, [
        0x22, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
        3, 1, 3, 2, 4, 3, 2, 1, 0xdd, 0xcc, 0xbb, 0xaa, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0,
    ]);
    let limit = Limit { sequence: 1, limit: 2, spare: 3 };
    assert_eq!(limit.encode(), [1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]);
    assert_eq!(Limit::decode(&limit.encode()), Ok(limit));
    let back = HandBack { pages: 7, reason: HandBackReason::Drain, limit: 9 };
    assert_eq!(back.encode(), [7, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(HandBack::decode(&back.encode()), Ok(back));
    let offer = Offer { spare: 0x0102 };
    assert_eq!(offer.encode(), [2, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(Offer::decode(&offer.encode()), Ok(offer));
    assert_eq!(Offer::decode(&[0, 0, 0, 0, 0, 0, 1, 0]), Err(DecodeError::value("padding")));
}

#[test]
fn only_a_fetch_is_a_faults() {
    let mut bytes = batch(&[item(0, Status::Ask)], &[]);
    bytes[18] = 1;
    let flags = |kind, bytes: &[u8]| Batch::decode(kind, bytes).map(|(head, _)| head.flags);
    assert_eq!(flags(Kind::LODGE_FETCH, &bytes), Ok(BatchFlags::FAULT));
    assert_eq!(flags(Kind::LODGE_RELEASE, &bytes), Err(DecodeError::value("flags")));
    bytes[18] = 4;
    assert_eq!(flags(Kind::LODGE_FETCH, &bytes), Err(DecodeError::value("flags")));
}

#[test]
fn contents_go_with_the_items_that_have_one() {
    let items = [with(0, Status::Done, 7), item(4, Status::Gone), with(9, Status::Done, PAGE_LEN)];
    let bytes = batch(&items, &[7, PAGE_LEN]);
    let (head, parts) = Batch::decode(Kind::LODGE_PAGES, &bytes).expect("good");
    assert_eq!(head.count, 3);
    let parts: Vec<_> = parts.iter().collect();
    assert_eq!(parts.iter().map(|(item, _)| *item).collect::<Vec<_>>(), items);
    let contents: Vec<_> =
        parts.iter().map(|(_, content)| content.map(|it| (it[0], it.len()))).collect();
    assert_eq!(contents, [Some((0, 7)), None, Some((1, PAGE_LEN))]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let store = |items: &[Item], contents: &[usize]| {
        let bytes = batch(items, contents);
        Batch::decode(Kind::LODGE_STORE, &bytes).map(|(head, _)| head.count)
    };
    let ask = |position| with(position, Status::Ask, 9);
    assert_eq!(store(&[ask(0), ask(1)], &[9, 9]), Ok(2));
    assert_eq!(store(&[ask(0), ask(1)], &[17]), Err(DecodeError::Truncated));
    assert_eq!(store(&[ask(0), ask(1)], &[19]), Err(DecodeError::Trailing));
    assert_eq!(store(&[], &[]), Err(DecodeError::value("count")));
    assert_eq!(store(&[ask(1), ask(1)], &[18]), Err(DecodeError::value("position")));
    assert_eq!(store(&[ask(32)], &[9]), Err(DecodeError::value("position")));
    assert_eq!(store(&[with(0, Status::Done, 9)], &[9]), Err(DecodeError::value("status")));
    let zero = Item { generation: 0, ..ask(0) };
    assert_eq!(store(&[zero], &[9]), Err(DecodeError::value("generation")));
    for len in [0, PAGE_LEN + 1, usize::from(u16::MAX)] {
        let refused = store(&[with(0, Status::Ask, len)], &[len]);
        assert_eq!(refused, Err(DecodeError::value("len")), "{len}");
    }
    let all: Vec<Item> = (0..32).map(ask).collect();
    assert_eq!(store(&all, &[9; 32]), Ok(32));
    let mut full: Vec<Item> = (0..15).map(|at| with(at, Status::Ask, PAGE_LEN)).collect();
    assert_eq!(store(&full, &[LODGE_CONTENTS_LEN_MAX]), Ok(15));
    full.push(with(15, Status::Ask, 1));
    assert_eq!(store(&full, &[LODGE_CONTENTS_LEN_MAX + 1]), Err(DecodeError::value("len")));
    for seal in [Seal { sum: 1, len: 0 }, Seal { sum: 0, len: 1 }] {
        let bytes = batch(&[Item { seal, ..item(0, Status::Ask) }], &[]);
        let refused = Batch::decode(Kind::LODGE_FETCH, &bytes).map(|_| ());
        assert_eq!(refused, Err(DecodeError::value("page_sum")));
    }
    let other = Batch::decode(Kind::SPACE_DONE, &batch(&[ask(0)], &[])).map(|_| ());
    assert_eq!(other, Err(DecodeError::value("kind")));
    assert!(Limit::decode(&[0; 16]).is_err() && HandBack::decode(&[0; 16]).is_err());
}

#[test]
fn a_seal_is_of_its_content() {
    assert_eq!(Seal::of(&[]), Seal::NONE);
    assert_eq!(Seal::of(&[1; PAGE_LEN + 1]), Seal::NONE);
    assert_eq!(Seal::of(&[1; PAGE_LEN]).len, 4096);
    assert_ne!(Seal::of(&[1; 9]).sum, Seal::of(&[2; 9]).sum);
}

/// Each field of a good message is set to each of some values, and each length is tried: it is
/// decoded or refused, and what is decoded has as many contents as it says.
#[test]
fn mutated_and_cut() {
    let kinds = [
        (Kind::LODGE_STORE, Status::Ask, 2),
        (Kind::LODGE_PAGES, Status::Done, 2),
        (Kind::LODGE_FETCH, Status::Ask, 0),
        (Kind::LODGE_STORED, Status::NoRoom, 0),
    ];
    for (kind, status, contents) in kinds {
        let lens = [700, PAGE_LEN];
        let lens = &lens[..contents];
        let items = match contents {
            0 => [item(0, status), item(31, status)],
            _ => [with(0, status, lens[0]), with(31, status, lens[1])],
        };
        let good = batch(&items, lens);
        assert!(Batch::decode(kind, &good).is_ok());
        for at in 0..72 {
            for value in [0, 1, 2, 6, 7, 31, 32, 127, 128, 255] {
                let mut bytes = good.clone();
                bytes[at] = value;
                if let Ok((head, parts)) = Batch::decode(kind, &bytes) {
                    assert_eq!(parts.iter().count(), usize::from(head.count));
                    let sum: usize = parts.iter().map(|it| it.1.map_or(0, <[u8]>::len)).sum();
                    assert_eq!(sum + 24 + 24 * usize::from(head.count), bytes.len());
                }
            }
        }
        for len in (0..100).chain([good.len() - 1]) {
            assert!(len >= good.len() || Batch::decode(kind, &good[..len]).is_err());
        }
    }
}
