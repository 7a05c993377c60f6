//! Pages go out and come in without memory from outside: the pools were filled beforehand.

mod sim;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use netproto::msg::page::{PageData, PageStatus};
use netproto::{Class, Config, Instant, Piece, RequestId, SendError, SpaceId};
use sim::{incarnation, slot, Shared, Transport, MS};

/// Counts what is allocated while it is told to.
struct Counting;

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU64 = AtomicU64::new(0);
/// Datagrams.
static SENT: AtomicU64 = AtomicU64::new(0);

// SAFETY: all is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if IS_COUNTING.load(Ordering::Relaxed) {
            COUNT.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: by this function's own contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: by this function's own contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn node(own: usize) -> Transport {
    let config = Config::new(slot(own), incarnation(own, 1));
    let mut transport = Transport::new(config).expect("good settings");
    transport.add_peer(Instant::from_ns(1), slot(1 - own)).expect("a free slot");
    transport
}

/// Lets both talk for a while over a wire that loses each `loss`th datagram. Takes all messages.
fn talk(nodes: &mut [Transport; 2], now_ns: &mut u64, span_ns: u64, loss: u64) -> u64 {
    let (mut buffer, mut datagram) = ([0; 2_000], [0; 2_000]);
    let mut taken = 0;
    let end_ns = *now_ns + span_ns;
    while *now_ns < end_ns {
        *now_ns += 100_000;
        let now = Instant::from_ns(*now_ns);
        for own in 0..2 {
            nodes[own].handle_timeout(now);
            while let Some(message) = nodes[own].poll_message() {
                taken += 1;
                nodes[own].recycle(message.payload);
            }
            while let Some(transmit) = nodes[own].poll_transmit(now, &mut buffer) {
                let mut len = 0;
                for part in nodes[own].parts(&transmit, &buffer) {
                    datagram[len..len + part.len()].copy_from_slice(part);
                    len += part.len();
                }
                let sent = SENT.fetch_add(1, Ordering::Relaxed);
                if loss == 0 || sent % loss != 0 {
                    nodes[1 - own].handle_datagram(now, &datagram[..len]).expect("good");
                }
            }
            while nodes[own].poll_event().is_some() {}
        }
    }
    taken
}

#[test]
fn paging_allocates_nothing() {
    let mut nodes = [node(0), node(1)];
    let mut now_ns = 1;
    talk(&mut nodes, &mut now_ns, 500 * MS, 0);
    let content = [9; 4096];
    let shared = Shared::from(&content[..]);
    let (mut sent, mut taken) = (0, 0);
    IS_COUNTING.store(true, Ordering::Relaxed);
    for round in 0..2_000_u64 {
        let class = if round % 4 == 0 { Class::Fault } else { Class::Bulk };
        let data = PageData {
            request: RequestId(round),
            space: SpaceId(1),
            index: round,
            status: PageStatus::Data,
            page_sum: 0,
        };
        let piece = if round % 3 == 0 { Piece::Bytes(&content[..]) } else { Piece::Held(&shared) };
        match nodes[0].send_pages(slot(1), class, &[(data, piece)]) {
            Ok(()) => sent += 1,
            Err(error) => assert!(matches!(error, SendError::Busy | SendError::NoMemory)),
        }
        taken += talk(&mut nodes, &mut now_ns, MS, 20);
    }
    taken += talk(&mut nodes, &mut now_ns, 500 * MS, 0);
    IS_COUNTING.store(false, Ordering::Relaxed);
    assert_eq!(COUNT.load(Ordering::Relaxed), 0, "allocations");
    assert_eq!(taken, sent);
    assert!(nodes[0].counters().tx_contents_held > 900, "{}", nodes[0].counters().tx_contents_held);
    assert_eq!(Shared::strong_count(&shared), 1, "all was let go");
    assert!(sent > 1_900 && nodes[0].counters().tx_packets_lost > 100, "{sent}");
    assert_eq!([nodes[0].counters().buffer_misses, nodes[1].counters().buffer_misses], [0, 0]);
    assert_eq!([nodes[0].shortage(), nodes[1].shortage()], [None, None]);
}
