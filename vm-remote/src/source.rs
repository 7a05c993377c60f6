//! A space at the node where its process was: who may read it, and until when.
//!
//! ```text
//!           open         settle            done, peer down, drop
//!  Closed ────────> Open ───────> Settled ─────────────> Released
//!     │               └── done, peer down, drop ────────────┘
//!     └────────────────── drop, peer down ──────────────────┘
//! ```
//! While `Closed` the process still runs here and its pages may change: what was read now would be
//! old content later, so the target is told to ask again. It opens when the process is frozen for
//! good; a frozen process that is thawed again needs a new space for its next try. It is `Settled`
//! when the process runs elsewhere: it can't be thawed any more, so no page can change while it is
//! on its way. `Released` is final, and says once that the memory is to be let go.

use netproto::Slot;

/// Why a space was released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// The target has all it wants.
    Done,
    /// The target is no more.
    PeerDown,
    /// The attempt was called off here.
    Dropped,
}

/// How far a space is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The process may still change its pages.
    Closed,
    /// The pages are final, for this attempt.
    Open,
    /// The pages are final.
    Settled,
    /// The pages are not kept any more.
    Released(Release),
}

/// What to do with a request for pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send copies of the pages.
    Serve,
    /// Send the pages from where they are.
    ServeInPlace,
    /// Ask again later.
    Busy,
    /// There is no such memory (any more).
    Gone,
    /// The asker is not whom this memory is for: no answer.
    Refuse,
}

/// One space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    target: Slot,
    phase: Phase,
}

impl Source {
    /// A closed space for `target`.
    #[must_use]
    pub const fn new(target: Slot) -> Self {
        Self { target, phase: Phase::Closed }
    }

    /// Whom the memory is for.
    #[must_use]
    pub const fn target(&self) -> Slot {
        self.target
    }

    /// How far it is.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// A request came from `from`.
    #[must_use]
    pub fn check(&self, from: Slot) -> Verdict {
        if from != self.target {
            return Verdict::Refuse;
        }
        match self.phase {
            Phase::Closed => Verdict::Busy,
            Phase::Open => Verdict::Serve,
            Phase::Settled => Verdict::ServeInPlace,
            Phase::Released(_) => Verdict::Gone,
        }
    }

    /// The process is frozen for good. False if the space was released before.
    pub fn open(&mut self) -> bool {
        if self.phase == Phase::Closed {
            self.phase = Phase::Open;
        }
        self.is_open()
    }

    const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Settled)
    }

    /// The process runs elsewhere: it goes on here no more, whatever happens.
    pub fn settle(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Settled;
        }
    }

    fn release(&mut self, why: Release) -> bool {
        let held = !matches!(self.phase, Phase::Released(_));
        if held {
            self.phase = Phase::Released(why);
        }
        held
    }

    /// `from` says that it needs nothing more. True if the memory is to be let go now.
    ///
    /// A closed space can't be done: nobody has run on it yet.
    pub fn done(&mut self, from: Slot) -> bool {
        from == self.target && self.is_open() && self.release(Release::Done)
    }

    /// A node went down or restarted. True if the memory is to be let go now.
    pub fn peer_down(&mut self, slot: Slot) -> bool {
        slot == self.target && self.release(Release::PeerDown)
    }

    /// The attempt is called off. True if the memory is to be let go now.
    pub fn call_off(&mut self) -> bool {
        self.release(Release::Dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(number: u8) -> Slot {
        Slot::new(number).expect("a slot")
    }

    #[test]
    fn serves_its_target_only_and_only_while_open() {
        let mut source = Source::new(slot(2));
        assert_eq!(source.check(slot(2)), Verdict::Busy);
        assert_eq!(source.check(slot(3)), Verdict::Refuse);
        assert!(source.open());
        assert_eq!(source.check(slot(2)), Verdict::Serve);
        assert_eq!(source.check(slot(3)), Verdict::Refuse);
        assert!(!source.done(slot(3)), "not for it to say");
        assert!(source.done(slot(2)));
        assert_eq!(source.check(slot(2)), Verdict::Gone);
    }

    #[test]
    fn sends_in_place_what_no_thaw_can_change() {
        let mut source = Source::new(slot(2));
        source.settle();
        assert_eq!(source.check(slot(2)), Verdict::Busy, "it may still run here");
        assert!(source.open());
        assert_eq!(source.check(slot(2)), Verdict::Serve);
        source.settle();
        assert_eq!(source.check(slot(2)), Verdict::ServeInPlace);
        assert_eq!(source.check(slot(3)), Verdict::Refuse);
        assert!(source.open(), "it stays so");
        assert_eq!(source.check(slot(2)), Verdict::ServeInPlace);
        assert!(source.done(slot(2)));
        source.settle();
        assert_eq!(source.check(slot(2)), Verdict::Gone);
    }

    #[test]
    fn is_released_once() {
        let mut source = Source::new(slot(2));
        assert!(!source.done(slot(2)), "never opened");
        assert!(!source.peer_down(slot(1)));
        assert!(source.peer_down(slot(2)));
        assert!(!source.call_off());
        assert!(!source.open());
        assert_eq!(source.phase(), Phase::Released(Release::PeerDown));
    }
}
