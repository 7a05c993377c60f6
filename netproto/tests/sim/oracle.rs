//! The judge: knows what was sent, and stops the run when a promise is broken.
//!
//! Promises: a message arrives as it was sent, in order within its class, once, without a gap, and
//! only between the Up and the end of a session; for each peer events alternate.

use std::collections::{HashMap, VecDeque};

use holon_simkit::Rng;
use netproto::{Class, DownReason, Event, Message, Slot};

/// One direction of one class.
type Lane = (usize, usize, Class);

#[derive(Debug, Default)]
pub(crate) struct Oracle {
    /// Messages sent and not yet arrived, by lane: (session of the sender, number).
    sent: HashMap<Lane, VecDeque<(u64, u64)>>,
    numbers: HashMap<Lane, u64>,
    received: HashMap<Lane, (u64, u64)>,
    /// Sessions that a node has seen begin with a peer, over all its lives; never reset.
    sessions: HashMap<(usize, usize), u64>,
    up: HashMap<(usize, usize), bool>,
    pub(crate) delivered: u64,
    pub(crate) downs: Vec<(u64, usize, usize, Option<DownReason>)>,
    pub(crate) ups: u64,
}

fn index(slot: Slot) -> usize {
    slot.index()
}

fn pattern(lane: Lane, session: u64, number: u64, len: usize) -> Vec<u8> {
    let (from, to, class) = lane;
    let seed = (from as u64) << 56 ^ (to as u64) << 48 ^ u64::from(class.number()) << 40;
    let mut rng = Rng::new(seed ^ session << 24 ^ number);
    let mut bytes = Vec::with_capacity(len + 24);
    for word in [session, number, len as u64] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    while bytes.len() < len + 24 {
        bytes.extend_from_slice(&rng.draw().to_le_bytes());
    }
    bytes.truncate(len + 24);
    bytes
}

impl Oracle {
    pub(crate) fn is_up(&self, node: usize, peer: usize) -> bool {
        self.up.get(&(node, peer)).copied().unwrap_or(false)
    }

    fn session(&self, node: usize, peer: usize) -> u64 {
        self.sessions.get(&(node, peer)).copied().unwrap_or(0)
    }

    /// The content of the next message in a lane.
    pub(crate) fn compose(&self, lane: Lane, len: usize) -> Vec<u8> {
        let number = self.numbers.get(&lane).copied().unwrap_or(0);
        pattern(lane, self.session(lane.0, lane.1), number, len)
    }

    /// The composed message was taken by the transport.
    pub(crate) fn on_sent(&mut self, lane: Lane) {
        let session = self.session(lane.0, lane.1);
        let number = self.numbers.entry(lane).or_default();
        self.sent.entry(lane).or_default().push_back((session, *number));
        *number += 1;
    }

    /// What must still arrive in all lanes between nodes that stay up.
    pub(crate) fn outstanding(&self) -> usize {
        let is_live = |lane: &Lane, session: u64| {
            self.is_up(lane.0, lane.1) && self.session(lane.0, lane.1) == session
        };
        let lanes = self.sent.iter();
        lanes.map(|(lane, all)| all.iter().filter(|(s, _)| is_live(lane, *s)).count()).sum()
    }

    pub(crate) fn on_message(&mut self, node: usize, message: &Message) {
        let lane = (index(message.from), node, message.class);
        assert!(self.is_up(node, lane.0), "message from a peer that is not up: {lane:?}");
        let word = |at: usize| {
            let bytes = message.payload.get(at..at + 8).expect("long enough");
            u64::from_le_bytes(bytes.try_into().expect("8 bytes"))
        };
        let (session, number) = (word(0), word(8));
        let len = usize::try_from(word(16)).expect("small");
        assert!(message.payload == pattern(lane, session, number, len), "content of {lane:?}");
        assert_eq!(message.kind.0, 0x0100 | u16::from(message.class.number()));
        // What was sent in an earlier session may be missing; within one, nothing may.
        let sent = self.sent.entry(lane).or_default();
        while sent.front().is_some_and(|front| front.0 < session) {
            sent.pop_front();
        }
        assert_eq!(sent.pop_front(), Some((session, number)), "order in {lane:?}");
        if let Some(last) = self.received.insert(lane, (session, number)) {
            assert!(last < (session, number), "twice in {lane:?}");
        }
        self.delivered += 1;
    }

    pub(crate) fn on_event(&mut self, now_ns: u64, node: usize, event: &Event) {
        let peer = index(event.slot());
        let was_up = self.is_up(node, peer);
        match event {
            Event::Up { .. } => {
                assert!(!was_up, "up twice: {node} of {peer}");
                self.begin_session(node, peer);
                self.ups += 1;
            }
            Event::Down { reason, .. } => {
                assert!(was_up, "down without up: {node} of {peer}");
                self.up.insert((node, peer), false);
                self.downs.push((now_ns, node, peer, Some(*reason)));
            }
            Event::Restarted { old, new, .. } => {
                assert!(was_up, "restarted without up: {node} of {peer}");
                assert_ne!(old, new);
                self.up.insert((node, peer), false);
                self.downs.push((now_ns, node, peer, None));
            }
            Event::Writable { .. } => assert!(was_up, "writable without up"),
        }
    }

    fn begin_session(&mut self, node: usize, peer: usize) {
        *self.sessions.entry((node, peer)).or_default() += 1;
        self.up.insert((node, peer), true);
        for class in Class::ALL {
            self.numbers.insert((node, peer, class), 0);
        }
    }

    /// A node died or was started anew: it knows nobody.
    pub(crate) fn on_crash(&mut self, node: usize) {
        for ((who, _), up) in &mut self.up {
            if *who == node {
                *up = false;
            }
        }
    }
}
