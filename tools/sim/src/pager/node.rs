//! A node: the two machines, its program's pages, its frames.

use std::collections::BTreeMap;

use netproto::limits::PAGE_LEN;
use netproto::{Duration, Incarnation, Slot};
use vm_remote::lodge::holder::{self, Frame, Holder};
use vm_remote::lodge::owner::{self, EntryId, OpId, Owner};
use vm_remote::lodge::Peer;
use vm_remote::retry::Policy;

use super::options::Options;
use super::urgent::Parts;
use super::wire::Flying;

pub(super) type Content = Box<[u8]>;

/// The content of a page after its `version`th write; no page's is like another's. It stands for
/// what the owner makes of the page: the whole of it, or less, down to a few bytes.
pub(super) fn pattern(node: usize, page: usize, version: u64) -> Content {
    let salt = u64::try_from(node * 100_000 + page).expect("small");
    let mut word = salt.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ version;
    let mut bytes = Vec::with_capacity(PAGE_LEN);
    while bytes.len() < PAGE_LEN {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend(word.to_le_bytes());
    }
    if word >> 63 == 0 {
        // Enough of them to tell one content from another.
        bytes.truncate(8 + usize::try_from(word >> 40).expect("small") % (PAGE_LEN - 8));
    }
    bytes.into_boxed_slice()
}

/// Where a page of the program is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Here(Content),
    /// On its way out; the content is still here.
    Leaving(Content),
    Away(EntryId),
}

#[derive(Debug)]
pub(super) struct Page {
    pub(super) version: u64,
    pub(super) place: Place,
}

/// One life of a node.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) number: u64,
    pub(super) owner: Owner,
    pub(super) holder: Holder,
    pub(super) pages: Vec<Page>,
    pub(super) frames: BTreeMap<Frame, Content>,
    /// Pages of the batches on their way out.
    pub(super) evicting: BTreeMap<OpId, Vec<usize>>,
    /// Pages of the batches on their way home; those that nobody waits for any more are `None`.
    pub(super) fetching: BTreeMap<OpId, Vec<Option<usize>>>,
    /// Of these, what of the first page has come.
    pub(super) gathering: BTreeMap<OpId, Parts>,
    /// The lives of others that this node can reach.
    pub(super) up: BTreeMap<usize, u64>,
    pub(super) bounce: BTreeMap<(OpId, u8), Content>,
    pub(super) is_paused_until_ns: u64,
    pub(super) waiting: Vec<Flying>,
    pub(super) is_drained: bool,
    pub(super) is_leaving: bool,
    /// Under pressure.
    pub(super) is_short: bool,
    pub(super) next_frame: u32,
}

pub(super) fn slot(node: usize) -> Slot {
    Slot::new(u8::try_from(node).expect("few nodes")).expect("a slot")
}

pub(super) fn peer(node: usize, life: u64) -> Peer {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&life.to_le_bytes());
    Peer { slot: slot(node), incarnation: Incarnation(bytes) }
}

impl Life {
    /// A life of another node is not reached any more; one that came after it is.
    pub(super) fn lost(&mut self, of: usize, number: u64) {
        if self.up.get(&of) == Some(&number) {
            self.up.remove(&of);
        }
    }

    pub(super) fn new(node: usize, number: u64, options: &Options) -> Self {
        let policy = |give_up| Policy {
            first: Duration::from_ms(20),
            longest: Duration::from_ms(100),
            give_up: Duration::from_ms(give_up),
        };
        let owner = Owner::new(owner::Config {
            entries: options.entries,
            ops: options.ops,
            mends: 3,
            fetch: policy(1_500),
            fetch_least: Duration::from_ms(3),
            evict: policy(600),
            shed_pause: Duration::from_ms(120),
            mend_pause: Duration::from_ms(15),
        });
        let holder = Holder::new(holder::Config {
            frames: options.frames,
            tombs: options.tombs,
            hand_back_pause: Duration::from_ms(30),
        });
        // A new life is a new program: its contents differ from those of its forerunner's.
        let version = number << 32;
        let page = |at| Page { version, place: Place::Here(pattern(node, at, version)) };
        Self {
            number,
            owner: owner.expect("memory"),
            holder: holder.expect("memory"),
            pages: (0..options.pages).map(page).collect(),
            frames: BTreeMap::new(),
            evicting: BTreeMap::new(),
            fetching: BTreeMap::new(),
            gathering: BTreeMap::new(),
            up: BTreeMap::new(),
            bounce: BTreeMap::new(),
            is_paused_until_ns: 0,
            waiting: Vec::new(),
            is_drained: false,
            is_leaving: false,
            is_short: false,
            next_frame: 0,
        }
    }

    /// The page that a batch on its way home is for.
    pub(super) fn fetched_page(&self, op: OpId, position: u8) -> Option<usize> {
        self.fetching.get(&op)?.get(usize::from(position)).copied().flatten()
    }

    pub(super) fn page_of(&self, entry: EntryId) -> Option<usize> {
        self.pages.iter().position(|page| page.place == Place::Away(entry))
    }
}
