//! One owner and its holders, hand to hand: the rules one by one. What happens to them together, on
//! a bad network, is in `tools/sim`.

use netproto::msg::lodge::{Batch, BatchFlags, HandBack, HandBackReason, Item, Seal, Status};
use netproto::{Duration, Incarnation, Instant, Kind, Slot};
use vm_remote::lodge::holder::{self, Frame, Holder, Store};
use vm_remote::lodge::owner::{self, CopyStage, EntryId, EvictRefused, FetchRefused, Loss, OpKind};
use vm_remote::lodge::owner::{Owner, Page, Stage};
use vm_remote::lodge::{positions, Body, Peer};
use vm_remote::retry::Policy;

const ME: u8 = 0;

fn peer(slot: u8) -> Peer {
    Peer { slot: Slot::new(slot).expect("a slot"), incarnation: Incarnation([slot + 1; 16]) }
}

fn at(ms: u64) -> Instant {
    Instant::ZERO.after(Duration::from_ms(ms))
}

fn owner() -> Owner {
    let policy = Policy {
        first: Duration::from_ms(10),
        longest: Duration::from_ms(100),
        give_up: Duration::from_ms(1_000),
    };
    Owner::new(owner::Config {
        entries: 64,
        ops: 16,
        mends: 2,
        fetch: policy,
        fetch_least: Duration::from_ms(1),
        evict: policy,
        shed_pause: Duration::from_ms(100),
        mend_pause: Duration::from_ms(10),
    })
    .expect("memory")
}

fn holder(frames: u32) -> Holder {
    let pause = Duration::from_ms(50);
    let mut holder = Holder::new(holder::Config { frames, tombs: 8, hand_back_pause: pause });
    let holder_ref = holder.as_mut().expect("memory");
    assert!((0..frames).all(|frame| holder_ref.add_frame(Frame(frame))));
    holder_ref.peer_up(peer(ME));
    holder.expect("memory")
}

/// The seal of a page that differs from others' in its checksum and its length.
fn seal(number: u32) -> Seal {
    Seal { sum: 100 + number, len: u16::try_from(1 + number * 997 % 4096).expect("short") }
}

/// Seals stand for contents: a holder keeps them by frame.
struct World {
    owner: Owner,
    holders: Vec<(Holder, Vec<Seal>)>,
    /// STOREs that went by, to come again late.
    stores: Vec<(usize, Batch, Item)>,
    releases: Vec<(usize, Batch, Item)>,
}

impl World {
    fn new(frames: &[u32]) -> Self {
        let mut owner = owner();
        let mut holders = Vec::new();
        for (slot, count) in (1..).zip(frames) {
            owner.peer_up(at(0), peer(slot));
            owner.set_spare(peer(slot).slot, *count);
            holders
                .push((holder(*count), vec![Seal::NONE; usize::try_from(*count).expect("small")]));
        }
        let mut world = Self { owner, holders, stores: Vec::new(), releases: Vec::new() };
        world.owner.set_goal(32);
        world.run(at(0));
        world
    }

    fn store(&mut self, to: usize, head: &Batch, item: &Item) -> Status {
        let (holder, frames) = &mut self.holders[to];
        match holder.store(peer(ME), (head.request, head.horizon), item) {
            Store::Into(frame) => {
                frames[usize::try_from(frame.0).expect("small")] = item.seal;
                holder.stored(peer(ME), item, item.seal)
            }
            Store::Answer(status) => status,
        }
    }

    /// All messages arrive; fetched pages are counted.
    fn run(&mut self, now: Instant) -> u32 {
        let mut came = 0;
        loop {
            self.owner.handle_timeout(now);
            let Some(transmit) = self.owner.poll_transmit() else {
                return came;
            };
            let from = transmit.to;
            let to = from.slot.index() - 1;
            match transmit.body {
                Body::Reserve(wish) => {
                    let grant = self.holders[to].0.reserve(peer(ME), &wish).expect("an answer");
                    self.owner.handle_grant(from, &grant);
                }
                Body::Batch { kind, head, items, .. } => {
                    for item in items.iter() {
                        came += self.page(now, (from, to), kind, &head, item);
                    }
                }
            }
        }
    }

    fn page(
        &mut self,
        now: Instant,
        (from, to): (Peer, usize),
        kind: Kind,
        head: &Batch,
        item: &Item,
    ) -> u32 {
        let request = (head.request, head.horizon);
        if kind == Kind::LODGE_STORE {
            self.stores.push((to, *head, *item));
            let status = self.store(to, head, item);
            self.owner.handle_stored(now, from, head.request, &Item { status, ..*item });
        } else if kind == Kind::LODGE_RELEASE {
            self.releases.push((to, *head, *item));
            let status = self.holders[to].0.release(peer(ME), request, item);
            self.owner.handle_released(now, from, head.request, &Item { status, ..*item });
        } else {
            let (holder, frames) = &mut self.holders[to];
            let (answer, seal) = match holder.fetch(peer(ME), item) {
                Ok((frame, seal)) => {
                    let content = frames[usize::try_from(frame.0).expect("small")];
                    (Item { status: Status::Done, seal, ..*item }, Some(content))
                }
                Err(status) => (Item { status, ..*item }, None),
            };
            return u32::from(
                self.owner
                    .handle_page(now, from, head.request, &answer, seal)
                    .is_some_and(|accepted| accepted.kind == OpKind::Fetch),
            );
        }
        0
    }

    fn evict(&mut self, count: u32, copies: u8) -> Vec<EntryId> {
        let pages: Vec<Page> =
            (0..count).map(|number| Page { tag: u64::from(number), seal: seal(number) }).collect();
        let op = self.owner.evict(at(1), &pages, copies).expect("room");
        self.run(at(1));
        assert_eq!(self.owner.poll_over(), Some((op, OpKind::Evict)));
        let stored = self.owner.stored(op);
        let entries = positions(stored).filter_map(|it| self.owner.entry_at(op, it)).collect();
        self.owner.commit(op, stored);
        entries
    }

    fn fetch_all(&mut self, entries: &[EntryId]) -> u32 {
        let op =
            self.owner.fetch(at(2), entries[0], &entries[1..], BatchFlags::FAULT).expect("fetches");
        let came = self.run(at(2));
        let (done, _) = self.owner.fetched(op);
        positions(done).for_each(|position| self.owner.installed(op, position));
        self.owner.end_fetch(op);
        self.run(at(3));
        came
    }
}

#[test]
fn out_and_home() {
    let mut world = World::new(&[64]);
    let entries = world.evict(20, 1);
    assert_eq!(entries.len(), 20);
    assert_eq!(world.holders[0].0.held(), 20);
    assert_eq!(world.fetch_all(&entries), 20);
    assert_eq!(world.holders[0].0.held(), 0, "released");
    assert_eq!(world.owner.in_use(), 0);
    assert_eq!(world.owner.batches(), 0);
}

#[test]
fn without_room_nothing_goes() {
    let mut world = World::new(&[16, 16]);
    let pages = [Page { tag: 0, seal: seal(0) }; 32];
    assert_eq!(world.owner.evict(at(1), &pages, 1), Err(EvictRefused::NoRoom));
    assert_eq!(world.owner.evict(at(1), &pages[..1], 3), Err(EvictRefused::BadCount));
    assert_eq!(world.owner.evict(at(1), &[], 1), Err(EvictRefused::BadCount));
    assert_eq!(world.evict(16, 2).len(), 16);
    assert_eq!(world.owner.evict(at(1), &pages[..1], 1), Err(EvictRefused::NoRoom));
}

#[test]
fn late_stores_and_releases_change_nothing() {
    let mut world = World::new(&[64]);
    let entries = world.evict(4, 1);
    world.fetch_all(&entries);
    for (to, head, item) in world.stores.clone() {
        assert_eq!(world.store(to, &head, &item), Status::Stale);
    }
    assert_eq!(world.holders[0].0.held(), 0);
    // The same entries are used anew; releases of the former use come late.
    let entries = world.evict(4, 1);
    for (to, head, item) in world.releases.clone() {
        let request = (head.request, head.horizon);
        assert_eq!(world.holders[to].0.release(peer(ME), request, &item), Status::Done);
    }
    assert_eq!(world.fetch_all(&entries), 4, "still there");
}

#[test]
fn one_of_two_holders_dies() {
    let mut world = World::new(&[64, 64, 64]);
    let entries = world.evict(8, 2);
    let holders: Vec<usize> =
        (0..3).filter(|number| world.holders[*number].0.held() == 8).collect();
    assert_eq!(holders.len(), 2);
    let dead = peer(u8::try_from(holders[0] + 1).expect("small"));
    world.owner.peer_dead(at(2), dead);
    assert_eq!(world.owner.to_mend(), 8);
    world.run(at(20));
    assert_eq!(world.owner.to_mend(), 0, "stored elsewhere");
    assert_eq!(world.owner.stats().mended, 8);
    assert_eq!(world.fetch_all(&entries), 8);
}

#[test]
fn the_only_holder_dies() {
    let mut world = World::new(&[64]);
    let entries = world.evict(3, 1);
    assert_eq!(world.owner.only_at(peer(1).slot).count(), 3);
    let op = world.owner.fetch(at(2), entries[0], &[], BatchFlags::FAULT).expect("fetches");
    world.owner.peer_dead(at(2), peer(1));
    world.owner.handle_timeout(at(2));
    assert_eq!(world.owner.poll_over(), Some((op, OpKind::Fetch)));
    assert_eq!(world.owner.fetched(op), (0, 1));
    let loss = Loss::HolderDied(peer(1).slot);
    assert_eq!(world.owner.stage(entries[0]), Stage::Lost(loss));
    assert_eq!(
        world.owner.fetch(at(3), entries[1], &[], BatchFlags::FAULT),
        Err(FetchRefused::Lost(loss))
    );
    world.owner.end_fetch(op);
    entries.iter().for_each(|entry| world.owner.discard(*entry));
    assert_eq!(world.owner.in_use(), 0);
    world.owner.peer_up(at(4), peer(1));
    world.owner.set_spare(peer(1).slot, 64);
    let pages = [Page { tag: 0, seal: seal(0) }];
    assert!(world.owner.evict(at(4), &pages, 1).is_err(), "a dead incarnation stays dead");
}

#[test]
fn a_rotten_copy_is_not_believed() {
    let mut world = World::new(&[64, 64]);
    let entries = world.evict(2, 2);
    world.holders[0].1.fill(seal(7));
    assert_eq!(world.fetch_all(&entries), 2, "from the other");
    let entries = world.evict(1, 1);
    world.holders.iter_mut().for_each(|(_, frames)| frames.fill(seal(7)));
    let op = world.owner.fetch(at(5), entries[0], &[], BatchFlags::FAULT).expect("fetches");
    assert_eq!(world.run(at(5)), 0);
    assert_eq!(world.owner.fetched(op), (0, 1));
    assert!(matches!(world.owner.stage(entries[0]), Stage::Lost(Loss::Damaged(_))));
}

#[test]
fn under_pressure_pages_move_on_or_come_home() {
    let mut world = World::new(&[64, 64]);
    let entries = world.evict(10, 1);
    let first = (0..2).find(|number| world.holders[*number].0.held() == 10).expect("one has it");
    let from = peer(u8::try_from(first + 1).expect("small"));
    world.holders[first].0.drain();
    for step in 1..20 {
        let now = at(100 * step);
        if let Some((to, message)) = world.holders[first].0.poll_hand_back(now) {
            assert_eq!(to, peer(ME));
            world.owner.handle_hand_back(now, from, &message);
        }
        world.run(now);
    }
    assert!(world.holders[first].0.is_clear(), "drained");
    assert_eq!(world.holders[1 - first].0.held(), 10, "moved on");
    // Now the other, too: nobody takes them.
    world.holders[1 - first].0.drain();
    let other = peer(u8::try_from(2 - first).expect("small"));
    let (_, message) = world.holders[1 - first].0.poll_hand_back(at(3_000)).expect("asks");
    world.owner.handle_hand_back(at(3_000), other, &message);
    world.run(at(3_000));
    let mut homing = 0;
    while world.owner.poll_homing().is_some() {
        homing += 1;
    }
    assert!(homing > 0, "offered to the driver");
    assert_eq!(world.holders[1 - first].0.held(), 10, "and kept until then");
    assert_eq!(world.fetch_all(&entries), 10);
}

#[test]
fn a_new_incarnation_frees_what_the_old_one_had() {
    let mut world = World::new(&[64]);
    world.evict(5, 1);
    let holder = &mut world.holders[0].0;
    assert_eq!(holder.held(), 5);
    holder.peer_silent(peer(ME));
    assert_eq!(holder.held(), 5, "silence is not death");
    let reborn = Peer { incarnation: Incarnation([99; 16]), ..peer(ME) };
    holder.peer_up(reborn);
    assert_eq!((holder.held(), holder.promised()), (0, 0));
    assert_eq!(holder.spare(), 64);
    let item = Item { position: 0, status: Status::Ask, entry: 0, seal: seal(1), generation: 1 };
    assert_eq!(holder.fetch(peer(ME), &item), Err(Status::Gone), "the former life is no member");
}

/// Both holders want their copies to leave, and one new copy was made meanwhile: the place for the
/// other one is taken by copies that nobody wants.
#[test]
fn copies_that_leave_make_room_for_those_that_replace_them() {
    let mut world = World::new(&[64, 64, 64, 64]);
    let entries = world.evict(1, 2);
    let holders: Vec<Slot> = world.owner.copies(entries[0]).map(|copy| copy.slot).collect();
    let peers = holders.iter().map(|slot| peer(slot.get())).collect::<Vec<_>>();
    let back = |pages, limit| HandBack { pages, reason: HandBackReason::Pressure, limit };
    // Only one other node has room at first.
    for number in (1..=4).filter(|number| !holders.contains(&peer(*number).slot)).skip(1) {
        world.holders[usize::from(number) - 1].0.drain();
        let now = at(10);
        if let Some((_, message)) = world.holders[usize::from(number) - 1].0.poll_hand_back(now) {
            world.owner.handle_hand_back(now, peer(number), &message);
        }
    }
    for from in &peers {
        let limit = world.owner.lender(from.slot).expect("known").limit();
        world.owner.handle_hand_back(at(10), *from, &back(limit, limit));
    }
    for step in 1..40 {
        world.run(at(10 + 20 * step));
        while world.owner.poll_homing().is_some() {}
    }
    let stages = |world: &World| -> Vec<CopyStage> {
        world.owner.copies(entries[0]).map(|copy| copy.stage).collect()
    };
    assert_eq!(world.owner.to_mend(), 0, "{:?}", stages(&world));
    assert_eq!(stages(&world), [CopyStage::Held; 2]);
    assert_eq!(world.fetch_all(&entries), 1);
}

/// Damage on a way that does not see it is not the holder's: however often it comes, the page is
/// not lost, and is asked for by another way.
#[test]
fn damage_on_the_way_is_not_the_holders() {
    let mut world = World::new(&[64]);
    let entries = world.evict(1, 1);
    let op = world.owner.fetch(at(2), entries[0], &[], BatchFlags::FAULT).expect("fetches");
    world.owner.handle_timeout(at(2));
    for _ in 0..5 {
        let transmit = world.owner.poll_transmit().expect("asked for");
        let Body::Batch { head, items, .. } = transmit.body else { panic!("a fetch") };
        let item =
            Item { status: Status::Done, seal: seal(0), ..*items.iter().next().expect("one") };
        world.owner.came_damaged(at(3), transmit.to, head.request, &item);
        assert_eq!(world.owner.stage(entries[0]), Stage::Lodged);
    }
    let transmit = world.owner.poll_transmit().expect("asked for again");
    let Body::Batch { head, .. } = transmit.body else { panic!("a fetch") };
    assert!(!head.flags.contains(BatchFlags::FAULT), "by the same way");
    world.owner.end_fetch(op);
    assert_eq!((world.owner.stats().damaged, world.owner.stats().misread), (5, 0));
    assert_eq!(world.fetch_all(&entries), 1);
}

impl World {
    /// A task waits for a page, which comes `after_ms` later if it comes. Gives how long the first
    /// repeat waits, in ms.
    fn fault(&mut self, begin_ms: u64, entry: EntryId, after_ms: u64, sendings: u32) -> u64 {
        let now = at(begin_ms);
        let op = self.owner.fetch(now, entry, &[], BatchFlags::FAULT).expect("fetches");
        let mut sent = self.owner.poll_transmit_of(now, op).expect("asked for");
        let due = self.owner.poll_timeout_of(now, op).expect("it is repeated");
        let mut next = due;
        for _ in 1..sendings {
            sent = self.owner.poll_transmit_of(next, op).expect("asked for again");
            next = self.owner.poll_timeout_of(next, op).expect("and again");
        }
        let Body::Batch { head, items, .. } = sent.body else { panic!("a fetch") };
        let item = *items.iter().next().expect("one");
        let to = sent.to.slot.index() - 1;
        let (frame, seal) = self.holders[to].0.fetch(peer(ME), &item).expect("held");
        let content = self.holders[to].1[usize::try_from(frame.0).expect("small")];
        let item = Item { status: Status::Done, seal, ..item };
        let came = at(begin_ms + after_ms);
        let accepted = self.owner.handle_page(came, sent.to, head.request, &item, Some(content));
        assert!(accepted.is_some());
        self.owner.end_fetch(op);
        due.since(now).as_ns() / 1_000_000
    }
}

/// What a task waits for is asked for again when an answer usually has come, not when the slowest
/// would have; and later, as long as answers leave open whether one was lost.
#[test]
fn a_fault_is_repeated_by_the_round_trip() {
    let mut world = World::new(&[64]);
    let entries = world.evict(8, 1);
    assert_eq!(world.fault(100, entries[0], 2, 1), 10, "nothing is known");
    for turn in 1..60 {
        world.fault(100 + 10 * turn, entries[0], 2, 1);
    }
    assert_eq!(world.fault(1_000, entries[1], 2, 1), 2, "as long as an answer takes");
    assert_eq!(world.fault(1_100, entries[1], 3, 2), 2, "an answer to one of two");
    assert_eq!(world.fault(1_200, entries[1], 2, 1), 4, "it is not clear how long they take");
    assert_eq!(world.fault(1_300, entries[1], 2, 1), 2);
    // Batches that nobody waits for, slow as they are, tell nothing of it.
    for entry in &entries {
        let op = world.owner.fetch(at(2_000), *entry, &[], BatchFlags::empty()).expect("fetches");
        let first = world.owner.poll_timeout_of(at(2_000), op);
        assert_eq!(first, Some(at(2_000)), "to be sent");
        world.owner.poll_transmit_of(at(2_000), op);
        assert_eq!(world.owner.poll_timeout_of(at(2_000), op), Some(at(2_010)), "by the policy");
        world.owner.end_fetch(op);
    }
    assert_eq!(world.fault(3_000, entries[1], 2, 1), 2);
}
