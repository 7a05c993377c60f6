//! A node's driver: what the module does with the machines.

use netproto::limits::LODGE_CONTENTS_LEN_MAX;
use netproto::msg::lodge::{Batch, BatchFlags, HandBack, Horizon, Item, Limit, Seal, Status};
use netproto::{Kind, RequestId};
use vm_remote::lodge::holder::Store;
use vm_remote::lodge::owner::{OpId, OpKind};
use vm_remote::lodge::{positions, Body, Items, Peer, Transmit};

use super::node::{peer, Content, Place};
use super::wire::{self, Letter, Way};
use super::world::World;

/// A content that is damaged now and then while it is copied.
fn copied(content: &[u8], is_bad: bool) -> Content {
    let mut copy: Content = content.into();
    if is_bad {
        copy[7] ^= 4;
    }
    copy
}

impl World {
    fn post(&mut self, node: usize, to: Peer, kind: Kind, payload: &[u8]) {
        let life = self.life(node).number;
        let [b0, b1, b2, b3, b4, b5, b6, b7, ..] = to.incarnation.0;
        let to_life = u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]);
        let path = (node, to.slot.index());
        let bytes = wire::seal(kind, path, (life, to_life), payload);
        self.wire.send(self.now_ns, path, (Way::Link, &bytes), &mut self.rng);
    }

    /// Does all that is due at a node.
    pub(super) fn pump(&mut self, node: usize) {
        let now = self.now();
        self.life(node).owner.handle_timeout(now);
        loop {
            if let Some((op, kind)) = self.life(node).owner.poll_over() {
                match kind {
                    OpKind::Evict => self.evicted(node, op),
                    _ => self.fetched(node, op),
                }
            } else if let Some((entry, tag)) = self.life(node).owner.poll_homing() {
                let page = usize::try_from(tag).expect("a page");
                self.saw("sent home");
                self.fetch(node, entry, page, 0, BatchFlags::empty());
            } else if let Some(transmit) = self.life(node).owner.poll_transmit() {
                self.transmit(node, &transmit);
            } else if let Some((to, message)) = self.life(node).holder.poll_hand_back(now) {
                self.post(node, to, HandBack::KIND, &message.encode());
            } else {
                break;
            }
        }
    }

    fn transmit(&mut self, node: usize, transmit: &Transmit) {
        match &transmit.body {
            Body::Reserve(limit) => {
                self.post(node, transmit.to, Kind::LODGE_RESERVE, &limit.encode());
            }
            Body::Batch { kind, op, head, items } => {
                let (mut head, mut items) = (*head, *items);
                // The page that a task waits for goes its own way, the others follow on the link.
                if head.flags.contains(BatchFlags::FAULT) {
                    if let Some(item) = items.pop_first() {
                        self.ask(node, transmit.to, &item, (head.request, head.flags));
                    }
                    head.flags.remove(BatchFlags::FAULT);
                    head.count = items.len();
                    if items.is_empty() {
                        return;
                    }
                }
                let life = self.nodes[node].life.as_ref().expect("awake");
                let items: Vec<Item> = items.iter().copied().collect();
                let is_mending = life.owner.kind(*op) == Some(OpKind::MendStore);
                let content = |item: &Item| -> &[u8] {
                    if is_mending {
                        return &life.bounce[&(*op, item.position)];
                    }
                    let page = life.evicting[op][usize::from(item.position)];
                    match &life.pages[page].place {
                        Place::Leaving(content) => content,
                        Place::Here(_) | Place::Away(_) => panic!("stores what is not leaving"),
                    }
                };
                let contents: Vec<&[u8]> = if *kind == Kind::LODGE_STORE {
                    items.iter().map(content).collect()
                } else {
                    Vec::new()
                };
                let bytes = wire::batch(&head, &items, &contents);
                self.post(node, transmit.to, *kind, &bytes);
            }
        }
    }

    /// A batch on its way out is over: what all holders have goes from here.
    fn evicted(&mut self, node: usize, op: OpId) {
        let Some(pages) = self.life(node).evicting.remove(&op) else {
            self.fail("a batch is over that nobody knows");
        };
        let stored = self.life(node).owner.stored(op);
        let mut gone = 0;
        for (position, page) in (0_u8..).zip(&pages) {
            // Someone pinned the page meanwhile.
            let is_pinned = self.rng.chance(30_000);
            let life = self.nodes[node].life.as_mut().expect("awake");
            let entry = life.owner.entry_at(op, position).expect("a page of the batch");
            let place = &mut life.pages[*page].place;
            let Place::Leaving(content) = place else {
                panic!("evicted what is not leaving");
            };
            if stored & (1 << position) != 0 && !is_pinned {
                gone |= 1 << position;
                *place = Place::Away(entry);
            } else {
                *place = Place::Here(std::mem::take(content));
            }
        }
        self.life(node).owner.commit(op, gone);
        self.saw_times("evicted", u64::from(gone.count_ones()));
        let kept = pages.len() - usize::try_from(gone.count_ones()).expect("few");
        self.saw_times("evict failed", u64::try_from(kept).expect("few"));
    }

    fn fetched(&mut self, node: usize, op: OpId) {
        let Some(pages) = self.life(node).fetching.remove(&op) else {
            self.fail("a batch is over that nobody knows");
        };
        let (_, failed) = self.life(node).owner.fetched(op);
        self.life(node).owner.end_fetch(op);
        self.life(node).gathering.remove(&op);
        for position in positions(failed) {
            if let Some(page) = pages[usize::from(position)] {
                self.not_fetched(node, page);
            }
        }
    }

    pub(super) fn page_came(
        &mut self,
        node: usize,
        from: Peer,
        request: RequestId,
        item: (Item, Option<&[u8]>),
    ) {
        let now = self.now();
        let (item, content) = item;
        let seal = content.map(Seal::of);
        let life = self.life(node);
        let Some(accepted) = life.owner.handle_page(now, from, request, &item, seal) else {
            return;
        };
        let content: Content = content.expect("its checksum was right").into();
        let key = (accepted.op, accepted.position);
        if accepted.kind == OpKind::MendRead {
            life.bounce.insert(key, content);
            return;
        }
        let page = life.fetched_page(accepted.op, accepted.position);
        let Some(page) = page else {
            return;
        };
        self.judge_content(node, page, &content);
        let no_memory_ppm = self.options.no_memory_ppm;
        if self.is_storm && self.rng.chance(no_memory_ppm) {
            self.saw("no memory for a page that came");
            let holder = self.nodes[from.slot.index()].life.as_ref();
            if holder.is_some_and(|holder| holder.is_short) {
                self.saw("no memory at owner and holder");
            }
            return;
        }
        let life = self.life(node);
        life.pages[page].place = Place::Here(content);
        life.owner.installed(accepted.op, accepted.position);
        if let Some(pages) = life.fetching.get_mut(&accepted.op) {
            pages[usize::from(accepted.position)] = None;
        }
        self.saw("fetched");
    }

    /// A message came.
    pub(super) fn receive(&mut self, node: usize, letter: &Letter) {
        let now = self.now();
        let from = peer(letter.from, letter.from_life);
        let payload = &letter.payload[..];
        match letter.kind {
            Kind::LODGE_RESERVE => {
                let wish = Limit::decode(payload).expect("sent whole");
                if let Some(grant) = self.life(node).holder.reserve(from, &wish) {
                    self.post(node, from, Kind::LODGE_GRANT, &grant.encode());
                }
            }
            Kind::LODGE_GRANT => {
                let grant = Limit::decode(payload).expect("sent whole");
                self.life(node).owner.handle_grant(from, &grant);
            }
            Kind::LODGE_HAND_BACK => {
                let message = HandBack::decode(payload).expect("sent whole");
                self.saw("hand back");
                self.life(node).owner.handle_hand_back(now, from, &message);
            }
            kind => {
                let (head, parts) = Batch::decode(kind, payload).expect("sent whole");
                let parts: Vec<_> = parts.iter().collect();
                match kind {
                    Kind::LODGE_STORE => self.keep(node, from, &head, &parts),
                    Kind::LODGE_FETCH => self.serve(node, from, &head, &parts),
                    Kind::LODGE_RELEASE => {
                        let mut items = Items::new();
                        for (item, _) in &parts {
                            let request = (head.request, head.horizon);
                            let status = self.life(node).holder.release(from, request, item);
                            items.push(Item { status, ..*item });
                        }
                        self.answer(node, from, Kind::LODGE_RELEASED, head.request, &items);
                    }
                    Kind::LODGE_STORED => {
                        for (item, _) in &parts {
                            self.life(node).owner.handle_stored(now, from, head.request, item);
                        }
                    }
                    Kind::LODGE_RELEASED => {
                        for (item, _) in &parts {
                            self.life(node).owner.handle_released(now, from, head.request, item);
                        }
                    }
                    _ => parts
                        .iter()
                        .for_each(|part| self.page_came(node, from, head.request, *part)),
                }
            }
        }
    }

    fn answer(&mut self, node: usize, to: Peer, kind: Kind, request: RequestId, items: &Items) {
        let flags = BatchFlags::empty();
        let head = Batch { request, horizon: Horizon(0), count: items.len(), flags };
        let items: Vec<Item> =
            items.iter().map(|item| Item { seal: Seal::NONE, ..*item }).collect();
        self.post(node, to, kind, &wire::batch(&head, &items, &[]));
    }

    /// A holder gets pages to keep.
    fn keep(&mut self, node: usize, from: Peer, head: &Batch, parts: &[(Item, Option<&[u8]>)]) {
        let mut items = Items::new();
        for (item, content) in parts {
            let bad_copy_ppm = self.options.bad_copy_ppm;
            let is_bad = self.is_storm && self.rng.chance(bad_copy_ppm);
            let request = (head.request, head.horizon);
            let life = self.life(node);
            let status = match life.holder.store(from, request, item) {
                Store::Into(frame) => {
                    let content = copied(content.expect("STORE has contents"), is_bad);
                    let seal = Seal::of(&content);
                    assert!(life.frames.insert(frame, content).is_some(), "an unknown frame");
                    life.holder.stored(from, item, seal)
                }
                Store::Answer(status) => status,
            };
            self.judge_refusal(node, from, status);
            items.push(Item { status, ..*item });
        }
        self.answer(node, from, Kind::LODGE_STORED, head.request, &items);
    }

    /// Contents that are damaged now and then on their way into a message.
    pub(super) fn sent(&mut self, node: usize, contents: Vec<Content>) -> Vec<Content> {
        let bad_copy_ppm = if self.options.is_gentle { 0 } else { self.options.bad_copy_ppm };
        let send = |content: Content| {
            let is_bad = self.is_storm && self.rng.chance(bad_copy_ppm);
            if is_bad {
                self.rotten.insert(node);
                self.saw("damaged while it was sent");
            }
            copied(&content, is_bad)
        };
        contents.into_iter().map(send).collect()
    }

    /// A holder is asked for pages: answers with as many messages as they take.
    fn serve(&mut self, node: usize, to: Peer, head: &Batch, parts: &[(Item, Option<&[u8]>)]) {
        let (mut items, mut contents) = (Vec::new(), Vec::new());
        let mut room = LODGE_CONTENTS_LEN_MAX;
        for (item, _) in parts {
            let life = self.life(node);
            let (item, content) = match life.holder.fetch(to, item) {
                Ok((frame, seal)) => {
                    let item = Item { status: Status::Done, seal, ..*item };
                    (item, Some(life.frames[&frame].clone()))
                }
                Err(status) => (Item { status, ..*item }, None),
            };
            let len = usize::from(item.seal.len);
            if len > room {
                let full = (std::mem::take(&mut items), std::mem::take(&mut contents));
                self.send_pages(node, to, head.request, full);
                room = LODGE_CONTENTS_LEN_MAX;
            }
            room -= len;
            items.push(item);
            contents.extend(content);
        }
        self.send_pages(node, to, head.request, (items, contents));
    }

    fn send_pages(
        &mut self,
        node: usize,
        to: Peer,
        request: RequestId,
        (items, contents): (Vec<Item>, Vec<Content>),
    ) {
        let contents = self.sent(node, contents);
        let contents: Vec<&[u8]> = contents.iter().map(|content| &content[..]).collect();
        let count = u16::try_from(items.len()).expect("few");
        let head = Batch { request, horizon: Horizon(0), count, flags: BatchFlags::empty() };
        let bytes = wire::batch(&head, &items, &contents);
        self.post(node, to, Kind::LODGE_PAGES, &bytes);
    }
}
