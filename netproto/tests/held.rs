//! Messages that refer to their content: what leaves is what would leave if all were copied, and
//! nothing is referred to for longer than it may be needed.

mod sim;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use holon_simkit::{mutate::rounds, Rng};
use netproto::limits::{HELD_MESSAGES_MAX, MTU_PAYLOAD_MAX, MTU_PAYLOAD_MIN};
use netproto::msg::page::{PageData, PageStatus};
use netproto::wire::checksum;
use netproto::{
    page, Class, Config, DatagramError, Holdable, Instant, Kind, Lane, Piece, RequestId, SendError,
    SpaceId,
};
use sim::{incarnation, slot, Shared, Sim, Transport, MS, SECOND};

fn node<C: Holdable>(own: usize) -> netproto::Transport<C> {
    let config = Config::new(slot(own), incarnation(own, 1));
    let mut transport = netproto::Transport::new(config).expect("good settings");
    transport.add_peer(Instant::from_ns(1), slot(1 - own)).expect("a free slot");
    transport
}

/// All that a node wants to send now.
fn datagrams<C: Holdable>(node: &mut netproto::Transport<C>, now: Instant) -> Vec<Vec<u8>> {
    let mut buffer = [0; 9000];
    let mut all = Vec::new();
    while let Some(transmit) = node.poll_transmit(now, &mut buffer) {
        all.push(node.parts(&transmit, &buffer).collect::<Vec<_>>().concat());
    }
    all
}

fn draw_content(rng: &mut Rng) -> Shared {
    let len = rng.pick(&[0, 1, 32, 255, 1023, 1024, 1300, 4095, 4096, 4096, 4096, 9000]);
    (0..len).map(|_| rng.byte()).collect()
}

/// One that copies and one that refers say the same, whatever is in the messages, gets lost and
/// becomes of the path.
#[test]
fn referring_changes_no_byte_on_the_wire() {
    for seed in 0..rounds(40) {
        let mut rng = Rng::new(seed);
        // Two that send, each with a twin of the one receiver.
        let (mut copies, mut refers) = ([node(0), node(1)], [node::<Shared>(0), node(1)]);
        let mut now_ns = 1;
        for round in 0..400 {
            let is_connected = round >= 20;
            now_ns += if is_connected { rng.between(1, 2 * MS) } else { 100 * MS };
            let now = Instant::from_ns(now_ns);
            if is_connected && rng.coin() {
                say(&mut rng, &mut copies[0], &mut refers[0]);
            }
            if rng.one_in(50) {
                let mtu = rng.between(MTU_PAYLOAD_MIN.into(), MTU_PAYLOAD_MAX.into());
                let mtu = u16::try_from(mtu).expect("small");
                for sender in [&mut copies[0], &mut refers[0]] {
                    sender.set_mtu(slot(1), mtu).expect("known");
                }
            }
            for own in 0..2 {
                for side in [&mut copies, &mut refers] {
                    side[own].handle_timeout(now);
                    while let Some(message) = side[own].poll_message() {
                        side[own].recycle(message.payload);
                    }
                    while side[own].poll_event().is_some() {}
                }
                let sent = datagrams(&mut copies[own], now);
                assert!(sent == datagrams(&mut refers[own], now), "seed {seed} round {round}");
                for datagram in sent.iter().filter(|_| !is_connected || !rng.one_in(10)) {
                    for side in [&mut copies, &mut refers] {
                        side[1 - own].handle_datagram(now, datagram).expect("good");
                    }
                }
            }
        }
        assert_eq!(copies[0].counters().tx_contents_held, 0);
        let counters = refers[0].counters();
        assert!(
            counters.tx_contents_held > 100 && counters.tx_fragments_again > 10,
            "{counters:?}"
        );
    }
}

/// Gives both the same message.
fn say(rng: &mut Rng, copies: &mut Transport, refers: &mut Transport) {
    let contents: Vec<Shared> = (0..rng.between(1, 18)).map(|_| draw_content(rng)).collect();
    let held: Vec<bool> = contents.iter().map(|_| rng.coin()).collect();
    let order = (rng.pick(&[Class::Bulk, Class::Bulk, Class::Control]), Lane::Strict);
    let bytes = |content| Piece::Bytes(Shared::as_ref(content));
    let copied: Vec<_> = contents.iter().map(bytes).collect();
    let either = |(content, held)| if held { Piece::Held(content) } else { bytes(content) };
    let pieces: Vec<_> = contents.iter().zip(held).map(either).collect();
    let kind = Kind(0x0101);
    let outcome = refers.send_pieces(slot(1), order, kind, &pieces);
    assert_eq!(outcome, copies.send_pieces(slot(1), order, kind, &copied));
}

fn pair(seed: u64) -> Sim {
    let mut sim = Sim::new(seed, 2);
    sim.nodes[1].is_lazy = true;
    sim.connect();
    sim.run_for(SECOND);
    sim
}

/// Queues a message of so many pages.
fn send_pages(sim: &mut Sim, first: u64, count: u64) -> Result<(), SendError> {
    let data = |index: u64, content: &Shared| PageData {
        request: RequestId(first),
        space: SpaceId(3),
        index,
        status: PageStatus::Data,
        page_sum: checksum(&[content]),
    };
    let pages: Vec<_> =
        (first..first + count).map(|index| sim.share(&[index.to_le_bytes()[0]; 4096])).collect();
    let list: Vec<_> = (first..)
        .zip(&pages)
        .map(|(index, content)| (data(index, content), Piece::Held(content)))
        .collect();
    let outcome = sim.transport(0).send_pages(slot(1), Class::Bulk, &list);
    sim.drain(0);
    outcome
}

#[test]
fn a_page_is_let_go_when_it_has_arrived_and_not_before() {
    let mut sim = pair(1);
    sim.net.path(1, 0).is_cut = true;
    // No more than may leave without a sign of the peer.
    assert_eq!(send_pages(&mut sim, 0, 2), Ok(()));
    sim.run_for(100 * MS);
    let message = sim.transport(1).poll_message().expect("it came");
    let mut left = message.payload.as_slice();
    for index in 0..2 {
        let (head, content, rest) = page::decode_data(left).expect("good");
        assert!(head.index == index && content == [index.to_le_bytes()[0]; 4096]);
        left = rest;
    }
    assert_eq!(sim.held(), 2, "nothing was acknowledged");
    sim.net.path(1, 0).is_cut = false;
    sim.run_for(SECOND);
    assert_eq!(sim.held(), 0);
}

/// Something that ends the session between both nodes.
type End = (&'static str, fn(&mut Sim));

/// Whatever ends the session ends the references.
#[test]
fn every_end_lets_all_go() {
    let ends: [End; 7] = [
        ("silence", |sim| sim.run_for(10 * SECOND)),
        ("given up", |sim| sim.transport(0).give_up(Instant::from_ns(1), slot(1)).expect("known")),
        ("said goodbye", |sim| {
            sim.transport(0).disconnect(Instant::from_ns(1), slot(1)).expect("known");
        }),
        ("forgotten", |sim| sim.transport(0).remove_peer(slot(1)).expect("known")),
        ("shut down", |sim| sim.transport(0).shutdown(Instant::from_ns(1))),
        ("unloaded", |sim| sim.crash(0)),
        ("a new life of the peer", |sim| {
            sim.start(1);
            sim.net.path(0, 1).is_cut = false;
            sim.run_for(2 * SECOND);
        }),
    ];
    for (what, end) in ends {
        let mut sim = pair(2);
        sim.net.path(0, 1).is_cut = true;
        for first in 0..10 {
            assert_eq!(send_pages(&mut sim, 15 * first, 15), Ok(()));
        }
        sim.run_for(MS);
        assert_eq!(sim.held(), 150);
        end(&mut sim);
        assert_eq!(sim.held(), 0, "{what}");
    }
}

/// A peer that acknowledges nothing has so much held and no more; what is past that is copied.
#[test]
fn what_is_held_for_a_peer_is_bounded() {
    let mut sim = pair(3);
    sim.net.path(1, 0).is_cut = true;
    let mut taken = 0;
    while send_pages(&mut sim, taken, 1) == Ok(()) {
        taken += 1;
    }
    let [_, _, held_max] = HELD_MESSAGES_MAX;
    assert!(sim.held() == held_max && taken > 500, "{} {taken}", sim.held());
    let counters = *sim.transport(0).counters();
    assert_eq!(counters.tx_contents_held, u64::try_from(held_max).expect("small"));
    assert_eq!(counters.tx_contents_held + counters.tx_contents_copied, taken);
    sim.net.path(1, 0).is_cut = false;
    for _ in 0..100 {
        sim.run_for(100 * MS);
        while let Some(message) = sim.transport(1).poll_message() {
            let (head, content, _) = page::decode_data(&message.payload).expect("good");
            assert!(content == [head.index.to_le_bytes()[0]; 4096]);
            taken -= 1;
            sim.transport(1).recycle(message.payload);
        }
        sim.drain(1);
    }
    assert_eq!((taken, sim.held()), (0, 0));
}

/// A content that breaks its promise: it is another one all of a sudden.
#[derive(Debug, Clone)]
struct Fickle(Arc<(AtomicBool, [[u8; 4096]; 2])>);

impl AsRef<[u8]> for Fickle {
    fn as_ref(&self) -> &[u8] {
        let (is_other, [one, other]) = &*self.0;
        if is_other.load(Ordering::Relaxed) {
            other
        } else {
            one
        }
    }
}

/// Then the datagram under way is refused, the message arrives all the same, and the page does not
/// fit the checksum that was made of it before.
#[test]
fn a_content_that_changes_is_not_taken_for_what_it_was() {
    let mut nodes = [node::<Fickle>(0), node::<Fickle>(1)];
    let mut now_ns = 1;
    let content = Fickle(Arc::new((AtomicBool::new(false), [[1; 4096], [2; 4096]])));
    let data = PageData {
        request: RequestId(1),
        space: SpaceId(3),
        index: 5,
        status: PageStatus::Data,
        page_sum: checksum(&[content.as_ref()]),
    };
    let mut refused = 0;
    let mut came = Vec::new();
    for round in 0..200 {
        now_ns += 20 * MS;
        let now = Instant::from_ns(now_ns);
        if round == 40 {
            let page = [(data, Piece::Held(&content))];
            assert_eq!(nodes[0].send_pages(slot(1), Class::Bulk, &page), Ok(()));
        }
        for own in 0..2 {
            nodes[own].handle_timeout(now);
            let mut buffer = [0; 9000];
            while let Some(transmit) = nodes[own].poll_transmit(now, &mut buffer) {
                if round == 40 && own == 0 {
                    content.0 .0.store(true, Ordering::Relaxed);
                }
                let bytes = nodes[own].parts(&transmit, &buffer).collect::<Vec<_>>().concat();
                match nodes[1 - own].handle_datagram(now, &bytes) {
                    Ok(()) => (),
                    Err(DatagramError::BadChecksum) => refused += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            while let Some(message) = nodes[own].poll_message() {
                came.push(message.payload);
            }
            while nodes[own].poll_event().is_some() {}
        }
    }
    let [message] = &came[..] else { panic!("{} messages", came.len()) };
    assert!(refused > 0 && message.len() == 32 + 4096 && message.contains(&2));
    assert!(page::decode_data(message).is_err(), "it does not fit its checksum");
    assert_eq!(Arc::strong_count(&content.0), 1);
}
