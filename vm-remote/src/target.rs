//! A space at the node where its process is now.
//!
//! ```text
//!            run                 nothing outstanding
//!  Filling ───────> Running ──────────────────────────> Over
//!     │                │ lose                            ^
//!     │ lose           v          nothing outstanding    │
//!     ├─────────────> Lost ──────────────────────────────┤
//!     └──── abandon, then nothing outstanding ───────────┘
//! ```
//! Pages are counted where they are: *outstanding* is what went in and was not given up yet, be it
//! fetched, unmapped or left by an exit. A lost space never fetches again: what is outstanding can
//! only be given up. The source is told "done" once, and only by a space that ran and was not lost.

/// Why the rest of a space can't be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The source went down or restarted.
    PeerDown,
    /// The source says that it does not have the space.
    Refused,
}

/// How far a space is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Pages are put in; the process does not run yet.
    Filling,
    /// The process runs.
    Running,
    /// The process was called off before it ran.
    Abandoned,
    /// The rest can't be had.
    Lost(Loss),
    /// Nothing is outstanding.
    Over,
}

/// What the caller has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Tell the source that nothing more is needed.
    TellDone,
    /// Forget the space: its handle may be used again.
    Forget,
}

/// One space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    phase: Phase,
    tell: bool,
    forgotten: bool,
}

impl Default for Target {
    fn default() -> Self {
        Self::new()
    }
}

impl Target {
    /// An empty space.
    #[must_use]
    pub const fn new() -> Self {
        Self { phase: Phase::Filling, tell: false, forgotten: false }
    }

    /// How far it is.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether pages may be put in.
    #[must_use]
    pub fn accepts_pages(&self) -> bool {
        self.phase == Phase::Filling
    }

    /// Why a fault can't be answered, if it can't.
    #[must_use]
    pub fn loss(&self) -> Option<Loss> {
        match self.phase {
            Phase::Lost(loss) => Some(loss),
            Phase::Filling | Phase::Running | Phase::Abandoned | Phase::Over => None,
        }
    }

    /// The process runs from now on. False if the space was lost or called off before.
    pub fn run(&mut self) -> bool {
        if self.phase == Phase::Filling {
            self.phase = Phase::Running;
            self.tell = true;
        }
        self.phase == Phase::Running
    }

    /// The process will not run.
    pub fn abandon(&mut self) {
        if self.phase == Phase::Filling {
            self.phase = Phase::Abandoned;
        }
    }

    /// The rest can't be had. True if this is news.
    pub fn lose(&mut self, why: Loss) -> bool {
        let news = matches!(self.phase, Phase::Filling | Phase::Running);
        if news {
            self.phase = Phase::Lost(why);
            self.tell = false;
        }
        news
    }

    /// What is to be done when `outstanding` pages are left; `None` when nothing.
    ///
    /// While it is filling a space stays, however empty. A lost one stays as long as its process
    /// has pages of it.
    pub fn poll(&mut self, outstanding: u64) -> Option<Effect> {
        if outstanding > 0 || self.phase == Phase::Filling {
            return None;
        }
        self.phase = Phase::Over;
        if core::mem::take(&mut self.tell) {
            return Some(Effect::TellDone);
        }
        (!core::mem::replace(&mut self.forgotten, true)).then_some(Effect::Forget)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_space_that_ran_tells_once() {
        let mut target = Target::new();
        assert_eq!(target.poll(0), None, "filling");
        assert!(target.run());
        assert!(!target.accepts_pages());
        assert_eq!(target.poll(3), None);
        assert_eq!(target.poll(0), Some(Effect::TellDone));
        assert_eq!(target.poll(0), Some(Effect::Forget));
        assert_eq!(target.poll(0), None);
        assert!(!target.lose(Loss::PeerDown), "all is here");
    }

    #[test]
    fn a_lost_space_stays_lost_and_tells_nobody() {
        let mut target = Target::new();
        assert!(target.run());
        assert!(target.lose(Loss::PeerDown));
        assert!(!target.lose(Loss::Refused));
        assert_eq!(target.loss(), Some(Loss::PeerDown));
        assert_eq!(target.poll(1), None);
        assert_eq!(target.poll(0), Some(Effect::Forget));
    }

    #[test]
    fn one_that_never_ran_is_forgotten() {
        let mut target = Target::new();
        target.abandon();
        assert!(!target.run());
        assert_eq!(target.poll(2), None);
        assert_eq!(target.poll(0), Some(Effect::Forget));
    }
}
