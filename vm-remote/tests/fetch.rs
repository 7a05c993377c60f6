//! Requests against a source that answers in every wrong way.

use netproto::msg::page::{GetFlags, PageData, PageStatus};
use netproto::{RequestId, Slot, SpaceId};
use vm_remote::fetch::{shard_of, Ask, Table, What};

fn slot(number: u8) -> Slot {
    Slot::new(number).expect("a slot")
}

fn ask(first: u64, count: u16) -> Ask {
    Ask { source: slot(1), space: SpaceId(7), first, count }
}

fn data(request: RequestId, index: u64, status: PageStatus) -> PageData {
    PageData { request, space: SpaceId(7), index, status, page_sum: 0 }
}

fn table() -> Table<Vec<u64>> {
    Table::new(3, 4, 99).expect("memory")
}

#[test]
fn each_page_is_taken_once() {
    let mut table = table();
    let request = table.begin(ask(10, 3), Vec::new()).expect("room");
    assert_eq!(shard_of(request), 3);
    for (index, finished) in [(12, false), (10, false), (11, true)] {
        let accepted =
            table.accept(slot(1), &data(request, index, PageStatus::Data)).expect("open");
        assert_eq!((accepted.what, accepted.finished), (What::Content, finished));
        accepted.payload.push(index);
        assert!(table.accept(slot(1), &data(request, index, PageStatus::Data)).is_none());
    }
    let (fetch, payload) = table.end(request).expect("ours");
    assert!(fetch.is_finished());
    assert_eq!(payload, [12, 10, 11]);
    assert!(table.end(request).is_none());
}

#[test]
fn strangers_are_refused() {
    let mut table = table();
    let request = table.begin(ask(10, 3), Vec::new()).expect("room");
    let good = data(request, 10, PageStatus::Data);
    assert!(table.accept(slot(2), &good).is_none(), "another node");
    assert!(table.accept(slot(1), &PageData { space: SpaceId(8), ..good }).is_none());
    assert!(table.accept(slot(1), &PageData { index: 9, ..good }).is_none());
    assert!(table.accept(slot(1), &PageData { index: 13, ..good }).is_none());
    assert!(table.accept(slot(1), &PageData { index: u64::MAX, ..good }).is_none());
    for request in [0, u64::MAX, request.0 ^ 1 << 20, request.0 ^ 1 << 9] {
        assert!(table.accept(slot(1), &data(RequestId(request), 10, PageStatus::Data)).is_none());
    }
    assert!(table.accept(slot(1), &data(request, 10, PageStatus::Busy)).is_none(), "stays open");
    assert!(table.accept(slot(1), &good).is_some());
}

#[test]
fn late_answers_do_not_reach_the_next_request() {
    let mut table = table();
    let first = table.begin(ask(10, 1), Vec::new()).expect("room");
    table.end(first).expect("ours");
    let second = table.begin(ask(10, 1), Vec::new()).expect("room");
    assert_ne!(first, second);
    assert!(table.accept(slot(1), &data(first, 10, PageStatus::Data)).is_none());
    assert_eq!(table.len(), 1);
}

#[test]
fn repeats_ask_for_what_is_open_only() {
    let mut table = table();
    let request = table.begin(ask(100, 32), Vec::new()).expect("room");
    let get = table.fetch(request).expect("ours").get(GetFlags::STREAM);
    assert_eq!((get.index, get.count), (100, 32));
    for index in (100..110).chain(120..132) {
        assert!(table.accept(slot(1), &data(request, index, PageStatus::Zero)).is_some());
    }
    let fetch = *table.fetch(request).expect("ours");
    let get = fetch.get(GetFlags::STREAM);
    assert_eq!((get.request, get.index, get.count), (request, 110, 10));
    assert_eq!(fetch.open_pages(), 10);
}

#[test]
fn gone_pages_end_a_request_too() {
    let mut table = table();
    let request = table.begin(ask(5, 2), Vec::new()).expect("room");
    let accepted = table.accept(slot(1), &data(request, 6, PageStatus::Gone)).expect("open");
    assert_eq!((accepted.what, accepted.offset, accepted.finished), (What::Gone, 1, false));
    let accepted = table.accept(slot(1), &data(request, 5, PageStatus::Zero)).expect("open");
    assert_eq!((accepted.what, accepted.finished), (What::Zeros, true));
    let (fetch, _) = table.end(request).expect("ours");
    assert!(fetch.is_gone(1) && !fetch.is_gone(0) && !fetch.is_gone(40));
}

#[test]
fn full_tables_and_wrong_asks_give_the_payload_back() {
    let mut table = table();
    assert_eq!(table.begin(ask(1, 0), vec![1]), Err(vec![1]));
    assert_eq!(table.begin(ask(1, 33), vec![2]), Err(vec![2]));
    assert_eq!(table.begin(ask(u64::MAX, 2), vec![3]), Err(vec![3]));
    for _ in 0..4 {
        table.begin(ask(1, 1), Vec::new()).expect("room");
    }
    assert_eq!(table.begin(ask(1, 1), vec![4]), Err(vec![4]));
}

#[test]
fn a_page_that_is_not_held_here_is_asked_for_whole() {
    let mut table = table();
    let request = table.begin(ask(10, 3), Vec::new()).expect("room");
    let held = data(request, 11, PageStatus::Held);
    assert!(table.accept(slot(1), &held).is_none(), "no content yet");
    assert!(matches!(table.open_page(slot(1), &held), Some((_, 1))));
    let flags = |table: &Table<Vec<u64>>| {
        table.fetch(request).expect("under way").get(GetFlags::STREAM).flags
    };
    table.want_whole(slot(2), &held);
    assert_eq!(flags(&table), GetFlags::STREAM, "a stranger's word");
    table.want_whole(slot(1), &held);
    assert_eq!(flags(&table), GetFlags::STREAM | GetFlags::WHOLE);
    let content = PageData { status: PageStatus::Data, ..held };
    assert!(table.accept(slot(1), &content).is_some());
    assert!(table.open_page(slot(1), &held).is_none());
}
