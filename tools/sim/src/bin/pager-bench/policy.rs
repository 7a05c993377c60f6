//! Which pages go: ours, and what it is measured beside.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use holon_sim::trace::Trace;
use vm_remote::cold::bits::Bits;
use vm_remote::cold::regions::{RegionId, Regions};

/// Pages that go at once.
pub(crate) const BATCH: usize = 32;

/// Pages of a region as a power of two. The programs are some hundred times smaller than those that
/// 2 MiB are meant for; this is 64 KiB.
const REGION_BITS: u32 = 4;

/// Epochs between two samples of accessed bits.
const ROUND_EPOCHS: usize = 2;

pub(crate) trait Policy {
    /// A page is here (again).
    fn came(&mut self, page: u64, is_back: bool);
    fn touched(&mut self, epoch: usize, page: u64);
    fn end_epoch(&mut self, epoch: usize, here: &HashSet<u64>, touched: &HashSet<u64>);
    /// Up to [`BATCH`] pages of those that are here.
    fn victims(&mut self, epoch: usize, here: &HashSet<u64>, touched: &HashSet<u64>) -> Vec<u64>;
}

/// In the order of the report. The last two see every touch and the future: they are bounds.
pub(crate) const NAMES: [&str; 6] =
    ["random", "lru-by-fault", "clock", "coldness", "exact-lru", "future"];

pub(crate) fn make(name: &str, trace: &Trace) -> Box<dyn Policy> {
    match name {
        "random" => Box::new(Random { list: Vec::new(), places: HashMap::new(), state: 7 }),
        "lru-by-fault" => Box::new(ByFault { queue: VecDeque::new() }),
        "clock" => Box::new(Clock { queue: VecDeque::new(), young: HashSet::new() }),
        "coldness" => Box::new(Coldness::new()),
        "exact-lru" => Box::new(Exact { order: BTreeSet::new(), last: HashMap::new(), now: 0 }),
        _ => Box::new(Future::new(trace)),
    }
}

struct Random {
    list: Vec<u64>,
    places: HashMap<u64, usize>,
    state: u64,
}

impl Policy for Random {
    fn came(&mut self, page: u64, _: bool) {
        self.places.insert(page, self.list.len());
        self.list.push(page);
    }

    fn touched(&mut self, _: usize, _: u64) {}

    fn end_epoch(&mut self, _: usize, _: &HashSet<u64>, _: &HashSet<u64>) {}

    fn victims(&mut self, _: usize, _: &HashSet<u64>, _: &HashSet<u64>) -> Vec<u64> {
        let mut out = Vec::new();
        while out.len() < BATCH && !self.list.is_empty() {
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = (self.state >> 33) as usize % self.list.len();
            let page = self.list.swap_remove(at);
            if let Some(moved) = self.list.get(at) {
                self.places.insert(*moved, at);
            }
            self.places.remove(&page);
            out.push(page);
        }
        out
    }
}

/// What came first goes first: all that a pager knows without accessed bits.
struct ByFault {
    queue: VecDeque<u64>,
}

impl Policy for ByFault {
    fn came(&mut self, page: u64, _: bool) {
        self.queue.push_back(page);
    }

    fn touched(&mut self, _: usize, _: u64) {}

    fn end_epoch(&mut self, _: usize, _: &HashSet<u64>, _: &HashSet<u64>) {}

    fn victims(&mut self, _: usize, _: &HashSet<u64>, _: &HashSet<u64>) -> Vec<u64> {
        let count = BATCH.min(self.queue.len());
        self.queue.drain(..count).collect()
    }
}

/// Second chance by the accessed bit.
struct Clock {
    queue: VecDeque<u64>,
    young: HashSet<u64>,
}

impl Policy for Clock {
    fn came(&mut self, page: u64, _: bool) {
        self.queue.push_back(page);
    }

    fn touched(&mut self, _: usize, page: u64) {
        self.young.insert(page);
    }

    fn end_epoch(&mut self, _: usize, _: &HashSet<u64>, _: &HashSet<u64>) {}

    fn victims(&mut self, _: usize, _: &HashSet<u64>, _: &HashSet<u64>) -> Vec<u64> {
        let mut out = Vec::new();
        while out.len() < BATCH {
            let Some(page) = self.queue.pop_front() else {
                break;
            };
            if self.young.remove(&page) {
                self.queue.push_back(page);
            } else {
                out.push(page);
            }
        }
        out
    }
}

/// By the last touch, each of which is seen.
struct Exact {
    order: BTreeSet<(u64, u64)>,
    last: HashMap<u64, u64>,
    now: u64,
}

impl Policy for Exact {
    fn came(&mut self, page: u64, _: bool) {
        self.touched(0, page);
    }

    fn touched(&mut self, _: usize, page: u64) {
        self.now += 1;
        if let Some(before) = self.last.insert(page, self.now) {
            self.order.remove(&(before, page));
        }
        self.order.insert((self.now, page));
    }

    fn end_epoch(&mut self, _: usize, _: &HashSet<u64>, _: &HashSet<u64>) {}

    fn victims(&mut self, _: usize, _: &HashSet<u64>, _: &HashSet<u64>) -> Vec<u64> {
        let mut out = Vec::new();
        while out.len() < BATCH {
            let Some((_, page)) = self.order.pop_first() else {
                break;
            };
            self.last.remove(&page);
            out.push(page);
        }
        out
    }
}

/// The page whose next touch is farthest off goes (Belady).
struct Future {
    uses: HashMap<u64, VecDeque<usize>>,
    order: BTreeSet<(usize, u64)>,
    key: HashMap<u64, usize>,
}

impl Future {
    fn new(trace: &Trace) -> Self {
        let mut uses: HashMap<u64, VecDeque<usize>> = HashMap::new();
        for (number, epoch) in trace.iter().enumerate() {
            epoch.iter().for_each(|page| uses.entry(*page).or_default().push_back(number));
        }
        Self { uses, order: BTreeSet::new(), key: HashMap::new() }
    }
}

impl Policy for Future {
    fn came(&mut self, page: u64, _: bool) {
        self.key.insert(page, 0);
        self.order.insert((0, page));
    }

    fn touched(&mut self, epoch: usize, page: u64) {
        let uses = self.uses.entry(page).or_default();
        while uses.front().is_some_and(|next| *next <= epoch) {
            uses.pop_front();
        }
        let next = uses.front().copied().unwrap_or(usize::MAX);
        if let Some(before) = self.key.insert(page, next) {
            self.order.remove(&(before, page));
        }
        self.order.insert((next, page));
    }

    fn end_epoch(&mut self, _: usize, _: &HashSet<u64>, _: &HashSet<u64>) {}

    fn victims(&mut self, _: usize, _: &HashSet<u64>, _: &HashSet<u64>) -> Vec<u64> {
        let mut out = Vec::new();
        while out.len() < BATCH {
            let Some((_, page)) = self.order.pop_last() else {
                break;
            };
            self.key.remove(&page);
            out.push(page);
        }
        out
    }
}

/// Ours, with what a driver has: samples of accessed bits, faults, and a last look at the bit of a
/// page that is about to go.
struct Coldness {
    regions: Regions,
    ids: HashMap<u64, u32>,
    keys: Vec<u64>,
    touched: HashSet<u64>,
    state: u64,
}

fn split(page: u64) -> (u64, u16) {
    let offset = page & ((1 << REGION_BITS) - 1);
    (page >> REGION_BITS, u16::try_from(offset).expect("small"))
}

impl Coldness {
    fn new() -> Self {
        Self {
            regions: Regions::new(1 << 16).expect("memory"),
            ids: HashMap::new(),
            keys: Vec::new(),
            touched: HashSet::new(),
            state: 5,
        }
    }

    fn id(&mut self, key: u64) -> RegionId {
        let next = u32::try_from(self.keys.len()).expect("few");
        let id = *self.ids.entry(key).or_insert(next);
        if id == next {
            self.keys.push(key);
            assert!(self.regions.add(RegionId(id)), "room");
        }
        RegionId(id)
    }
}

impl Policy for Coldness {
    fn came(&mut self, page: u64, is_back: bool) {
        let (key, offset) = split(page);
        let id = self.id(key);
        if is_back {
            self.regions.returned(id, offset);
        }
    }

    fn touched(&mut self, _: usize, page: u64) {
        self.touched.insert(page);
    }

    fn end_epoch(&mut self, epoch: usize, here: &HashSet<u64>, _: &HashSet<u64>) {
        if epoch.is_multiple_of(ROUND_EPOCHS) {
            self.round(here);
        }
    }

    fn victims(&mut self, _: usize, here: &HashSet<u64>, _: &HashSet<u64>) -> Vec<u64> {
        let mut out = self.cold();
        if out.is_empty() {
            self.round(here);
            out = self.cold();
        }
        // Memory is full and all is in use: something has to go nevertheless.
        if out.is_empty() {
            let mut list: Vec<u64> = here.iter().copied().collect();
            list.sort_unstable();
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = (self.state >> 33) as usize % list.len();
            let page = list[at];
            let (key, offset) = split(page);
            let id = self.id(key);
            self.regions.evicted(id, offset);
            out.push(page);
        }
        out
    }
}

impl Coldness {
    fn round(&mut self, here: &HashSet<u64>) {
        for (number, key) in (0_u32..).zip(&self.keys) {
            let (mut present, mut young) = (Bits::NONE, Bits::NONE);
            for offset in 0..1_u16 << REGION_BITS {
                let page = key << REGION_BITS | u64::from(offset);
                if here.contains(&page) {
                    present.insert(offset);
                }
                if self.touched.contains(&page) {
                    young.insert(offset);
                }
            }
            self.regions.sample(RegionId(number), present, young);
        }
        self.touched.clear();
        self.regions.end_round();
    }

    fn cold(&mut self) -> Vec<u64> {
        let mut out = Vec::new();
        while out.len() < BATCH {
            let Some((id, pages)) = self.regions.next_cold() else {
                break;
            };
            let key = self.keys[id.0 as usize];
            for offset in pages.iter() {
                let page = key << REGION_BITS | u64::from(offset);
                if self.touched.contains(&page) {
                    self.regions.kept(id, offset);
                } else if out.len() < BATCH {
                    self.regions.evicted(id, offset);
                    out.push(page);
                }
            }
        }
        out
    }
}
