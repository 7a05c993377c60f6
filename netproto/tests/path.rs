//! Paths that take only so much, and pages over them.

mod sim;

use netproto::limits::{MTU_PAYLOAD_MAX, MTU_PAYLOAD_MIN};
use netproto::msg::page::{PageData, PageStatus};
use netproto::wire::checksum;
use netproto::{page, Class, Kind, PeerError, Piece, RequestId, SendError, SpaceId};
use sim::{slot, Shared, Sim, MS, SECOND};

fn pair(seed: u64) -> Sim {
    let mut sim = Sim::new(seed, 2);
    sim.connect();
    sim.run_for(SECOND);
    sim
}

#[test]
fn messages_fit_any_path() {
    for mtu_payload in [MTU_PAYLOAD_MIN, 1_233, 1_400, 1_472, 2_000, 4_200, 8_951, MTU_PAYLOAD_MAX]
    {
        let mut sim = pair(1);
        for node in 0..2 {
            assert_eq!(sim.transport(node).set_mtu(slot(1 - node), mtu_payload), Ok(()));
        }
        sim.net.record = Some(Vec::new());
        for class in Class::ALL {
            for len in [0, 1, 1_100, 4_104, 65_512] {
                assert_eq!(sim.send(0, 1, class, len), Ok(()));
            }
        }
        sim.run_until(SECOND, "all arrived", |sim| sim.oracle.outstanding() == 0);
        let record = sim.net.record.take().expect("recorded");
        let longest = record.iter().map(|(_, _, bytes)| bytes.len()).max();
        assert_eq!(longest, Some(usize::from(mtu_payload)));
        assert_eq!(sim.transport(0).counters().tx_fragments_again, 0);
    }
}

#[test]
fn a_path_out_of_range_is_refused() {
    let mut sim = pair(2);
    for mtu_payload in [0, MTU_PAYLOAD_MIN - 1, MTU_PAYLOAD_MAX + 1, u16::MAX] {
        let outcome = sim.transport(0).set_mtu(slot(1), mtu_payload);
        assert_eq!(outcome, Err(PeerError::MtuPayload));
    }
    assert_eq!(sim.transport(0).set_mtu(slot(2), 1_400), Err(PeerError::Unknown));
}

/// Messages that are cut for a longer path already are cut anew.
#[test]
fn a_path_that_shrinks_loses_nothing() {
    let mut sim = Sim::with(3, 2, |config| config.mtu_payload = 8_952);
    sim.connect();
    sim.run_for(SECOND);
    for _ in 0..10 {
        assert_eq!(sim.send(0, 1, Class::Bulk, 60_000), Ok(()));
    }
    sim.net.path(0, 1).len_max = Some(1_300);
    sim.run_for(MS);
    assert_eq!(sim.transport(0).set_mtu(slot(1), 1_300), Ok(()));
    sim.drain(0);
    sim.run_until(5 * SECOND, "all arrived", |sim| sim.oracle.outstanding() == 0);
    assert_eq!(sim.oracle.downs.len(), 0);
}

/// Nobody says that the path is short: long datagrams just vanish.
#[test]
fn a_black_hole_is_noticed() {
    let mut sim = Sim::new(4, 2);
    sim.net.each_path(|path| path.len_max = Some(1_300));
    sim.connect();
    for class in Class::ALL {
        assert_eq!(sim.send(0, 1, class, 20_000), Ok(()));
        assert_eq!(sim.send(1, 0, class, 20_000), Ok(()));
    }
    sim.run_until(5 * SECOND, "all arrived", |sim| sim.oracle.outstanding() == 0);
    for node in 0..2 {
        assert_eq!(sim.transport(node).counters().mtu_fallbacks, 1);
        let info = sim.transport(node).peer(slot(1 - node)).expect("a peer");
        assert_eq!(info.mtu_payload, MTU_PAYLOAD_MIN);
    }
    assert_eq!(sim.oracle.downs.len(), 0);
}

fn send_page(sim: &mut Sim, class: Class, request: u64, index: u64) {
    let content = [index.to_le_bytes()[0]; 4096];
    let data = PageData {
        request: RequestId(request),
        space: SpaceId(3),
        index,
        status: PageStatus::Data,
        page_sum: checksum(&[&content]),
    };
    assert_eq!(
        sim.transport(0).send_pages(slot(1), class, &[(data, Piece::Bytes(&content))]),
        Ok(())
    );
    sim.drain(0);
}

fn pages(sim: &mut Sim) -> Vec<u64> {
    let mut indexes = Vec::new();
    while let Some(message) = sim.transport(1).poll_message() {
        assert_eq!(message.kind, Kind::PAGE_DATA);
        let (data, content, _) = page::decode_data(&message.payload).expect("good");
        assert!(content.iter().all(|byte| *byte == data.index.to_le_bytes()[0]));
        indexes.push(data.index);
        sim.transport(1).recycle(message.payload);
    }
    sim.drain(1);
    indexes
}

/// A request that is repeated while its answer is under way gets that answer, once.
#[test]
fn a_repeated_request_is_answered_once() {
    let mut sim = pair(5);
    sim.nodes[1].is_lazy = true;
    sim.net.path(0, 1).is_cut = true;
    for _ in 0..5 {
        send_page(&mut sim, Class::Fault, 7, 40);
        send_page(&mut sim, Class::Fault, 7, 41);
        send_page(&mut sim, Class::Fault, 8, 40);
        sim.run_for(MS);
    }
    assert_eq!(sim.transport(0).counters().tx_answers_spared, 12);
    sim.net.path(0, 1).is_cut = false;
    sim.run_for(SECOND);
    let mut all = pages(&mut sim);
    all.sort_unstable();
    assert_eq!(all, [40, 40, 41]);
    // It was acknowledged: if it is asked for again, the asker has lost it.
    send_page(&mut sim, Class::Fault, 7, 40);
    sim.run_for(MS);
    assert_eq!(pages(&mut sim), [40]);
}

#[test]
fn pages_arrive_once_each_whatever_the_network_does() {
    let mut sim = pair(6);
    sim.nodes[1].is_lazy = true;
    sim.net.each_path(|path| {
        path.loss_ppm = 100_000;
        path.duplicate_ppm = 100_000;
        path.corrupt_ppm = 50_000;
        path.delay_mean_ns = MS;
    });
    let mut all = Vec::new();
    for index in 0..2_000 {
        let class = if index % 3 == 0 { Class::Fault } else { Class::Bulk };
        send_page(&mut sim, class, index, index);
        // As fast as such a path carries them, whatever the seed.
        sim.run_for(2 * MS);
        all.extend(pages(&mut sim));
    }
    sim.run_for(5 * SECOND);
    all.extend(pages(&mut sim));
    all.sort_unstable();
    assert_eq!(all, (0..2_000).collect::<Vec<_>>());
    let counters = sim.transport(0).counters();
    assert!(counters.tx_packets_lost > 100 && counters.tx_fragments_again > 100);
}

#[test]
fn pages_of_one_request_come_together() {
    let mut sim = pair(6);
    sim.nodes[1].is_lazy = true;
    let contents: Vec<[u8; 4096]> = (0..16).map(|byte| [byte; 4096]).collect();
    let page = |index: u64| PageData {
        request: RequestId(5),
        space: SpaceId(3),
        index,
        status: PageStatus::Data,
        page_sum: checksum(&[&contents[usize::try_from(index).expect("small")]]),
    };
    let mut list: Vec<(PageData, Piece<'_, Shared>)> = (0..16)
        .map(|index| (page(index), Piece::Bytes(&contents[usize::try_from(index).expect("small")])))
        .collect();
    assert_eq!(sim.transport(0).send_pages(slot(1), Class::Bulk, &list), Err(SendError::TooLong));
    assert_eq!(sim.transport(0).send_pages(slot(1), Class::Bulk, &[]), Ok(()));
    list.truncate(15);
    let zero = PageData { status: PageStatus::Zero, page_sum: 0, ..page(3) };
    list[3] = (zero, Piece::Bytes(&[]));
    assert_eq!(sim.transport(0).send_pages(slot(1), Class::Bulk, &list), Ok(()));
    sim.drain(0);
    sim.run_for(SECOND);
    let message = sim.transport(1).poll_message().expect("it came");
    let mut left = message.payload.as_slice();
    for (data, content) in &list {
        let (head, came, rest) = page::decode_data(left).expect("good");
        assert!(head == *data && came == content.bytes());
        left = rest;
    }
    assert!(left.is_empty() && sim.transport(1).poll_message().is_none());
}
