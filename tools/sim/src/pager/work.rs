//! The program of each node: it writes, its pages are evicted, it touches what is away, it ends.

use vm_remote::lodge::owner::{EntryId, EvictRefused, FetchRefused, Page};

use netproto::msg::lodge::{BatchFlags, Seal};

use super::node::{pattern, Place};
use super::urgent::Parts;
use super::world::World;

impl World {
    /// A millisecond of a node's program and of its memory management.
    pub(super) fn work(&mut self, node: usize) {
        self.lend(node);
        if !self.is_storm {
            return;
        }
        if self.life(node).is_leaving {
            self.leave(node);
            return;
        }
        let page = self.rng.index(self.options.pages);
        self.write(node, page);
        if self.rng.chance(250_000) {
            self.evict(node);
        }
        if self.rng.chance(400_000) {
            let page = self.rng.index(self.options.pages);
            self.touch(node, page);
        }
        let exit_ppm = self.options.exit_ppm;
        if self.rng.chance(exit_ppm) {
            self.exit(node);
        }
        if self.rng.chance(2_000) {
            self.call_off(node);
        }
    }

    /// Gives frames to lend, or takes them back.
    fn lend(&mut self, node: usize) {
        let life = self.nodes[node].life.as_mut().expect("awake");
        for _ in 0..4 {
            let frame = vm_remote::lodge::holder::Frame(life.next_frame);
            if life.holder.add_frame(frame) {
                life.next_frame += 1;
                life.frames.insert(frame, vec![0; 4096].into_boxed_slice());
            }
        }
        let is_wanted = life.holder.spare() == 0;
        while let Some(frame) = is_wanted.then(|| life.holder.take_frame()).flatten() {
            assert!(life.frames.remove(&frame).is_some(), "a frame given back twice");
        }
    }

    fn write(&mut self, node: usize, page: usize) {
        let page_state = &mut self.life(node).pages[page];
        if matches!(page_state.place, Place::Here(_)) {
            page_state.version += 1;
            page_state.place = Place::Here(pattern(node, page, page_state.version));
        }
    }

    fn evict(&mut self, node: usize) {
        let now = self.now();
        let most = 1 + self.rng.index(32);
        let from = self.rng.index(self.options.pages);
        let copies = self.options.copies;
        let life = self.nodes[node].life.as_mut().expect("awake");
        let here = |(at, page): (usize, &super::node::Page)| match &page.place {
            Place::Here(content) => {
                Some((at, Page { tag: u64::try_from(at).expect("small"), seal: Seal::of(content) }))
            }
            Place::Leaving(_) | Place::Away(_) => None,
        };
        let found: Vec<(usize, Page)> =
            life.pages.iter().enumerate().skip(from).filter_map(here).take(most).collect();
        let (numbers, pages): (Vec<usize>, Vec<Page>) = found.into_iter().unzip();
        match life.owner.evict(now, &pages, copies) {
            Ok(op) => {
                for number in &numbers {
                    let place = &mut life.pages[*number].place;
                    if let Place::Here(content) = place {
                        *place = Place::Leaving(std::mem::take(content));
                    }
                }
                assert!(life.evicting.insert(op, numbers).is_none(), "a batch number used twice");
                self.note(format!("{node}: evicts {op:?}"));
            }
            Err(EvictRefused::NoRoom) => self.saw("evict refused: no room"),
            Err(EvictRefused::NoEntries) => self.saw("evict refused: no entries"),
            Err(EvictRefused::NoBatch) => self.saw("evict refused: no batch"),
            Err(EvictRefused::BadCount) => (),
        }
    }

    /// The program touches a page.
    pub(super) fn touch(&mut self, node: usize, page: usize) {
        let Place::Away(entry) = self.life(node).pages[page].place else {
            return;
        };
        let more = self.rng.index(12);
        self.fetch(node, entry, page, more, BatchFlags::FAULT);
    }

    pub(super) fn fetch(
        &mut self,
        node: usize,
        entry: EntryId,
        page: usize,
        more: usize,
        flags: BatchFlags,
    ) {
        let now = self.now();
        let life = self.nodes[node].life.as_mut().expect("awake");
        let neighbours: Vec<EntryId> = life.pages[page + 1..]
            .iter()
            .filter_map(|page| match page.place {
                Place::Away(entry) => Some(entry),
                Place::Here(_) | Place::Leaving(_) => None,
            })
            .take(more)
            .collect();
        match life.owner.fetch(now, entry, &neighbours, flags) {
            Ok(op) => {
                let entries = (0..32).map(|at| life.owner.entry_at(op, at));
                let pages = entries.map(|entry| entry.and_then(|entry| life.page_of(entry)));
                let pages = pages.collect();
                assert!(life.fetching.insert(op, pages).is_none(), "a batch number used twice");
                life.gathering.insert(op, Parts::new());
            }
            Err(FetchRefused::Lost(loss)) => self.lose(node, page, loss),
            Err(FetchRefused::UnderWay(_)) => self.saw("fetch joins another"),
            Err(FetchRefused::NoBatch) => self.saw("fetch refused: no batch"),
            Err(FetchRefused::Unknown) => {
                self.fail(&format!("node {node}, page {page}: its owner does not know {entry:?}"));
            }
        }
    }

    /// The program ends; what is under way ends with it, and another begins.
    fn exit(&mut self, node: usize) {
        self.note(format!("{node}: program ends"));
        let life = self.nodes[node].life.as_mut().expect("awake");
        let (evicting, fetching) = (life.evicting.len(), life.fetching.len());
        for (op, _) in std::mem::take(&mut life.evicting) {
            life.owner.commit(op, 0);
        }
        for pages in life.fetching.values_mut() {
            pages.iter_mut().for_each(|page| *page = None);
        }
        for (at, page) in life.pages.iter_mut().enumerate() {
            if let Place::Away(entry) = page.place {
                life.owner.discard(entry);
                life.owner.discard(entry);
            }
            page.version += 1;
            page.place = Place::Here(pattern(node, at, page.version));
        }
        self.saw_times("exit amid an evict", u64::from(evicting > 0));
        self.saw_times("exit amid a fetch", u64::from(fetching > 0));
    }

    /// A task that waits for a page is killed; an evict is called off.
    fn call_off(&mut self, node: usize) {
        let life = self.nodes[node].life.as_mut().expect("awake");
        if let Some((op, _)) = life.fetching.pop_first() {
            life.owner.end_fetch(op);
            life.gathering.remove(&op);
            self.saw("fetch called off");
        }
        let life = self.nodes[node].life.as_mut().expect("awake");
        if let Some((op, pages)) = life.evicting.pop_first() {
            life.owner.commit(op, 0);
            for page in pages {
                let place = &mut life.pages[page].place;
                if let Place::Leaving(content) = place {
                    *place = Place::Here(std::mem::take(content));
                }
            }
            self.saw("evict called off");
        }
    }
}
