//! An owner one of whose holders is hostile.

use std::collections::BTreeMap;

use holon_simkit::mutate::{mutate, rounds};
use holon_simkit::Rng;
use netproto::msg::lodge::{Batch, BatchFlags, HandBack, HandBackReason, Horizon};
use netproto::msg::lodge::{Item, Limit, Seal, Status};
use netproto::{Duration, Instant, Kind};
use vm_remote::lodge::owner::{self, EntryId, Loss, OpId, OpKind, Owner, Page, Stage};
use vm_remote::lodge::{Body, Transmit};
use vm_remote::retry::Policy;

use crate::{at, changed, peer, seal, slot, wire, ATTACKER, HONEST};

const ENTRIES: u32 = 64;
/// What each honest holder lends: not enough, so that the hostile one is used.
const LENT: u32 = 14;
/// A third node, so that two copies can be without the hostile one.
const HONEST_TOO: u8 = 3;

/// The owner, what honest holders have (a seal stands for a content), and what it wrote.
struct World {
    owner: Owner,
    rng: Rng,
    now_ms: u64,
    held: BTreeMap<(u8, u32), (u64, Seal)>,
    /// What lodges elsewhere, by entry.
    away: BTreeMap<u32, Seal>,
    fetching: BTreeMap<OpId, Vec<Option<u32>>>,
    came: u64,
    lost: u64,
    /// The attacker's answers that are on their way, to be changed.
    said: Vec<(Kind, Vec<u8>)>,
}

impl World {
    fn new(seed: u64) -> Self {
        let policy = Policy {
            first: Duration::from_ms(10),
            longest: Duration::from_ms(50),
            give_up: Duration::from_ms(200),
        };
        let mut owner = Owner::new(owner::Config {
            entries: ENTRIES,
            ops: 16,
            mends: 3,
            fetch: policy,
            fetch_least: Duration::from_ms(1),
            evict: policy,
            shed_pause: Duration::from_ms(20),
            mend_pause: Duration::from_ms(5),
        })
        .expect("memory");
        for number in [ATTACKER, HONEST, HONEST_TOO] {
            owner.peer_up(at(0), peer(number));
            owner.set_spare(slot(number), LENT);
        }
        owner.set_goal(64);
        Self {
            owner,
            rng: Rng::new(seed),
            now_ms: 1,
            held: BTreeMap::new(),
            away: BTreeMap::new(),
            fetching: BTreeMap::new(),
            came: 0,
            lost: 0,
            said: Vec::new(),
        }
    }

    fn now(&self) -> Instant {
        at(self.now_ms)
    }

    fn evict(&mut self) {
        let mut pages = Vec::new();
        for _ in 0..1 + self.rng.below(6) {
            pages.push(Page { tag: 0, seal: seal(self.rng.u32()) });
        }
        let (now, copies) = (self.now(), 1 + u8::from(self.rng.coin()));
        let _ = self.owner.evict(now, &pages, copies).map(|op| {
            let entry = |at| self.owner.entry_at(op, at).map(|entry| entry.0);
            let entries: Vec<_> = (0..32).map_while(entry).collect();
            let written = entries.into_iter().zip(pages).map(|(entry, page)| (entry, page.seal));
            self.away.extend(written);
        });
    }

    fn fetch(&mut self) {
        let known = self.away.keys().copied().nth(self.rng.index(self.away.len().max(1)));
        let Some(entry) = known else {
            return;
        };
        let more: Vec<EntryId> = self.away.keys().take(5).map(|entry| EntryId(*entry)).collect();
        let now = self.now();
        if let Ok(op) = self.owner.fetch(now, EntryId(entry), &more, BatchFlags::FAULT) {
            let pages = (0..32).map(|at| self.owner.entry_at(op, at).map(|entry| entry.0));
            self.fetching.insert(op, pages.collect());
        }
    }

    /// All that is due; messages to honest holders are answered at once.
    fn pump(&mut self) {
        let now = self.now();
        self.owner.handle_timeout(now);
        for _ in 0..10_000 {
            if let Some((op, kind)) = self.owner.poll_over() {
                self.over(op, kind);
            } else if let Some(transmit) = self.owner.poll_transmit() {
                self.deliver(&transmit);
            } else if self.owner.poll_homing().is_none() {
                return;
            }
        }
        panic!("it sends for ever");
    }

    fn over(&mut self, op: OpId, kind: OpKind) {
        if kind == OpKind::Evict {
            let stored = self.owner.stored(op);
            let entries: Vec<_> = (0..32).map(|at| self.owner.entry_at(op, at)).collect();
            self.owner.commit(op, stored);
            for (position, entry) in (0_u8..).zip(entries).filter(|(at, _)| stored >> at & 1 == 0) {
                let gone = entry.map(|entry| self.away.remove(&entry.0));
                assert!(gone.is_none_or(|gone| gone.is_some()), "position {position}");
            }
            return;
        }
        self.fetching.remove(&op);
        self.owner.end_fetch(op);
    }

    fn deliver(&mut self, transmit: &Transmit) {
        let to = transmit.to.slot.get();
        match &transmit.body {
            Body::Reserve(wish) if to == ATTACKER => {
                let grant = Limit { spare: self.rng.u32(), ..*wish };
                self.said.push((Kind::LODGE_GRANT, grant.encode().to_vec()));
            }
            Body::Reserve(wish) => {
                let limit = wish.limit.min(LENT);
                let grant = Limit { limit, spare: LENT - limit, ..*wish };
                self.owner.handle_grant(transmit.to, &grant);
            }
            Body::Batch { kind, head, items, .. } => {
                let items: Vec<Item> = items.iter().copied().collect();
                if to == ATTACKER {
                    self.answer_badly(*kind, head, &items);
                } else {
                    items.iter().for_each(|item| self.answer(*kind, head, item, to));
                }
            }
        }
    }

    /// A true answer, to be spoiled later.
    fn answer_badly(&mut self, kind: Kind, head: &Batch, items: &[Item]) {
        let kind = Kind(kind.0 + 1);
        let is_read = kind == Kind::LODGE_PAGES;
        let known = |item: &Item| self.away.get(&item.entry).copied().unwrap_or(Seal::NONE);
        let status = Status::Done;
        let told = items.iter().take(15);
        let items: Vec<Item> = told
            .map(|item| Item {
                status,
                seal: if is_read { known(item) } else { Seal::NONE },
                ..*item
            })
            .collect();
        let head = Batch { horizon: Horizon(0), flags: BatchFlags::empty(), ..*head };
        let bytes = wire(&head, &items);
        self.said.push((kind, bytes));
    }

    fn answer(&mut self, kind: Kind, head: &Batch, item: &Item, to: u8) {
        let now = self.now();
        let key = (to, item.entry);
        if kind == Kind::LODGE_STORE {
            self.held.insert(key, (item.generation, item.seal));
            let item = Item { status: Status::Done, ..*item };
            self.owner.handle_stored(now, peer(to), head.request, &item);
        } else if kind == Kind::LODGE_RELEASE {
            self.held.remove(&key);
            let item = Item { status: Status::Done, ..*item };
            self.owner.handle_released(now, peer(to), head.request, &item);
        } else {
            let (generation, seal) = self.held.get(&key).copied().expect("it keeps what it has");
            assert_eq!(generation, item.generation, "asked for another content");
            let item = Item { status: Status::Done, seal, ..*item };
            self.page(to, head, &item, seal);
        }
    }

    /// A page comes, with a content that has this seal.
    fn page(&mut self, from: u8, head: &Batch, item: &Item, seal: Seal) {
        let now = self.now();
        let content = (item.status == Status::Done).then_some(seal);
        let Some(accepted) = self.owner.handle_page(now, peer(from), head.request, item, content)
        else {
            return;
        };
        assert_eq!(self.away.get(&item.entry), Some(&seal), "not what was written");
        if accepted.kind == OpKind::Fetch {
            let pages = self.fetching.get_mut(&accepted.op).expect("under way");
            let place = pages.get_mut(usize::from(accepted.position)).expect("of 32");
            assert_eq!(place.take(), Some(item.entry), "another page, or twice");
            self.owner.installed(accepted.op, accepted.position);
            self.away.remove(&item.entry);
            self.came += 1;
        }
    }

    /// What the attacker says: answers of its, changed, again, and much too late.
    fn hostile(&mut self) {
        let now = self.now();
        if self.rng.one_in(30) {
            let reason = self.rng.pick(&[HandBackReason::Pressure, HandBackReason::Drain]);
            let pages = self.rng.below_u32(50);
            let limit = self.rng.below_u32(50);
            let mut bytes = HandBack { pages, reason, limit }.encode().to_vec();
            mutate(&mut bytes, &mut self.rng);
            if let Ok(message) = HandBack::decode(&bytes) {
                self.owner.handle_hand_back(now, peer(ATTACKER), &message);
            }
            self.owner.set_spare(slot(ATTACKER), self.rng.u32());
            return;
        }
        if self.said.is_empty() {
            return;
        }
        // Mostly one of the last, for the others come too late.
        let span = if self.rng.below(4) > 0 { 4 } else { self.said.len() };
        let at = self.said.len() - 1 - self.rng.index(span.min(self.said.len()));
        let (kind, bytes) = self.said[at].clone();
        if self.rng.coin() {
            self.said.swap_remove(at);
        }
        if kind == Kind::LODGE_GRANT {
            let mut bytes = bytes;
            if self.rng.coin() {
                mutate(&mut bytes, &mut self.rng);
            }
            if let Ok(grant) = Limit::decode(&bytes) {
                self.owner.handle_grant(peer(ATTACKER), &grant);
            }
            return;
        }
        let kind = if self.rng.one_in(9) { Kind(kind.0 ^ 2) } else { kind };
        let Some((head, items)) = changed(kind, &bytes, &mut self.rng) else {
            return;
        };
        for item in &items {
            match kind {
                Kind::LODGE_STORED => {
                    self.owner.handle_stored(now, peer(ATTACKER), head.request, item);
                }
                Kind::LODGE_RELEASED => {
                    self.owner.handle_released(now, peer(ATTACKER), head.request, item);
                }
                _ => {
                    let seal = if self.rng.coin() { item.seal } else { seal(self.rng.u32()) };
                    self.page(ATTACKER, &head, item, seal);
                }
            }
        }
    }

    /// Who loses a page loses it by the attacker.
    fn check(&mut self) {
        let lost = |entry: &u32| match self.owner.stage(EntryId(*entry)) {
            Stage::Lost(loss) => Some((*entry, loss)),
            _ => None,
        };
        for (entry, loss) in self.away.keys().filter_map(lost).collect::<Vec<_>>() {
            let (Loss::HolderDied(by) | Loss::NotHeld(by) | Loss::Damaged(by)) = loss;
            assert_eq!(by, slot(ATTACKER), "{loss:?}");
            self.owner.discard(EntryId(entry));
            self.away.remove(&entry);
            self.lost += 1;
        }
        for number in [HONEST, HONEST_TOO] {
            let lender = self.owner.lender(slot(number)).expect("known");
            assert!(lender.used() <= lender.limit());
            let held = self.held.keys().filter(|(at, _)| *at == number).count();
            assert!(u32::try_from(held).is_ok_and(|held| held <= lender.used()));
        }
        assert!(self.away.len() <= self.owner.in_use());
    }
}

#[test]
fn a_hostile_holder_hurts_what_it_has_alone() {
    let (mut came, mut lost, mut stray, mut misread) = (0, 0, 0, 0);
    for seed in 0..rounds(30) {
        let mut world = World::new(seed);
        for _ in 0..500 {
            match world.rng.below(8) {
                0 => world.evict(),
                1 => world.fetch(),
                2 => world.now_ms += world.rng.below(30),
                _ => world.hostile(),
            }
            world.pump();
            world.check();
        }
        // It is thrown out: all that is left is with the others, or known to be lost.
        let now = world.now();
        world.owner.peer_dead(now, peer(ATTACKER));
        world.check();
        for _ in 0..400 {
            world.now_ms += 10;
            world.fetch();
            world.pump();
            world.check();
        }
        assert!(world.away.is_empty(), "{} can't be had", world.away.len());
        assert_eq!((world.owner.in_use(), world.owner.batches()), (0, 0));
        assert!(world.held.is_empty(), "the others were told to free all");
        came += world.came;
        lost += world.lost;
        stray += world.owner.stats().stray;
        misread += world.owner.stats().misread;
    }
    for (what, count) in [("came", came), ("lost", lost), ("stray", stray), ("misread", misread)] {
        assert!(count > 50, "{what}: {count}");
    }
}
