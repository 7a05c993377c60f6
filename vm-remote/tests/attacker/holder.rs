//! A holder whose other owner is hostile.

use std::collections::BTreeMap;

use holon_simkit::mutate::{mutate, rounds};
use holon_simkit::Rng;
use netproto::msg::lodge::{Batch, BatchFlags, Horizon, Item, Limit, Seal, Status};
use netproto::{Duration, Kind, RequestId};
use vm_remote::lodge::holder::{Config, Frame, Holder, Store};

use crate::{changed, peer, seal, slot, wire, ATTACKER, HONEST};

const FRAMES: u32 = 48;
const TOMBS: u32 = 16;
/// What the honest owner has reserved.
const OURS: u32 = 12;

/// The holder, its frames (a seal stands for a content), and what the honest owner knows.
struct World {
    holder: Holder,
    frames: Vec<Seal>,
    rng: Rng,
    kept: BTreeMap<u32, (u64, Seal)>,
    generation: u64,
    request: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let pause = Duration::from_ms(50);
        let config = Config { frames: FRAMES, tombs: TOMBS, hand_back_pause: pause };
        let mut holder = Holder::new(config).expect("memory");
        assert!((0..FRAMES).all(|frame| holder.add_frame(Frame(frame))));
        holder.peer_up(peer(ATTACKER));
        holder.peer_up(peer(HONEST));
        let wish = Limit { sequence: 1, limit: OURS, spare: 0 };
        assert_eq!(holder.reserve(peer(HONEST), &wish).map(|grant| grant.limit), Some(OURS));
        Self {
            holder,
            frames: vec![Seal::NONE; 48],
            rng: Rng::new(seed),
            kept: BTreeMap::new(),
            generation: 0,
            request: 100,
        }
    }

    fn fill(&mut self, from: u8, head: (RequestId, Horizon), item: &Item) -> Status {
        match self.holder.store(peer(from), head, item) {
            Store::Into(frame) => {
                self.frames[usize::try_from(frame.0).expect("small")] = item.seal;
                self.holder.stored(peer(from), item, item.seal)
            }
            Store::Answer(status) => status,
        }
    }

    fn item(entry: u32, generation: u64, seal: Seal) -> Item {
        Item { position: 0, status: Status::Ask, entry, seal, generation }
    }

    /// The honest owner stores, reads and releases: all of it succeeds, always. A STORE of its is
    /// under way all the time, so that its releases must be remembered.
    fn honest(&mut self) {
        let entry = self.rng.below_u32(20);
        self.request += 1;
        let head = (RequestId(self.request), Horizon(self.request - 2));
        match self.kept.get(&entry).copied() {
            None if self.kept.len() < usize::try_from(OURS).expect("small") => {
                self.generation += 1;
                let item = Self::item(entry, self.generation, seal(self.rng.u32()));
                assert_eq!(self.fill(HONEST, head, &item), Status::Done);
                self.kept.insert(entry, (self.generation, item.seal));
            }
            Some((generation, _)) if self.rng.coin() => {
                let item = Self::item(entry, generation, Seal::NONE);
                let status = self.holder.release(peer(HONEST), head, &item);
                assert_eq!(status, Status::Done);
                self.kept.remove(&entry);
            }
            Some(_) | None => (),
        }
    }

    fn honest_pages_are_there(&mut self) {
        for (entry, (generation, sum)) in &self.kept {
            let item = Self::item(*entry, *generation, Seal::NONE);
            let (frame, told) = self.holder.fetch(peer(HONEST), &item).expect("kept");
            let content = self.frames[usize::try_from(frame.0).expect("small")];
            assert_eq!((content, told), (*sum, *sum));
        }
        let held = u32::try_from(self.kept.len()).expect("few");
        assert_eq!(self.holder.of(slot(HONEST)), (held, OURS));
    }

    /// Something that the attacker says: whatever decodes.
    fn hostile(&mut self) {
        let rng = &mut self.rng;
        let kind = rng.pick(&[Kind::LODGE_STORE, Kind::LODGE_FETCH, Kind::LODGE_RELEASE]);
        if rng.one_in(6) {
            let wish = Limit { sequence: rng.below(90), limit: rng.below_u32(80), spare: 0 };
            let mut bytes = wish.encode().to_vec();
            mutate(&mut bytes, rng);
            if let Ok(wish) = Limit::decode(&bytes) {
                let grant = self.holder.reserve(peer(ATTACKER), &wish);
                assert!(grant.is_none_or(|grant| grant.limit <= FRAMES - OURS));
            }
            return;
        }
        let mut items = Vec::new();
        for position in 0..1 + rng.below(4) {
            items.push(Item {
                position: u8::try_from(position).expect("small"),
                status: Status::Ask,
                entry: rng.below_u32(60),
                seal: if kind == Kind::LODGE_STORE { seal(rng.below_u32(3)) } else { Seal::NONE },
                generation: 1 + rng.below(9),
            });
        }
        let head = Batch {
            request: RequestId(rng.below(1_000)),
            // Mostly one that never moves on: what it releases must be remembered.
            horizon: Horizon(if rng.one_in(200) { rng.draw() } else { 0 }),
            count: 0,
            flags: BatchFlags::empty(),
        };
        let bytes = wire(&head, &items);
        let Some((head, items)) = changed(kind, &bytes, rng) else {
            return;
        };
        for item in &items {
            self.one(kind, (head.request, head.horizon), item);
        }
    }

    fn one(&mut self, kind: Kind, head: (RequestId, Horizon), item: &Item) {
        if kind == Kind::LODGE_STORE {
            self.fill(ATTACKER, head, item);
        } else if kind == Kind::LODGE_RELEASE {
            self.holder.release(peer(ATTACKER), head, item);
        } else if let Ok((frame, sum)) = self.holder.fetch(peer(ATTACKER), item) {
            // It reads what it stored itself, and nothing else.
            assert_eq!(self.frames[usize::try_from(frame.0).expect("small")], sum);
            assert!(self.holder.frames_of(slot(ATTACKER)).any(|own| own == frame));
            assert!(self.holder.frames_of(slot(HONEST)).all(|other| other != frame));
        }
    }

    fn check(&mut self) {
        let (held, limit) = self.holder.of(slot(ATTACKER));
        assert!(held <= limit && self.holder.promised() <= FRAMES);
        assert_eq!(self.holder.frames(), FRAMES);
        assert!(self.holder.tombs() <= TOMBS);
        assert!(self.holder.held() <= self.holder.promised());
        self.honest_pages_are_there();
    }
}

#[test]
fn a_hostile_owner_hurts_no_other() {
    let (mut stored, mut refused, mut stale, mut not_held, mut busy) = (0, 0, 0, 0, 0);
    for seed in 0..rounds(150) {
        let mut world = World::new(seed);
        for _ in 0..600 {
            match world.rng.below(4) {
                0 => world.honest(),
                _ => world.hostile(),
            }
            world.check();
        }
        let stats = *world.holder.stats();
        stored += stats.stored;
        refused += stats.refused_no_room;
        stale += stats.refused_stale;
        not_held += stats.not_held;
        busy += stats.busy;
        // It is thrown out: nothing of its stays.
        world.holder.peer_dead(peer(ATTACKER));
        assert_eq!(world.holder.of(slot(ATTACKER)), (0, 0));
        assert_eq!(world.holder.frames_of(slot(ATTACKER)).count(), 0);
        world.check();
        let stray = world.holder.stats().stray;
        world.hostile();
        world.check();
        assert!(world.holder.stats().stray >= stray);
    }
    for (what, count) in [
        ("stored", stored),
        ("no room", refused),
        ("stale", stale),
        ("not held", not_held),
        ("busy", busy),
    ] {
        assert!(count > 100, "{what}: {count}");
    }
}
