//! Flows that share one bottleneck link: transports of ours and TCP flows. Data go through a
//! drop-tail queue of limited rate; acknowledgements come back over a link that is never full.

pub(crate) mod cubic;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use netproto::msg::page::{PageData, PageStatus};
use netproto::wire::header::is_urgent;
use netproto::{
    Class, Config, Incarnation, Instant, Kind, Lane, Piece, RequestId, SendError, Slot, SpaceId,
    Transport,
};

use cubic::{Cubic, SEGMENT_WIRE};
use holon_simkit::Rng;

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1000 * MS;

/// What IPv4, UDP and Ethernet add to a datagram, preamble and gap between frames included.
const DATAGRAM_WIRE: u64 = 28 + 38;
const MESSAGE_LEN: usize = 60 * 1024;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Bottleneck {
    pub(crate) rate_mbit: u64,
    /// Round trip of the empty path.
    pub(crate) round_trip_ns: u64,
    pub(crate) queue_bytes: u64,
    pub(crate) loss_ppm: u64,
    /// Urgent datagrams have a queue of their own, which is served first.
    pub(crate) has_bands: bool,
    /// How late the hosts of ours are for a datagram or a timer, at most; what comes meanwhile they
    /// take together.
    pub(crate) late_ns: u64,
}

impl Bottleneck {
    /// Bytes under way when the link is just full.
    pub(crate) fn path_bytes(&self) -> u64 {
        self.rate_mbit * self.round_trip_ns / 8000
    }

    fn transmission_ns(&self, wire_bytes: u64) -> u64 {
        wire_bytes * 8000 / self.rate_mbit
    }

    /// The time of one full packet on the link.
    pub(crate) fn packet_ns(&self) -> u64 {
        self.transmission_ns(SEGMENT_WIRE)
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Parcel {
    Datagram { pair: usize, to: usize, bytes: Vec<u8> },
    Segment { flow: usize, segment: u64, transmission: u64 },
    Ack { flow: usize, segments: Vec<(u64, u64)> },
}

/// Two nodes, the first of which sends.
#[derive(Debug)]
pub(crate) struct Pair {
    ends: [Transport; 2],
    timers: [Option<u64>; 2],
    /// What has come to each while it is not awake, and when it will be.
    inboxes: [Vec<Vec<u8>>; 2],
    wakes: [Option<u64>; 2],
    /// Always has bulk to send.
    is_greedy: bool,
    pub(crate) bulk_bytes: u64,
    pages: Vec<u64>,
    pub(crate) page_latencies_ns: Vec<u64>,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now_ns: u64,
    link: Bottleneck,
    queues: [VecDeque<(u64, Parcel)>; 2],
    queued_bytes: u64,
    busy_until_ns: u64,
    in_service: Option<(u64, Parcel)>,
    flying: BinaryHeap<Reverse<(u64, u64, Parcel)>>,
    number: u64,
    rng: Rng,
    pub(crate) pairs: Vec<Pair>,
    pub(crate) flows: Vec<Cubic>,
    /// Sum over time of the bytes in the queue, for the mean.
    queue_integral: u128,
    pub(crate) queue_bytes_max: u64,
    queue_since_ns: u64,
    queue_noted_ns: u64,
    message: Vec<u8>,
}

fn slot(number: u8) -> Slot {
    Slot::new(number).expect("a slot")
}

impl World {
    pub(crate) fn new(seed: u64, link: Bottleneck) -> Self {
        Self {
            now_ns: SECOND,
            link,
            queues: [VecDeque::new(), VecDeque::new()],
            queued_bytes: 0,
            busy_until_ns: 0,
            in_service: None,
            flying: BinaryHeap::new(),
            number: 0,
            rng: Rng::new(seed),
            pairs: Vec::new(),
            flows: Vec::new(),
            queue_integral: 0,
            queue_bytes_max: 0,
            queue_since_ns: SECOND,
            queue_noted_ns: SECOND,
            message: vec![0x5a; MESSAGE_LEN],
        }
    }

    fn now(&self) -> Instant {
        Instant::from_ns(self.now_ns)
    }

    /// Adds a pair and connects it.
    pub(crate) fn add_pair(&mut self, is_greedy: bool) {
        let now = self.now();
        let end = |own: u8| {
            let mut config = Config::new(slot(own), Incarnation([own + 1; 16]));
            config.mtu_payload = 1472;
            let mut transport = Transport::new(config).expect("good settings");
            transport.add_peer(now, slot(1 - own)).expect("a free slot");
            transport
        };
        self.pairs.push(Pair {
            ends: [end(0), end(1)],
            timers: [None; 2],
            inboxes: [Vec::new(), Vec::new()],
            wakes: [None; 2],
            is_greedy,
            bulk_bytes: 0,
            pages: Vec::new(),
            page_latencies_ns: Vec::new(),
        });
        let pair = self.pairs.len() - 1;
        self.drain(pair, 0);
        self.drain(pair, 1);
    }

    pub(crate) fn add_tcp(&mut self) {
        self.flows.push(Cubic::new());
        self.pump_tcp(self.flows.len() - 1);
    }

    /// A page that somebody waits for.
    pub(crate) fn send_page(&mut self, pair: usize) {
        let one = &mut self.pairs[pair];
        let request = RequestId(one.pages.len() as u64);
        let data = PageData {
            request,
            space: SpaceId(1),
            index: request.0,
            status: PageStatus::Data,
            page_sum: netproto::wire::checksum(&[&[7; 4096]]),
        };
        let sent =
            one.ends[0].send_pages(slot(1), Class::Fault, &[(data, Piece::Bytes(&[7; 4096]))]);
        assert_eq!(sent, Ok(()));
        one.pages.push(self.now_ns);
        self.drain(pair, 0);
    }

    fn drain(&mut self, pair: usize, end: usize) {
        let now = self.now();
        while self.pairs[pair].ends[end].poll_event().is_some() {}
        while let Some(message) = self.pairs[pair].ends[end].poll_message() {
            let one = &mut self.pairs[pair];
            if message.kind == Kind::PAGE_DATA {
                let (data, content, _) =
                    netproto::page::decode_data(&message.payload).expect("a page");
                assert_eq!(content, [7; 4096]);
                let at = usize::try_from(data.request.0).expect("small");
                one.page_latencies_ns.push(self.now_ns - one.pages[at]);
            } else {
                one.bulk_bytes += message.payload.len() as u64;
            }
            one.ends[end].recycle(message.payload);
        }
        while self.pairs[pair].is_greedy && end == 0 {
            let (transport, kind) = (&mut self.pairs[pair].ends[0], Kind(0x0101));
            let lane = (Class::Bulk, Lane::Free);
            match transport.send_in(now, slot(1), lane, kind, &[&self.message]) {
                Ok(()) => (),
                Err(SendError::Busy | SendError::Down) => break,
                Err(error) => panic!("{error}"),
            }
        }
        let mut buffer = [0; 9000];
        while let Some(transmit) = self.pairs[pair].ends[end].poll_transmit(now, &mut buffer) {
            let parts = self.pairs[pair].ends[end].parts(&transmit, &buffer);
            let bytes = parts.collect::<Vec<_>>().concat();
            let (len, is_urgent) = (bytes.len() as u64, is_urgent(&bytes));
            let parcel = Parcel::Datagram { pair, to: transmit.slot().index(), bytes };
            if end == 0 {
                self.enqueue(len + DATAGRAM_WIRE, is_urgent, parcel);
            } else {
                self.fly(self.link.round_trip_ns / 2, parcel);
            }
        }
        let one = &mut self.pairs[pair];
        one.timers[end] = one.ends[end].poll_timeout().map(Instant::as_ns);
    }

    fn pump_tcp(&mut self, flow: usize) {
        while let Some((segment, transmission)) = self.flows[flow].poll(self.now_ns) {
            self.enqueue(SEGMENT_WIRE, false, Parcel::Segment { flow, segment, transmission });
        }
    }

    fn fly(&mut self, delay_ns: u64, parcel: Parcel) {
        self.number += 1;
        self.flying.push(Reverse((self.now_ns + delay_ns, self.number, parcel)));
    }

    fn note_queue(&mut self) {
        let span = u128::from(self.now_ns - self.queue_noted_ns);
        self.queue_integral += span * u128::from(self.queued_bytes);
        self.queue_noted_ns = self.now_ns;
        self.queue_bytes_max = self.queue_bytes_max.max(self.queued_bytes);
    }

    fn enqueue(&mut self, wire_bytes: u64, is_first: bool, parcel: Parcel) {
        if self.queued_bytes + wire_bytes > self.link.queue_bytes {
            return;
        }
        self.note_queue();
        self.queued_bytes += wire_bytes;
        let band = usize::from(!(is_first && self.link.has_bands));
        self.queues[band].push_back((wire_bytes, parcel));
        self.serve();
    }

    /// Puts the next packet on the link if it is free.
    fn serve(&mut self) {
        if self.in_service.is_some() {
            return;
        }
        let [first, second] = &mut self.queues;
        if let Some((wire_bytes, parcel)) = first.pop_front().or_else(|| second.pop_front()) {
            self.note_queue();
            self.queued_bytes -= wire_bytes;
            self.busy_until_ns = self.now_ns + self.link.transmission_ns(wire_bytes);
            self.in_service = Some((self.busy_until_ns, parcel));
        }
    }

    fn next_ns(&self) -> Option<u64> {
        // Who is about to wake has heard of its timer.
        let timer =
            |pair: &Pair, end: usize| pair.timers[end].filter(|_| pair.wakes[end].is_none());
        let timers = self.pairs.iter().flat_map(|pair| [timer(pair, 0), timer(pair, 1)]).flatten();
        let rtos = self.flows.iter().filter_map(Cubic::deadline_ns);
        let flying = self.flying.peek().map(|Reverse((at_ns, _, _))| *at_ns);
        let served = self.in_service.as_ref().map(|(at_ns, _)| *at_ns);
        let wakes = self.pairs.iter().flat_map(|pair| pair.wakes).flatten();
        timers.chain(wakes).chain(rtos).chain(flying).chain(served).min()
    }

    pub(crate) fn run_for(&mut self, span_ns: u64) {
        let end_ns = self.now_ns + span_ns;
        while let Some(at_ns) = self.next_ns().filter(|at_ns| *at_ns <= end_ns) {
            self.now_ns = self.now_ns.max(at_ns);
            self.step();
        }
        self.now_ns = end_ns;
    }

    fn step(&mut self) {
        if let Some((_, parcel)) = self.in_service.take_if(|(at_ns, _)| *at_ns <= self.now_ns) {
            if !self.rng.chance(self.link.loss_ppm) {
                self.fly(self.link.round_trip_ns - self.link.round_trip_ns / 2, parcel);
            }
            self.serve();
        }
        while self.flying.peek().is_some_and(|Reverse((at_ns, _, _))| *at_ns <= self.now_ns) {
            let Reverse((_, _, parcel)) = self.flying.pop().expect("peeked");
            self.arrive(parcel);
        }
        for pair in 0..self.pairs.len() {
            for end in 0..2 {
                self.step_host(pair, end);
            }
        }
        for flow in 0..self.flows.len() {
            if self.flows[flow].deadline_ns().is_some_and(|at_ns| at_ns <= self.now_ns) {
                self.flows[flow].on_time(self.now_ns);
                self.pump_tcp(flow);
            }
        }
    }

    fn step_host(&mut self, pair: usize, end: usize) {
        let now = self.now();
        let is_due = |at_ns: Option<u64>| at_ns.is_some_and(|at_ns| at_ns <= now.as_ns());
        if is_due(self.pairs[pair].timers[end]) {
            self.wake(pair, end);
        }
        if !is_due(self.pairs[pair].wakes[end]) {
            return;
        }
        self.pairs[pair].wakes[end] = None;
        for bytes in std::mem::take(&mut self.pairs[pair].inboxes[end]) {
            let taken = self.pairs[pair].ends[end].handle_datagram(now, &bytes);
            assert_eq!(taken, Ok(()));
        }
        self.pairs[pair].ends[end].handle_timeout(now);
        self.drain(pair, end);
        let timer_ns = self.pairs[pair].timers[end].expect("heartbeats");
        assert!(timer_ns > self.now_ns, "a timer that stands still");
    }

    /// A host is to look at what has come, or at the time: at once, or late.
    fn wake(&mut self, pair: usize, end: usize) {
        let late_ns = if self.link.late_ns == 0 { 0 } else { self.rng.below(self.link.late_ns) };
        self.pairs[pair].wakes[end].get_or_insert(self.now_ns + late_ns);
    }

    fn arrive(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::Datagram { pair, to, bytes } => {
                self.pairs[pair].inboxes[to].push(bytes);
                self.wake(pair, to);
                // One that is not late takes each by itself.
                self.step_host(pair, to);
            }
            Parcel::Segment { flow, segment, transmission } => {
                let segments = self.flows[flow].receive(segment, transmission);
                if !segments.is_empty() {
                    self.fly(self.link.round_trip_ns / 2, Parcel::Ack { flow, segments });
                }
            }
            Parcel::Ack { flow, segments } => {
                self.flows[flow].acked(self.now_ns, &segments);
                self.pump_tcp(flow);
            }
        }
    }

    /// Mean time that a packet found before it in the queue since the last call.
    pub(crate) fn queue_mean_ns(&mut self) -> u64 {
        self.note_queue();
        let span = u128::from(self.now_ns - self.queue_since_ns).max(1);
        let mean = u64::try_from(self.queue_integral / span).expect("small");
        (self.queue_integral, self.queue_since_ns, self.queue_bytes_max) = (0, self.now_ns, 0);
        self.link.transmission_ns(mean)
    }
}
