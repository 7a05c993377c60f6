//! The holder: other nodes' pages in this node's memory.
//!
//! [`serve`] answers owners on the net's thread, [`tend`] does everything else on a thread of its
//! own. The machine and its frames are made when the first other node is there, for as many frames
//! as may be lent then; they are made anew for more once nobody has anything here.

mod frames;
mod knobs;
mod serve;
mod tend;
mod urgent;

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicU8, Ordering};

use kapi::{
    alloc::Memory,
    clock, lock_class,
    module::{Hold, Unloading},
    page::{Page, PAGE_LEN},
    shrinker::{Reclaim, Shrinker},
    thread::KThread,
    udp::Scratch,
    Global, Mutex, Result, WaitQueue,
};
use netproto::{
    limits::SLOT_COUNT,
    msg::{
        lodge::{Item, Seal, Status},
        page::HeldPage,
    },
    Class, Duration, Kind, Message, Slot,
};
use vm_remote::lodge::{
    holder::{Config, Frame, Holder},
    lending::{Gate, Lending},
    Peer,
};

use self::frames::Frames;
pub(super) use self::{knobs::entries, urgent::asked};
use super::{area, content, stats};
use crate::port::net;

/// Between two HAND_BACKs to one owner.
const HAND_BACK_PAUSE: Duration = Duration::from_ms(200);
/// Releases that are remembered, for each frame: see `vm_remote`.
const TOMBS_PART: u32 = 8;
const TOMBS_MIN: u32 = 4096;
/// After the kernel took frames back none are taken for so long.
const SHRUNK_PAUSE_NS: u64 = 2_000_000_000;
/// The kernel's search for memory makes the thread look at it no more often than this.
const HINT_PAUSE_NS: u64 = 100_000_000;
/// Most frames that one call of the kernel's gets.
const SCAN_MAX: u64 = 256;

/// What the lock guards, once there is somebody to lend to.
struct State {
    machine: Holder,
    frames: Frames,
    /// For a page that is made whole here, where it lies.
    whole: Page,
    lending: Lending,
    gate: Gate,
    /// By slot: what it was told that it could have, in this session.
    told: Vec<Option<u32>>,
    /// By slot: who is reached.
    up: Vec<Option<Peer>>,
    /// While pages of others are here.
    hold: Option<Hold>,
}

struct Keeper {
    state: Mutex<Option<State>>,
    wake: WaitQueue,
    poked: AtomicBool,
    gate: AtomicU8,
    /// Frames that the kernel may have at once; frames that somebody was promised.
    free: AtomicU64,
    promised: AtomicU64,
    turn_ns: AtomicU64,
    shrunk_ns: AtomicU64,
    asked: urgent::Asked,
    doors: Mutex<Option<([KThread; 2], Shrinker)>>,
}

static KEEPER: Global<Keeper> = Global::new();

/// How much is lent.
#[derive(Clone, Copy, Default)]
pub(super) struct Seen {
    /// Frames that there may be at present.
    pub(super) most: u32,
    pub(super) frames: u32,
    pub(super) promised: u32,
    pub(super) held: u32,
    pub(super) tombs: u32,
    /// The node needs its memory itself.
    pub(super) is_short: bool,
    /// All pages are to leave.
    pub(super) is_leaving: bool,
}

/// Begins to lend.
pub(super) fn load() -> Result {
    knobs::load();
    let keeper = KEEPER.set(Keeper {
        state: Mutex::new(lock_class!(c"holon-lend"), None)?,
        wake: WaitQueue::new()?,
        poked: AtomicBool::new(false),
        gate: AtomicU8::new(0),
        free: AtomicU64::new(0),
        promised: AtomicU64::new(0),
        turn_ns: AtomicU64::new(0),
        shrunk_ns: AtomicU64::new(0),
        asked: urgent::Asked::new()?,
        doors: Mutex::new(lock_class!(c"holon-lend-doors"), None)?,
    })?;
    let shrinker = Shrinker::new(c"holon-lend", &SPARE_FRAMES, ASK_MOST)?;
    let scratch = Scratch::new()?;
    let tender = KThread::spawn(c"holon-lend", move || tend::run(keeper))?;
    let server = KThread::spawn(c"holon-lend-now", move || urgent::run(keeper, scratch))?;
    // A task of another node must not wait for this node's own work.
    server.make_urgent();
    *keeper.doors.lock() = Some(([tender, server], shrinker));
    Ok(())
}

/// Ends what runs by itself.
pub(super) fn stop() {
    if let Some(keeper) = KEEPER.get() {
        let doors = keeper.doors.lock().take();
        drop(doors);
    }
}

/// Gives all back.
pub(super) fn unload(token: &Unloading) {
    stop();
    KEEPER.clear(token);
}

/// Pages of others that are here.
pub(super) fn held() -> u64 {
    u64::from(look().held)
}

/// How much is lent now.
pub(super) fn look() -> Seen {
    let Some(keeper) = KEEPER.get() else { return Seen::default() };
    let seen = keeper.with(|state| Seen {
        most: knobs::limits(state.frames.room()).max,
        frames: state.machine.frames(),
        promised: state.machine.promised(),
        held: state.machine.held(),
        tombs: state.machine.tombs(),
        is_short: state.lending.is_short(),
        is_leaving: state.gate == Gate::Leaving,
    });
    seen.unwrap_or(Seen { most: knobs::lend_max(), ..Seen::default() })
}

/// What an owner has here, and may have.
pub(super) fn of(slot: Slot) -> (u32, u32) {
    KEEPER.get().and_then(|keeper| keeper.with(|state| state.machine.of(slot))).unwrap_or((0, 0))
}

/// Whether this node lends, from now on.
pub(crate) fn set_gate(gate: Gate) {
    if let Some(keeper) = KEEPER.get() {
        let number = match gate {
            Gate::Open => 0,
            Gate::Closed => 1,
            Gate::Leaving => 2,
        };
        keeper.gate.store(number, Ordering::Release);
        keeper.poke();
    }
}

/// What was set last.
pub(crate) fn gate() -> Gate {
    KEEPER.get().map_or(Gate::Open, Keeper::gate)
}

/// Shows a page that an owner has here, with this checksum of its content, to `read` and gives what
/// that says; false if it is not here.
pub(crate) fn with_held(
    owner: Slot,
    page: (&HeldPage, u32),
    read: impl FnOnce(&[u8; PAGE_LEN]) -> bool,
) -> bool {
    let peer = net::incarnation_of(owner).map(|incarnation| Peer { slot: owner, incarnation });
    let (Some(keeper), Some(peer)) = (KEEPER.get(), peer) else { return false };
    keeper.with(|state| state.read(peer, page, read)).unwrap_or(false)
}

/// RESERVE, STORE, FETCH or RELEASE.
pub(super) fn message(from: Peer, message: &Message) {
    let Some(keeper) = KEEPER.get() else { return };
    // Before anything was offered nobody has a reason to ask; it is asked again.
    let good = keeper.with(|state| serve::message(state, from, message));
    if good == Some(false) {
        stats::REFUSED_MESSAGES.add(1);
    }
    if message.kind == Kind::LODGE_RESERVE {
        keeper.poke();
    }
}

/// As if the memory that is lent were damaged.
#[cfg(feature = "selftest")]
pub(super) fn rot() {
    if let Some(keeper) = KEEPER.get() {
        keeper.with(|state| state.frames.rot());
    }
}

pub(super) fn peer_up(peer: Peer) {
    if let Some(keeper) = KEEPER.get() {
        keeper.with(|state| state.peer_up(peer));
        keeper.poke();
    }
}

pub(super) fn peer_silent(peer: Peer) {
    if let Some(keeper) = KEEPER.get() {
        keeper.with(|state| {
            state.up[peer.slot.index()] = None;
            state.machine.peer_silent(peer);
        });
    }
}

pub(super) fn peer_dead(peer: Peer) {
    if let Some(keeper) = KEEPER.get() {
        keeper.with(|state| {
            state.up[peer.slot.index()] = None;
            state.machine.peer_dead(peer);
        });
        keeper.poke();
    }
}

/// Whatever could not be sent is asked for again, or told at the thread's next turn.
pub(super) fn writable(_slot: Slot, _class: Class) {}

impl Keeper {
    /// Works on the state, if there is one yet.
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> Option<T> {
        let mut place = self.state.lock();
        let state = place.as_mut()?;
        let result = act(state);
        if state.machine.held() == 0 {
            state.hold = None;
        }
        let (frames, promised) = (state.machine.frames(), state.machine.promised());
        self.free.store(u64::from(frames.saturating_sub(promised)), Ordering::Relaxed);
        self.promised.store(u64::from(promised), Ordering::Relaxed);
        Some(result)
    }

    fn poke(&self) {
        if !self.poked.swap(true, Ordering::AcqRel) {
            self.wake.wake_all();
        }
    }

    fn gate(&self) -> Gate {
        match self.gate.load(Ordering::Acquire) {
            0 => Gate::Open,
            1 => Gate::Closed,
            _ => Gate::Leaving,
        }
    }

    /// Makes the tables, if there is somebody to lend to, or larger ones, if nobody has anything.
    fn make_room(&self) {
        let wanted = knobs::lend_max();
        let is_needed = self
            .with(|state| wanted > state.frames.room() && state.machine.is_clear())
            .unwrap_or(wanted > 0);
        let Some(lodge) = area::get().ok().filter(|lodge| is_needed && lodge.peers.any_up()) else {
            return;
        };
        match State::new(wanted) {
            Ok(state) => lodge.peers.each_up(|up| self.install(state, up)),
            Err(errno) => log::warn!("nothing can be lent: {errno}"),
        }
    }

    fn install(&self, mut state: State, up: &mut dyn Iterator<Item = Peer>) {
        up.for_each(|peer| state.peer_up(peer));
        let mut place = self.state.lock();
        if place.as_ref().is_none_or(|old| old.machine.is_clear()) {
            let old = place.replace(state);
            drop(place);
            drop(old);
        }
    }
}

impl State {
    fn new(frames: u32) -> Result<Self> {
        let tombs = (frames / TOMBS_PART).max(TOMBS_MIN);
        let hand_back_pause = HAND_BACK_PAUSE.times(u64::from(net::timescale()));
        let machine = Holder::new(Config { frames, tombs, hand_back_pause })?;
        let (mut told, mut up) = (Vec::new(), Vec::new());
        told.try_reserve_exact(usize::from(SLOT_COUNT))?;
        up.try_reserve_exact(usize::from(SLOT_COUNT))?;
        told.resize(usize::from(SLOT_COUNT), None);
        up.resize(usize::from(SLOT_COUNT), None);
        let (frames, lending) = (Frames::new(frames)?, Lending::default());
        let whole = Page::new()?;
        Ok(Self { machine, frames, whole, lending, gate: Gate::Open, told, up, hold: None })
    }

    fn peer_up(&mut self, peer: Peer) {
        self.machine.peer_up(peer);
        self.up[peer.slot.index()] = Some(peer);
        self.told[peer.slot.index()] = None;
    }

    /// Sets what the machine is to make of the node's needs.
    fn set(&mut self, gate: Gate, pressure: Option<u32>) {
        match gate {
            Gate::Leaving => self.machine.drain(),
            Gate::Open | Gate::Closed => {
                if self.gate == Gate::Leaving {
                    self.machine.undrain();
                }
                self.machine.set_pressure(pressure);
            }
        }
        self.gate = gate;
    }

    /// Sees to it that the module stays while pages are here. False if it is about to go.
    fn keeps_module(&mut self) -> bool {
        if self.hold.is_none() {
            self.hold = Hold::new();
        }
        self.hold.is_some()
    }

    /// Copies a content into its frame: what is in there now.
    fn fill(&mut self, frame: Frame, content: Option<&[u8]>) -> Option<&[u8]> {
        let content = content?;
        let bytes = self.frames.bytes_mut(frame)?.get_mut(..content.len())?;
        bytes.copy_from_slice(content);
        Some(bytes)
    }

    fn read(
        &mut self,
        from: Peer,
        (page, page_sum): (&HeldPage, u32),
        read: impl FnOnce(&[u8; PAGE_LEN]) -> bool,
    ) -> bool {
        let &HeldPage { entry, generation } = page;
        let (status, seal) = (Status::Ask, Seal::NONE);
        let found =
            self.machine.fetch(from, &Item { position: 0, status, entry, seal, generation });
        let Some((frame, seal)) = found.ok() else { return false };
        let Some(content) = self.frames.content(frame, seal) else { return false };
        // What damaged memory would show is worse than to have it sent.
        let is_right = page_sum == seal.sum && Seal::of(content) == seal;
        let page = self.whole.bytes_mut();
        is_right && content::take(content, page) && read(page)
    }

    /// Lends one page more. False if it can't be.
    fn add_frame(&mut self, page: Page) -> bool {
        let Ok(frame) = self.frames.put(page) else { return false };
        let is_added = self.machine.add_frame(frame);
        if !is_added {
            self.frames.take(frame);
        }
        is_added
    }

    /// A page that is not lent any more.
    fn take_frame(&mut self) -> Option<Page> {
        let frame = self.machine.take_frame()?;
        self.frames.take(frame)
    }
}

/// Frames that nobody was promised, as the kernel's search for memory sees them.
struct SpareFrames;

static SPARE_FRAMES: SpareFrames = SpareFrames;

/// The kernel's own number.
const ASK_MOST: u32 = 128;

impl Reclaim for SpareFrames {
    fn count(&self) -> u64 {
        let Some(keeper) = KEEPER.get() else { return 0 };
        let since = clock::now_ns().saturating_sub(keeper.turn_ns.load(Ordering::Relaxed));
        if keeper.promised.load(Ordering::Relaxed) > 0 && since > HINT_PAUSE_NS {
            keeper.poke();
        }
        keeper.free.load(Ordering::Relaxed)
    }

    fn scan(&self, pages: u64) -> Option<u64> {
        let keeper = KEEPER.get()?;
        // Who holds the lock may itself be looking for memory.
        let mut place = keeper.state.try_lock()?;
        let Some(state) = place.as_mut() else { return Some(0) };
        let mut freed = 0;
        while freed < pages.min(SCAN_MAX) && state.take_frame().is_some() {
            freed += 1;
        }
        keeper.shrunk_ns.store(clock::now_ns() + SHRUNK_PAUSE_NS, Ordering::Relaxed);
        keeper.free.fetch_sub(freed.min(keeper.free.load(Ordering::Relaxed)), Ordering::Relaxed);
        knobs::FRAMES_SHRUNK.add(freed);
        Some(freed)
    }
}

/// What the node has free, in pages.
fn available() -> u64 {
    Memory::now().available / PAGE_LEN as u64
}
