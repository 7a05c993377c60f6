//! A node of the cluster turns hostile: it has a session, its checksums are right, and it says what
//! no correct node says. Whatever that is: nothing panics, memory is bounded, each refusal is
//! counted under its reason, and between the others all goes on as if it were not there.

mod sim;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, Ordering};

use holon_simkit::mutate::{mutate, put, rounds, EDGES};
use holon_simkit::Rng;
use netproto::limits::WINDOW_BYTES;
use netproto::wire::checksum;
use netproto::{Class, DatagramError, Event, PeerState};
use sim::{slot, Sim, MS, SECOND};

const ATTACKER: usize = 0;
const VICTIM: usize = 1;
const OTHER: usize = 2;

/// Counts what is allocated at present.
struct Counting;

static LIVE: AtomicI64 = AtomicI64::new(0);

fn size(layout: Layout) -> i64 {
    i64::try_from(layout.size()).unwrap_or(i64::MAX)
}

// SAFETY: all is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(size(layout), Ordering::Relaxed);
        // SAFETY: by this function's own contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(size(layout), Ordering::Relaxed);
        // SAFETY: by this function's own contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The victim, and what the attacker has to say to it.
struct Attack {
    sim: Sim,
    rng: Rng,
    /// The latest datagram of the session.
    good: Vec<u8>,
    refused: [u64; DatagramError::COUNT],
    taken: u64,
    ended: u64,
}

impl Attack {
    fn new(seed: u64) -> Self {
        let mut sim = Sim::new(seed, 3);
        sim.net.record = Some(Vec::new());
        sim.connect();
        let rng = Rng::new(seed ^ 0xa77a);
        let refused = [0; DatagramError::COUNT];
        let mut attack = Self { sim, rng, good: Vec::new(), refused, taken: 0, ended: 0 };
        attack.learn();
        attack
    }

    /// A datagram of the session that is now.
    fn learn(&mut self) {
        self.sim.net.record = Some(Vec::new());
        let is_session = |(from, to, bytes): &(usize, usize, Vec<u8>)| {
            (*from, *to) == (ATTACKER, VICTIM) && bytes[5] == 2
        };
        self.sim.run_until(20 * SECOND, "a datagram of the session", |sim| {
            sim.all_up() && sim.net.record.iter().flatten().any(is_session)
        });
        let record = self.sim.net.record.take().unwrap_or_default();
        self.good = record.into_iter().rev().find(is_session).expect("one").2;
    }

    /// What a correct node could say: some frames.
    fn frames(&mut self) -> Vec<u8> {
        let rng = &mut self.rng;
        let mut bytes = Vec::new();
        for _ in 0..rng.below(3) {
            let kind = rng.pick(&[1, 1, 1, 2, 3, 4, 5]);
            let at = bytes.len();
            match kind {
                1 => {
                    let len = 1 + rng.index(200);
                    let whole = 1 + rng.index(65_536);
                    let offset = rng.index(whole + 1 - len.min(whole));
                    bytes.resize(at + 22 + len.min(whole), 7);
                    put(&mut bytes, at + 1, 1, rng.below(3));
                    let kind = rng.pick(&[0x0101, 0x0201, 0x0603, 0x0701, 0xffff]);
                    put(&mut bytes, at + 2, 2, kind);
                    let number = rng.below(1_200);
                    put(&mut bytes, at + 4, 8, number);
                    put(&mut bytes, at + 12, 4, u64::try_from(whole).expect("small"));
                    put(&mut bytes, at + 16, 2, u64::try_from(offset).expect("small"));
                    put(&mut bytes, at + 18, 2, rng.pick(&[0, 0, 1, 9, 0xffff]));
                    put(&mut bytes, at + 20, 2, u64::try_from(len.min(whole)).expect("small"));
                }
                2 => {
                    bytes.resize(at + 16, 0);
                    let (largest, below) = (1 + rng.below(40), rng.below(20));
                    put(&mut bytes, at + 4, 8, largest);
                    put(&mut bytes, at + 12, 4, below);
                }
                3 => {
                    bytes.resize(at + 20, 0);
                    put(&mut bytes, at + 1, 1, rng.below(3));
                    let number = rng.below(9_000);
                    put(&mut bytes, at + 4, 8, number);
                    put(&mut bytes, at + 12, 8, number * 1_000);
                }
                _ => {
                    bytes.resize(at + 12, 0);
                    let stamp = rng.draw();
                    put(&mut bytes, at + 4, 8, stamp);
                }
            }
            bytes[at] = kind;
        }
        bytes
    }

    /// A datagram of the session with something changed in its frames or in its header.
    fn datagram(&mut self) -> Vec<u8> {
        let mut frames = self.frames();
        let what = self.rng.below(8);
        if what < 4 {
            mutate(&mut frames, &mut self.rng);
        }
        let mut bytes = self.good[..40].to_vec();
        let packet = self.rng.below(3_000);
        put(&mut bytes, 16, 8, packet);
        match what {
            4 => {
                let at = self.rng.pick(&[6, 7, 8, 12, 16, 26, 32, 36]);
                let value = self.rng.pick(&EDGES);
                put(&mut bytes, at, self.rng.pick(&[1, 2, 4, 8]), value);
            }
            5 => bytes[5] = self.rng.pick(&[1, 3, 4, 0, 5, 255]),
            6 => put(&mut bytes, 16, 8, self.rng.pick(&EDGES)),
            _ => (),
        }
        bytes.extend(frames);
        // The frames begin where the kind of datagram says.
        let header_len = if bytes[5] == 2 { 40 } else { 64 };
        let body_len = bytes.len().saturating_sub(header_len);
        put(&mut bytes, 24, 2, u64::try_from(body_len).expect("small"));
        let sum = checksum(&[&bytes[..28], &bytes[32..]]);
        put(&mut bytes, 28, 4, sum.into());
        bytes
    }

    fn say(&mut self, bytes: &[u8]) {
        let now = self.sim.now();
        // Its source is where it comes from: the driver knows a peer by its address.
        let is_its_own = bytes[6] == u8::try_from(ATTACKER).expect("small");
        match self.sim.transport(VICTIM).handle_datagram(now, bytes) {
            Ok(()) if is_its_own => self.taken += 1,
            Ok(()) => panic!("a datagram of {}'s was taken for another's", bytes[6]),
            Err(error) => self.refused[error.index()] += 1,
        }
        while let Some(event) = self.sim.transport(VICTIM).poll_event() {
            assert_eq!(event.slot(), slot(ATTACKER), "{event:?}");
            self.ended += u64::from(matches!(event, Event::Down { .. }));
            let now_ns = self.sim.now_ns;
            self.sim.oracle.on_event(now_ns, VICTIM, &event);
        }
        // The victim's areas may be slow: messages wait, mostly.
        while self.rng.one_in(3) {
            let Some(message) = self.sim.transport(VICTIM).poll_message() else {
                break;
            };
            assert_eq!(message.from, slot(ATTACKER));
            self.sim.transport(VICTIM).recycle(message.payload);
        }
    }

    fn take_all(&mut self) {
        while let Some(message) = self.sim.transport(VICTIM).poll_message() {
            assert_eq!(message.from, slot(ATTACKER));
            self.sim.transport(VICTIM).recycle(message.payload);
        }
    }

    /// The others talk, and all of it arrives at once.
    fn others_are_well(&mut self) {
        let events = self.sim.events.len();
        self.take_all();
        for class in Class::ALL {
            for len in [0, 700, 9_000] {
                assert_eq!(self.sim.send(VICTIM, OTHER, class, len), Ok(()));
                assert_eq!(self.sim.send(OTHER, VICTIM, class, len), Ok(()));
            }
        }
        self.sim.run_until(200 * MS, "messages of others", |sim| sim.oracle.outstanding() == 0);
        let ours = self.sim.events.iter().skip(events).filter(|(_, node, event)| {
            (*node, event.slot()) == (VICTIM, slot(OTHER))
                || (*node, event.slot()) == (OTHER, slot(VICTIM))
        });
        assert_eq!(ours.count(), 0);
    }
}

#[test]
fn an_attacker_in_session_hurts_nobody_else() {
    let (mut refused, mut taken, mut ended) = ([0; DatagramError::COUNT], 0, 0);
    for seed in 0..rounds(25) {
        let mut attack = Attack::new(seed);
        let before = LIVE.load(Ordering::Relaxed);
        for _ in 0..40 {
            let sum_before = attack.sim.transport(VICTIM).counters().bad_total();
            let counted = attack.refused.iter().sum::<u64>();
            for _ in 0..100 {
                let bytes = attack.datagram();
                attack.say(&bytes);
                let most = WINDOW_BYTES.iter().sum::<usize>() + (2 << 20);
                let more = LIVE.load(Ordering::Relaxed) - before;
                assert!(more < i64::try_from(most).expect("small"), "{more} bytes more");
            }
            let sum = attack.sim.transport(VICTIM).counters().bad_total();
            let newly = attack.refused.iter().sum::<u64>() - counted;
            assert_eq!(sum - sum_before, newly, "each refusal is counted, once");
            attack.others_are_well();
            let state = attack.sim.transport(VICTIM).peer(slot(OTHER)).map(|info| info.state);
            assert_eq!(state, Some(PeerState::Up));
            attack.learn();
        }
        let counters = *attack.sim.transport(VICTIM).counters();
        for error in DatagramError::ALL {
            assert!(counters.bad(error) >= attack.refused[error.index()], "{error}");
            refused[error.index()] += attack.refused[error.index()];
        }
        (taken, ended) = (taken + attack.taken, ended + attack.ended);
    }
    // All of these are reachable by a member, and were reached.
    for error in [
        DatagramError::TooShort,
        DatagramError::BadKind,
        DatagramError::BadField,
        DatagramError::NotForUs,
        DatagramError::UnknownPeer,
        DatagramError::WrongPath,
        DatagramError::StaleIncarnation,
        DatagramError::StaleSession,
        DatagramError::Malformed,
        DatagramError::BadAck,
        DatagramError::Violation,
    ] {
        assert!(refused[error.index()] > 0, "{error} never happened: {refused:?}");
    }
    assert!(taken > 1_000 && ended > 5, "{taken} taken, {ended} sessions ended");
}
